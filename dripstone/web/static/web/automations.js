// The picture of an automation: smaller, larger, whole; moved by dragging; a box leads to its step, a number to the people.
// Without scripts it is scrolled, and the list beside it has the links.

const STEP = 1.25, SMALLEST = 0.2, LARGEST = 2;

for (const graph of document.querySelectorAll("[data-graph]")) begin(graph);
document.addEventListener("htmx:afterSettle", (event) => {
  for (const graph of event.target.querySelectorAll("[data-graph]")) begin(graph);
});

function begin(graph) {
  if (graph.dataset.graph) return;
  graph.dataset.graph = "ready";
  const view = graph.querySelector(".graph-view"), svg = view.querySelector("svg"), tools = graph.querySelector(".zoom");
  const whole = svg.viewBox.baseVal;
  let scale = 1;
  tools.hidden = false;
  look(svg.querySelector(".is-here .shape"));

  tools.addEventListener("click", (event) => {
    const how = event.target.dataset.zoom;
    if (how) resize(how === "whole" ? Math.min(1, room(view) / whole.width) : scale * (how === "in" ? STEP : 1 / STEP));
  });

  // What stands in the middle stays there.
  function resize(to) {
    const middle = [(view.scrollLeft + view.clientWidth / 2) / scale, (view.scrollTop + view.clientHeight / 2) / scale];
    scale = Math.min(LARGEST, Math.max(SMALLEST, to));
    svg.setAttribute("width", whole.width * scale);
    svg.setAttribute("height", whole.height * scale);
    view.scrollLeft = middle[0] * scale - view.clientWidth / 2;
    view.scrollTop = middle[1] * scale - view.clientHeight / 2;
    for (const button of tools.querySelectorAll("button")) {
      button.disabled = (button.dataset.zoom === "in" && scale === LARGEST) || (button.dataset.zoom === "out" && scale === SMALLEST);
    }
  }

  // Where the person stands, else the top.
  function look(here) {
    const box = here?.getBBox();
    const [x, y] = box ? [box.x + box.width / 2, box.y + box.height / 2] : [Number(svg.dataset.top), 0];
    view.scrollLeft = x - view.clientWidth / 2;
    if (box) view.scrollTop = y - view.clientHeight / 2;
  }

  graph.classList.add("is-led");
  view.addEventListener("click", (event) => {
    const to = event.target.closest("[data-to]");
    if (to) location.href = to.dataset.to;
  });

  let from = null;
  view.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0 || event.target.closest("[data-to]")) return;
    from = { x: event.clientX + view.scrollLeft, y: event.clientY + view.scrollTop };
    view.setPointerCapture(event.pointerId);
    view.classList.add("is-dragged");
  });
  view.addEventListener("pointermove", (event) => {
    if (!from) return;
    view.scrollLeft = from.x - event.clientX;
    view.scrollTop = from.y - event.clientY;
  });
  for (const kind of ["pointerup", "pointercancel"]) view.addEventListener(kind, () => {
    from = null;
    view.classList.remove("is-dragged");
  });
}

function room(view) {
  const style = getComputedStyle(view);
  return view.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
}
