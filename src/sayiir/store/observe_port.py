"""What faces ask of a store beside the port: lists, counts, owners, audit lines, saved views, log lines.

Rules of this file: nothing here moves an instance. No verb reads a payload column, and none looks at more rows than its
argument says, however many there are; where it stopped, the answer tells. Times are microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from sayiir.core.lifecycle import State
from sayiir.core.records import Record
from sayiir.store.port import Instance, Query, Store, Token

T = TypeVar("T")
SCAN = 10_000
"""How many rows a count, or a page whose filter has no index, looks at."""
MAX_LOG_LINES = 1000
MAX_LOG_BYTES = 256 * 1024
"""What is kept of an instance's log: the newest lines, within both bounds."""
MAX_LOG_LINE = 8 * 1024
UNFINISHED = (State.IN_PROGRESS, State.WAITING, State.AWAITING_SIGNAL, State.PAUSED)
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]


class Found(msgspec.Struct, frozen=True):
    """The answer of `page`: instances without payloads, the newest first.

    `below` is where the next page begins; None when there is nothing more. With rows that do not fit the filter a page may
    be shorter than asked for, even empty, and still have a next one.
    """

    instances: tuple[Instance, ...]
    below: int | None = None


class Tally(msgspec.Struct, frozen=True):
    """How many instances of a definition have a status."""

    status: State
    definition: int
    count: int


class Tallies(msgspec.Struct, frozen=True):
    """The answer of `tally`; `capped` are the statuses of which there may be more than were counted."""

    tallies: tuple[Tally, ...]
    capped: frozenset[State] = frozenset()


class Known(msgspec.Struct, frozen=True):
    """A stored definition, without its text."""

    number: int
    workflow_id: str
    definition_hash: str


class Ended(msgspec.Struct, frozen=True):
    """An instance that finished, and when."""

    status: State
    created_at: int
    updated_at: int


class OwnerFacts(msgspec.Struct, frozen=True):
    """A process that may hold claims, and what its workers told of themselves, by worker id."""

    owner: int
    name: str
    started_at: int
    beat_at: int
    alive: bool
    facts: dict[str, Any] = {}

    @property
    def worker(self) -> str:
        """The name of its worker where it has only one, which is the one that holds its claims; else its own."""
        return next(iter(self.facts)) if len(self.facts) == 1 else self.name


class Awaiting(msgspec.Struct, frozen=True):
    """A token that awaits a signal, and its instance without payloads."""

    instance: Instance
    token: Token


class AuditEntry(msgspec.Struct, frozen=True):
    """What somebody did; `id` and `at` are the store's."""

    user: str
    action: str
    target: str
    reason: str | None = None
    details: bytes = b"{}"
    id: int = 0
    at: int = 0


class SavedQuery(msgspec.Struct, frozen=True):
    """A named filter of somebody."""

    name: str
    where: str
    user: str


class LogEntry(msgspec.Struct, frozen=True):
    """A line that a task logged; `id` is the store's."""

    at: int
    level: str
    task_id: str
    attempt: int
    logger: str
    message: str
    id: int = 0


class Observed(Protocol):
    """The verbs for faces, each one transaction."""

    def page(self, query: Query, scan: int = SCAN) -> Found:
        """Return the newest instances that fit, of at most `scan` rows (see `Found`)."""
        ...

    def tally(self, query: Query, scan: int = SCAN) -> Tallies:
        """Count the instances that fit by status and definition, among the newest `scan` of each kind of status."""
        ...

    def definitions(self) -> list[Known]:
        """Return all definitions, the newest last."""
        ...

    def secrets(self, workflow_id: str, definition_hash: str) -> str:
        """Return the marks of what is secret of a definition's values (see `core.secrets`), as JSON."""
        ...

    def attempts(self, workflow_id: str, definition_hash: str) -> dict[str, int]:
        """Return the tasks of a definition that are retried, and how many attempts each has."""
        ...

    def endings(self, definition: int, limit: int) -> list[Ended]:
        """Return those of the newest `limit` instances of a definition that completed or failed, the newest first."""
        ...

    def lines(self, number: int, limit: int, node: str | None = None) -> list[Record]:
        """Return the newest records of an instance, or of one node, without their values, in order of reference."""
        ...

    def owner_facts(self, owners: list[int] | None = None) -> list[OwnerFacts]:
        """Return these owners, as far as they are known, or all."""
        ...

    def claims(self) -> dict[int, int]:
        """Return how many claims each owner holds; reads all unfinished work."""
        ...

    def tell(self, worker_id: str, facts: dict[str, Any] | None) -> None:
        """Say what a worker of this process is and does; None takes it back."""
        ...

    def ahead(self, token: Token, limit: int) -> int:
        """Return how many tokens that ask for the same go before this one, `limit` at most."""
        ...

    def awaiting(self, limit: int, after: tuple[int, int] = (0, -1)) -> list[Awaiting]:
        """Return tokens for whose signal somebody must be asked, the oldest instance first."""
        ...

    def buffered(self, instance_id: str) -> list[str]:
        """Return the names of the signals that an instance has not consumed, one for each signal, 100 at most."""
        ...

    def audited(self, script: Callable[[Any], T], entry: AuditEntry, when: Callable[[T], bool] | None = None) -> T:
        """Run a script over rows and note who did it, in one transaction.

        Nothing is noted when the script refuses, or when its answer is one that `when` says changes nothing.
        """
        ...

    def audit(self, target: str | None, below: int | None, limit: int) -> list[AuditEntry]:
        """Return what was done, or done to a target, the newest first."""
        ...

    def views(self) -> list[SavedQuery]:
        """Return the saved filters by name."""
        ...

    def save_view(self, view: SavedQuery) -> None:
        """Keep a filter under its name, instead of what had the name."""
        ...

    def drop_view(self, name: str) -> bool:
        """Forget a filter; False when there was none."""
        ...

    def add_logs(self, number: int, lines: list[LogEntry]) -> None:
        """Keep log lines of an instance, within the bounds; those of an instance that is gone are dropped."""
        ...

    def logs(self, number: int, limit: int, task_id: str | None = None) -> list[LogEntry]:
        """Return the newest log lines in order of arrival."""
        ...

    def figures(self) -> dict[str, Any]:
        """Return rows and bytes by table, and the depth and age of the queue; counts of rows may be estimates."""
        ...

    def faults(self) -> list[str]:
        """Return what is wrong with the stored data; empty when it is sound. May take long."""
        ...


class ObservedStore(Store, Observed, Protocol):
    """A store with all that faces need."""
