"""Rows in memory: the live objects themselves, so saving them is nothing."""

from __future__ import annotations

import heapq
import itertools
from collections import deque

import msgspec

from sayiir.clock import Clock
from sayiir.core.lifecycle import TERMINAL, State
from sayiir.core.marks import NONE, together
from sayiir.core.records import STEP_BITS, Definition, Move, Position, Record, Ref, Routing
from sayiir.errors import BackendError
from sayiir.store.compose import Stored, resolve
from sayiir.store.memory.observe import MemoryObserving
from sayiir.store.port import CLAIM_TTL, PRIORITIES, Fence, Instance, Lane, NewInstance, Query, Signal, Token
from sayiir.store.scripts.basis import MICROS
from sayiir.store.scripts.rows import Census, Owner

WORKER = "memory"


class MemoryRows(MemoryObserving):
    """Row access over dictionaries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.owner = 1
        self.claim_ttl = CLAIM_TTL
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
        self._definitions: dict[tuple[str, str], _Known] = {}
        self._by_definition: list[_Known] = []
        self._lines: dict[tuple[int, str, int], list[tuple[int, int, int]]] = {}
        self._beat_at = clock.now()
        super().__init__(self._beat_at)

    def now(self) -> int:
        return self._clock.now()

    def alive(self, owner: int) -> bool:
        return owner == self.owner

    def owner_name(self, owner: int) -> str | None:
        return WORKER

    def in_company(self) -> bool:
        return False  # all workers are in this one process

    def instance(self, instance_id: str) -> Instance | None:
        return self._instances.get(instance_id)

    def instance_by_number(self, number: int) -> Instance | None:
        return self._by_number.get(number)

    def add_instance(self, new: NewInstance, now: int, above: int = 0) -> Instance | None:
        if new.instance_id in self._instances:
            return None
        self._numbers += 1
        definition = new.definition
        instance = Instance(
            self._numbers, new.instance_id, self.add_definition(definition), definition.workflow_id,
            definition.definition_hash, State.IN_PROGRESS, new.input, now, now, metadata=new.metadata,
            priority=new.priority, trace=new.trace,
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
        self._logs.pop(instance.number, None)
        self._requested.discard(instance.number)

    def spoil(self, number: int, error: bytes, now: int) -> None:
        pass  # nothing is read here that could be damaged

    def structure(self, workflow_id: str, definition_hash: str) -> str | None:
        known = self._definitions.get((workflow_id, definition_hash))
        return None if known is None else known.definition.structure

    def add_definition(self, definition: Definition) -> int:
        key = definition.workflow_id, definition.definition_hash
        known = self._definitions.get(key)
        if known is None:
            known = self._definitions[key] = _Known(len(self._definitions) + 1, definition)
            self._by_definition.append(known)
        if known.definition.routing is not definition.routing or not known.lanes:
            known.definition = definition
            known.secrets = together(known.secrets, definition.secrets)
            known.lanes |= {"", *(tags for _, tags in definition.routing.values())}
        return known.number

    def routing(self, definition: int) -> Routing:
        return self._by_definition[definition - 1].definition.routing

    def lanes(self, definition: int) -> list[Lane]:
        known = self._by_definition[definition - 1]
        return [Lane(definition, known.definition.definition_hash, tags) for tags in sorted(known.lanes)]

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
            self.save_token(token)

    def save_token(self, token: Token) -> None:
        if token.wake_at is not None:
            self._stand_in_line(token, token.wake_at)

    def _stand_in_line(self, token: Token, wake_at: int) -> None:
        line = self._lines.setdefault((token.definition, token.tags, token.priority), [])
        # Entries are never taken out of the middle: one that its token has left is passed over when it is met.
        heapq.heappush(line, (wake_at, token.instance, token.number))

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

    def finish(self, fence: Fence, move: Move) -> Instance | None:
        return None  # the general way is as quick here

    def due(
        self, lanes: list[Lane], now: int, limit: int, aging: float, most: int, before: int | None
    ) -> list[Token]:
        found: list[Token] = []
        for lane in lanes:
            for priority in PRIORITIES:
                latest = now if before is None else min(now, before - round(priority * aging * MICROS) - 1)
                found += self._front((lane.definition, lane.tags, priority), latest, limit, most)
        found.sort(key=lambda token: ((token.wake_at or 0) + token.priority * aging * MICROS, token.instance, token.number))
        return found[:limit]

    def _front(self, place: tuple[int, str, int], now: int, limit: int, most: int) -> list[Token]:
        line, found, met = self._lines.get(place, []), list[Token](), list[tuple[int, int, int]]()
        while line and line[0][0] <= now and len(found) < limit:
            entry = heapq.heappop(line)
            token = self._standing(place, entry)
            if token is not None and entry not in met:
                met.append(entry)
                found += [token] if token.crashes <= most else []
        for entry in met:  # whoever is taken leaves the line by that
            heapq.heappush(line, entry)
        return found

    def _standing(self, place: tuple[int, str, int], entry: tuple[int, int, int]) -> Token | None:
        wake_at, instance, number = entry
        token = self._tokens.get(instance, {}).get(number)
        if token is None or token.wake_at != wake_at or (token.definition, token.tags, token.priority) != place:
            return None
        return token

    def next_wake(self, lanes: list[Lane]) -> int | None:
        wakes = []
        for lane in lanes:
            for priority in PRIORITIES:
                place = lane.definition, lane.tags, priority
                line = self._lines.get(place, [])
                while line and self._standing(place, line[0]) is None:
                    heapq.heappop(line)
                wakes += [line[0][0]] if line else []
        return min(wakes, default=None)

    def wake_awaiting(self, number: int, signal: str, now: int) -> None:
        for token in self._tokens[number].values():
            if token.state == "awaiting" and token.signal == signal and token.owner is None:
                token.wake_at = now
                self.save_token(token)

    def drop_tokens(self, number: int, parent: int | None = None) -> None:
        tokens = self._tokens[number]
        for key in [key for key, token in tokens.items() if parent is None or token.parent == parent]:
            del tokens[key]
        if parent is None:
            self._requested.discard(number)

    def mark_tokens(self, number: int, requested: bool) -> None:
        (self._requested.add if requested else self._requested.discard)(number)
        for token in self._tokens[number].values():
            token.wake_at = None

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

    def drop_ended(self, instances: list[Instance]) -> None:
        for instance in instances:
            self.drop_signals(instance.instance_id)
            self.drop_instance(instance)

    def value(self, number: int, ref: Ref) -> bytes:
        instance, records = self._by_number.get(number), self._records.get(number, {})

        def fetch(refs: list[Ref]) -> dict[Ref, Stored]:
            return {ref: (records[ref].output, records[ref].parts) for ref in refs if ref in records}

        return resolve(ref, None if instance is None else instance.input, fetch)

    def records(self, number: int) -> list[Record]:
        return sorted(self._records.get(number, {}).values(), key=lambda record: (record.started_at, record.ref))

    def owners(self) -> list[Owner]:
        return [Owner(owner, WORKER, self._beat_at) for owner in range(1, self.owner + 1)]

    def owned(self, owner: int) -> list[Token]:
        return [token for tokens in self._tokens.values() for token in tokens.values() if token.owner == owner]

    def beat(self, now: int) -> None:
        self._beat_at = now

    def be_there(self) -> None:
        """Nothing to do: nobody is called dead here who lives."""

    def hold_owner(self, owner: int) -> bool:
        return True

    def drop_owner(self, owner: int) -> None:
        pass

    def fits(self, instance: Instance, query: Query) -> bool:
        return _fits(instance, query)

    def find(self, query: Query) -> list[Instance]:
        newest = sorted(self._instances.values(), key=lambda instance: -instance.number)
        fitting = (instance for instance in newest if _fits(instance, query))
        return [
            msgspec.structs.replace(instance, input=b"", error=None, halted=None)
            for instance in itertools.islice(fitting, query.limit)
        ]

    def ended(self, before: int, limit: int, after: int) -> tuple[list[Instance], int]:
        old = sorted(
            (
                instance
                for instance in self._instances.values()
                if instance.number > after and instance.status in TERMINAL and instance.updated_at < before
            ),
            key=lambda instance: instance.number,
        )
        return old[:limit], old[limit - 1].number if len(old) > limit else 0

    def supersede(self, number: int, refs: tuple[Ref, ...]) -> None:
        kept = self._records[number]
        for ref in refs:
            # Another object, since whoever read the history holds this one.
            kept[ref] = msgspec.structs.replace(kept[ref], superseded=True)


class _Known:
    """A definition that was used, and all tags that its tokens were stored with."""

    def __init__(self, number: int, definition: Definition) -> None:
        self.number = number
        self.definition = definition
        self.lanes: set[str] = set()
        self.secrets = NONE


def _fits(instance: Instance, query: Query) -> bool:
    metadata = {} if instance.metadata is None else msgspec.json.decode(instance.metadata)
    wanted = query.metadata or {}
    return (
        (query.statuses is None or instance.status in query.statuses)
        and (query.workflow_id is None or instance.workflow_id == query.workflow_id)
        and instance.instance_id.startswith(query.id_prefix or "")
        and (query.created_after is None or instance.created_at >= query.created_after)
        and (query.created_before is None or instance.created_at < query.created_before)
        and (query.below is None or instance.number < query.below)
        and (not wanted or (isinstance(metadata, dict) and all(
            key in metadata and metadata[key] == value and isinstance(metadata[key], bool) == isinstance(value, bool)
            for key, value in wanted.items()
        )))
    )  # fmt: skip


class TransientRows(MemoryRows):
    """Rows that forget each value as soon as its token has gone on, so that a long loop does not pile up."""

    _spent: Ref = 0
    """The value that the step under way leaves behind."""

    def save_token(self, token: Token) -> None:
        pass  # no worker looks here

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
