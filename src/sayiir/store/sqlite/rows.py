"""The SQL: one statement for each row access. Parameters only; names of tables are constants."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec

from sayiir.core.lifecycle import State
from sayiir.core.records import STEP_MASK, Move, Position, Record, Ref
from sayiir.errors import BackendError
from sayiir.store.compose import resolve
from sayiir.store.port import Fence, Instance, NewInstance, Signal, Token
from sayiir.store.scripts.rows import Census

_INSTANCE = """SELECT number, instance_id, workflow_id, definition_hash, status, CAST(input AS BLOB), created_at,
    updated_at, output_ref, CAST(error AS BLOB), reason, actor, request, request_reason, request_actor,
    CAST(metadata AS BLOB), priority, CAST(halted AS BLOB) FROM sayiir_instances WHERE """
_BY_ID = _INSTANCE + "instance_id = ?"
_BY_NUMBER = _INSTANCE + "number = ?"
_ADD_INSTANCE = """INSERT INTO sayiir_instances
    (instance_id, workflow_id, definition_hash, status, input, created_at, updated_at, metadata, priority)
    VALUES (?, ?, ?, 'in_progress', ?, ?, ?, ?, ?)"""
_SAVE_INSTANCE = """UPDATE sayiir_instances SET status = ?, updated_at = ?, output_ref = ?, error = ?, reason = ?,
    actor = ?, request = ?, request_reason = ?, request_actor = ?, halted = ? WHERE number = ?"""
# A token with the newest line that moved it since its row was written.
_TOKEN = """SELECT t.instance, t.number, t.state, t.node, t.ref, t.step, t.attempt, t.iteration, t.crashes, t.keys,
    t.parent, t.due_at, t.signal, t.owner, t.epoch, t.until, t.moved_at, n.ref, n.next, n.finished_at
    FROM sayiir_tokens t LEFT JOIN sayiir_results n ON n.instance = t.instance AND n.ref =
    (SELECT max(ref) FROM sayiir_results
     WHERE instance = t.instance AND ref > (t.number << 32 | t.step) AND ref < (t.number + 1) << 32)
    WHERE t.instance = ?"""
_ADD_TOKEN = """INSERT INTO sayiir_tokens (state, node, ref, step, attempt, iteration, crashes, keys, parent, due_at,
    signal, owner, epoch, until, moved_at, instance, number) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_SAVE_TOKEN = """UPDATE sayiir_tokens SET state = ?, node = ?, ref = ?, step = ?, attempt = ?, iteration = ?,
    crashes = ?, keys = ?, parent = ?, due_at = ?, signal = ?, owner = ?, epoch = ?, until = ?, moved_at = ?
    WHERE instance = ? AND number = ?"""
# The fence, the request flag and the move in one statement: no row changed means the slow path must look why.
_STEP_TOKEN = """UPDATE sayiir_tokens SET state = 'ready', node = ?, ref = ?, step = ?, attempt = ?, iteration = ?,
    crashes = ?, keys = ?, due_at = NULL, signal = NULL, moved_at = ?
    WHERE instance = ? AND number = ? AND epoch = ? AND owner IS NOT NULL AND requested = 0"""
_CENSUS = """SELECT count(owner), count(*) FILTER (WHERE owner IS NULL AND state IN ('ready', 'standing', 'backoff')),
    count(*) FILTER (WHERE owner IS NULL AND state = 'awaiting'),
    count(*) FILTER (WHERE owner IS NULL AND state = 'waiting') FROM sayiir_tokens WHERE instance = ?"""
_ADD_RECORD = "INSERT INTO sayiir_results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# One write instead of two for the usual step: the fence and the request flag are looked at, the new line is the move.
_STEP = """INSERT INTO sayiir_results SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM sayiir_tokens
    WHERE instance = ? AND number = ? AND epoch = ? AND owner IS NOT NULL AND requested = 0 AND state = 'ready'
    AND due_at IS NULL AND signal IS NULL AND keys IS ?"""
_RECORDS = """SELECT ref, node, kind, iteration, attempt, status, CAST(output AS BLOB), CAST(parts AS BLOB), source,
    CAST(error AS BLOB), worker, started_at, finished_at, superseded FROM sayiir_results WHERE instance = ?
    ORDER BY started_at, ref"""
