"""The SQL of this store. Parameters only; "@" before a table's name stands for the schema, which was checked.

Whoever writes locks in one order: an instance's row, then its tokens. The hot statements of `HOT_…` lock only tokens, or
both in that order. A token is read after it was locked, in another statement, since the lines of its history are seen
as they were when a statement began.

A hot statement of many tokens waits for none of their locks, unless it has their instances', or two could wait for
each other: what is locked is left to the general way, or asked for again alone. It writes what it has locked by key,
never by place: a row that was written between the statement's beginning and its lock has another place since.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sayiir.store.port import Query

_INSTANCE = """SELECT i.number, instance_id, definition, workflow_id, definition_hash, status, input, created_at,
    updated_at, output_ref, error, reason, actor, request, request_reason, request_actor, metadata, priority, halted
    FROM @instances i JOIN @definitions d ON d.number = definition WHERE """
NOW = "@clock_micros()"
BY_ID = _INSTANCE + "instance_id = %s"
BY_NUMBER = _INSTANCE + "i.number = %s"
LOCK = " FOR NO KEY UPDATE OF i"
FOUND = """SELECT i.number, instance_id, definition, workflow_id, definition_hash, status, '', created_at, updated_at,
    output_ref, NULL, reason, actor, request, request_reason, request_actor, metadata, priority, NULL
    FROM @instances i JOIN @definitions d ON d.number = definition WHERE """
ENDED = FOUND + """i.number > %s AND i.number < %s AND updated_at < %s
    AND status IN ('completed', 'failed', 'cancelled') ORDER BY i.number LIMIT %s FOR UPDATE OF i SKIP LOCKED"""
ADD_INSTANCE = """INSERT INTO @instances
    (number, instance_id, definition, status, input, created_at, updated_at, metadata, priority)
    VALUES (%s, %s, %s, 'in_progress', %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
SAVE_INSTANCE = """UPDATE @instances SET status = %s, updated_at = %s, output_ref = %s, error = %s, reason = %s,
    actor = %s, request = %s, request_reason = %s, request_actor = %s, halted = %s WHERE number = %s"""
# Whatever its status cannot be read as; an end stays.
SPOIL = """UPDATE @instances SET status = 'failed', error = %s, updated_at = %s, request = NULL, halted = NULL
    WHERE number = %s AND status NOT IN ('completed', 'failed', 'cancelled')"""
DROP_INSTANCE = (
    "DELETE FROM @tokens WHERE instance = %s",
    "DELETE FROM @results WHERE instance = %s",
    "DELETE FROM @instances WHERE number = %s",
)
DEFINITION = "SELECT number, routing, lanes FROM @definitions WHERE workflow_id = %s AND definition_hash = %s"
ADD_DEFINITION = """INSERT INTO @definitions (workflow_id, definition_hash, structure, routing, lanes)
    VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING number"""
SAVE_ROUTING = "UPDATE @definitions SET routing = %s, lanes = %s WHERE number = %s"
ROUTING = "SELECT routing FROM @definitions WHERE number = %s"
LANES = "SELECT definition_hash, lanes FROM @definitions WHERE number = %s"
NAME = "SELECT workflow_id, definition_hash FROM @definitions WHERE number = %s"
STRUCTURE = "SELECT structure FROM @definitions WHERE workflow_id = %s AND definition_hash = %s"

# A token with the newest line that moved it since its row was written.
_TOKEN = """SELECT t.instance, t.number, t.state, t.node, t.ref, t.step, t.attempt, t.iteration, t.crashes, t.keys,
    t.parent, t.due_at, t.signal, t.owner, t.epoch, t.until, t.moved_at, t.definition, t.tags, t.priority, t.wake_at,
    n.ref, n.next, n.finished_at FROM @tokens t LEFT JOIN LATERAL (SELECT ref, next, finished_at FROM @results
        WHERE instance = t.instance AND ref > (t.number::bigint << 32 | t.step) AND ref < (t.number::bigint + 1) << 32
        ORDER BY ref DESC LIMIT 1) n ON true WHERE """
LOCK_TOKENS = "SELECT 1 FROM @tokens WHERE instance = %s ORDER BY number FOR UPDATE"
TOKENS = _TOKEN + "t.instance = %s ORDER BY t.number"
LOCK_TOKEN = "SELECT 1 FROM @tokens WHERE instance = %s AND number = %s FOR UPDATE"
ONE_TOKEN = _TOKEN + "t.instance = %s AND t.number = %s"
OWNED = "SELECT instance, number FROM @tokens WHERE owner = %s ORDER BY instance, number"
ADD_TOKEN = """INSERT INTO @tokens (state, node, ref, step, attempt, iteration, crashes, keys, parent, due_at,
    signal, owner, epoch, until, moved_at, definition, tags, priority, wake_at, instance, number)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
SAVE_TOKEN = """UPDATE @tokens SET state = %s, node = %s, ref = %s, step = %s, attempt = %s, iteration = %s,
    crashes = %s, keys = %s, parent = %s, due_at = %s, signal = %s, owner = %s, epoch = %s, until = %s, moved_at = %s,
    definition = %s, tags = %s, priority = %s, wake_at = %s WHERE instance = %s AND number = %s"""
MARK_TOKENS = "UPDATE @tokens SET requested = %s, wake_at = NULL WHERE instance = %s"
DROP_TOKENS = "DELETE FROM @tokens WHERE instance = %s"
DROP_BRANCHES = "DELETE FROM @tokens WHERE instance = %s AND parent = %s"
CENSUS = """SELECT count(owner), count(*) FILTER (WHERE owner IS NULL AND state IN ('ready', 'standing', 'backoff')),
    count(*) FILTER (WHERE owner IS NULL AND state = 'awaiting'),
    count(*) FILTER (WHERE owner IS NULL AND state = 'waiting') FROM @tokens WHERE instance = %s"""
OPEN_BRANCHES = "SELECT count(*) FROM @tokens WHERE instance = %s AND parent = %s AND state <> 'done'"
WAKE_AWAITING = """UPDATE @tokens SET wake_at = %s WHERE instance = %s AND state = 'awaiting' AND signal = %s
    AND owner IS NULL"""

# The oldest of each lane and priority, then the most urgent of them all; every look uses the index from its start.
DUE = """SELECT d.instance, d.number FROM json_to_recordset(%(lanes)s) AS l (definition integer, tags text)
    CROSS JOIN generate_series(1, 5) AS p (priority) CROSS JOIN LATERAL (
        SELECT instance, number, wake_at FROM @tokens
        WHERE definition = l.definition AND tags = l.tags AND priority = p.priority AND wake_at <= %(now)s
        AND (crashes = 0 OR %(suspects)s) ORDER BY wake_at LIMIT %(limit)s) d
    ORDER BY d.wake_at + p.priority * %(aging)s, d.instance, d.number LIMIT %(limit)s"""
NEXT_WAKE = """SELECT min(w.wake_at) FROM json_to_recordset(%s) AS l (definition integer, tags text)
    CROSS JOIN generate_series(1, 5) AS p (priority) CROSS JOIN LATERAL (
        SELECT wake_at FROM @tokens WHERE definition = l.definition AND tags = l.tags AND priority = p.priority
        AND wake_at IS NOT NULL ORDER BY wake_at LIMIT 1) w"""

ADD_RECORD = "INSERT INTO @results VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
RECORDS = """SELECT ref, node, kind, iteration, attempt, status, output, parts, source, error, worker, started_at,
    finished_at, superseded FROM @results WHERE instance = %s ORDER BY started_at, ref"""
VALUES = "SELECT ref, output, parts FROM @results WHERE instance = %s AND ref = ANY(%s::bigint[])"
INPUT = "SELECT input FROM @instances WHERE number = %s"
SUPERSEDE = "UPDATE @results SET superseded = true WHERE instance = %s AND ref = ANY(%s)"

OLDEST_SIGNAL = """SELECT id, name, payload, sent_at FROM @signals
    WHERE instance_id = %s AND name = %s AND consumed_at IS NULL ORDER BY id LIMIT 1"""
ADD_SIGNAL = """INSERT INTO @signals (instance_id, name, payload, dedup_key, sent_at) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT DO NOTHING"""
# One with a dedup key stays, emptied, or a late duplicate would be a new signal.
EMPTY_SIGNAL = """UPDATE @signals SET consumed_at = %s, payload = 'null'
    WHERE id = %s AND instance_id = %s AND consumed_at IS NULL AND dedup_key IS NOT NULL"""
DROP_SIGNAL = "DELETE FROM @signals WHERE id = %s AND instance_id = %s AND consumed_at IS NULL"
DROP_SIGNALS = "DELETE FROM @signals WHERE instance_id = %s"

# Those who have not beaten for a moment; but after a restart of the server all are given that moment to come back.
OWNERS = """SELECT owner, name, beat_at FROM @owners WHERE beat_at < %s
    AND clock_timestamp() > pg_postmaster_start_time() + %s * interval '1 second'"""
OWNER_NAME = "SELECT name FROM @owners WHERE owner = %s"
ADD_OWNER = """INSERT INTO @owners (name, started_at, beat_at, locked)
    VALUES (%s, @clock_micros(), @clock_micros(), %s) RETURNING owner"""
ADD_OWNER_AGAIN = """INSERT INTO @owners (owner, name, started_at, beat_at, locked)
    VALUES (%s, %s, @clock_micros(), @clock_micros(), %s) ON CONFLICT DO NOTHING"""
KEEP_OWNER = "UPDATE @owners SET beat_at = @clock_micros() WHERE owner = %s"
BEAT = "UPDATE @owners SET beat_at = %s WHERE owner = %s"
DROP_OWNER = "DELETE FROM @owners WHERE owner = %s"
# Shared, so that two who ask at once do not take each other for the owner.
ALIVE = """SELECT locked, CASE WHEN locked THEN NOT pg_try_advisory_xact_lock_shared(%s, owner)
    ELSE beat_at > @clock_micros() - %s END FROM @owners WHERE owner = %s"""

# --- hot: one statement, one round trip, no transaction around it ---------------------------------------------------

_FREE_TO_STEP = """owner IS NOT NULL AND NOT requested AND state = 'ready' AND due_at IS NULL AND signal IS NULL"""
# The usual step: the fence and the request flag are looked at under the token's lock, the new line is the move.
HOT_STEP = (
    """INSERT INTO @results SELECT %s::bigint, %s::bigint, %s, %s, %s::integer, %s::integer, %s, %s::text, %s::text,
    %s::bigint, %s::text, %s::text, %s::bigint, %s::bigint, %s::boolean, %s FROM @tokens
    WHERE instance = %s::bigint AND number = %s::integer AND epoch = %s::bigint AND """
    + _FREE_TO_STEP
    + " AND keys IS NOT DISTINCT FROM %s::text FOR NO KEY UPDATE"
)
_LINE = """instance bigint, ref bigint, node text, kind text, iteration integer, attempt integer, status text,
    output text, parts text, source bigint, error text, worker text, started_at bigint, finished_at bigint, next text"""
_LINES = """g.instance, g.ref, g.node, g.kind, g.iteration, g.attempt, g.status, g.output, g.parts, g.source, g.error,
    g.worker, g.started_at, g.finished_at, false, g.next"""
# Of many: each token is looked up by its key, whatever the planner thinks of the table.
HOT_STEPS = (
    f"""INSERT INTO @results SELECT {_LINES} FROM (
        SELECT * FROM json_to_recordset(%s::json) AS g ({_LINE}, token integer, epoch bigint, keys text)
        ORDER BY instance, token) g
    CROSS JOIN LATERAL (SELECT 1 FROM @tokens t WHERE t.instance = g.instance AND t.number = g.token
        AND t.epoch = g.epoch AND t.keys IS NOT DISTINCT FROM g.keys AND """
    + _FREE_TO_STEP
    + """ FOR NO KEY UPDATE SKIP LOCKED) held RETURNING instance, ref"""
)
# The end of the main line: nobody has asked for anything, and the fence holds. The instance is locked before the token.
HOT_FINISH = f"""WITH locked AS MATERIALIZED (
        SELECT i.*, g.epoch, g.ref FROM (
            SELECT * FROM json_to_recordset(%s::json) AS g (instance bigint, epoch bigint, ref bigint)
            ORDER BY instance) g
        CROSS JOIN LATERAL (SELECT number, instance_id, definition, created_at, metadata, priority
            FROM @instances WHERE number = g.instance AND status = 'in_progress' AND request IS NULL
            FOR NO KEY UPDATE SKIP LOCKED) i),
    held AS MATERIALIZED (SELECT l.number, l.ref FROM locked l
        CROSS JOIN LATERAL (SELECT 1 FROM @tokens WHERE instance = l.number AND number = 0
            AND epoch = l.epoch AND owner IS NOT NULL FOR UPDATE SKIP LOCKED) t),
    gone AS (DELETE FROM @tokens t USING held h WHERE t.instance = h.number AND t.number = 0),
    ended AS (UPDATE @instances i SET status = 'completed', updated_at = @clock_micros(), output_ref = h.ref
        FROM held h WHERE i.number = h.number RETURNING i.number, i.updated_at),
    lines AS (INSERT INTO @results SELECT {_LINES} FROM json_to_recordset(%s::json) AS g ({_LINE})
        JOIN held ON held.number = g.instance)
    SELECT l.number, l.instance_id, l.definition, l.created_at, e.updated_at, l.ref, l.metadata, l.priority
    FROM ended e JOIN locked l ON l.number = e.number"""
# Branches at their joins, under the locks of their instances, so that who counts next sees all that arrived before.
HOT_ARRIVE = f"""WITH g AS MATERIALIZED (SELECT * FROM json_to_recordset(%s::json) AS g (instance bigint, token integer,
        epoch bigint, node text, ref bigint, step integer, keys text)),
    locked AS MATERIALIZED (SELECT i.number FROM (SELECT DISTINCT instance FROM g ORDER BY instance) d
        CROSS JOIN LATERAL (SELECT number FROM @instances WHERE number = d.instance AND status = 'in_progress'
            AND request IS NULL FOR NO KEY UPDATE) i),
    held AS MATERIALIZED (SELECT g.*, t.until AS claimed_until FROM (
            SELECT g.* FROM g JOIN locked l ON l.number = g.instance ORDER BY g.instance, g.token) g
        CROSS JOIN LATERAL (SELECT until FROM @tokens WHERE instance = g.instance AND number = g.token
            AND epoch = g.epoch AND owner IS NOT NULL FOR UPDATE) t),
    arrived AS (UPDATE @tokens t SET state = 'done', node = h.node, ref = h.ref, step = h.step, attempt = 1,
        iteration = 1, crashes = 0, keys = h.keys, due_at = NULL, signal = NULL, owner = NULL, until = NULL,
        wake_at = NULL, moved_at = @clock_micros()
        FROM held h WHERE t.instance = h.instance AND t.number = h.token),
    lines AS (INSERT INTO @results SELECT {_LINES} FROM json_to_recordset(%s::json) AS g ({_LINE}, token integer)
        JOIN held h ON h.instance = g.instance AND h.token = g.token)
    SELECT instance, token, claimed_until FROM held"""
# Of parents: whether all their branches have arrived; of their instances: whether nothing of them can move.
STANDINGS = """SELECT g.instance, g.parent,
        NOT EXISTS (SELECT 1 FROM @tokens WHERE instance = g.instance AND parent = g.parent AND state <> 'done'),
        NOT EXISTS (SELECT 1 FROM @tokens WHERE instance = g.instance
            AND (owner IS NOT NULL OR state IN ('ready', 'standing', 'backoff')))
    FROM json_to_recordset(%s::json) AS g (instance bigint, parent integer)"""
LEAVE_MARK = """INSERT INTO @commits VALUES ({place}, {count}, @clock_micros())
    ON CONFLICT (place) DO UPDATE SET count = excluded.count, written_at = excluded.written_at"""
FIND_MARK = "SELECT EXISTS (SELECT 1 FROM @commits WHERE place = %s AND count = %s)"
DROP_MARKS = "DELETE FROM @commits WHERE written_at < %s"
LANDED_LINE = "SELECT worker, started_at FROM @results WHERE instance = %s AND ref = %s"
LANDED_END = """SELECT number, instance_id, definition, created_at, updated_at, output_ref, metadata, priority
    FROM @instances WHERE number = %s AND status = 'completed' AND output_ref = %s"""
HOT_CREATE = """WITH made AS (INSERT INTO @instances
        (number, instance_id, definition, status, input, created_at, updated_at, metadata, priority)
        SELECT %(number)s::bigint, %(id)s, %(definition)s::integer, 'in_progress', %(input)s, now, now,
            %(metadata)s::text, %(given)s::smallint FROM @clock_micros() AS now
        ON CONFLICT DO NOTHING RETURNING number, definition, created_at)
    INSERT INTO @tokens (instance, number, state, node, ref, step, attempt, iteration, crashes, owner, epoch, until,
        moved_at, definition, tags, priority, wake_at)
    SELECT number, 0, %(state)s, %(node)s, 0, 0, 1, 1, 0, %(owner)s::integer, %(epoch)s::bigint,
        created_at + %(ttl)s::bigint, created_at, definition, %(tags)s, %(priority)s::smallint,
        CASE WHEN %(owner)s::integer IS NULL THEN created_at END FROM made RETURNING moved_at"""
HOT_CREATE_MANY = """WITH g AS (SELECT * FROM json_to_recordset(%s::json) AS g (number bigint, id text,
        definition integer, input text, metadata text, given smallint, state text, node text, tags text,
        priority smallint)),
    made AS (INSERT INTO @instances
        (number, instance_id, definition, status, input, created_at, updated_at, metadata, priority)
        SELECT number, id, definition, 'in_progress', input, now, now, metadata, given
        FROM g CROSS JOIN @clock_micros() AS now ORDER BY id ON CONFLICT DO NOTHING
        RETURNING number, created_at)
    INSERT INTO @tokens (instance, number, state, node, ref, step, attempt, iteration, crashes, epoch, moved_at,
        definition, tags, priority, wake_at)
    SELECT g.number, 0, g.state, g.node, 0, 0, 1, 1, 0, 0, made.created_at, g.definition, g.tags, g.priority,
        made.created_at FROM made JOIN g ON g.number = made.number RETURNING moved_at"""
LANDED_CREATE = "SELECT created_at FROM @instances WHERE number = %s"
# What may move now, and the claim of those that stand before a task; whatever else may move is taken one by one. Each of
# two workers that look at once gets tokens of its own. The length of a claim tells the claims of one statement apart.
HOT_CLAIM = """WITH c AS MATERIALIZED (SELECT @clock_micros() AS now),
    found AS MATERIALIZED (SELECT d.* FROM json_to_recordset(%(lanes)s::json) AS l (definition integer, tags text)
        CROSS JOIN generate_series(1, 5) AS p (priority) CROSS JOIN LATERAL (
            SELECT instance, number, moved_at, wake_at + p.priority * %(aging)s::bigint AS urgency,
                crashes = 0 AND state IN ('ready', 'standing') AS easy FROM @tokens
            WHERE definition = l.definition AND tags = l.tags AND priority = p.priority
            AND wake_at <= (SELECT now FROM c) AND (crashes = 0 OR %(suspects)s::boolean)
            ORDER BY wake_at LIMIT %(limit)s::bigint FOR UPDATE SKIP LOCKED) d
        ORDER BY d.urgency, d.instance, d.number LIMIT %(limit)s::bigint),
    taken AS (UPDATE @tokens t SET owner = %(owner)s::integer, until = c.now + %(length)s::bigint, epoch = t.epoch + 1,
        moved_at = c.now, wake_at = NULL FROM found f CROSS JOIN c
        WHERE f.easy AND t.instance = f.instance AND t.number = f.number
        RETURNING t.instance, t.number, t.epoch, t.state, t.node, t.ref, t.step, t.attempt, t.iteration, t.keys)
    SELECT f.instance, f.number, f.easy, f.moved_at, t.epoch, t.state, t.node, t.ref, t.step, t.attempt, t.iteration,
        t.keys, i.instance_id, i.definition, i.created_at, i.updated_at, i.metadata, i.priority,
        CASE WHEN t.ref = 0 THEN i.input ELSE r.output END, r.parts
    FROM found f LEFT JOIN taken t ON t.instance = f.instance AND t.number = f.number
    LEFT JOIN @instances i ON i.number = t.instance
    LEFT JOIN @results r ON r.instance = t.instance AND r.ref = t.ref AND t.ref <> 0
    ORDER BY f.urgency, f.instance, f.number"""
# Claims whose answer was lost: given out, and nobody knows of them.
FORGOTTEN = "SELECT instance, number, epoch FROM @tokens WHERE owner = %s AND until - moved_at = ANY(%s)"
_BEAT = """WITH held AS MATERIALIZED (SELECT t.* FROM (
            SELECT * FROM json_to_recordset(%s::json) AS g (instance bigint, token integer, epoch bigint)
            ORDER BY instance, token) g
        CROSS JOIN LATERAL (SELECT instance, number FROM @tokens WHERE instance = g.instance
            AND number = g.token AND epoch = g.epoch AND owner IS NOT NULL FOR NO KEY UPDATE{}) t),
    kept AS (UPDATE @tokens t SET until = @clock_micros() + %s::bigint FROM held h
        WHERE t.instance = h.instance AND t.number = h.number RETURNING t.instance, t.number)
    SELECT k.instance, k.number, i.request FROM kept k JOIN @instances i ON i.number = k.instance"""
HOT_BEAT = _BEAT.format(" SKIP LOCKED")
HOT_BEAT_ONE = _BEAT.format("")


def conditions(query: Query) -> tuple[str, list[Any]]:
    """Return the WHERE clause of a query, put together from fixed pieces, and its parameters."""
    pieces: list[tuple[str, Any]] = []
    if query.statuses is not None:
        pieces.append(("status = ANY(%s)", [str(status) for status in query.statuses]))
    if query.workflow_id is not None:
        pieces.append(("workflow_id = %s", query.workflow_id))
    if query.id_prefix:
        pieces.append(("starts_with(instance_id, %s)", query.id_prefix))
    if query.created_after is not None:
        pieces.append(("created_at >= %s", query.created_after))
    if query.created_before is not None:
        pieces.append(("created_at < %s", query.created_before))
    if query.below is not None:
        pieces.append(("i.number < %s", query.below))
    if query.metadata:
        pieces.append(("metadata::jsonb @> %s::jsonb", msgspec.json.encode(query.metadata).decode()))
    where = " AND ".join(piece for piece, _ in pieces) or "true"
    return f"{where} ORDER BY i.number DESC LIMIT %s", [*(value for _, value in pieces), query.limit]
