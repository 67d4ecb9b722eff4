// Selecting rows of the list: all of the page, a range with shift, and how many are selected.
export function startPicking() {
  let last = null;
  const boxes = () => [...document.querySelectorAll("[data-row] input[name=id]")];

  function show() {
    const bar = document.querySelector("[data-bar]");
    if (!bar) return;
    const all = boxes(), picked = all.filter((box) => box.checked).length;
    const whole = bar.querySelector("[data-pick-all]");
    whole.hidden = false;
    whole.firstElementChild.checked = picked > 0 && picked === all.length;
    whole.firstElementChild.indeterminate = picked > 0 && picked < all.length;
    const everything = bar.querySelector("select").value === "where";
    if (picked || everything) bar.dataset.some = "yes"; else delete bar.dataset.some;
    const said = picked ? `${picked} selected` : "";
    const place = bar.querySelector("[data-picked]");
    if (place.textContent !== said) place.textContent = said;
  }

  document.addEventListener("click", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || box.type !== "checkbox") return;
    if (box.closest("[data-pick-all]")) {
      for (const one of boxes()) one.checked = box.checked;
    } else if (box.name === "id") {
      const all = boxes(), from = all.indexOf(last), to = all.indexOf(box);
      if (event.shiftKey && from >= 0) for (const one of all.slice(Math.min(from, to), Math.max(from, to))) one.checked = box.checked;
      last = box;
    } else return;
    show();
  });
  document.addEventListener("change", (event) => { if (event.target.closest("[data-bar]")) show(); });
  document.addEventListener("sayiir:refreshed", show);
  addEventListener("pageshow", show);
  show();
}