_VALUE = "SELECT CAST(output AS BLOB), CAST(parts AS BLOB) FROM sayiir_results WHERE instance = ? AND ref = ?"
_OLDEST_SIGNAL = """SELECT id, name, CAST(payload AS BLOB), sent_at FROM sayiir_signals
    WHERE instance_id = ? AND name = ? AND consumed_at IS NULL ORDER BY id LIMIT 1"""


def stored(value: bytes | None) -> str | bytes | None:
    """Return JSON as text, so that SQL's own JSON functions read it, and enveloped values as they are."""
    if value is None or value[:1] == b"\0":
        return value
    return value.decode()


def _keys(keys: tuple[str, ...]) -> str | None:
    return msgspec.json.encode(keys).decode() if keys else None


def _instance(row: Any) -> Instance:
    values = list(row)
    try:
        values[4] = State(values[4])
    except ValueError as error:
        raise _damaged(f"instance {values[1]!r}", error) from error
    return Instance(*values)


def _token(row: Any) -> Token:
    *values, ref, following, moved_at = row
    try:
        values[9] = keys = () if values[9] is None else tuple(msgspec.json.decode(values[9]))
    except (msgspec.DecodeError, TypeError) as error:
        raise _damaged(f"token {values[1]!r} of instance number {values[0]!r}", error) from error
    token = Token(*values)
    if following is not None:
        token.place(Position(following, ref, ref & STEP_MASK, keys=keys))
        token.moved_at = moved_at
    return token


def _damaged(what: str, error: Exception) -> BackendError:
    return BackendError(f"{what} cannot be read: {error}; the file is damaged, restore it from a backup")


def _record(row: Any) -> Record:
    values = list(row)
    values[-1] = bool(values[-1])
    return Record(*values)


def _token_values(token: Token) -> tuple[Any, ...]:
    return (
        token.state, token.node, token.ref, token.step, token.attempt, token.iteration, token.crashes,
        _keys(token.keys), token.parent, token.due_at, token.signal, token.owner, token.epoch, token.until,
        token.moved_at, token.instance, token.number,
    )  # fmt: skip


def _record_values(number: int, record: Record, following: str | None) -> tuple[Any, ...]:
    return (
        number, record.ref, record.node, record.kind, record.iteration, record.attempt, record.status,
        stored(record.output), stored(record.parts), record.source, stored(record.error), record.worker,
        record.started_at, record.finished_at, record.superseded, following,
    )  # fmt: skip


def _is_plain(move: Move) -> bool:
    """Return whether the one line of a move says all about its token: it goes on to another task with that line's value."""
    position, records = move.position, move.records
    return (
        len(records) == 1 and records[0].ref == position.ref and position.attempt == 1 == position.iteration
        and not position.crashes
    )  # fmt: skip


