"""The verbs for faces in memory: the same answers as the SQL gives, from the objects themselves."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from sayiir.core.lifecycle import TERMINAL, State
from sayiir.core.records import Record
from sayiir.store.observe_port import (
    MAX_LOG_BYTES,
    MAX_LOG_LINES,
    UNFINISHED,
    AuditEntry,
    Awaiting,
    Ended,
    Found,
    Known,
    LogEntry,
    OwnerFacts,
    SavedQuery,
    Tallies,
    Tally,
)
from sayiir.store.observing import log_trim
from sayiir.store.port import Instance, Query, Token


class MemoryObserving:
    """Rows for faces over dictionaries."""

    owner: int
    _instances: dict[str, Instance]
    _by_number: dict[int, Instance]
    _tokens: dict[int, dict[int, Token]]
    _records: dict[int, dict[int, Record]]
    _by_definition: list[Any]
    _names: dict[str, set[str]]
    _queues: dict[tuple[str, str], Any]
    _beat_at: int

    def __init__(self, started_at: int) -> None:
        self._started_at = started_at
        self._facts: dict[int, dict[str, Any]] = {}
        self._audit: list[AuditEntry] = []
        self._views: dict[str, SavedQuery] = {}
        self._logs: dict[int, list[LogEntry]] = {}

    def now(self) -> int:
        raise NotImplementedError

    def fits(self, instance: Instance, query: Query) -> bool:
        """Return whether an instance is what a query asks for."""
        raise NotImplementedError

    def owner_name(self, owner: int) -> str | None:
        raise NotImplementedError

    def _newest(self, below: int | None) -> Iterator[Instance]:
        # Numbers are given in order, so the dictionary is in their order too.
        found = reversed(self._by_number.values())
        return found if below is None else (one for one in found if one.number < below)

    def page(self, query: Query, scan: int) -> Found:
        found, last = list[Instance](), None
        # As with an index by id or status, what cannot fit is not looked at.
        narrow = bool(query.id_prefix) or (query.statuses is not None and State.COMPLETED not in query.statuses)
        rows = (one for one in self._newest(query.below) if not narrow or self.fits(one, query))
        for place, instance in enumerate(rows):
            if len(found) == query.limit + 1:
                break
            if place >= scan:
                return Found(tuple(map(_bare, found)), last)
            last = instance.number
            found += [instance] if self.fits(instance, query) else []
        below = found[query.limit - 1].number if len(found) > query.limit else None
        return Found(tuple(map(_bare, found[: query.limit])), below)

    def tally(self, query: Query, scan: int) -> Tallies:
        counts, capped = Counter[tuple[State, int]](), set[State]()
        for statuses in (UNFINISHED, (State.FAILED,), (State.CANCELLED,), (State.COMPLETED,)):
            asked = tuple(status for status in statuses if query.statuses is None or status in query.statuses)
            one = msgspec.structs.replace(query, statuses=asked)
            kind = set(State) if State.COMPLETED in statuses else set(statuses)
            rows = list(itertools.islice((row for row in self._newest(query.below) if row.status in kind), scan))
            counts.update((row.status, row.definition) for row in rows if asked and self.fits(row, one))
            capped |= set(asked) if len(rows) == scan else set()
        return Tallies(tuple(Tally(*key, count) for key, count in counts.items()), frozenset(capped))

    def definitions(self) -> list[Known]:
        return [
            Known(known.number, known.definition.workflow_id, known.definition.definition_hash)
            for known in self._by_definition
        ]

    def shown(self, workflow_id: str, definition_hash: str) -> tuple[str, dict[str, int]]:
        key = workflow_id, definition_hash
        mine = (one for one in self._by_definition if (one.definition.workflow_id, one.definition.definition_hash) == key)
        known = next(mine, None)
        return ("[]", {}) if known is None else (str(known.secrets), dict(known.definition.attempts))

    def endings(self, definition: int, limit: int) -> list[Ended]:
        of_it = (one for one in self._newest(None) if one.definition == definition)
        return [
            Ended(one.status, one.created_at, one.updated_at)
            for one in itertools.islice(of_it, limit)
            if one.status in TERMINAL and one.status is not State.CANCELLED
        ]

    def lines(self, number: int, limit: int, node: str | None) -> list[Record]:
        kept = self._records.get(number, {}).values()
        of_it = heapq.nlargest(limit, (one for one in kept if node in (None, one.node)), key=lambda one: one.ref)
        return [msgspec.structs.replace(one, output=None, parts=None) for one in reversed(of_it)]

    def ahead(self, token: Token, limit: int) -> int:
        upto = min(token.wake_at or 0, self.now())
        key = token.definition, token.tags, token.priority
        before = (
            one
            for tokens in self._tokens.values()
            for one in tokens.values()
            if one.wake_at is not None and one.wake_at < upto and (one.definition, one.tags, one.priority) == key
        )
        return sum(1 for _ in itertools.islice(before, limit))

    def awaiting(self, limit: int, after: tuple[int, int]) -> list[Awaiting]:
        found = [
            (number, token)
            for number, tokens in self._tokens.items()
            for token in tokens.values()
            if token.signal is not None and token.owner is None and token.wake_at in (None, token.due_at)
        ]
        asked = [
            Awaiting(_bare(self._by_number[number]), msgspec.structs.replace(token))
            for number, token in sorted(found, key=lambda one: (one[0], one[1].number))
            if (number, token.number) > after
            if self._by_number[number].status is not State.PAUSED and self._by_number[number].request is None
        ]
        return asked[:limit]

    def buffered(self, instance_id: str) -> list[str]:
        names = sorted(self._names.get(instance_id, ()))
        return [name for name in names for _ in self._queues.get((instance_id, name), ())][:100]

    def owner_facts(self, owners: list[int] | None) -> list[OwnerFacts]:
        return [
            OwnerFacts(
                owner, self.owner_name(owner) or "", self._started_at, self._beat_at, owner == self.owner,
                self._facts.get(owner, {}),
            )
            for owner in (range(1, self.owner + 1) if owners is None else owners)
        ]  # fmt: skip

    def claims(self) -> dict[int, int]:
        held = (token.owner for tokens in self._tokens.values() for token in tokens.values())
        return dict(Counter(owner for owner in held if owner is not None))

    def tell(self, worker_id: str, facts: dict[str, Any] | None) -> None:
        told = self._facts.setdefault(self.owner, {})
        if facts is None:
            told.pop(worker_id, None)
        else:
            told[worker_id] = facts

    def add_audit(self, entry: AuditEntry, now: int) -> None:
        self._audit.append(msgspec.structs.replace(entry, id=len(self._audit) + 1, at=now))

    def audit(self, target: str | None, below: int | None, limit: int) -> list[AuditEntry]:
        rows = (one for one in reversed(self._audit) if target in (None, one.target) and (below is None or one.id < below))
        return list(itertools.islice(rows, limit))

    def views(self) -> list[SavedQuery]:
        return [self._views[name] for name in sorted(self._views)]

    def save_view(self, view: SavedQuery) -> None:
        self._views[view.name] = view

    def drop_view(self, name: str) -> bool:
        return self._views.pop(name, None) is not None

    def add_logs(self, number: int, lines: list[LogEntry]) -> None:
        if number not in self._by_number:
            return
        kept = self._logs.setdefault(number, [])
        first = kept[-1].id + 1 if kept else 1
        kept += [msgspec.structs.replace(line, id=place) for place, line in enumerate(lines, start=first)]
        sizes = [(line.id, len(line.message) + len(line.logger) + 40) for line in reversed(kept)]
        upto = log_trim(sizes, MAX_LOG_LINES, MAX_LOG_BYTES)
        self._logs[number] = [line for line in kept if line.id > upto]

    def logs(self, number: int, limit: int, task_id: str | None) -> list[LogEntry]:
        return [line for line in self._logs.get(number, ()) if task_id in (None, line.task_id)][-limit:]

    def figures(self) -> dict[str, Any]:
        now = self.now()
        wakes = [one.wake_at for tokens in self._tokens.values() for one in tokens.values() if one.wake_at is not None]
        due = [wake for wake in wakes if wake <= now]
        tables: Iterable[tuple[str, int]] = (
            ("definitions", len(self._by_definition)), ("instances", len(self._by_number)),
            ("tokens", sum(map(len, self._tokens.values()))), ("results", sum(map(len, self._records.values()))),
            ("signals", sum(map(len, self._queues.values()))), ("owners", self.owner),
            ("logs", sum(map(len, self._logs.values()))), ("audit", len(self._audit)), ("views", len(self._views)),
        )  # fmt: skip
        return {
            "tables": {name: {"rows": rows, "rows_capped": False, "bytes": None} for name, rows in tables},
            "due": min(len(due), 10_000),
            "due_capped": len(due) > 10_000,
            "oldest_due_secs": (now - min(due)) / 1_000_000 if due else None,
        }

    def faults(self) -> list[str]:
        return []


def _bare(instance: Instance) -> Instance:
    return msgspec.structs.replace(instance, input=b"", error=None, halted=None)
