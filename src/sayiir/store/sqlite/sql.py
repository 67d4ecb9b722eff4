"""The SQL of this store, and how rows become records. Parameters only; names of tables are constants."""

from __future__ import annotations

from typing import Any

import msgspec

from sayiir.core.lifecycle import State
from sayiir.core.records import STEP_MASK, Move, Position, Record
from sayiir.errors import BackendError
from sayiir.store.port import Instance, Query, Token

INSTANCE = """SELECT i.number, instance_id, definition, workflow_id, definition_hash, status, CAST(input AS BLOB),
    created_at, updated_at, output_ref, CAST(error AS BLOB), reason, actor, request, request_reason, request_actor,
    CAST(metadata AS BLOB), priority, CAST(halted AS BLOB)
    FROM sayiir_instances i JOIN sayiir_definitions d ON d.number = definition WHERE """
BY_ID = INSTANCE + "instance_id = ?"
BY_NUMBER = INSTANCE + "i.number = ?"
ADD_INSTANCE = """INSERT INTO sayiir_instances
    (number, instance_id, definition, status, input, created_at, updated_at, metadata, priority)
    VALUES (?, ?, ?, 'in_progress', ?, ?, ?, ?, ?) ON CONFLICT (instance_id) DO NOTHING"""
# The end of the main line in one statement: the fence is looked at, and that nothing is requested.
FINISH = """UPDATE sayiir_instances SET status = 'completed', updated_at = ?, output_ref = ?
    WHERE number = ? AND status = 'in_progress' AND request IS NULL AND EXISTS (SELECT 1 FROM sayiir_tokens
    WHERE instance = ? AND number = 0 AND epoch = ? AND owner IS NOT NULL)
    RETURNING instance_id, definition, CAST(input AS BLOB), created_at, CAST(metadata AS BLOB), priority"""
DEFINITION = """SELECT number, routing, lanes FROM sayiir_definitions WHERE workflow_id = ? AND definition_hash = ?"""
NAME = "SELECT workflow_id, definition_hash FROM sayiir_definitions WHERE number = ?"
SAVE_INSTANCE = """UPDATE sayiir_instances SET status = ?, updated_at = ?, output_ref = ?, error = ?, reason = ?,
    actor = ?, request = ?, request_reason = ?, request_actor = ?, halted = ? WHERE number = ?"""
# A token with the newest line that moved it since its row was written.
TOKEN = """SELECT t.instance, t.number, t.state, t.node, t.ref, t.step, t.attempt, t.iteration, t.crashes, t.keys,
    t.parent, t.due_at, t.signal, t.owner, t.epoch, t.until, t.moved_at, t.definition, t.tags, t.priority, t.wake_at,
    n.ref, n.next, n.finished_at
    FROM sayiir_tokens t LEFT JOIN sayiir_results n ON n.instance = t.instance AND n.ref =
    (SELECT max(ref) FROM sayiir_results
     WHERE instance = t.instance AND ref > (t.number << 32 | t.step) AND ref < (t.number + 1) << 32)
    WHERE """
TOKENS = TOKEN + "t.instance = ? ORDER BY t.number"
ONE_TOKEN = TOKEN + "t.instance = ? AND t.number = ?"
OWNED = TOKEN + "t.owner = ? ORDER BY t.instance, t.number"
ADD_TOKEN = """INSERT INTO sayiir_tokens (state, node, ref, step, attempt, iteration, crashes, keys, parent, due_at,
    signal, owner, epoch, until, moved_at, definition, tags, priority, wake_at, instance, number)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
SAVE_TOKEN = """UPDATE sayiir_tokens SET state = ?, node = ?, ref = ?, step = ?, attempt = ?, iteration = ?,
    crashes = ?, keys = ?, parent = ?, due_at = ?, signal = ?, owner = ?, epoch = ?, until = ?, moved_at = ?,
    definition = ?, tags = ?, priority = ?, wake_at = ? WHERE instance = ? AND number = ?"""
# The oldest of one lane and priority. No `next` can hide in their history: an unclaimed token's row is where it stands.
DUE = """SELECT instance, number, wake_at FROM sayiir_tokens
    WHERE definition = ? AND tags = ? AND priority = ? AND wake_at <= ? AND (crashes = 0 OR ?) ORDER BY wake_at LIMIT ?"""
NEXT_WAKE = """SELECT min(wake_at) FROM sayiir_tokens
    WHERE definition = ? AND tags = ? AND priority = ? AND wake_at IS NOT NULL"""
# The fence, the request flag and the move in one statement: no row changed means the slow path must look why.
STEP_TOKEN = """UPDATE sayiir_tokens SET state = 'ready', node = ?, ref = ?, step = ?, attempt = ?, iteration = ?,
    crashes = ?, keys = ?, due_at = NULL, signal = NULL, moved_at = ?
    WHERE instance = ? AND number = ? AND epoch = ? AND owner IS NOT NULL AND requested = 0"""
CENSUS = """SELECT count(owner), count(*) FILTER (WHERE owner IS NULL AND state IN ('ready', 'standing', 'backoff')),
    count(*) FILTER (WHERE owner IS NULL AND state = 'awaiting'),
    count(*) FILTER (WHERE owner IS NULL AND state = 'waiting') FROM sayiir_tokens WHERE instance = ?"""
ADD_RECORD = "INSERT INTO sayiir_results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# One write instead of two for the usual step: the fence and the request flag are looked at, the new line is the move.
STEP = """INSERT INTO sayiir_results SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM sayiir_tokens
    WHERE instance = ? AND number = ? AND epoch = ? AND owner IS NOT NULL AND requested = 0 AND state = 'ready'
    AND due_at IS NULL AND signal IS NULL AND keys IS ?"""
RECORDS = """SELECT ref, node, kind, iteration, attempt, status, CAST(output AS BLOB), CAST(parts AS BLOB), source,
    CAST(error AS BLOB), worker, started_at, finished_at, superseded FROM sayiir_results WHERE instance = ?
    ORDER BY started_at, ref"""
VALUE = "SELECT CAST(output AS BLOB), CAST(parts AS BLOB) FROM sayiir_results WHERE instance = ? AND ref = ?"
OLDEST_SIGNAL = """SELECT id, name, CAST(payload AS BLOB), sent_at FROM sayiir_signals
    WHERE instance_id = ? AND name = ? AND consumed_at IS NULL ORDER BY id LIMIT 1"""
FOUND = """SELECT i.number, instance_id, definition, workflow_id, definition_hash, status, X'', created_at, updated_at,
    output_ref, NULL, reason, actor, request, request_reason, request_actor, CAST(metadata AS BLOB), priority, NULL
    FROM sayiir_instances i JOIN sayiir_definitions d ON d.number = definition WHERE """
ENDED = FOUND + """i.number > ? AND i.number < ? AND updated_at < ?
    AND status IN ('completed', 'failed', 'cancelled') ORDER BY i.number LIMIT ?"""
# What a value of metadata must be to equal a given one: SQL has one type for numbers and truth values.
METADATA = """EXISTS (SELECT 1 FROM json_each(i.metadata)
    WHERE key = ? AND type IN (SELECT value FROM json_each(?)) AND value IS ?)"""


def stored(value: bytes | None) -> str | bytes | None:
    """Return JSON as text, so that SQL's own JSON functions read it, and enveloped values as they are."""
    if value is None or value[:1] == b"\0":
        return value
    return value.decode()