class SqliteRows:
    """Row access over one connection."""

    def __init__(
        self, connection: sqlite3.Connection, owner: int, now: Callable[[], int], alive: Callable[[int], bool]
    ) -> None:
        self.owner = owner
        self.now = now
        self.alive = alive
        self._execute = connection.execute
        self._executemany = connection.executemany

    def owner_name(self, owner: int) -> str | None:
        row = self._execute("SELECT name FROM sayiir_owners WHERE owner = ?", (owner,)).fetchone()
        return None if row is None else str(row[0])

    def instance(self, instance_id: str) -> Instance | None:
        row = self._execute(_BY_ID, (instance_id,)).fetchone()
        return None if row is None else _instance(row)

    def instance_by_number(self, number: int) -> Instance | None:
        row = self._execute(_BY_NUMBER, (number,)).fetchone()
        return None if row is None else _instance(row)

    def add_instance(self, new: NewInstance, now: int) -> Instance:
        cursor = self._execute(
            _ADD_INSTANCE,
            (
                new.instance_id, new.workflow_id, new.definition_hash, stored(new.input), now, now,
                stored(new.metadata), new.priority,
            ),
        )  # fmt: skip
        return Instance(
            cursor.lastrowid or 0, new.instance_id, new.workflow_id, new.definition_hash, State.IN_PROGRESS, new.input,
            now, now, metadata=new.metadata, priority=new.priority,
        )  # fmt: skip

    def save_instance(self, instance: Instance) -> None:
        self._execute(
            _SAVE_INSTANCE,
            (
                instance.status.value, instance.updated_at, instance.output_ref, stored(instance.error),
                instance.reason, instance.actor, instance.request, instance.request_reason, instance.request_actor,
                stored(instance.halted), instance.number,
            ),
        )  # fmt: skip

    def drop_instance(self, instance: Instance) -> None:
        self._execute("DELETE FROM sayiir_tokens WHERE instance = ?", (instance.number,))
        self._execute("DELETE FROM sayiir_results WHERE instance = ?", (instance.number,))
        self._execute("DELETE FROM sayiir_instances WHERE number = ?", (instance.number,))

    def structure(self, workflow_id: str, definition_hash: str) -> str | None:
        row = self._execute(
            "SELECT structure FROM sayiir_definitions WHERE workflow_id = ? AND definition_hash = ?",
            (workflow_id, definition_hash),
        ).fetchone()
        return None if row is None else str(row[0])

    def add_structure(self, workflow_id: str, definition_hash: str, structure: str) -> None:
        self._execute(
            "INSERT OR IGNORE INTO sayiir_definitions VALUES (?, ?, ?)", (workflow_id, definition_hash, structure)
        )

    def tokens(self, number: int) -> list[Token]:
        return [_token(row) for row in self._execute(_TOKEN + " ORDER BY t.number", (number,))]

    def token(self, number: int, token: int) -> Token | None:
        row = self._execute(_TOKEN + " AND t.number = ?", (number, token)).fetchone()
        return None if row is None else _token(row)

    def census(self, number: int) -> Census:
        return Census(*self._execute(_CENSUS, (number,)).fetchone())

    def open_branches(self, number: int, parent: int) -> int:
        row = self._execute(
            "SELECT count(*) FROM sayiir_tokens WHERE instance = ? AND parent = ? AND state <> 'done'", (number, parent)
        ).fetchone()
        return int(row[0])

    def add_tokens(self, tokens: list[Token]) -> None:
        self._executemany(_ADD_TOKEN, map(_token_values, tokens))

    def save_token(self, token: Token) -> None:
        self._execute(_SAVE_TOKEN, _token_values(token))

    def step(self, fence: Fence, move: Move) -> bool:
        position, records = move.position, move.records
        if _is_plain(move):
            line = _record_values(fence.instance, records[0], position.node)
            held = (fence.instance, fence.token, fence.epoch, _keys(position.keys))
            if self._execute(_STEP, line + held).rowcount == 1:
                return True
        cursor = self._execute(
            _STEP_TOKEN,
            (
                position.node, position.ref, position.step, position.attempt, position.iteration, position.crashes,
                _keys(position.keys), self.now(), fence.instance, fence.token, fence.epoch,
            ),
        )  # fmt: skip
        if cursor.rowcount != 1:
            return False
        self.add_records(fence.instance, records)
        return True

    def drop_tokens(self, number: int, parent: int | None = None) -> None:
        if parent is None:
            self._execute("DELETE FROM sayiir_tokens WHERE instance = ?", (number,))
        else:
            self._execute("DELETE FROM sayiir_tokens WHERE instance = ? AND parent = ?", (number, parent))

    def mark_tokens(self, number: int, requested: bool) -> None:
        self._execute("UPDATE sayiir_tokens SET requested = ? WHERE instance = ?", (int(requested), number))

    def add_records(self, number: int, records: tuple[Record, ...]) -> None:
        for record in records:
            self._execute(_ADD_RECORD, _record_values(number, record, None))

    def oldest_signal(self, instance_id: str, name: str, deadline: int | None) -> Signal | None:
        row = self._execute(_OLDEST_SIGNAL, (instance_id, name)).fetchone()
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

    def value(self, number: int, ref: Ref) -> bytes:
        def fetch(ref: Ref) -> tuple[bytes | None, bytes | None] | None:
            row: tuple[bytes | None, bytes | None] | None = self._execute(_VALUE, (number, ref)).fetchone()
            return row

        row = self._execute("SELECT CAST(input AS BLOB) FROM sayiir_instances WHERE number = ?", (number,)).fetchone()
        return resolve(ref, None if row is None else row[0], fetch)

    def records(self, number: int) -> list[Record]:
        return [_record(row) for row in self._execute(_RECORDS, (number,))]

    def supersede(self, number: int, refs: tuple[Ref, ...]) -> None:
        self._executemany(
            "UPDATE sayiir_results SET superseded = 1 WHERE instance = ? AND ref = ?", [(number, ref) for ref in refs]
        )
