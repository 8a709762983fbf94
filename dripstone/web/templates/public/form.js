/* Dripstone: a form to sign up. No cookie is set, and nothing is sent before somebody presses the button. */
(function () {
  "use strict";
  var spec = {{ spec|safe }};
  var here = document.currentScript || document.querySelector('script[data-uid="' + spec.uid + '"]');
  if (!here || !here.parentNode) return;

  function make(name, members, text) {
    var one = document.createElement(name);
    for (var key in members) one.setAttribute(key, members[key]);
    if (text) one.textContent = text;
    return one;
  }

  var numbers = 0;
  function field(name, label, type, more) {
    var id = "dripstone-" + spec.uid + "-" + numbers++;
    var block = make("p", { "class": "dripstone-field" });
    var members = { id: id, name: name, type: type };
    for (var key in more) members[key] = more[key];
    block.appendChild(make("label", { "for": id }, label));
    block.appendChild(document.createTextNode(" "));
    block.appendChild(make("input", members));
    return block;
  }

  function hidden(name, value) {
    return make("input", { type: "hidden", name: name, value: value });
  }

  var box = make("section", { "class": "dripstone", "aria-label": spec.heading });
  box.appendChild(make("h2", {}, spec.heading));
  spec.description.split(/\n\s*\n/).forEach(function (text) {
    if (text.trim()) box.appendChild(make("p", {}, text));
  });
  var form = make("form", { method: "post", action: spec.action });
  if (spec.nameLabel) form.appendChild(field("first_name", spec.nameLabel, "text", { autocomplete: "given-name", maxlength: "255" }));
  form.appendChild(field("email_address", spec.addressLabel, "email", { required: "", autocomplete: "email", maxlength: "254" }));
  spec.fields.forEach(function (one) { form.appendChild(field(one[0], one[1], "text", { maxlength: "2000" })); });
  var robots = field(spec.honeypot, "Leave this empty", "text", { tabindex: "-1", autocomplete: "off" });
  robots.setAttribute("aria-hidden", "true");
  robots.style.position = "absolute";
  robots.style.left = "-10000px";
  form.appendChild(robots);
  form.appendChild(hidden("referrer", location.href));
  var button = make("button", {}, spec.button);
  form.appendChild(button);
  var said = make("p", { role: "status" });
  box.appendChild(form);
  box.appendChild(said);
  here.parentNode.insertBefore(box, here.nextSibling);

  function values() {
    var found = { fields: {} };
    Array.prototype.forEach.call(form.elements, function (one) {
      var inside = /^fields\[(.+)\]$/.exec(one.name);
      if (inside) found.fields[inside[1]] = one.value;
      else if (one.name) found[one.name] = one.value;
    });
    return found;
  }

  form.addEventListener("submit", function (event) {
    if (!window.fetch) return; // sent as every form is
    event.preventDefault();
    button.disabled = true;
    said.textContent = "";
    fetch(spec.action, {
      method: "POST",
      mode: "cors",
      credentials: "omit",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(values())
    }).then(function (answer) {
      return answer.json().then(function (told) { return { ok: answer.ok, told: told }; });
    }).then(function (answer) {
      button.disabled = false;
      if (!answer.ok) said.textContent = (answer.told.errors || []).join(" ");
      else if (answer.told.redirect_url) location.href = answer.told.redirect_url;
      else { form.hidden = true; said.textContent = answer.told.message; }
    }).catch(function () {
      button.disabled = false;
      form.submit(); // perhaps this page may not ask us by script; a form it may send
    });
  });
})();
