"""What happened to a node: the statuses a picture shows, their words, and the status of a group.

Rules of this file: plain values, no drawing. A status is always told as a word and an icon too, never by colour
alone; the words stand here and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal[
    "completed", "failed", "running", "waiting", "awaiting_signal", "paused", "cancelled", "skipped", "pending"
]

STATUS_WORDS: dict[Status, str] = {
    "completed": "Completed",
    "failed": "Failed",
    "running": "Running",
    "waiting": "Waiting",
    "awaiting_signal": "Awaiting signal",
    "paused": "Paused",
    "cancelled": "Cancelled",
    "skipped": "Skipped",
    "pending": "Pending",
}
"""The word for each status, in the order in which summaries list them."""

# The first of these that any node inside has is the status of the group.
_LOUDEST: tuple[Status, ...] = ("failed", "cancelled", "running", "awaiting_signal", "waiting", "paused")


@dataclass(frozen=True, slots=True)
class NodeState:
    """The state of one node in one instance.

    Args:
        status: where the node stands.
        detail: a few more words, such as "2 attempts · 1.2 s".
    """

    status: Status
    detail: str | None = None

    @property
    def words(self) -> str:
        """The status as people read it.

        >>> NodeState("failed", "3 attempts").words
        'Failed · 3 attempts'
        """
        word = STATUS_WORDS[self.status]
        return f"{word} · {self.detail}" if self.detail else word


def group_status(inside: Iterable[Status]) -> Status:
    """Return the status of a group from the statuses of the nodes inside it.

    >>> group_status(["completed", "pending"])
    'running'
    """
    found = set(inside)
    for status in _LOUDEST:
        if status in found:
            return status
    if "completed" not in found:
        return "skipped" if found == {"skipped"} else "pending"
    return "running" if "pending" in found else "completed"


def status_counts(statuses: Iterable[Status]) -> list[tuple[Status, int]]:
    """Return how many nodes have each status that occurs, in the order of `STATUS_WORDS`."""
    counts = Counter(statuses)
    return [(status, counts[status]) for status in STATUS_WORDS if counts[status]]
