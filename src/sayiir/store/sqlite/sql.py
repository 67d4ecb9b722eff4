"""The SQL of this store, and how rows become records. Parameters only; names of tables are constants."""

from __future__ import annotations

from typing import Any

import msgspec

from sayiir.store.port import Query

INSTANCE = """SELECT i.number, instance_id, definition, workflow_id, definition_hash, status, CAST(input AS BLOB),
    created_at, updated_at, output_ref, CAST(error AS BLOB), reason, actor, request, request_reason, request_actor,
    CAST(metadata AS BLOB), priority, CAST(halted AS BLOB), trace
    FROM sayiir_instances i JOIN sayiir_definitions d ON d.number = definition WHERE """
BY_ID = INSTANCE + "instance_id = ?"
BY_NUMBER = INSTANCE + "i.number = ?"
ADD_INSTANCE = """INSERT INTO sayiir_instances
    (number, instance_id, definition, status, input, created_at, updated_at, metadata, priority, trace)
    VALUES (?, ?, ?, 'in_progress', ?, ?, ?, ?, ?, ?) ON CONFLICT (instance_id) DO NOTHING"""
# The end of the main line in one statement: the fence is looked at, and that nothing is requested.
FINISH = """UPDATE sayiir_instances SET status = 'completed', updated_at = ?, output_ref = ?
    WHERE number = ? AND status = 'in_progress' AND request IS NULL AND EXISTS (SELECT 1 FROM sayiir_tokens
    WHERE instance = ? AND number = 0 AND epoch = ? AND owner IS NOT NULL)
    RETURNING instance_id, definition, created_at, CAST(metadata AS BLOB), priority"""
# Whatever its status cannot be read as; an end stays.
SPOIL = """UPDATE sayiir_instances SET status = 'failed', error = ?, updated_at = ?, request = NULL, halted = NULL
    WHERE number = ? AND status NOT IN ('completed', 'failed', 'cancelled')"""
DEFINITION = """SELECT number, routing, lanes, secrets, attempts FROM sayiir_definitions
    WHERE workflow_id = ? AND definition_hash = ?"""
NAME = "SELECT workflow_id, definition_hash FROM sayiir_definitions WHERE number = ?"
SAVE_INSTANCE = """UPDATE sayiir_instances SET status = ?, updated_at = ?, output_ref = ?, error = ?, reason = ?,
    actor = ?, request = ?, request_reason = ?, request_actor = ?, halted = ? WHERE number = ?"""
# A token with the newest line that moved it since its row was written.
TOKEN = """SELECT t.instance, t.number, t.state, t.node, t.ref, t.step, t.attempt, t.iteration, t.crashes, t.keys,
    t.parent, t.due_at, t.signal, t.owner, t.epoch, t.until, t.moved_at, t.definition, t.tags, t.priority, t.wake_at,
    t.avoid, n.ref, n.next, n.finished_at
    FROM sayiir_tokens t LEFT JOIN sayiir_results n ON n.instance = t.instance AND n.ref =
    (SELECT max(ref) FROM sayiir_results
     WHERE instance = t.instance AND ref > (t.number << 32 | t.step) AND ref < (t.number + 1) << 32)
    WHERE """
