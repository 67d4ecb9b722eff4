"""The store in memory: a real store with everything but durability.

Rows are the live objects themselves, so saving them is nothing; one lock makes a verb a transaction. Scripts look
before they write, so there is nothing to roll back.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from sayiir.clock import SYSTEM_CLOCK, Clock
from sayiir.core.lifecycle import State
from sayiir.core.records import STEP_BITS, Move, Position, Record, Ref
from sayiir.core.values import MAX_BYTES
from sayiir.errors import BackendError
from sayiir.store import scripts
from sayiir.store.base import ScriptedStore
from sayiir.store.compose import resolve
from sayiir.store.hints import Hints
from sayiir.store.port import Fence, Instance, Moved, NewInstance, Signal, Token
from sayiir.store.scripts.rows import Census
from sayiir.store.uninterrupted import uninterrupted

T = TypeVar("T")


class MemoryRows:
    """Row access over dictionaries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.owner = 1
        self._numbers = 0
        self._signals_sent = 0
        self._instances: dict[str, Instance] = {}
        self._by_number: dict[int, Instance] = {}
        self._tokens: dict[int, dict[int, Token]] = {}
        self._requested: set[int] = set()
        self._records: dict[int, dict[Ref, Record]] = {}
        self._queues: dict[tuple[str, str], deque[Signal]] = {}
        self._names: dict[str, set[str]] = {}
        self._dedup: dict[str, set[tuple[str, str]]] = {}
        self._structures: dict[tuple[str, str], str] = {}

    def now(self) -> int:
        return self._clock.now()

    def alive(self, owner: int) -> bool:
        return owner == self.owner

    def owner_name(self, owner: int) -> str | None:
        return InMemoryBackend.worker_name

    def instance(self, instance_id: str) -> Instance | None:
        return self._instances.get(instance_id)

    def instance_by_number(self, number: int) -> Instance | None:
        return self._by_number.get(number)

    def add_instance(self, new: NewInstance, now: int) -> Instance:
        self._numbers += 1
        instance = Instance(
            self._numbers, new.instance_id, new.workflow_id, new.definition_hash, State.IN_PROGRESS, new.input, now, now,
            metadata=new.metadata, priority=new.priority,
        )  # fmt: skip
        self._instances[new.instance_id] = self._by_number[self._numbers] = instance
        self._records[self._numbers] = {}
        self._tokens[self._numbers] = {}
        return instance

    def save_instance(self, instance: Instance) -> None:
        pass

    def drop_instance(self, instance: Instance) -> None:
        del self._instances[instance.instance_id], self._by_number[instance.number]
        del self._records[instance.number], self._tokens[instance.number]
        self._requested.discard(instance.number)

    def structure(self, workflow_id: str, definition_hash: str) -> str | None:
        return self._structures.get((workflow_id, definition_hash))

    def add_structure(self, workflow_id: str, definition_hash: str, structure: str) -> None:
        self._structures.setdefault((workflow_id, definition_hash), structure)

    def tokens(self, number: int) -> list[Token]:
        return sorted(self._tokens.get(number, {}).values(), key=lambda token: token.number)

    def token(self, number: int, token: int) -> Token | None:
        return self._tokens.get(number, {}).get(token)

    def census(self, number: int) -> Census:
        claimed = ready = awaiting = waiting = 0
        for token in self._tokens[number].values():
            if token.owner is not None:
                claimed += 1
            elif token.state in ("ready", "standing", "backoff"):
                ready += 1
            elif token.state == "awaiting":
                awaiting += 1
            elif token.state == "waiting":
                waiting += 1
        return Census(claimed, ready, awaiting, waiting)

    def open_branches(self, number: int, parent: int) -> int:
        return sum(token.parent == parent and token.state != "done" for token in self._tokens[number].values())

    def add_tokens(self, tokens: list[Token]) -> None:
        for token in tokens:
            self._tokens[token.instance][token.number] = token

    def save_token(self, token: Token) -> None:
        pass

    def step(self, fence: Fence, move: Move) -> bool:
        if not self.step_token(fence, move.position, self.now()):
            return False
        self.add_records(fence.instance, move.records)
        return True

    def step_token(self, fence: Fence, position: Position, now: int) -> bool:
        tokens = self._tokens.get(fence.instance)
        token = tokens.get(fence.token) if tokens is not None else None
        if token is None or token.epoch != fence.epoch or token.owner is None or fence.instance in self._requested:
            return False
        token.place(position)
        token.state = "ready"
        token.due_at = token.signal = None
        token.moved_at = now
        return True

    def drop_tokens(self, number: int, parent: int | None = None) -> None:
        tokens = self._tokens[number]
        for key in [key for key, token in tokens.items() if parent is None or token.parent == parent]:
            del tokens[key]
        if parent is None:
            self._requested.discard(number)

    def mark_tokens(self, number: int, requested: bool) -> None:
        (self._requested.add if requested else self._requested.discard)(number)

    def add_records(self, number: int, records: tuple[Record, ...]) -> None:
        kept = self._records[number]
        for record in records:
            if record.ref in kept:
                raise BackendError(f"record {record.ref} of instance number {number} is written already")
            kept[record.ref] = record

    def oldest_signal(self, instance_id: str, name: str, deadline: int | None) -> Signal | None:
        queue = self._queues.get((instance_id, name))
        if not queue or (deadline is not None and queue[0].sent_at >= deadline):
            return None
        return queue[0]

    def add_signal(self, instance_id: str, name: str, payload: bytes, dedup_key: str | None, now: int) -> bool:
        if dedup_key is not None:
            # Remembered beyond its consumption, or a late duplicate would be a new signal.
            seen = self._dedup.setdefault(instance_id, set())
            if (name, dedup_key) in seen:
                return False
            seen.add((name, dedup_key))
        self._signals_sent += 1
        self._queues.setdefault((instance_id, name), deque()).append(Signal(self._signals_sent, name, payload, now))
        self._names.setdefault(instance_id, set()).add(name)
        return True

    def consume_signal(self, instance_id: str, signal: Signal, now: int) -> bool:
        queue = self._queues.get((instance_id, signal.name))
        if not queue or queue[0].id != signal.id:
            return False
        queue.popleft()
        return True

    def drop_signals(self, instance_id: str) -> None:
        self._dedup.pop(instance_id, None)
        for name in self._names.pop(instance_id, ()):
            del self._queues[instance_id, name]

    def value(self, number: int, ref: Ref) -> bytes:
        instance, records = self._by_number.get(number), self._records.get(number, {})

        def fetch(ref: Ref) -> tuple[bytes | None, bytes | None] | None:
            record = records.get(ref)
            return None if record is None else (record.output, record.parts)

        return resolve(ref, None if instance is None else instance.input, fetch)

    def records(self, number: int) -> list[Record]:
        return sorted(self._records.get(number, {}).values(), key=lambda record: (record.started_at, record.ref))

    def supersede(self, number: int, refs: tuple[Ref, ...]) -> None:
        kept = self._records[number]
        for ref in refs:
            # Another object, since whoever read the history holds this one.
            kept[ref] = msgspec.structs.replace(kept[ref], superseded=True)


