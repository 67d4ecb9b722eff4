"""What the tests of the pages say at the end."""

from __future__ import annotations

import pytest

from tests.server.pages.browsing import HOW


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what no browser was there for."""
    left_out = sum(HOW in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    if left_out:
        terminalreporter.write_line(f"NOT TESTED, {left_out} tests: {HOW}", red=True, bold=True)
