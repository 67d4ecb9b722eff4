"""Parts that are tests: run again and again, each time from other seeds, until their time is used up.

What tests tell by `record_property` is added up over all of them; "max_…" keeps the largest, lists are joined.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET  # our own tests' reports
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from proof.part import ROOT, Budget, Figures, NotRunError

_MIN_ROUND_SECS = 5.0
_LONGEST_SECS = 4 * 3600


def rounds(
    budget: Budget, tests: Sequence[str], environment: Mapping[str, str] | None = None, *, once: bool = False
) -> Figures:
    """Run tests until the time is used up; at least once.

    Args:
        budget: the time.
        tests: what is run, as pytest takes it.
        environment: variables that ask for more than the usual amount.
        once: one round only.
    """
    if missing := [test for test in tests if not (ROOT / test.split("::", 1)[0]).exists()]:
        raise NotRunError(f"{', '.join(missing)} does not exist")
    sums: Figures = {"rounds": 0, "tests": 0, "violations": []}
    longest = 0.0
    while not sums["rounds"] or (not once and budget.left() > max(longest, _MIN_ROUND_SECS)):
        before = budget.left()
        report = budget.folder / f"round-{sums['rounds']}.xml"
        _round(tests, {**(environment or {}), "SAYIIR_SEED": str(budget.seed + sums["rounds"])}, report)
        _add_report(sums, ET.parse(report).getroot())
        report.unlink()
        sums["rounds"] += 1
        longest = max(longest, before - budget.left())
        if sums["violations"]:
            break
    return sums


def _round(tests: Sequence[str], environment: Mapping[str, str], report: Any) -> None:
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "3600", "--tb", "short",
        "-o", "junit_family=xunit1", f"--junit-xml={report}", f"--hypothesis-seed={environment['SAYIIR_SEED']}", *tests,
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=_LONGEST_SECS,
        check=False,
    )  # fmt: skip
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    if done.returncode:
        sys.stderr.write(done.stdout[-20_000:])


def _add_report(sums: Figures, root: ET.Element) -> None:
    for case in root.iter("testcase"):
        if case.find("skipped") is not None:
            continue
        sums["tests"] += 1
        for problem in (*case.findall("failure"), *case.findall("error")):
            sums["violations"].append(f"{case.get('classname')}.{case.get('name')}: {problem.get('message', '')[:300]}")
        for name, value in _properties(case):
            add(sums, name, value)


def _properties(case: ET.Element) -> Iterator[tuple[str, Any]]:
    for told in case.iter("property"):
        try:
            yield told.get("name", ""), json.loads(told.get("value", ""))
        except json.JSONDecodeError:
            continue


def add(sums: Figures, name: str, value: Any) -> None:
    """Add a figure to what was counted so far."""
    if isinstance(value, list):
        sums[name] = sums.get(name, []) + value
    elif isinstance(value, dict):
        inner = sums.setdefault(name, {})
        for key, part in value.items():
            add(inner, key, part)
    elif isinstance(value, int | float):
        sums[name] = max(sums.get(name, 0), value) if name.startswith("max_") else sums.get(name, 0) + value