def keys_text(keys: tuple[str, ...]) -> str | None:
    """Return the keys of the routes around a token as text."""
    return msgspec.json.encode(keys).decode() if keys else None


def instance_of(row: Any) -> Instance:
    """Return the instance of a row of INSTANCE."""
    values = list(row)
    try:
        values[5] = State(values[5])
    except ValueError as error:
        raise _damaged(f"instance {values[1]!r}", error) from error
    return Instance(*values)


def token_of(row: Any) -> Token:
    """Return the token of a row of TOKEN."""
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


def record_of(row: Any) -> Record:
    """Return the record of a row of RECORDS."""
    values = list(row)
    values[-1] = bool(values[-1])
    return Record(*values)


def token_values(token: Token) -> tuple[Any, ...]:
    """Return what ADD_TOKEN and SAVE_TOKEN take."""
    return (
        token.state, token.node, token.ref, token.step, token.attempt, token.iteration, token.crashes,
        keys_text(token.keys), token.parent, token.due_at, token.signal, token.owner, token.epoch, token.until,
        token.moved_at, token.definition, token.tags, token.priority, token.wake_at, token.instance, token.number,
    )  # fmt: skip


def record_values(number: int, record: Record, following: str | None) -> tuple[Any, ...]:
    """Return what ADD_RECORD takes; `following` is where the line moves its token, if it does."""
    return (
        number, record.ref, record.node, record.kind, record.iteration, record.attempt, record.status,
        stored(record.output), stored(record.parts), record.source, stored(record.error), record.worker,
        record.started_at, record.finished_at, record.superseded, following,
    )  # fmt: skip


def is_plain(move: Move) -> bool:
    """Return whether the one line of a move says all about its token: it goes on to another task with that line's value."""
    position, records = move.position, move.records
    return (
        len(records) == 1 and records[0].ref == position.ref and position.attempt == 1 == position.iteration
        and not position.crashes
    )  # fmt: skip


def conditions(query: Query) -> tuple[str, list[Any]]:
    """Return the WHERE clause of a query, put together from fixed pieces, and its parameters."""
    pieces: list[tuple[str, tuple[Any, ...]]] = []
    if query.statuses is not None:
        statuses = msgspec.json.encode(query.statuses).decode()
        pieces.append(("status IN (SELECT value FROM json_each(?))", (statuses,)))
    if query.workflow_id is not None:
        pieces.append(("workflow_id = ?", (query.workflow_id,)))
    if query.id_prefix:
        # A range, since LIKE would not use the index, and has wildcards of its own.
        pieces.append(("instance_id >= ?", (query.id_prefix,)))
        pieces.append(("substr(instance_id, 1, ?) = ?", (len(query.id_prefix), query.id_prefix)))
    if query.created_after is not None:
        pieces.append(("created_at >= ?", (query.created_after,)))
    if query.created_before is not None:
        pieces.append(("created_at < ?", (query.created_before,)))
    if query.below is not None:
        pieces.append(("i.number < ?", (query.below,)))
    for key, value in (query.metadata or {}).items():
        pieces.append((METADATA, (key, msgspec.json.encode(_json_types(value)).decode(), value)))
    where = " AND ".join(piece for piece, _ in pieces) or "TRUE"
    values = [value for _, given in pieces for value in given]
    return f"{where} ORDER BY i.number DESC LIMIT ?", [*values, query.limit]


def _json_types(value: object) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("true",) if value else ("false",)
    if value is None:
        return ("null",)
    return ("text",) if isinstance(value, str) else ("integer", "real")