TOKENS = TOKEN + "t.instance = ? ORDER BY t.number"
ONE_TOKEN = TOKEN + "t.instance = ? AND t.number = ?"
OWNED = TOKEN + "t.owner = ? ORDER BY t.instance, t.number"
ADD_TOKEN = """INSERT INTO sayiir_tokens (state, node, ref, step, attempt, iteration, crashes, keys, parent, due_at,
    signal, owner, epoch, until, moved_at, definition, tags, priority, wake_at, avoid, instance,
    number)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
SAVE_TOKEN = """UPDATE sayiir_tokens SET state = ?, node = ?, ref = ?, step = ?, attempt = ?, iteration = ?,
    crashes = ?, keys = ?, parent = ?, due_at = ?, signal = ?, owner = ?, epoch = ?, until = ?, moved_at = ?,
    definition = ?, tags = ?, priority = ?, wake_at = ?, avoid = ?
    WHERE instance = ? AND number = ?"""
# The oldest of one lane and priority. No `next` can hide in their history: an unclaimed token's row is where it stands.
DUE = """SELECT instance, number, wake_at FROM sayiir_tokens
    WHERE definition = ? AND tags = ? AND priority = ? AND wake_at <= ? AND crashes <= ?
    AND (avoid IS NULL OR avoid <> ? OR wake_at <= ?) ORDER BY wake_at LIMIT ?"""
NEXT_WAKE = """SELECT wake_at, avoid FROM sayiir_tokens
    WHERE definition = ? AND tags = ? AND priority = ? AND wake_at IS NOT NULL ORDER BY wake_at LIMIT 1"""
# Before this moment, what is not left to others.
WAKE_BEFORE = """SELECT min(wake_at) FROM sayiir_tokens
    WHERE definition = ? AND tags = ? AND priority = ? AND wake_at < ? AND (avoid IS NULL OR avoid <> ?)"""
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


def steps(count: int) -> str:
    """Return the same for many lines in one statement, each with its own fence; CROSS JOIN keeps the lines outside."""
    line = f"({', '.join('?' * 20)})"
    return f"""WITH line AS (VALUES {", ".join([line] * count)})
        INSERT INTO sayiir_results SELECT {", ".join(f"column{place}" for place in range(1, 17))}
        FROM line CROSS JOIN sayiir_tokens ON instance = column17 AND number = column18 AND epoch = column19
        AND owner IS NOT NULL AND requested = 0 AND state = 'ready' AND due_at IS NULL AND signal IS NULL
        AND keys IS column20 RETURNING instance, ref"""  # noqa: S608 -- made of placeholders and column numbers


RECORDS = """SELECT ref, node, kind, iteration, attempt, status, CAST(output AS BLOB), CAST(parts AS BLOB), source,
    CAST(error AS BLOB), worker, started_at, finished_at, superseded FROM sayiir_results WHERE instance = ?
    ORDER BY started_at, ref"""
VALUE = "SELECT CAST(output AS BLOB), CAST(parts AS BLOB) FROM sayiir_results WHERE instance = ? AND ref = ?"
OLDEST_SIGNAL = """SELECT id, name, CAST(payload AS BLOB), sent_at FROM sayiir_signals
    WHERE instance_id = ? AND name = ? AND consumed_at IS NULL ORDER BY id LIMIT 1"""
FOUND = """SELECT i.number, instance_id, definition, workflow_id, definition_hash, status, X'', created_at, updated_at,
    output_ref, NULL, reason, actor, request, request_reason, request_actor, CAST(metadata AS BLOB), priority, NULL, trace
    FROM sayiir_instances i JOIN sayiir_definitions d ON d.number = definition WHERE """
ENDED = FOUND + """i.number > ? AND i.number < ? AND updated_at < ?
    AND status IN ('completed', 'failed', 'cancelled') ORDER BY i.number LIMIT ?"""
# What a value of metadata must be to equal a given one: SQL has one type for numbers and truth values.
METADATA = """EXISTS (SELECT 1 FROM json_each(i.metadata)
    WHERE key = ? AND type IN (SELECT value FROM json_each(?)) AND value IS ?)"""


def conditions(query: Query) -> tuple[str, list[Any]]:
    """Return the WHERE clause of a query with order and limit, and its parameters."""
    where, values = filters(query)
    return f"{where} ORDER BY i.number DESC LIMIT ?", [*values, query.limit]


def filters(query: Query) -> tuple[str, list[Any]]:
    """Return what a query asks of a row, put together from fixed pieces, and its parameters."""
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
    return where, [value for _, given in pieces for value in given]


def _json_types(value: object) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("true",) if value else ("false",)
    if value is None:
        return ("null",)
    return ("text",) if isinstance(value, str) else ("integer", "real")
