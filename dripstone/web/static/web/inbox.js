// The inbox: J and K go to the older and the newer message; the list beside it says which one is read.

const mail = document.querySelector(".mail");

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, textarea, select, [contenteditable], dialog");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const way = { j: "[data-older]", k: "[data-newer]" }[event.key];
  if (way) document.querySelector(`.reading ${way}`)?.click();
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target?.id === "messages") return mark();
  if (event.detail.target?.id !== "reading") return;
  mark();
  if (mail.classList.contains("is-reading") || !getComputedStyle(mail).gridTemplateColumns.includes(" ")) event.detail.target.focus();
  mail.classList.add("is-reading");
});

function mark() {
  const shown = document.querySelector(".reading h2")?.dataset.message;
  for (const link of document.querySelectorAll(".messages a")) {
    const isShown = link.dataset.message === shown;
    isShown ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
    if (isShown) link.scrollIntoView({ block: "nearest" });
  }
}
