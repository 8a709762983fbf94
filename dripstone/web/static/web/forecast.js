// The calendar: which day is shown beside it, and the choice of a sequence without a button.

const day = document.getElementById("day");

document.addEventListener("htmx:beforeRequest", (event) => {
  const link = event.target.closest(".calendar a");
  if (!link) return;
  for (const other of document.querySelectorAll(".calendar a[aria-current]")) other.removeAttribute("aria-current");
  link.setAttribute("aria-current", "date");
});

document.addEventListener("htmx:afterSwap", (event) => {
  const pressed = event.detail.requestConfig?.elt?.closest?.(".calendar a");
  if (event.detail.target !== day || !pressed) return;
  day.scrollIntoView({ block: "nearest" });
  document.getElementById("day-title")?.focus({ preventScroll: true });
});

document.getElementById("which")?.addEventListener("change", (event) => event.target.form.requestSubmit());
