// Snippets and templates: the preview follows what is typed. Without this the form has a button for it.

const writing = document.querySelector("form[data-preview]");
const WAIT = 350; // milliseconds after the last key
let timer = 0;
let newest = 0;

// Controls of the form stand beside it too, so the document listens.
writing && document.addEventListener("input", (event) => {
  if (event.target.form !== writing) return;
  clearTimeout(timer);
  timer = setTimeout(show, event.target.matches("textarea, input[name=name], input[name=as]") ? WAIT : 0);
});
if (writing && writing.querySelector("[data-refused]")) show();

// What a refusal in the dialog is about is marked in the page beneath, until it is changed.
document.addEventListener("htmx:afterSwap", (event) => {
  for (const problem of event.detail.target.querySelectorAll("[data-member]")) mark(problem.dataset.member, problem.textContent);
});

function mark(member, sentence) {
  const around = document.getElementById(`f-${member}`)?.closest(".field, .editor");
  if (!around || !writing) return;
  const id = `f-${member}-problem`;
  const said = document.getElementById(id) ?? Object.assign(document.createElement("p"), { id, className: "wrong" });
  said.textContent = sentence;
  around.append(said);
  const fields = around.querySelectorAll(`#f-${member}, [contenteditable=true]`);
  for (const field of fields) {
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", [...othersThan(id, field), id].join(" "));
  }
  around.addEventListener("input", () => {
    said.remove();
    for (const field of fields) {
      field.removeAttribute("aria-invalid");
      field.setAttribute("aria-describedby", othersThan(id, field).join(" "));
    }
  }, { once: true });
}

function othersThan(id, field) {
  return (field.getAttribute("aria-describedby") ?? "").split(" ").filter((one) => one && one !== id);
}

// Into a new frame, which takes the place of the old one when it is there: no flicker, and no entry in the history.
function show() {
  const old = document.querySelector("iframe[name^=preview]");
  const frame = old.cloneNode();
  frame.name = `preview-${(newest += 1)}`;
  frame.removeAttribute("src");
  frame.classList.add("is-coming");
  document.querySelectorAll("iframe.is-coming").forEach((one) => one.remove());
  old.after(frame);
  frame.addEventListener("load", () => {
    if (!frame.isConnected) return;
    old.remove();
    frame.classList.remove("is-coming");
  });
  post(frame.name);
}

function post(target) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = writing.dataset.preview;
  form.target = target;
  form.hidden = true;
  for (const [name, value] of new FormData(writing)) {
    const input = document.createElement("textarea");
    input.name = name;
    input.value = value;
    form.append(input);
  }
  document.body.append(form);
  form.submit();
  form.remove();
}
