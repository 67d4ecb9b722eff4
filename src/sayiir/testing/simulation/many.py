"""Plays many seeds and adds up what they saw: the figures of the reliability card."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from sayiir.testing.simulation.plan import draw
from sayiir.testing.simulation.world import Report, World

_DAY_SECS = 86_400


class Summary(msgspec.Struct):
    """What many simulations came to."""

    seeds: int = 0
    simulated_days: float = 0.0
    instances: int = 0
    steps: int = 0
    """Executions of tasks."""
    commits: int = 0
    commits_refused: int = 0
    takeovers: int = 0
    faults: dict[str, int] = msgspec.field(default_factory=dict)
    fault_points: int = 0
    """In how many different (fault × moment) pairs the faults struck."""
    transitions: dict[str, int] = msgspec.field(default_factory=dict)
    slowest_secs: float = 0.0
    """The longest replay of a seed, in real seconds."""
    violations: dict[int, list[str]] = msgspec.field(default_factory=dict)
    """By seed."""
    points: dict[str, int] = msgspec.field(default_factory=dict)

    def add(self, report: Report, took: float) -> None:
        """Add what one seed saw."""
        self.seeds += 1
        self.simulated_days += report.seconds / _DAY_SECS
        self.instances += report.instances
        self.steps += report.executions
        self.commits += report.commits
        self.commits_refused += report.refused
        self.takeovers += report.takeovers
        self._count(report.faults, report.points, report.transitions)
        self.slowest_secs = max(self.slowest_secs, took)
        if report.violations:
            self.violations[report.plan.seed] = report.violations

    def merge(self, other: Summary) -> None:
        """Add what other seeds saw."""
        for name in ("seeds", "simulated_days", "instances", "steps", "commits", "commits_refused", "takeovers"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self._count(other.faults, other.points, other.transitions)
        self.slowest_secs = max(self.slowest_secs, other.slowest_secs)
        self.violations |= other.violations

    def _count(self, faults: dict[str, int], points: dict[str, int], transitions: dict[str, int]) -> None:
        self.faults = Counter(self.faults) + Counter(faults)
        self.points = Counter(self.points) + Counter(points)
        self.transitions = Counter(self.transitions) + Counter(transitions)
        self.fault_points = len(self.points)

    def to_json(self) -> bytes:
        """Return the figures as JSON."""
        facts = msgspec.to_builtins(self, str_keys=True)
        del facts["points"]
        return msgspec.json.format(msgspec.json.encode(facts), indent=2)


def simulate_many(
    seeds: Iterable[int],
    *,
    minutes: float | None = None,
    failed: Callable[[Report], None] = lambda _: None,
) -> Summary:
    """Play seeds one after the other.

    Args:
        seeds: which.
        minutes: stop when so much real time has passed.
        failed: called with each report that has violations.

    Returns:
        What all of them saw.

    >>> simulate_many(range(3)).violations
    {}
    """
    summary, began = Summary(), time.monotonic()
    for seed in seeds:
        started = time.monotonic()
        if minutes is not None and started - began > minutes * 60:
            break
        try:
            report = World(draw(seed)).play()
        except BaseException as error:
            error.add_note(f"at seed {seed}: python -m sayiir.testing.simulation --seed {seed} --trace")
            raise
        summary.add(report, time.monotonic() - started)
        if report.violations:
            failed(report)
    return summary
