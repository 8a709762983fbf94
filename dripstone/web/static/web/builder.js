// The page of a sequence: after an act the focus stays where one worked, and emails are dragged by their numbers.
// Without it every act is an ordinary form, and order is changed by Move up and Move down.

const builder = document.getElementById("builder");
const dialog = document.getElementById("ask");

// ---- Focus ----------------------------------------------------------------------------------------------------------

let pressed = "";
document.addEventListener("submit", (event) => {
  if (builder.contains(event.target)) pressed = event.submitter?.id || "";
}, true);

document.addEventListener("acted", (event) => {
  if (dialog.open) dialog.close();
  const email = document.getElementById(`e${event.detail.email}`);
  const last = pressed && document.getElementById(pressed);
  (last || email?.querySelector(".subject") || document.getElementById("main")).focus({ preventScroll: true });
  email?.scrollIntoView({ block: "nearest" });
});

// Escape leaves a form that was opened in place.
builder.addEventListener("keydown", (event) => {
  const form = event.key === "Escape" && event.target.closest("form[data-leave]");
  if (form) form.querySelector(form.dataset.leave).click();
});

// The page is not replaced under somebody's hands.
builder.addEventListener("htmx:beforeRequest", (event) => {
  const isBusy = drag || builder.querySelector(".changing, details[open]") || dialog.open;
  if (isBusy && event.target.matches(".moving")) event.preventDefault();
});

// ---- Dragging -------------------------------------------------------------------------------------------------------

const SLACK = 4; // pixels before a press is a drag
const EDGE = 60; // pixels from the top or bottom where the page scrolls along

let drag = null;

builder.addEventListener("pointerdown", (event) => {
  const handle = event.target.closest("[data-drag]");
  if (!handle || event.button !== 0 || drag) return;
  event.preventDefault();
  const item = handle.closest(".step");
  drag = { item, handle, id: event.pointerId, startY: event.clientY + scrollY, y: event.clientY, isMoving: false, before: undefined };
  handle.setPointerCapture(event.pointerId);
});

builder.addEventListener("pointermove", (event) => {
  if (!drag || event.pointerId !== drag.id) return;
  drag.y = event.clientY;
  if (!drag.isMoving && Math.abs(drag.y + scrollY - drag.startY) > SLACK) begin();
  if (drag.isMoving) follow();
});

builder.addEventListener("pointerup", (event) => {
  if (!drag || event.pointerId !== drag.id) return;
  const { item, isMoving, before } = drag;
  end();
  if (isMoving && before !== undefined) submit(item, before);
});

builder.addEventListener("pointercancel", end);
document.addEventListener("keydown", (event) => event.key === "Escape" && end());

function begin() {
  drag.isMoving = true;
  drag.item.classList.add("is-dragged");
  builder.classList.add("has-drag");
  requestAnimationFrame(scrollAlong);
}

function follow() {
  drag.item.style.transform = `translateY(${drag.y + scrollY - drag.startY}px)`;
  const others = [...drag.item.parentElement.children].filter((one) => one !== drag.item);
  const next = others.find((one) => drag.y < middle(one));
  const isHere = next === drag.item.nextElementSibling || (!next && !drag.item.nextElementSibling);
  drag.before = isHere ? undefined : next ? next.dataset.email : "";
  for (const one of others) {
    one.classList.toggle("drops-before", !isHere && one === next);
    one.classList.toggle("drops-after", !isHere && !next && one === others.at(-1));
  }
}

function middle(item) {
  const card = item.querySelector(".email").getBoundingClientRect();
  return (card.top + card.bottom) / 2;
}

function scrollAlong() {
  if (!drag?.isMoving) return;
  const by = drag.y < EDGE ? -8 : drag.y > innerHeight - EDGE ? 8 : 0;
  if (by) {
    scrollBy(0, by);
    follow();
  }
  requestAnimationFrame(scrollAlong);
}

function end() {
  if (!drag) return;
  drag.item.style.transform = "";
  drag.item.classList.remove("is-dragged");
  builder.classList.remove("has-drag");
  for (const one of builder.querySelectorAll(".drops-before, .drops-after")) one.classList.remove("drops-before", "drops-after");
  drag = null;
}

function submit(item, before) {
  const form = document.getElementById("order");
  form.action = item.dataset.order;
  form.elements.before.value = before;
  form.requestSubmit();
}
