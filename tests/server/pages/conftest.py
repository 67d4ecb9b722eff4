"""A browser and stages for the tests of the pages, and what these say at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.pages.browsing import HOW, Browser, browser
from tests.server.pages.staging import Stage, stage


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgres"])
def any_url(request, tmp_path) -> str:
    """The URL of an empty database of each kind."""
    return f"sqlite:///{tmp_path}/shop.db" if request.param == "sqlite" else request.getfixturevalue("emptied_url")


@pytest.fixture
def anywhere(any_url) -> Iterator[Stage]:
    with stage(any_url) as made:
        yield made


@pytest.fixture
def shop(tmp_path) -> Iterator[Stage]:
    with stage(f"sqlite:///{tmp_path}/shop.db") as made:
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what no browser was there for."""
    left_out = sum(HOW in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    if left_out:
        terminalreporter.write_line(f"NOT TESTED, {left_out} tests: {HOW}", red=True, bold=True)
