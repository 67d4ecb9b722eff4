"""The ledger against the timeline: what really began to run, against what the database says. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from demo.outside import Effect
from sayiir import TimelineEntry

Run = tuple[str, int, int, int]
"""Node, iteration, attempt, process."""


@dataclass(frozen=True)
class Proof:
    """How many lines of the ledger are of which kind; `again` and `without_effect` must be 0."""

    began: int
    finished: int
    failed: int
    cut_off: int
    stopped: int
    again: int
    without_effect: int

    @property
    def holds(self) -> bool:
        """Whether nothing that had finished ran again, and nothing finished without having run."""
        return not (self.again or self.without_effect)


def compare(ledger: Sequence[Effect], timeline: Sequence[TimelineEntry]) -> Proof:
    """Say of every line of the ledger what became of it.

    Args:
        ledger: what began, in the order in which it began.
        timeline: what the database says about the same instance.
    """
    statuses: dict[Run, str] = {_run(entry): entry.status for entry in timeline if entry.kind == "task"}
    finished = {run[:2] for run, status in statuses.items() if status == "completed"}
    counts, over = Counter[str](), set[tuple[str, int]]()
    for line in ledger:
        place = (line.node, line.iteration)
        # What has no line of its own in the timeline was stopped by Ctrl-C, which counts as no attempt.
        status = statuses.get((line.node, line.iteration, line.attempt, line.pid), "stopped")
        counts["again" if place in over else status] += 1
        if status == "completed":
            over.add(place)
    return Proof(
        began=len(ledger),
        finished=counts["completed"],
        failed=counts["failed"],
        cut_off=counts["crashed"],
        stopped=counts["stopped"],
        again=counts["again"],
        without_effect=len(finished - over),
    )


def _run(entry: TimelineEntry) -> Run:
    # A worker's name is "host:process".
    pid = int((entry.worker_id or ":0").rpartition(":")[2])
    return entry.node_id, entry.iteration, entry.attempt, pid
