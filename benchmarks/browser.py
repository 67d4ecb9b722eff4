"""Chromium, which times how pages load, by its own clock from the navigation on."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import Any

_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
_TIMES = """async () => {
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    const painted = performance.now(), load = performance.getEntriesByType("navigation")[0].loadEventEnd;
    const first = await new Promise((done, fail) => {
        setTimeout(() => fail(new Error("nothing was painted")), 10000);
        new PerformanceObserver(list => {
            for (const entry of list.getEntries()) if (entry.name === "first-contentful-paint") done(entry.startTime);
        }).observe({type: "paint", buffered: true});
    });
    return [first, load, painted];
}"""
# What was painted first is told later than the frame that shows it, so it is waited for.


def chromium() -> str | None:
    """Return Chromium's program, if there is one and Playwright too."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return None
    return os.environ.get("SAYIIR_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass(frozen=True)
class Loaded:
    """Milliseconds from the navigation until something was painted, the load event, and a frame after that."""

    first_paint: float
    load: float
    painted: float


class Browser:
    """Started with the first page; `close` ends it."""

    def __init__(self) -> None:
        self._play: Any = None
        self._browser: Any = None

    def start(self) -> None:
        """Be there."""
        if self._browser is None:
            from playwright.sync_api import sync_playwright

            self._play = sync_playwright().start()
            self._browser = self._play.chromium.launch(executable_path=chromium(), args=list(_FLAGS))

    def load(self, address: str, after: str = "about:blank") -> Loaded:
        """Load a page in a context of its own, whose cache has what another page left there."""
        self.start()
        context = self._browser.new_context(viewport={"width": 1280, "height": 900})
        try:
            page = context.new_page()
            page.goto(after, wait_until="load")
            page.goto(address, wait_until="load")
            return Loaded(*page.evaluate(_TIMES))
        finally:
            context.close()

    def close(self) -> None:
        """End it."""
        if self._browser is not None:
            self._browser.close()
            self._play.stop()
            self._browser = self._play = None