class _TransientRows(MemoryRows):
    """Rows that forget each value as soon as its token has gone on, so that a long loop does not pile up."""

    _spent: Ref = 0
    """The value that the step under way leaves behind."""

    def step_token(self, fence: Fence, position: Position, now: int) -> bool:
        token = self.token(fence.instance, fence.token)
        before = 0 if token is None else token.ref
        if not super().step_token(fence, position, now):
            return False
        self._spent = before if before != position.ref and before >> STEP_BITS == fence.token else 0
        return True

    def add_records(self, number: int, records: tuple[Record, ...]) -> None:
        super().add_records(number, records)
        spent, self._spent = self._spent, 0
        # A route's envelope that this step wrapped around the value is still made of it.
        if spent and all(record.parts is None for record in records):
            self._records[number].pop(spent, None)


_ALL: weakref.WeakSet[InMemoryBackend] = weakref.WeakSet()


def _renew_locks() -> None:
    # A forked child has a copy of its own; the thread that may have held a lock does not exist in it.
    for backend in _ALL:
        backend._lock = threading.Lock()
        backend.hints = Hints(backend.clock)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class InMemoryBackend(ScriptedStore):
    """A backend that lives as long as the object: for tests and for runs that need no durability.

    Args:
        max_value_bytes: the longest input, result or payload, as JSON; 64 MiB when not given.
        clock: where its time comes from.
        history: False forgets each value once it was used.
        private: True says that one run alone uses it, so that nothing watches for others.

    >>> from sayiir import Flow, InMemoryBackend, run_durable_workflow
    >>> with InMemoryBackend() as backend:
    ...     run_durable_workflow(Flow("w").then(lambda x: x + 1).build(), "a", 1, backend).output
    2
    """

    name = "memory"
    worker_name = "memory"

    def __init__(
        self,
        *,
        max_value_bytes: int = MAX_BYTES,
        clock: Clock = SYSTEM_CLOCK,
        history: bool = True,
        private: bool = False,
    ) -> None:
        super().__init__(clock, max_value_bytes)
        self.private = private
        self._rows = MemoryRows(clock) if history else _TransientRows(clock)
        self._lock = threading.Lock()
        _ALL.add(self)

    def checkpoint(self, fence: Fence, move: Move, *, consume: Signal | None = None, hold: bool = False) -> Moved:
        """Write what happened and move the token (see the port); the hot verb, without the detours."""
        if self.private:  # an interrupted run takes its store with it, so nothing can be left half done
            with self._lock:
                moved = scripts.checkpoint(self._rows, fence, move, consume, hold)
        else:
            with uninterrupted, self._lock:
                moved = scripts.checkpoint(self._rows, fence, move, consume, hold)
        if moved.kind != "continue":
            self.hints.notify()
        return moved

    def _write(self, script: Callable[[Any], T]) -> T:
        # Nothing rolls back here, so a change must not be interrupted half way.
        with uninterrupted, self._lock:
            return script(self._rows)

    def _read(self, script: Callable[[Any], T]) -> T:
        with self._lock:
            return script(self._rows)

    def abandon(self) -> None:
        """Make every claim of the past look like a dead process's, as a crash would; for tests."""
        with self._lock:
            self._rows.owner += 1

    def close(self) -> None:
        """Nothing is held; kept for symmetry."""

    def __repr__(self) -> str:
        return "InMemoryBackend()"
