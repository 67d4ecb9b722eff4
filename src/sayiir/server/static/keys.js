// The keyboard: `/` filter, `j k Enter x` rows, `g` and a letter pages, `t` theme, `p` live, `?` help. Never while typing.
const PLACES = { i: "instances", b: "inbox", w: "workflows", k: "workers", a: "audit" };

export function startKeys(live) {
  const root = document.body.dataset.root;
  const help = document.getElementById("keys");
  const hint = document.querySelector("[data-keys-hint]");
  let going = 0;
  if (hint) hint.hidden = false;

  const rows = () => [...document.querySelectorAll("[data-row]")];
  const here = () => document.querySelector("[data-row].here");

  function step(way) {
    const all = rows();
    if (!all.length) return;
    const at = all.indexOf(here());
    const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? (way > 0 ? 0 : all.length - 1) : at + way))];
    here()?.classList.remove("here");
    next.classList.add("here");
    const link = next.querySelector("[data-open]");
    if (link) link.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }

  function theme() {
    const names = ["system", "light", "dark"];
    const next = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
    document.querySelector(`.switch button[value="${next}"]`)?.click();
  }

  const acts = {
    "/": () => document.querySelector("[data-search]")?.focus(),
    j: () => step(1),
    k: () => step(-1),
    x: () => here()?.querySelector("input[name=id]")?.click(),
    t: theme,
    p: () => live?.toggle(),
    "?": () => help?.showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const at = event.target;
    if (at instanceof Element && at.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]")) {
      if (event.key === "Escape") at.blur();
      return;
    }
    if (event.key === "Escape") {
      const open = document.querySelector("details.menu[open]");
      if (open) { open.open = false; open.querySelector("summary").focus(); return; }
      document.querySelector("[data-close]")?.click();
      return;
    }
    if (help?.open) return;
    if (event.key === "Enter") {
      if (at === document.body || at.id === "main") here()?.querySelector("[data-open]")?.click();
      return;
    }
    if (performance.now() < going) {
      going = 0;
      const place = PLACES[event.key];
      if (place) { event.preventDefault(); location.assign(`${root}/${place}`); }
      return;
    }
    if (event.key === "g") { going = performance.now() + 1500; return; }
    const act = acts[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
}
