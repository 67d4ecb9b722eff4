// Keeps "3 min ago" true while a page stays open, as pages/words.py says it, and adds the reader's own time to the exact one.
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function words(moment) {
  const seconds = (Date.now() - moment) / 1000, size = Math.abs(seconds);
  if (size < 1) return "now";
  if (size >= 30 * 86400) return null;
  const amounts = parts(Math.floor(size));
  return seconds > 0 ? `${amounts[0]} ago` : `in ${amounts.slice(0, 2).join(" ")}`;
}

function parts(seconds) {
  return UNITS.map(([unit, name], index) => [Math.floor(index ? seconds % UNITS[index - 1][0] / unit : seconds / unit), name])
    .filter(([amount]) => amount).map(([amount, name]) => `${amount} ${name}`);
}

function tick() {
  for (const time of document.querySelectorAll("time[datetime]:not([data-exact])")) {
    const text = words(Date.parse(time.dateTime));
    if (text && time.textContent !== text) time.textContent = text;
  }
}

export function startTimes() {
  tick();
  setInterval(() => { if (!document.hidden) tick(); }, 5000);
  document.addEventListener("sayiir:refreshed", tick);
  document.addEventListener("pointerover", (event) => {
    const time = event.target instanceof Element && event.target.closest("time[datetime]");
    if (time && !time.dataset.told) {
      time.dataset.told = "yes";
      time.title = `${time.title}\n${new Date(time.dateTime).toLocaleString()} here`;
    }
  });
}
