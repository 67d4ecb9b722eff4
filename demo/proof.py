"""The ledger against the timeline: what really began to run, against what the database says. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from demo.outside import Effect
from sayiir.runtime.timeline import TimelineEntry


@dataclass(frozen=True)
class Proof:
    """The counts. The last three must be 0."""

    began: int
    finished: int
    failed: int
    cut_off: int
    ran_again: int
    unrecorded: int
    without_effect: int

    @property
    def holds(self) -> bool:
        """Whether nothing that had finished ran twice, and both tell the same story."""
        return not (self.ran_again or self.unrecorded or self.without_effect)


def compare(ledger: Sequence[Effect], timeline: Sequence[TimelineEntry]) -> Proof:
    """Compare every line of the ledger with the task attempts of the timeline.

    An attempt that was cut off between its claim and its first line of code has no effect; no other may lack one.
    """
    began = Counter((line.node, line.iteration, line.attempt) for line in ledger)
    attempts = {(one.node_id, one.iteration, one.attempt): one.status for one in timeline if one.kind == "task"}
    finishing = {key[:2]: key[2] for key, status in attempts.items() if status == "completed"}
    again = 0
    for (node, iteration, attempt), count in began.items():
        last = finishing.get((node, iteration))
        if last is not None and attempt >= last:
            again += count - (attempt == last)
    return Proof(
        began=len(ledger),
        finished=len(finishing),
        failed=sum(began[key] for key, status in attempts.items() if status == "failed"),
        cut_off=sum(began[key] for key, status in attempts.items() if status == "crashed"),
        ran_again=again,
        unrecorded=sum(key not in attempts for key in began),
        without_effect=sum(status == "completed" and not began[key] for key, status in attempts.items()),
    )
