// The picture of an instance: a click on a node opens it. The table beside it has the same as links, for keyboards.
export function startGraph() {
  const mark = () => {
    const canvas = document.querySelector("[data-graph]");
    if (!canvas) return;
    for (const old of canvas.querySelectorAll(".chosen")) old.classList.remove("chosen");
    if (canvas.dataset.chosen) canvas.querySelector(`[data-node="${CSS.escape(canvas.dataset.chosen)}"]`)?.classList.add("chosen");
  };
  document.addEventListener("click", (event) => {
    const node = event.target instanceof Element && event.target.closest("[data-graph] [data-node]");
    if (!node) return;
    const url = new URL(location.href);
    url.searchParams.set("node", node.dataset.node);
    url.searchParams.delete("said");
    location.assign(url);
  });
  document.addEventListener("sayiir:refreshed", mark);
  mark();
}
