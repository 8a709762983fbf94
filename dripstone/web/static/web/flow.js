// Editing an automation: what a plus or a step opens stands in its place, and the focus stays where one works. Without
// it each of them is a page, and every act an ordinary form.

let opener = null; // the link that opened what is open

document.addEventListener("htmx:beforeRequest", (event) => {
  const panel = event.detail.target;
  if (!panel?.matches(".opened")) return;
  if (!panel.contains(event.target)) opener = event.target;
  for (const other of document.querySelectorAll(".opened")) if (other !== panel) other.replaceChildren();
  for (const menu of document.querySelectorAll("#flow details.menu[open]")) menu.open = false;
});

// One reads on in what was opened, or at the step that was changed.
document.addEventListener("htmx:afterSettle", (event) => {
  const part = event.target;
  if (part.matches(".opened")) {
    (part.querySelector("[data-focus]") ?? part.querySelector("select, input:not([type=hidden]), h2[tabindex]"))?.focus();
    part.scrollIntoView({ block: "nearest" });
  } else if (part.id === "flow") {
    const pressed = lastPressed ? document.getElementById(lastPressed) : null;
    const step = document.getElementById(part.dataset.open ?? "");
    lastPressed = "";
    (pressed ?? step ?? document.getElementById("main")).focus({ preventScroll: true });
    (pressed ?? step)?.scrollIntoView({ block: "nearest" });
  }
});

// Move up, pressed again and again, stays under the finger.
let lastPressed = "";
document.addEventListener("submit", (event) => {
  if (event.target.closest("#flow")) lastPressed = event.submitter?.id ?? "";
}, true);

document.addEventListener("click", (event) => {
  const leave = event.target.closest(".opened [data-leave]");
  if (leave) {
    event.preventDefault();
    close(leave.closest(".opened"));
  }
});

document.addEventListener("keydown", (event) => {
  const panel = event.target.closest(".opened");
  if (!panel) return;
  if (event.key === "Escape") close(panel);
  if (event.key === "ArrowDown" || event.key === "ArrowUp") walk(panel, event);
});

function close(panel) {
  panel.replaceChildren();
  const back = opener?.offsetParent === null ? opener.closest("details")?.querySelector("summary") : opener;
  if (back?.isConnected) back.focus();
  opener = null;
}

// The menu: narrowed as one types, walked by arrows; Enter takes the first.

document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-narrows]");
  if (form) narrow(form.closest(".step-menu"), event.target.value);
});

document.addEventListener("submit", (event) => {
  const menu = event.target.matches("[data-narrows]") && event.target.closest(".opened");
  if (!menu) return;
  event.preventDefault();
  choices(menu)[0]?.click();
});

function narrow(menu, text) {
  const words = text.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  for (const item of menu.querySelectorAll("[data-finds]")) {
    item.hidden = !words.every((word) => item.dataset.finds.toLocaleLowerCase().includes(word));
  }
  for (const group of menu.querySelectorAll(".kind-group")) group.hidden = !group.querySelector("li:not([hidden])");
  menu.querySelector("[data-none]").hidden = choices(menu).length > 0;
}

function choices(menu) {
  return [...menu.querySelectorAll("[data-finds]:not([hidden]) a")];
}

function walk(panel, event) {
  const menu = panel.querySelector(".step-menu");
  const stops = menu && [menu.querySelector("input[type=search]"), ...choices(menu)];
  const here = stops ? stops.indexOf(event.target) : -1;
  if (here < 0) return;
  event.preventDefault();
  stops[Math.min(stops.length - 1, Math.max(0, here + (event.key === "ArrowDown" ? 1 : -1)))].focus();
}
