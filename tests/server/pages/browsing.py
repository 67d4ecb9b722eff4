"""A real browser for tests: Chromium where it is installed, and a page that fails its test on any error.

Rules of this file: whatever the browser complains of, errors in its console, refused by the content policy, uncaught, is
kept and asserted to be nothing; answers of 4xx are the test's own business.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
HOW = "there is no browser: `pip install playwright` and install Chromium, or name it in SAYIIR_CHROMIUM"
AXE = Path(__file__).parent / "vendor" / "axe.min.js"


def chromium() -> str | None:
    """Return Chromium's program, if there is one and Playwright too."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return None
    return os.environ.get("SAYIIR_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """Opens pages, and remembers what went wrong in them."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    @contextmanager
    def page(self, base: str, *, expected: tuple[str, ...] = (), **options: Any) -> Iterator[Any]:
        """Open a page of its own; `expected` are parts of complaints that the test wants."""
        context = self._browser.new_context(base_url=base, **{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(40_000)
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(f"{said.text} {said.location['url']}") if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        try:
            yield page
            unexpected = [text for text in complaints if not any(part in text for part in expected)]
            assert not unexpected, "\n".join(unexpected)
        finally:
            context.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """Start Chromium, or skip with the reason."""
    program = chromium()
    if program is None:
        pytest.skip(HOW)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        launched = play.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield Browser(launched)
        finally:
            launched.close()


def ready(page: Any, url: str) -> None:
    """Go to a page and wait until its scripts listen."""
    page.goto(url)
    page.locator("html[data-ready=yes]").wait_for(state="attached")


def faults_of(page: Any) -> list[str]:
    """Return what axe finds on a page, and whether it is wider than its window; the page has axe as an init script."""
    wide, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    more = "{resultTypes: ['violations'], rules: {'target-size': {enabled: true}}}"  # WCAG 2.2 has it, axe leaves it out unasked
    broken = page.evaluate(f"axe.run(document, {more}).then(r => r.violations)")
    found = [f"{one['id']} {node['target']} {node['failureSummary']}" for one in broken for node in one["nodes"][:3]]
    return [*([f"{wide} px wide in {room}"] if wide > room else []), *found]
