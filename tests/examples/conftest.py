"""An example that could not run for want of a package is said loudly at the end."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.stats.get("skipped", ()):
        if isinstance(report.longrepr, tuple) and "NOT TESTED, the example" in report.longrepr[2]:
            terminalreporter.write_line(report.longrepr[2].removeprefix("Skipped: "), red=True, bold=True)
