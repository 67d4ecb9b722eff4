// Live pages: the stream says only that something changed; the page is asked for again and its live part is morphed in.
// Never while somebody types, selects or has paused; at most once a second; one stream per page, closed when hidden.
const EVERY = 1000;
const AT_LEAST = 30000; // a proxy may swallow a ping
const PARTS = ["live", "live-title"];

export function startLive() {
  const stream = document.getElementById("stream");
  const region = document.getElementById("live");
  const button = document.querySelector("[data-live-switch]");
  if (!stream || !region || !button) return null;
  let paused = sessionStorage.getItem("sayiir-paused") === "yes";
  let away = false, due = false, busy = false, last = 0, timer = 0, tag = null;

  function show() {
    const now = document.querySelector("[data-live-switch]");
    if (!now) return;
    now.hidden = false;
    const state = paused ? "off" : away ? "away" : "on";
    if (now.dataset.state === state) return;
    now.dataset.state = state;
    now.textContent = { on: "Live", off: "Paused", away: "Connecting" }[state];
    now.setAttribute("aria-pressed", String(!paused));
  }

  function occupied() {
    const at = document.activeElement;
    if (at && at.closest("#live, #live-title") && at.matches("input:not([type=checkbox]), select, textarea")) return true;
    if (document.querySelector("#live details.menu[open], #live-title details.menu[open], dialog[open]")) return true;
    if (document.querySelector("[data-row] input[name=id]:checked, #live form[data-touched]")) return true;
    const chosen = getSelection();
    return Boolean(chosen && !chosen.isCollapsed && region.contains(chosen.anchorNode));
  }

  async function refresh() {
    timer = 0;
    if (!due || paused || busy || document.hidden) return;
    if (occupied()) { plan(EVERY); return; }
    due = false; busy = true; last = performance.now();
    try {
      const headers = tag ? { "If-None-Match": tag } : {};
      const answer = await fetch(location.href, { headers, credentials: "same-origin", redirect: "error", cache: "no-store", signal: AbortSignal.timeout(AT_LEAST) });
      if (answer.status === 304) return;
      if (!answer.ok) { due = true; plan(5 * EVERY); return; }
      tag = answer.headers.get("ETag");
      const text = await answer.text();
      if (occupied()) { due = true; return; }
      await put(text);
    } catch { due = true; plan(5 * EVERY); } finally { busy = false; if (due) plan(EVERY); }
  }

  async function put(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    for (const id of PARTS) {
      const next = page.getElementById(id), old = document.getElementById(id);
      if (!next || !old) continue;
      await htmx.swap({ sourceElement: old, target: old, swap: "outerMorph", text: next.outerHTML, transition: false });
    }
    if (page.title) document.title = page.title;
    show();
    document.dispatchEvent(new CustomEvent("sayiir:refreshed"));
  }

  function plan(wait) {
    if (!timer) timer = setTimeout(refresh, Math.max(wait, last + EVERY - performance.now(), 0));
  }
  function ping() { due = true; plan(0); }

  document.addEventListener("htmx:sse:before:message", (event) => { event.preventDefault(); ping(); });
  document.addEventListener("htmx:sse:after:connection", () => { if (away) ping(); away = false; show(); });
  document.addEventListener("htmx:sse:error", () => { away = true; show(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ping(); });
  region.addEventListener("input", (event) => { const form = event.target.closest("form:not(.list)"); if (form) form.dataset.touched = "yes"; });

  setInterval(() => { if (!document.hidden) ping(); }, AT_LEAST);

  function toggle() {
    paused = !paused;
    sessionStorage.setItem("sayiir-paused", paused ? "yes" : "no");
    show();
    if (!paused) ping();
  }
  document.addEventListener("click", (event) => { if (event.target.closest("[data-live-switch]")) toggle(); });
  show();
  return { toggle };
}
