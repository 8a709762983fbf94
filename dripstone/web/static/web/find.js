// The search at the head of every page: a list below the field, walked by arrows. Without it the field is a form.

const finder = document.querySelector(".find input");
const hits = document.getElementById("hits");

const chosen = () => hits.querySelector("[aria-selected=true]");

function show(isShown) {
  hits.hidden = !isShown;
  finder.setAttribute("aria-expanded", String(isShown));
  if (!isShown) choose(null);
}

function choose(hit) {
  chosen()?.setAttribute("aria-selected", "false");
  if (hit) {
    hit.setAttribute("aria-selected", "true");
    hit.scrollIntoView({ block: "nearest" });
    finder.setAttribute("aria-activedescendant", hit.id);
  } else {
    finder.removeAttribute("aria-activedescendant");
  }
}

function step(by) {
  const all = [...hits.querySelectorAll("a[role=option]")];
  const at = all.indexOf(chosen());
  const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by;
  choose(all[next] ?? null); // beyond the ends stands the field itself
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target === hits) show(finder.value.trim() !== "" && document.activeElement === finder);
});

finder?.addEventListener("focus", () => show(finder.value.trim() !== "" && hits.childElementCount > 0));

finder?.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (hits.hidden) finder.blur();
    show(false);
    event.preventDefault();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && hits.childElementCount) {
    if (hits.hidden) show(true);
    step(event.key === "ArrowDown" ? 1 : -1);
    event.preventDefault();
  } else if (event.key === "Enter" && !hits.hidden && chosen()) {
    event.preventDefault();
    chosen().click();
  }
});

document.addEventListener("focusin", (event) => event.target.closest(".find") || hits?.hidden || show(false));
document.addEventListener("click", (event) => event.target.closest(".find") || hits?.hidden || show(false));
