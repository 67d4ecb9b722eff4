// Keeps "3 min ago" true while a page stays open, and adds the reader's own time to the exact one.
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function words(moment) {
  const seconds = (Date.now() - moment) / 1000, size = Math.abs(seconds);
  if (size < 1) return "now";
  if (size >= 30 * 86400) return null;
  const [unit, name] = UNITS.find(([unit]) => size >= unit);
  const amount = `${Math.floor(size / unit)} ${name}`;
  return seconds > 0 ? `${amount} ago` : `in ${amount}`;
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
