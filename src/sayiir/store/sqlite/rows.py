"""Row access over one connection: one statement each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from sayiir.core.lifecycle import State
from sayiir.core.marks import NONE, together
from sayiir.core.records import Definition, Move, Record, Ref, Routing
from sayiir.errors import BackendError
from sayiir.store.columns import (
    instance_of,
    keys_text,
    record_of,
    record_values,
    stored,
    token_of,
    token_values,
)
from sayiir.store.compose import Stored, resolve
from sayiir.store.numbers import Numbers, number_of
from sayiir.store.port import CLAIM_TTL, PRIORITIES, Fence, Instance, Lane, NewInstance, Query, Signal, Token
from sayiir.store.scripts.basis import GRACE, MICROS
from sayiir.store.scripts.rows import Census, Owner
from sayiir.store.scripts.work import spoil
from sayiir.store.sqlite import sql
from sayiir.store.sqlite.observe import SqliteObserving


class SqliteRows(SqliteObserving):
    """Row access over one connection."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        owner: int,
        now: Callable[[], int],
        alive: Callable[[int], bool],
        numbers: Numbers,
    ) -> None:
        self.owner = owner
        self.claim_ttl = CLAIM_TTL
        self.now = now  # type: ignore[method-assign]
        self.alive = alive  # type: ignore[assignment, method-assign]
        self._numbers = numbers
        self._known: dict[tuple[str, str], tuple[int, Routing]] = {}
        self._names: dict[int, tuple[str, str]] = {}
        self._execute = connection.execute
        self._executemany = connection.executemany

    def owner_name(self, owner: int) -> str | None:
        row = self._execute("SELECT name FROM sayiir_owners WHERE owner = ?", (owner,)).fetchone()
        return None if row is None else str(row[0])

    def in_company(self) -> bool:
        return any(owner.owner != self.owner and self.alive(owner.owner) for owner in self.owners())

    def instance(self, instance_id: str) -> Instance | None:
        row = self._execute(sql.BY_ID, (instance_id,)).fetchone()
        return None if row is None else instance_of(row)

    def instance_by_number(self, number: int) -> Instance | None:
        row = self._execute(sql.BY_NUMBER, (number,)).fetchone()
        return None if row is None else instance_of(row)

    def add_instance(self, new: NewInstance, now: int, above: int = 0) -> Instance | None:
        definition, number = self.add_definition(new.definition), self._numbers.next(above)
        values = (
            new.instance_id, definition, stored(new.input), now, now, stored(new.metadata), new.priority,
            new.trace,
        )  # fmt: skip
        while True:
            try:
                added = self._execute(sql.ADD_INSTANCE, (number, *values)).rowcount
                break
            except sqlite3.IntegrityError:
                number = self._numbers.next(number)  # another process drew the same one
        if not added:
            return None
        return Instance(
            number, new.instance_id, definition, new.definition.workflow_id, new.definition.definition_hash,
            State.IN_PROGRESS, new.input, now, now, metadata=new.metadata, priority=new.priority,
            trace=new.trace,
        )  # fmt: skip

    def save_instance(self, instance: Instance) -> None:
        self._execute(
            sql.SAVE_INSTANCE,
            (
                instance.status.value, instance.updated_at, instance.output_ref, stored(instance.error),
                instance.reason, instance.actor, instance.request, instance.request_reason, instance.request_actor,
                stored(instance.halted), instance.number,
            ),
        )  # fmt: skip

    def drop_instance(self, instance: Instance) -> None:
        self._execute("DELETE FROM sayiir_tokens WHERE instance = ?", (instance.number,))
        self._execute("DELETE FROM sayiir_results WHERE instance = ?", (instance.number,))
        self._execute("DELETE FROM sayiir_logs WHERE instance = ?", (instance.number,))
        self._execute("DELETE FROM sayiir_instances WHERE number = ?", (instance.number,))

    def spoil(self, number: int, error: bytes, now: int) -> None:
        self._execute(sql.SPOIL, (stored(error), now, number))
        self._execute("DELETE FROM sayiir_tokens WHERE instance = ?", (number,))

    def structure(self, workflow_id: str, definition_hash: str) -> str | None:
        row = self._execute(
            "SELECT structure FROM sayiir_definitions WHERE workflow_id = ? AND definition_hash = ?",
            (workflow_id, definition_hash),
        ).fetchone()
        return None if row is None else str(row[0])

    def add_definition(self, definition: Definition) -> int:
        key = definition.workflow_id, definition.definition_hash
        number, routing = self._known.get(key, (0, None))
        if routing is not definition.routing:
            number = self._register(definition)
            self._known[key] = number, definition.routing
        return number

    def _register(self, definition: Definition) -> int:
        key = definition.workflow_id, definition.definition_hash
        routing = msgspec.json.encode(definition.routing).decode()
        attempts = msgspec.json.encode(definition.attempts, order="sorted").decode()
        tags = {"", *(tags for _, tags in definition.routing.values())}
        row = self._execute(sql.DEFINITION, key).fetchone()
        if row is None:
            lanes = msgspec.json.encode(sorted(tags)).decode()
            cursor = self._execute(
                "INSERT INTO sayiir_definitions "
                "(workflow_id, definition_hash, structure, routing, lanes, secrets, attempts) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*key, definition.structure, routing, lanes, definition.secrets or NONE, attempts),
            )
            return cursor.lastrowid or 0
        number, stored_routing, stored_lanes, stored_secrets, stored_attempts = row
        secrets = together(stored_secrets, definition.secrets)
        if (stored_routing, stored_secrets, stored_attempts) != (routing, secrets, attempts):
            lanes = msgspec.json.encode(sorted({*msgspec.json.decode(stored_lanes), *tags})).decode()
            self._execute(
                "UPDATE sayiir_definitions SET routing = ?, lanes = ?, secrets = ?, attempts = ? WHERE number = ?",
                (routing, lanes, secrets, attempts, number),
            )
        return int(number)

    def forget(self) -> None:
        """Forget what was learned in a transaction that was rolled back."""
        self._known.clear()
        self._names.clear()

    def routing(self, definition: int) -> Routing:
        row = self._execute("SELECT routing FROM sayiir_definitions WHERE number = ?", (definition,)).fetchone()
        return msgspec.json.decode(row[0], type=Routing)

    def lanes(self, definition: int) -> list[Lane]:
        row = self._execute(
            "SELECT definition_hash, lanes FROM sayiir_definitions WHERE number = ?", (definition,)
        ).fetchone()
        return [Lane(definition, row[0], tags) for tags in msgspec.json.decode(row[1])]

    def tokens(self, number: int) -> list[Token]:
        return [token_of(row) for row in self._execute(sql.TOKENS, (number,))]

    def token(self, number: int, token: int) -> Token | None:
        row = self._execute(sql.ONE_TOKEN, (number, token)).fetchone()
        return None if row is None else token_of(row)

    def census(self, number: int) -> Census:
        return Census(*self._execute(sql.CENSUS, (number,)).fetchone())

    def open_branches(self, number: int, parent: int) -> int:
        row = self._execute(
            "SELECT count(*) FROM sayiir_tokens WHERE instance = ? AND parent = ? AND state <> 'done'", (number, parent)
        ).fetchone()
        return int(row[0])

    def add_tokens(self, tokens: list[Token]) -> None:
        for token in tokens:
            self._execute(sql.ADD_TOKEN, token_values(token))

    def save_token(self, token: Token) -> None:
        self._execute(sql.SAVE_TOKEN, token_values(token))

    def step(self, fence: Fence, move: Move) -> bool:
        position = move.position
        cursor = self._execute(
            sql.STEP_TOKEN,
            (
                position.node, position.ref, position.step, position.attempt, position.iteration, position.crashes,
                keys_text(position.keys), self.now(), fence.instance, fence.token, fence.epoch,
            ),
        )  # fmt: skip
        if cursor.rowcount != 1:
            return False
        try:
            self.add_records(fence.instance, move.records)
        except sqlite3.IntegrityError:  # done already under this very fence: its COMMIT was done and reported an error
            return False
        return True

    def finish(self, fence: Fence, move: Move) -> Instance | None:
        if fence.token:
            return None
        number, ref, now = fence.instance, move.position.ref, self.now()
        rows = self._execute(sql.FINISH, (now, ref, number, number, fence.epoch)).fetchall()
        if not rows:
            return None
        self.drop_tokens(number)
        self.add_records(number, move.records)
        instance_id, definition, created_at, metadata, priority = rows[0]
        workflow_id, definition_hash = self._name(definition)
        return Instance(
            number, instance_id, definition, workflow_id, definition_hash, State.COMPLETED, b"", created_at, now, ref,
            metadata=metadata, priority=priority,
        )  # fmt: skip

    def _name(self, definition: int) -> tuple[str, str]:
        if definition not in self._names:
            self._names[definition] = self._execute(sql.NAME, (definition,)).fetchone()
        return self._names[definition]

    def drop_tokens(self, number: int, parent: int | None = None) -> None:
        if parent is None:
            self._execute("DELETE FROM sayiir_tokens WHERE instance = ?", (number,))
        else:
            self._execute("DELETE FROM sayiir_tokens WHERE instance = ? AND parent = ?", (number, parent))

    def mark_tokens(self, number: int, requested: bool) -> None:
        self._execute(
            "UPDATE sayiir_tokens SET requested = ?, wake_at = NULL WHERE instance = ?", (int(requested), number)
        )

    def due(
        self, lanes: list[Lane], now: int, limit: int, aging: float, most: int, before: int | None
    ) -> list[Token]:
        found: list[tuple[float, int, int]] = []
        for lane in lanes:
            for priority in PRIORITIES:
                latest = now if before is None else min(now, before - round(priority * aging * MICROS) - 1)
                key = lane.definition, lane.tags, priority, latest, most, self.owner, now - GRACE, limit
                # Whoever waited `aging` longer goes before one step of priority, so the order of two never changes.
                found += [
                    (wake_at + priority * aging * MICROS, instance, token)
                    for instance, token, wake_at in self._execute(sql.DUE, key)
                ]
        urgent = sorted(found)[:limit]
        rows = [self._execute(sql.ONE_TOKEN, (instance, number)).fetchone() for _, instance, number in urgent]
        return self._readable(row for row in rows if row is not None)

    def _readable(self, rows: Iterable[Any]) -> list[Token]:
        """Return the tokens; an instance with one that cannot be read ends, or nobody would get any of the others."""
        found = list[Token]()
        for row in rows:
            try:
                found.append(token_of(row))
            except BackendError as error:
                spoil(self, row[0], error)
        return found

    def next_wake(self, lanes: list[Lane]) -> int | None:
        keys = [(lane.definition, lane.tags, priority) for lane in lanes for priority in PRIORITIES]
        wakes: list[int] = []
        for key in keys:
            for wake_at, avoid in self._execute(sql.NEXT_WAKE, key):
                wakes.append(wake_at)
                if avoid == self.owner:
                    (sooner,) = self._execute(sql.WAKE_BEFORE, (*key, wake_at + GRACE, avoid)).fetchone()
                    wakes[-1] = wake_at + GRACE if sooner is None else sooner
        return min(wakes, default=None)

    def wake_awaiting(self, number: int, signal: str, now: int) -> None:
        self._execute(
            "UPDATE sayiir_tokens SET wake_at = ? WHERE instance = ? AND state = 'awaiting' AND signal = ? "
            "AND owner IS NULL",
            (now, number, signal),
        )

    def add_records(self, number: int, records: tuple[Record, ...]) -> None:
        for record in records:
            self._execute(sql.ADD_RECORD, record_values(number, record, None))

    def oldest_signal(self, instance_id: str, name: str, deadline: int | None) -> Signal | None:
        row = self._execute(sql.OLDEST_SIGNAL, (instance_id, name)).fetchone()
        if row is None or (deadline is not None and row[3] >= deadline):
            return None
        return Signal(*row)

    def add_signal(self, instance_id: str, name: str, payload: bytes, dedup_key: str | None, now: int) -> bool:
        cursor = self._execute(
            "INSERT OR IGNORE INTO sayiir_signals (instance_id, name, payload, dedup_key, sent_at) "
            "VALUES (?, ?, ?, ?, ?)",
            (instance_id, name, stored(payload), dedup_key, now),
        )
        return cursor.rowcount == 1

    def consume_signal(self, instance_id: str, signal: Signal, now: int) -> bool:
        # One with a dedup key stays, emptied, or a late duplicate would be a new signal.
        cursor = self._execute(
            "UPDATE sayiir_signals SET consumed_at = ?, payload = 'null' "
            "WHERE id = ? AND instance_id = ? AND consumed_at IS NULL AND dedup_key IS NOT NULL",
            (now, signal.id, instance_id),
        )
        if cursor.rowcount == 1:
            return True
        cursor = self._execute(
            "DELETE FROM sayiir_signals WHERE id = ? AND instance_id = ? AND consumed_at IS NULL",
            (signal.id, instance_id),
        )
        return cursor.rowcount == 1

    def drop_signals(self, instance_id: str) -> None:
        # Together they are all: what is consumed stays only for its dedup key. Each half has an index of its own.
        for half in ("consumed_at IS NULL", "dedup_key IS NOT NULL"):
            self._execute(f"DELETE FROM sayiir_signals WHERE instance_id = ? AND {half}", (instance_id,))  # noqa: S608

    def drop_ended(self, instances: list[Instance]) -> None:
        for instance in instances:
            self.drop_signals(instance.instance_id)
            self.drop_instance(instance)

    def value(self, number: int, ref: Ref) -> bytes:
        def fetch(refs: list[Ref]) -> dict[Ref, Stored]:
            found = {ref: self._execute(sql.VALUE, (number, ref)).fetchone() for ref in refs}
            return {ref: row for ref, row in found.items() if row is not None}

        row = self._execute("SELECT CAST(input AS BLOB) FROM sayiir_instances WHERE number = ?", (number,)).fetchone()
        return resolve(ref, None if row is None else row[0], fetch)

    def records(self, number: int) -> list[Record]:
        return [record_of(row) for row in self._execute(sql.RECORDS, (number,))]

    def owners(self) -> list[Owner]:
        return [Owner(*row) for row in self._execute("SELECT owner, name, beat_at FROM sayiir_owners")]

    def owned(self, owner: int) -> list[Token]:
        return self._readable(self._execute(sql.OWNED, (owner,)).fetchall())

    def beat(self, now: int) -> None:
        self._execute("UPDATE sayiir_owners SET beat_at = ? WHERE owner = ?", (now, self.owner))

    def be_there(self) -> None:
        """Nothing to do: whoever lives has its lock, and so its row."""

    def hold_owner(self, owner: int) -> bool:
        return True

    def drop_owner(self, owner: int) -> None:
        self._execute("DELETE FROM sayiir_owners WHERE owner = ?", (owner,))

    def find(self, query: Query) -> list[Instance]:
        where, values = sql.conditions(query)
        return [instance_of(row) for row in self._execute(sql.FOUND + where, values)]

    def ended(self, before: int, limit: int, after: int) -> tuple[list[Instance], int]:
        # In order of creation, which nobody ends before: no index of its own that every end would have to write.
        values = after, number_of(before), before, limit
        found = [instance_of(row) for row in self._execute(sql.ENDED, values)]
        return found, found[-1].number if len(found) == limit else 0

    def supersede(self, number: int, refs: tuple[Ref, ...]) -> None:
        self._executemany(
            "UPDATE sayiir_results SET superseded = 1 WHERE instance = ? AND ref = ?", [(number, ref) for ref in refs]
        )
