// Lists in which one chooses: one tick for all that are shown.

for (const form of document.querySelectorAll("form[data-choosing]")) {
  const all = form.querySelector("[data-all]");
  const boxes = () => [...form.querySelectorAll("input[name=ids]")];
  if (boxes().length > 1) all.hidden = false;
  all.addEventListener("change", (event) => boxes().forEach((box) => (box.checked = event.target.checked)));
  form.addEventListener("change", () => {
    const chosen = boxes().filter((box) => box.checked).length;
    const tick = all.querySelector("input");
    tick.checked = chosen === boxes().length;
    tick.indeterminate = chosen > 0 && !tick.checked;
  });
}
