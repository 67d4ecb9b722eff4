"""The verbs for faces over a store's transaction (see `observe_port`): the same for every store that has the rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from sayiir.core.records import Record
from sayiir.store.observe_port import (
    MAX_LOG_LINE,
    MAX_LOG_LINES,
    SCAN,
    AuditEntry,
    Awaiting,
    Ended,
    Found,
    Known,
    LogEntry,
    OwnerFacts,
    SavedQuery,
    Tallies,
)
from sayiir.store.port import Query, Token

T = TypeVar("T")


class Observing(ABC):
    """What `ScriptedStore` has for faces."""

    @abstractmethod
    def _write(self, script: Callable[[Any], T]) -> T: ...

    @abstractmethod
    def _read(self, script: Callable[[Any], T]) -> T: ...

    @abstractmethod
    def _steer(self, script: Callable[[Any], T]) -> T: ...

    def page(self, query: Query, scan: int = SCAN) -> Found:
        """Return the newest instances that fit, of at most `scan` rows (see the port)."""
        found: Found = self._read(lambda rows: rows.page(query, scan))
        return found

    def tally(self, query: Query, scan: int = SCAN) -> Tallies:
        """Count the instances that fit by status and definition (see the port)."""
        found: Tallies = self._read(lambda rows: rows.tally(query, scan))
        return found

    def definitions(self) -> list[Known]:
        """Return all definitions, the newest last."""
        return self._read(lambda rows: rows.definitions())

    def secrets(self, workflow_id: str, definition_hash: str) -> str:
        """Return the marks of what is secret of a definition's values, as JSON (see the port)."""
        found: str = self._read(lambda rows: rows.shown(workflow_id, definition_hash))[0]
        return found

    def attempts(self, workflow_id: str, definition_hash: str) -> dict[str, int]:
        """Return the tasks of a definition that are retried, and how many attempts each has."""
        found: dict[str, int] = self._read(lambda rows: rows.shown(workflow_id, definition_hash))[1]
        return found

    def endings(self, definition: int, limit: int) -> list[Ended]:
        """Return how the newest instances of a definition ended (see the port)."""
        return self._read(lambda rows: rows.endings(definition, limit))

    def lines(self, number: int, limit: int, node: str | None = None) -> list[Record]:
        """Return the newest records of an instance without their values (see the port)."""
        return self._read(lambda rows: rows.lines(number, limit, node))

    def owner_facts(self, owners: list[int] | None = None) -> list[OwnerFacts]:
        """Return these owners, as far as they are known, or all."""
        return self._read(lambda rows: rows.owner_facts(owners))

    def claims(self) -> dict[int, int]:
        """Return how many claims each owner holds; reads all unfinished work."""
        return self._read(lambda rows: rows.claims())

    def tell(self, worker_id: str, facts: dict[str, Any] | None) -> None:
        """Say what a worker of this process is and does (see the port)."""
        self._write(lambda rows: rows.tell(worker_id, facts))

    def ahead(self, token: Token, limit: int) -> int:
        """Return how many tokens go before this one (see the port)."""
        number: int = self._read(lambda rows: rows.ahead(token, limit))
        return number

    def awaiting(self, limit: int, after: tuple[int, int] = (0, -1)) -> list[Awaiting]:
        """Return tokens for whose signal somebody must be asked (see the port)."""
        return self._read(lambda rows: rows.awaiting(limit, after))

    def buffered(self, instance_id: str) -> list[str]:
        """Return the names of the signals that an instance has not consumed (see the port)."""
        return self._read(lambda rows: rows.buffered(instance_id))

    def audited(self, script: Callable[[Any], T], entry: AuditEntry, when: Callable[[T], bool] | None = None) -> T:
        """Run a script over rows and note who did it (see the port)."""

        def both(rows: Any) -> T:
            answer = script(rows)
            if when is None or when(answer):
                rows.add_audit(entry, rows.now())
            return answer

        return self._steer(both)

    def audit(self, target: str | None, below: int | None, limit: int) -> list[AuditEntry]:
        """Return what was done, or done to a target, the newest first."""
        return self._read(lambda rows: rows.audit(target, below, limit))

    def views(self) -> list[SavedQuery]:
        """Return the saved filters by name."""
        return self._read(lambda rows: rows.views())

    def save_view(self, view: SavedQuery) -> None:
        """Keep a filter under its name, instead of what had the name."""
        self._write(lambda rows: rows.save_view(view))

    def drop_view(self, name: str) -> bool:
        """Forget a filter; False when there was none."""
        return self._write(lambda rows: bool(rows.drop_view(name)))

    def add_logs(self, number: int, lines: list[LogEntry]) -> None:
        """Keep log lines of an instance, within the bounds (see the port)."""
        kept = [_short(line) for line in lines[-MAX_LOG_LINES:]]
        if kept:
            self._write(lambda rows: rows.add_logs(number, kept))

    def logs(self, number: int, limit: int, task_id: str | None = None) -> list[LogEntry]:
        """Return the newest log lines in order of arrival."""
        return self._read(lambda rows: rows.logs(number, limit, task_id))

    def figures(self) -> dict[str, Any]:
        """Return rows and bytes by table, and the depth and age of the queue."""
        return self._read(lambda rows: rows.figures())

    def faults(self) -> list[str]:
        """Return what is wrong with the stored data; empty when it is sound."""
        return self._read(lambda rows: rows.faults())


def _short(line: LogEntry) -> LogEntry:
    """Return a line that every database can hold, and that leaves room for others."""
    message = line.message.encode("utf-8", "backslashreplace")
    text = message.decode() if len(message) <= MAX_LOG_LINE else message[:MAX_LOG_LINE].decode("utf-8", "ignore") + "…"
    return LogEntry(
        line.at, line.level, line.task_id, line.attempt, line.logger.replace("\0", "\ufffd"), text.replace("\0", "\ufffd")
    )


def log_trim(sizes: list[tuple[int, int]], most_lines: int, most_bytes: int) -> int:
    """Return the id up to which log lines go, 0 for none: the newest are kept within both bounds.

    Args:
        sizes: (id, bytes) of all lines, the newest first.
        most_lines: how many are kept at most.
        most_bytes: of how many bytes.
    """
    total = 0
    for place, (number, size) in enumerate(sizes):
        total += size
        if place >= most_lines or (total > most_bytes and place):
            return number
    return 0
