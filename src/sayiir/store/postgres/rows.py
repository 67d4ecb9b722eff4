"""Row access over one connection, inside a transaction that the store has begun.

A writing transaction locks each instance that it reads, and each token before it reads it: see `sql.py` for the order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
from psycopg import Connection

from sayiir.core.lifecycle import State
from sayiir.core.marks import NONE, together
from sayiir.core.records import INPUT_REF, Definition, Move, Record, Ref, Routing
from sayiir.core.values import unpack
from sayiir.errors import BackendError
from sayiir.store.columns import instance_of, raw, record_of, record_values, stored_text, token_of, token_values
from sayiir.store.compose import Stored, resolve
from sayiir.store.numbers import Numbers, number_of
from sayiir.store.port import CLAIM_TTL, Fence, Instance, Lane, NewInstance, Query, Signal, Token
from sayiir.store.postgres import sql as statements
from sayiir.store.postgres.filters import conditions
from sayiir.store.postgres.lines import tokens_text
from sayiir.store.postgres.observe import PostgresObserving
from sayiir.store.scripts.basis import GRACE, MICROS
from sayiir.store.scripts.rows import Census, Owner
from sayiir.store.scripts.steer import wake_for
from sayiir.store.scripts.work import spoil

MOMENT_SECS = 0.85
"""How long after its last beat an owner is not called dead: a beat, and the time to open another connection."""
MOMENT = int(MOMENT_SECS * MICROS)
NEVER = 1 << 62
"""After every place in the order of claims."""
SILENT_SECS = 15.0
"""How long an owner that cannot hold a lock (behind a pooler) counts as alive after its last beat."""
_DAY = 86_400 * MICROS


class Statements(SimpleNamespace):
    """The statements of `sql.py` for one schema, as bytes, which the driver takes without asking where they come from."""

    def __init__(self, schema: str) -> None:
        texts = {name: text for name, text in vars(statements).items() if name.isupper() and not name.startswith("_")}
        super().__init__(**{name: _in_schema(text, schema) for name, text in texts.items()})


def _in_schema(text: Any, schema: str) -> Any:
    if isinstance(text, tuple):
        return tuple(_in_schema(part, schema) for part in text)
    return text.replace("@>", "\0").replace("@", f'"{schema}".').replace("\0", "@>").encode()


class Shared(msgspec.Struct):
    """What the transactions of one store have in common."""

    sql: Any
    schema: str
    lock_class: int
    name: str
    numbers: Numbers
    owner: int = 0
    claim_ttl: float = CLAIM_TTL
    locked: bool = True
    """Whether owners hold locks: not behind a pooler."""


class PostgresRows(PostgresObserving):
    """Row access inside one transaction.

    Args:
        connection: the connection, in a transaction.
        shared: what the store knows.
        now: the database's time when the transaction began.
        write: whether what is read is locked.
    """

    def __init__(self, connection: Connection[Any], shared: Shared, now: int, *, write: bool) -> None:
        self._connection = connection
        self._sql = shared.sql
        self._shared = shared
        self._now = now
        self._write = write
        self._lock = shared.sql.LOCK if write else b""
        self.owner = shared.owner
        self.claim_ttl = shared.claim_ttl
        self._routings: dict[int, Routing] = {}
        self.met = False
        """Whether the instance asked for last was there."""

    def _all(self, statement: bytes, values: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()

    def _one(self, statement: bytes, values: Sequence[Any] | dict[str, Any] = ()) -> Any:
        return self._connection.execute(statement, values).fetchone()

    def _do(self, statement: bytes, values: Sequence[Any] = ()) -> int:
        return self._connection.execute(statement, values).rowcount

    def now(self) -> int:
        return self._now

    def alive(self, owner: int) -> bool:
        if owner and owner == self.owner:
            return True
        row = self._one(self._sql.ALIVE, (self._shared.lock_class, int(SILENT_SECS * MICROS), owner))
        return row is not None and bool(row[1])

    def owner_name(self, owner: int) -> str | None:
        if owner == self.owner:
            return str(self._shared.name)
        row = self._one(self._sql.OWNER_NAME, (owner,))
        return None if row is None else str(row[0])

    def in_company(self) -> bool:
        return bool(self._one(self._sql.COMPANY, (self.owner, self._now - int(SILENT_SECS * MICROS)))[0])

    # --- instances and definitions --------------------------------------------------------------------------------

    def instance(self, instance_id: str) -> Instance | None:
        return self._instance(self._sql.BY_ID, instance_id)

    def instance_by_number(self, number: int) -> Instance | None:
        return self._instance(self._sql.BY_NUMBER, number)

    def _instance(self, statement: bytes, key: str | int) -> Instance | None:
        row = self._one(statement + self._lock, (key,))
        self.met = row is not None
        return None if row is None else _read_instance(row)

    def add_instance(self, new: NewInstance, now: int, above: int = 0) -> Instance | None:
        definition, number = self.add_definition(new.definition), self._shared.numbers.next(above)
        added = self._do(
            self._sql.ADD_INSTANCE,
            (
                number, new.instance_id, definition, stored_text(new.input), now, now, stored_text(new.metadata),
                new.priority, new.trace,
            ),
        )  # fmt: skip
        if not added:
            return None
        return Instance(
            number, new.instance_id, definition, new.definition.workflow_id, new.definition.definition_hash,
            State.IN_PROGRESS, new.input, now, now, metadata=new.metadata, priority=new.priority,
            trace=new.trace,
        )  # fmt: skip

    def save_instance(self, instance: Instance) -> None:
        self._do(
            self._sql.SAVE_INSTANCE,
            (
                instance.status.value, instance.updated_at, instance.output_ref, stored_text(instance.error),
                instance.reason, instance.actor, instance.request, instance.request_reason, instance.request_actor,
                stored_text(instance.halted), instance.number,
            ),
        )  # fmt: skip

    def drop_instance(self, instance: Instance) -> None:
        for statement in self._sql.DROP_INSTANCE:
            self._do(statement, (instance.number,))

    def spoil(self, number: int, error: bytes, now: int) -> None:
        self._do(self._sql.SPOIL, (stored_text(error), now, number))
        self._do(self._sql.DROP_INSTANCE[0], (number,))

    def structure(self, workflow_id: str, definition_hash: str) -> str | None:
        row = self._one(self._sql.STRUCTURE, (workflow_id, definition_hash))
        return None if row is None else str(row[0])

    def add_definition(self, definition: Definition) -> int:
        key = definition.workflow_id, definition.definition_hash
        routing = msgspec.json.encode(definition.routing).decode()
        attempts = msgspec.json.encode(definition.attempts, order="sorted").decode()
        tags = {"", *(tags for _, tags in definition.routing.values())}
        row = self._one(self._sql.DEFINITION, key)
        if row is None:
            lanes = msgspec.json.encode(sorted(tags)).decode()
            secrets = definition.secrets or NONE
            row = self._one(self._sql.ADD_DEFINITION, (*key, definition.structure, routing, lanes, secrets, attempts))
            if row is not None:
                return int(row[0])
            row = self._one(self._sql.DEFINITION, key)  # somebody else was quicker
        if (row[1], row[3], row[4]) != (routing, together(row[3], definition.secrets), attempts):
            number, _, stored_lanes, secrets, _ = self._one(self._sql.DEFINITION + b" FOR UPDATE", key)
            lanes = msgspec.json.encode(sorted({*msgspec.json.decode(stored_lanes), *tags})).decode()
            secrets = together(secrets, definition.secrets)
            self._do(self._sql.SAVE_ROUTING, (routing, lanes, secrets, attempts, number))
        return int(row[0])

    def routing(self, definition: int) -> Routing:
        if definition not in self._routings:  # a fork asks for each of its branches
            found = self._one(self._sql.ROUTING, (definition,))
            self._routings[definition] = msgspec.json.decode(found[0], type=Routing)
        return self._routings[definition]

    def lanes(self, definition: int) -> list[Lane]:
        definition_hash, lanes = self._one(self._sql.LANES, (definition,))
        return [Lane(definition, definition_hash, tags) for tags in msgspec.json.decode(lanes)]

    # --- tokens ---------------------------------------------------------------------------------------------------

    def tokens(self, number: int) -> list[Token]:
        if self._write:
            self._all(self._sql.LOCK_TOKENS, (number,))
        return [token_of(row) for row in self._all(self._sql.TOKENS, (number,))]

    def token(self, number: int, token: int) -> Token | None:
        if self._write:
            self._one(self._sql.LOCK_TOKEN, (number, token))
        row = self._one(self._sql.ONE_TOKEN, (number, token))
        return None if row is None else token_of(row)

    def census(self, number: int) -> Census:
        return Census(*self._one(self._sql.CENSUS, (number,)))

    def open_branches(self, number: int, parent: int) -> int:
        return int(self._one(self._sql.OPEN_BRANCHES, (number, parent))[0])

    def add_tokens(self, tokens: list[Token]) -> None:
        self._do(self._sql.ADD_TOKENS, (tokens_text(tokens),))

    def save_token(self, token: Token) -> None:
        self._do(self._sql.SAVE_TOKEN, token_values(token))

    def step(self, fence: Fence, move: Move) -> bool:
        return False  # the store's own statement has been tried before

    def finish(self, fence: Fence, move: Move) -> Instance | None:
        return None  # likewise

    def drop_tokens(self, number: int, parent: int | None = None) -> None:
        if parent is None:
            self._do(self._sql.DROP_TOKENS, (number,))
        else:
            self._do(self._sql.DROP_BRANCHES, (number, parent))

    def mark_tokens(self, number: int, requested: bool) -> None:
        self._do(self._sql.MARK_TOKENS, (requested, number))

    def due(
        self, lanes: list[Lane], now: int, limit: int, aging: float, most: int, before: int | None
    ) -> list[Token]:
        keys = self._all(self._sql.DUE, due_values(lanes, now, limit, aging, most, before, self.owner))
        found = [self._readable(instance, number) for instance, number in keys]
        return [token for token in found if token is not None and token.wake_at is not None and token.wake_at <= now]

    def _readable(self, instance: int, number: int) -> Token | None:
        """Return a token; an instance with one that cannot be read ends, or nobody would get any of the others."""
        try:
            return self.token(instance, number)
        except BackendError as error:
            spoil(self, instance, error)
            return None

    def next_wake(self, lanes: list[Lane]) -> int | None:
        wake: int | None = self._one(self._sql.NEXT_WAKE, wake_values(lanes, self.owner))[0]
        return wake

    def wake_awaiting(self, number: int, signal: str, now: int) -> None:
        self._do(self._sql.WAKE_AWAITING, (now, number, signal))

    # --- history, values, signals ---------------------------------------------------------------------------------

    def add_records(self, number: int, records: tuple[Record, ...]) -> None:
        for record in records:
            self._do(self._sql.ADD_RECORD, record_values(number, record, None, stored_text))

    def records(self, number: int) -> list[Record]:
        return [read_record(row) for row in self._all(self._sql.RECORDS, (number,))]

    def value(self, number: int, ref: Ref) -> bytes:
        def fetch(refs: list[Ref]) -> dict[Ref, Stored]:
            return {row[0]: (raw(row[1]), raw(row[2])) for row in self._all(self._sql.VALUES, (number, refs))}

        if ref != INPUT_REF and (found := fetch([ref]).get(ref, (None, None))[0]) is not None:
            return unpack(found)
        row = self._one(self._sql.INPUT, (number,))
        return resolve(ref, None if row is None else raw(row[0]), fetch)

    def supersede(self, number: int, refs: tuple[Ref, ...]) -> None:
        self._do(self._sql.SUPERSEDE, (number, list(refs)))

    def oldest_signal(self, instance_id: str, name: str, deadline: int | None) -> Signal | None:
        row = self._one(self._sql.OLDEST_SIGNAL, (instance_id, name))
        if row is None or (deadline is not None and row[3] >= deadline):
            return None
        return Signal(row[0], row[1], raw(row[2]) or b"null", row[3])

    def add_signal(self, instance_id: str, name: str, payload: bytes, dedup_key: str | None, now: int) -> bool:
        values = instance_id, name, stored_text(payload), dedup_key, now, not self.met
        return self._do(self._sql.ADD_SIGNAL, values) == 1

    def tidy(self) -> bool:
        """Forget old marks; wake who sleeps over a signal that was not committed when it parked, and tell if any may."""
        self._do(self._sql.DROP_MARKS, (self._now - _DAY,))
        found = self._all(self._sql.EARLY)
        late = [(instance_id, name) for _, instance_id, name, is_here in found if is_here]
        for instance_id, name in late:
            # Under the instance's lock, so that one that is about to park has done so.
            wake_for(self, instance_id, name)
        self._do(self._sql.NOT_EARLY, ([row[0] for row in found],))
        return bool(late)

    def consume_signal(self, instance_id: str, signal: Signal, now: int) -> bool:
        return (
            self._do(self._sql.EMPTY_SIGNAL, (now, signal.id, instance_id)) == 1
            or self._do(self._sql.DROP_SIGNAL, (signal.id, instance_id)) == 1
        )

    def drop_signals(self, instance_id: str) -> None:
        self._do(self._sql.DROP_SIGNALS, ([instance_id],) * 2)

    def drop_ended(self, instances: list[Instance]) -> None:
        self._do(self._sql.DROP_SIGNALS, ([instance.instance_id for instance in instances],) * 2)
        for statement in self._sql.DROP_INSTANCES:
            self._do(statement, ([instance.number for instance in instances],))

    # --- owners, searching ----------------------------------------------------------------------------------------

    def owners(self) -> list[Owner]:
        mine = self._shared.locked, self._shared.lock_class, self.owner
        return [Owner(*row) for row in self._all(self._sql.OWNERS, (self._now - MOMENT, MOMENT_SECS, *mine))]

    def owned(self, owner: int) -> list[Token]:
        keys = self._all(self._sql.OWNED, (owner,))
        found = []
        for instance, number in keys:
            try:
                self.instance_by_number(instance)  # locked before its tokens
            except BackendError as error:
                spoil(self, instance, error)
                continue
            token = self._readable(instance, number)
            found += [token] if token is not None and token.owner == owner else []
        return found

    def beat(self, now: int) -> None:
        self._do(self._sql.BEAT, (now, self.owner))

    def be_there(self) -> None:
        """See to it that this owner is one of those that are swept up after, until the transaction has ended."""
        while self._one(self._sql.BE_THERE, (self.owner,)) is None:  # called dead, wrongly, and not yet back
            self._do(self._sql.ADD_OWNER_AGAIN, (self.owner, self._shared.name, self._shared.locked))

    def hold_owner(self, owner: int) -> bool:
        return self._one(self._sql.HOLD_OWNER, (owner,)) is not None

    def drop_owner(self, owner: int) -> None:
        self._do(self._sql.DROP_OWNER, (owner,))

    def find(self, query: Query) -> list[Instance]:
        where, values = conditions(query)
        return [_read_instance(row) for row in self._all(self._sql.FOUND + where.encode(), values)]

    def ended(self, before: int, limit: int, after: int) -> tuple[list[Instance], int]:
        # In order of creation, which nobody ends before: no index of its own that every end would have to write.
        rows = self._all(self._sql.ENDED, (after, number_of(before), before, limit))
        found = [_read_instance(row) for row in rows]
        return found, found[-1].number if len(found) == limit else 0


def lanes_text(lanes: list[Lane]) -> str:
    """Return lanes as the JSON that the statements of workers read."""
    return msgspec.json.encode([{"definition": lane.definition, "tags": lane.tags} for lane in lanes]).decode()


def due_values(
    lanes: list[Lane], now: int, limit: int, aging: float, most: int, before: int | None, owner: int
) -> dict[str, Any]:
    """Return what DUE takes."""
    return {
        "lanes": lanes_text(lanes), "now": now, "limit": limit, "aging": int(aging * MICROS), "most": most,
        "owner": owner, "grace": GRACE, "before": NEVER if before is None else before,
    }  # fmt: skip


def wake_values(lanes: list[Lane], owner: int) -> dict[str, Any]:
    """Return what NEXT_WAKE takes."""
    return {"lanes": lanes_text(lanes), "owner": owner, "grace": GRACE}


def _read_instance(row: Any) -> Instance:
    values = list(row)
    for column in (6, 10, 16, 18):
        values[column] = raw(values[column])
    return instance_of(values)


def read_record(row: Any) -> Record:
    """Return the record of a row of RECORDS."""
    values = list(row)
    for column in (6, 7, 9):
        values[column] = raw(values[column])
    return record_of(values)


Script = Callable[[PostgresRows], Any]
