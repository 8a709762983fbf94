// What every page behind sign-in does beside htmx. Without it each form is an ordinary one.

const dialog = document.getElementById("ask");
const said = document.getElementById("said");

// Acts that may ask first: their answer is either a question, shown in the dialog, or another page.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-asks]");
  if (!form || event.defaultPrevented) return;
  event.preventDefault();
  const pressed = event.submitter;
  const values = pressed && pressed.name ? { [pressed.name]: pressed.value } : {};
  htmx.ajax("POST", form.getAttribute("action") || location.href, { source: form, target: "#ask", swap: "innerHTML", values });
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target !== dialog || !dialog.firstElementChild) return;
  closeMenus(null); // the act came from one
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("[autofocus], .foot button")?.focus();
});

dialog?.addEventListener("click", (event) => {
  const leaves = event.target === dialog || event.target.closest("[data-close]");
  if (leaves) {
    event.preventDefault();
    dialog.close();
  }
});
dialog?.addEventListener("close", () => dialog.replaceChildren());

// What the server has to say of an act whose answer is a part of the page.
document.addEventListener("said", (event) => say(event.detail.text));

// A request that found nobody is said, not swallowed.
document.addEventListener("htmx:sendError", () => say("The server does not answer. Nothing was changed; try again."));
document.addEventListener("htmx:responseError", (event) => {
  say(`The server answered ${event.detail.xhr.status}. Nothing was changed; reload the page and try again.`);
});

function say(text) {
  said.textContent = text;
  said.classList.add("is-shown");
  setTimeout(() => said.classList.remove("is-shown"), 8000);
}

// A blank of a sentence that was pressed (templates/conditions), or a row of a rule that was added, moved or taken away:
// one reads on in what it opened.
document.addEventListener("htmx:afterSettle", (event) => {
  if (["conditions", "rule-form"].includes(event.target.id)) (event.target.querySelector("[data-focus]") ?? event.target).focus();
});

// Menus: one open at a time, closed by a press elsewhere or by Escape.
document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const open = document.querySelector("details.menu[open]");
    closeMenus(null);
    open?.querySelector("summary").focus();
  }
  const typesInto = event.target.closest("input, textarea, select, [contenteditable]");
  const isSlash = event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey;
  // The page's own field first; from there, empty, to the one at the head. Control or ⌘ with K leads there at once.
  const mayLeave = !typesInto || (typesInto.matches("[data-find]") && !typesInto.value);
  if ((isSlash && mayLeave) || (event.key === "k" && (event.ctrlKey || event.metaKey) && !event.defaultPrevented)) {
    const own = isSlash && !typesInto && document.querySelector("input[data-find]");
    const find = own || document.querySelector("input[data-find-anywhere]");
    if (find) {
      event.preventDefault();
      if (find.offsetParent === null) location.href = find.form.action; // no room for it here: a page of its own
      find.focus();
      find.select();
    }
  }
});

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false;
}

// After a refusal the summary of what is wrong is read first.
document.querySelector("[data-focus]")?.focus();
