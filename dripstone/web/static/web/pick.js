// Lists of ticks: narrowed by what one types, counted as one ticks. Without it they are whole.

document.addEventListener("input", (event) => {
  const picker = event.target.closest(".picker");
  if (!picker) return;
  if (event.target.matches("[data-narrow]")) narrow(picker, event.target.value);
  else count(picker);
});

document.addEventListener("click", (event) => {
  const picker = event.target.closest("[data-whole]")?.closest(".picker");
  if (!picker) return;
  picker.classList.add("is-whole");
  picker.querySelector(".picks label:nth-child(13) input")?.focus();
});

// Enter in the search is no "Save".
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("[data-narrow]")) event.preventDefault();
});

function narrow(picker, text) {
  const wanted = text.trim().toLocaleLowerCase();
  picker.classList.toggle("is-searched", wanted !== "");
  for (const row of picker.querySelectorAll(".picks label")) {
    row.hidden = !row.textContent.toLocaleLowerCase().includes(wanted);
  }
}

function count(picker) {
  const n = picker.querySelectorAll(".picks input:checked").length;
  picker.querySelector("[data-tally]").textContent = n || "";
}

// A form that was refused comes back in place of the old one: what is wrong is read first.
document.addEventListener("htmx:afterSettle", () => document.querySelector("#settings [data-focus]")?.focus());
