"""Cases, rounds and figures.

The cases of a group are measured in turns (A B C, A B C, …), so that whatever else the machine does falls on all
alike. A ratio is the median of the rounds' own ratios, each between two measurements that are neighbours in time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["micros", "rate", "millis", "bytes"]


@dataclass(frozen=True)
class Budget:
    """What a case may cost: an absolute figure, or a ratio to another case of its group.

    Attributes:
        must: the limit.
        aim: the better limit we try for.
        to: the key of the case that the ratio is to; None for an absolute figure.
        at_least: whether more is better.
    """

    must: float
    aim: float | None = None
    to: str | None = None
    at_least: bool = False

    def verdict(self, value: float) -> str:
        """Return "aim met", "met" or "not met"."""
        for limit, word in ((self.aim, "aim met"), (self.must, "met")):
            if limit is not None and (value >= limit if self.at_least else value <= limit):
                return word
        return "not met"

    def text(self, unit: str) -> str:
        """Return the limits for the table."""
        sign, unit = ("≥" if self.at_least else "≤"), " ×" if self.to is not None else unit
        aim = "" if self.aim is None else f" (aim {self.aim:g})"
        return f"{sign} {self.must:g}{unit}{aim}" if self.must < 1e6 else f"{sign} {self.must:,.0f}{unit}{aim}"


@dataclass(frozen=True)
class Case:
    """One thing that is measured.

    Attributes:
        key: its name inside the group.
        label: its name in the table.
        measure: takes one measurement.
        kind: microseconds, milliseconds or bytes (less is better), or a rate per second.
        floor: the key of the case that its ratio is shown to.
        budgets: what it may cost.
    """

    key: str
    label: str
    measure: Callable[[], float]
    kind: Kind = "micros"
    floor: str | None = None
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True)
class Group:
    """Cases that are measured in turns.

    Attributes:
        key: its name, also of its plot.
        title: its heading.
        how: how it is measured, a sentence or two for the page.
        cases: what is measured.
        close: gives everything back.
    """

    key: str
    title: str
    how: str
    cases: list[Case]
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Figure:
    """What came of a case; times in the unit of its kind."""

    group: str
    key: str
    label: str
    kind: Kind
    median: float
    low: float
    high: float
    rounds: int
    ratio: float | None = None
    floor: str | None = None
    budget: str = ""
    verdict: str = ""
    samples: list[float] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return asdict(self)


UNITS: dict[Kind, str] = {"micros": " µs", "millis": " ms", "rate": "/s", "bytes": " B"}


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a piece of work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def take(group: Group, rounds: int, say: Callable[[str], None]) -> list[Figure]:
    """Measure a group: one round to warm up, then so many that count."""
    samples: dict[str, list[float]] = {case.key: [] for case in group.cases}
    try:
        for number in range(rounds + 1):
            say(f"{group.key}: round {number} of {rounds}")
            for case in group.cases:
                value = case.measure()
                if number:
                    samples[case.key].append(value)
    finally:
        group.close()
    return [_figure(group, case, samples) for case in group.cases]


def _figure(group: Group, case: Case, samples: dict[str, list[float]]) -> Figure:
    taken = samples[case.key]
    ratio = None if case.floor is None else ratio_of(taken, samples[case.floor])
    texts, verdicts = [], []
    for budget in case.budgets:
        value = statistics.median(taken) if budget.to is None else ratio_of(taken, samples[budget.to])
        texts.append(budget.text(UNITS[case.kind]) + ("" if budget.to in (None, case.floor) else f" {budget.to}"))
        verdicts.append(budget.verdict(value) + ("" if budget.to in (None, case.floor) else f" ({value:.2f} ×)"))
    return Figure(
        group.key, case.key, case.label, case.kind, statistics.median(taken), min(taken), max(taken), len(taken), ratio,
        case.floor, "; ".join(texts), "; ".join(verdicts), taken,
    )  # fmt: skip


def ratio_of(ours: list[float], floor: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(mine / other for mine, other in zip(ours, floor, strict=True))
