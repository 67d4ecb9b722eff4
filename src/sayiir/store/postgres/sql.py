"""The SQL of this store. Parameters only; "@" before a table's name stands for the schema, which was checked.

Whoever writes locks in one order: an instance's row, then its tokens. The hot statements of `HOT_…` lock only tokens, or
both in that order. A token is read after it was locked, in another statement, since the lines of its history are seen
as they were when a statement began.

A hot statement of many tokens waits for none of their locks, unless it has their instances', or two could wait for
each other: what is locked is left to the general way, or asked for again alone. It writes what it has locked by key,
never by place: a row that was written between the statement's beginning and its lock has another place since.
"""

from __future__ import annotations

_INSTANCE = """SELECT i.number, instance_id, definition, workflow_id, definition_hash, status, input, created_at,
    updated_at, output_ref, error, reason, actor, request, request_reason, request_actor, metadata, priority, halted,
    trace
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
    (number, instance_id, definition, status, input, created_at, updated_at, metadata, priority, trace)
    VALUES (%s, %s, %s, 'in_progress', %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
SAVE_INSTANCE = """UPDATE @instances SET status = %s, updated_at = %s, output_ref = %s, error = %s, reason = %s,
    actor = %s, request = %s, request_reason = %s, request_actor = %s, halted = %s WHERE number = %s"""
# Whatever its status cannot be read as; an end stays.
SPOIL = """UPDATE @instances SET status = 'failed', error = %s, updated_at = %s, request = NULL, halted = NULL
    WHERE number = %s AND status NOT IN ('completed', 'failed', 'cancelled')"""
DROP_INSTANCE = (
    "DELETE FROM @tokens WHERE instance = %s",
    "DELETE FROM @results WHERE instance = %s",
    "DELETE FROM @logs WHERE instance = %s",
    "DELETE FROM @instances WHERE number = %s",
)
# One for each table, not for each instance: retention must keep pace with many workers.
DROP_INSTANCES = tuple(statement.replace("= %s", "= ANY(%s::bigint[])") for statement in DROP_INSTANCE)
DEFINITION = """SELECT number, routing, lanes, secrets, attempts FROM @definitions
    WHERE workflow_id = %s AND definition_hash = %s"""
ADD_DEFINITION = """INSERT INTO @definitions (workflow_id, definition_hash, structure, routing, lanes, secrets, attempts)
    VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING number"""
SAVE_ROUTING = "UPDATE @definitions SET routing = %s, lanes = %s, secrets = %s, attempts = %s WHERE number = %s"
ROUTING = "SELECT routing FROM @definitions WHERE number = %s"
LANES = "SELECT definition_hash, lanes FROM @definitions WHERE number = %s"
NAME = "SELECT workflow_id, definition_hash FROM @definitions WHERE number = %s"
STRUCTURE = "SELECT structure FROM @definitions WHERE workflow_id = %s AND definition_hash = %s"

# A token with the newest line that moved it since its row was written.
_TOKEN = """SELECT t.instance, t.number, t.state, t.node, t.ref, t.step, t.attempt, t.iteration, t.crashes, t.keys,
    t.parent, t.due_at, t.signal, t.owner, t.epoch, t.until, t.moved_at, t.definition, t.tags, t.priority, t.wake_at,
    t.avoid, n.ref, n.next, n.finished_at FROM @tokens t LEFT JOIN LATERAL (SELECT ref, next, finished_at FROM @results
        WHERE instance = t.instance AND ref > (t.number::bigint << 32 | t.step) AND ref < (t.number::bigint + 1) << 32
        ORDER BY ref DESC LIMIT 1) n ON true WHERE """
LOCK_TOKENS = "SELECT 1 FROM @tokens WHERE instance = %s ORDER BY number FOR UPDATE"
TOKENS = _TOKEN + "t.instance = %s ORDER BY t.number"
LOCK_TOKEN = "SELECT 1 FROM @tokens WHERE instance = %s AND number = %s FOR UPDATE"
ONE_TOKEN = _TOKEN + "t.instance = %s AND t.number = %s"
OWNED = "SELECT instance, number FROM @tokens WHERE owner = %s ORDER BY instance, number"
# One statement for all, and not the driver's for many: that is a pipeline (see `quick`).
TOKEN_COLUMNS = (
    "state", "node", "ref", "step", "attempt", "iteration", "crashes", "keys", "parent", "due_at", "signal", "owner",
    "epoch", "until", "moved_at", "definition", "tags", "priority", "wake_at", "avoid", "instance", "number",
)  # fmt: skip
ADD_TOKENS = f"""INSERT INTO @tokens ({", ".join(TOKEN_COLUMNS)}) SELECT * FROM json_to_recordset(%s::json) AS t (
    state text, node text, ref bigint, step integer, attempt integer, iteration integer, crashes integer, keys text,
    parent integer, due_at bigint, signal text, owner integer, epoch bigint, until bigint, moved_at bigint,
    definition integer, tags text, priority smallint, wake_at bigint, avoid integer, instance bigint, number integer)"""
SAVE_TOKEN = """UPDATE @tokens SET state = %s, node = %s, ref = %s, step = %s, attempt = %s, iteration = %s,
    crashes = %s, keys = %s, parent = %s, due_at = %s, signal = %s, owner = %s, epoch = %s, until = %s, moved_at = %s,
    definition = %s, tags = %s, priority = %s, wake_at = %s, avoid = %s
    WHERE instance = %s AND number = %s"""
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
        AND wake_at < %(before)s::bigint - p.priority * %(aging)s AND crashes <= %(most)s
        AND (avoid IS NULL OR avoid <> %(owner)s OR wake_at <= %(now)s - %(grace)s)
        ORDER BY wake_at LIMIT %(limit)s) d
    ORDER BY d.wake_at + p.priority * %(aging)s, d.instance, d.number LIMIT %(limit)s"""
# The first of each; and if that is left to others for a moment, whatever comes before this moment is over.
NEXT_WAKE = """SELECT min(least(w.wake_at + %(grace)s, n.wake_at)), @clock_micros()
    FROM json_to_recordset(%(lanes)s) AS l (definition integer, tags text)
    CROSS JOIN generate_series(1, 5) AS p (priority) CROSS JOIN LATERAL (
        SELECT wake_at FROM @tokens WHERE definition = l.definition AND tags = l.tags AND priority = p.priority
        AND wake_at IS NOT NULL ORDER BY wake_at LIMIT 1) w
    LEFT JOIN LATERAL (
        SELECT wake_at FROM @tokens WHERE definition = l.definition AND tags = l.tags AND priority = p.priority
        AND wake_at >= w.wake_at AND wake_at < w.wake_at + %(grace)s AND (avoid IS NULL OR avoid <> %(owner)s)
        ORDER BY wake_at LIMIT 1) n ON true"""

ADD_RECORD = "INSERT INTO @results VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
RECORDS = """SELECT ref, node, kind, iteration, attempt, status, output, parts, source, error, worker, started_at,
    finished_at, superseded FROM @results WHERE instance = %s ORDER BY started_at, ref"""
VALUES = "SELECT ref, output, parts FROM @results WHERE instance = %s AND ref = ANY(%s::bigint[])"
INPUT = "SELECT input FROM @instances WHERE number = %s"
SUPERSEDE = "UPDATE @results SET superseded = true WHERE instance = %s AND ref = ANY(%s)"

OLDEST_SIGNAL = """SELECT id, name, payload, sent_at FROM @signals
    WHERE instance_id = %s AND name = %s AND consumed_at IS NULL ORDER BY id LIMIT 1"""
ADD_SIGNAL = """INSERT INTO @signals (instance_id, name, payload, dedup_key, sent_at, early)
    VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
# Instances that are not here yet will see the signal, which is: only those that are may sleep over it.
EARLY = """SELECT s.id, s.instance_id, s.name, i.number IS NOT NULL FROM (
        SELECT id, instance_id, name FROM @signals WHERE early ORDER BY id LIMIT 1000) s
    LEFT JOIN @instances i ON i.instance_id = s.instance_id ORDER BY i.number"""
NOT_EARLY = """UPDATE @signals SET early = false WHERE id IN (
        SELECT id FROM @signals WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)"""
# One with a dedup key stays, emptied, or a late duplicate would be a new signal.
EMPTY_SIGNAL = """UPDATE @signals SET consumed_at = %s, payload = 'null'
    WHERE id = %s AND instance_id = %s AND consumed_at IS NULL AND dedup_key IS NOT NULL"""
DROP_SIGNAL = "DELETE FROM @signals WHERE id = %s AND instance_id = %s AND consumed_at IS NULL"
# Together they are all: what is consumed stays only for its dedup key. Each half has an index of its own.
DROP_SIGNALS = """DELETE FROM @signals WHERE instance_id = ANY(%s::text[]) AND consumed_at IS NULL
    OR instance_id = ANY(%s::text[]) AND dedup_key IS NOT NULL"""

# Those who have not beaten for a moment; but after a restart of the server all are given that moment to come back. A server
# that had much to recover started long before it answered: so who asks must hold its own lock, which tells that its session
# is back, or never was away.
OWNERS = """SELECT owner, name, beat_at FROM @owners WHERE beat_at < %s
    AND clock_timestamp() > pg_postmaster_start_time() + %s * interval '1 second'
    AND (NOT %s OR (SELECT NOT pg_try_advisory_xact_lock_shared(%s, %s))) ORDER BY owner"""
# Whether there is anything to sweep up: most often not.
LEFT_BEHIND = """SELECT EXISTS (SELECT 1 FROM @owners WHERE beat_at < @clock_micros() - %s
        AND clock_timestamp() > pg_postmaster_start_time() + %s * interval '1 second'),
    EXISTS (SELECT 1 FROM @signals WHERE early)"""
OWNER_NAME = "SELECT name FROM @owners WHERE owner = %s"
ADD_OWNER = """INSERT INTO @owners (name, started_at, beat_at, locked)
    VALUES (%s, @clock_micros(), @clock_micros(), %s) RETURNING owner"""
ADD_OWNER_AGAIN = """INSERT INTO @owners (owner, name, started_at, beat_at, locked)
    VALUES (%s, %s, @clock_micros(), @clock_micros(), %s) ON CONFLICT DO NOTHING"""
COMPANY = "SELECT EXISTS (SELECT 1 FROM @owners WHERE owner <> %s AND beat_at > %s)"
# A beat, and whether there is something to sweep up: an owner that is silent and holds no lock, or one whose claims have all
# run out. The lock is tried last, for few. Not one's own: whoever holds a lock gets it again.
KEEP_OWNER = """UPDATE @owners SET beat_at = @clock_micros() WHERE owner = %(owner)s RETURNING EXISTS (
        SELECT 1 FROM @owners o WHERE o.owner <> %(owner)s AND CASE
            WHEN o.beat_at >= @clock_micros() - %(moment)s::bigint THEN false
            WHEN o.beat_at < @clock_micros() - %(length)s::bigint THEN true
            WHEN o.locked THEN pg_try_advisory_xact_lock_shared(%(lock_class)s::integer, o.owner)
            ELSE o.beat_at < @clock_micros() - %(silence)s::bigint END)
    OR EXISTS (SELECT 1 FROM @signals WHERE early)"""
BEAT = "UPDATE @owners SET beat_at = %s WHERE owner = %s"
# Who claims has its owner's row for so long, and who sweeps has it first: so nothing is claimed for an owner that has been
# swept up after, and whom nobody will sweep up after again.
BE_THERE = "SELECT 1 FROM @owners WHERE owner = %s FOR KEY SHARE"
HOLD_OWNER = "SELECT 1 FROM @owners WHERE owner = %s FOR UPDATE"
DROP_OWNER = "DELETE FROM @owners WHERE owner = %s"
# Shared, so that two who ask at once do not take each other for the owner.
ALIVE = """SELECT locked, CASE WHEN locked THEN NOT pg_try_advisory_xact_lock_shared(%s, owner)
    ELSE beat_at > @clock_micros() - %s END FROM @owners WHERE owner = %s"""

# --- hot: one statement, one round trip, no transaction around it ---------------------------------------------------
# Those with $1, $2, … are for `quick.ask`, or in pipelines for `RawCursor`, which passes them on as they are.

# Once for all rows, and in a list of columns, where the planner puts the function's text in its place.
_ONCE = "(SELECT @clock_micros() AS now OFFSET 0) c"
_FREE_TO_STEP = """owner IS NOT NULL AND NOT requested AND state = 'ready' AND due_at IS NULL AND signal IS NULL"""
# The usual step: the fence and the request flag are looked at under the token's lock, the new line is the move.
HOT_STEP = (
    """INSERT INTO @results SELECT $1::bigint, $2::bigint, $3::text, $4::text, $5::integer, $6::integer, $7::text, $8::text,
    $9::text, $10::bigint, $11::text, $12::text, $13::bigint, $14::bigint, $15::boolean, $16::text FROM @tokens
    WHERE instance = $17::bigint AND number = $18::integer AND epoch = $19::bigint AND """
    + _FREE_TO_STEP
    + " AND keys IS NOT DISTINCT FROM $20::text FOR NO KEY UPDATE RETURNING ref"
)
_LINE = """instance bigint, ref bigint, node text, kind text, iteration integer, attempt integer, status text,
    output text, parts text, source bigint, error text, worker text, started_at bigint, finished_at bigint, next text"""
_LINES = """g.instance, g.ref, g.node, g.kind, g.iteration, g.attempt, g.status, g.output, g.parts, g.source, g.error,
    g.worker, g.started_at, g.finished_at, false, g.next"""
# Of many: each token is looked up by its key, whatever the planner thinks of the table.
HOT_STEPS = (
    f"""INSERT INTO @results SELECT {_LINES} FROM (
        SELECT * FROM json_to_recordset($1::json) AS g ({_LINE}, token integer, epoch bigint, keys text)
        ORDER BY instance, token) g
    CROSS JOIN LATERAL (SELECT 1 FROM @tokens t WHERE t.instance = g.instance AND t.number = g.token
        AND t.epoch = g.epoch AND t.keys IS NOT DISTINCT FROM g.keys AND """
    + _FREE_TO_STEP
    + """ FOR NO KEY UPDATE SKIP LOCKED) held RETURNING instance, ref"""
)
# The end of the main line: nobody has asked for anything, and the fence holds. The instance is locked before the token.
HOT_FINISH = f"""WITH locked AS MATERIALIZED (SELECT g.* FROM (
            SELECT * FROM json_to_recordset($1::json) AS g (instance bigint, epoch bigint, ref bigint, lines json)
            ORDER BY instance) g
        CROSS JOIN LATERAL (SELECT 1 FROM @instances WHERE number = g.instance AND status = 'in_progress'
            AND request IS NULL FOR NO KEY UPDATE SKIP LOCKED) i),
    held AS MATERIALIZED (SELECT l.* FROM locked l
        CROSS JOIN LATERAL (SELECT 1 FROM @tokens WHERE instance = l.instance AND number = 0
            AND epoch = l.epoch AND owner IS NOT NULL FOR UPDATE SKIP LOCKED) t),
    gone AS (DELETE FROM @tokens t USING held h WHERE t.instance = h.instance AND t.number = 0),
    lines AS (INSERT INTO @results
        SELECT {_LINES} FROM held CROSS JOIN LATERAL json_to_recordset(held.lines) AS g ({_LINE}))
    UPDATE @instances i SET status = 'completed', updated_at = @clock_micros(), output_ref = h.ref
        FROM held h WHERE i.number = h.instance
    RETURNING i.number, i.instance_id, i.definition, i.created_at, i.updated_at, i.output_ref, i.metadata, i.priority"""
# The same of one, whose only line comes as parameters: it may wait for the token, since whoever has that locked without
# the instance waits for nobody.
HOT_FINISH_ONE = """WITH locked AS MATERIALIZED (SELECT number FROM @instances WHERE number = $1::bigint
        AND status = 'in_progress' AND request IS NULL FOR NO KEY UPDATE),
    gone AS (DELETE FROM @tokens WHERE instance = (SELECT number FROM locked) AND number = 0 AND epoch = $17::bigint
        AND owner IS NOT NULL RETURNING instance),
    lines AS (INSERT INTO @results SELECT instance, $2::bigint, $3::text, $4::text, $5::integer, $6::integer, $7::text,
        $8::text, $9::text, $10::bigint, $11::text, $12::text, $13::bigint, $14::bigint, $15::boolean, $16::text FROM gone)
    UPDATE @instances SET status = 'completed', updated_at = @clock_micros(), output_ref = $18::bigint
    WHERE number = (SELECT instance FROM gone)
    RETURNING number, instance_id, definition, created_at, updated_at, output_ref, metadata, priority"""
# Tokens that go on to a task otherwise than by one line: after a wait, with a signal that is used up, to another attempt
# or iteration. Signals are taken under the token's lock, without waiting: who has one locked may wait for that token.
HOT_TURNS = f"""WITH held AS MATERIALIZED (SELECT g.* FROM (
            SELECT * FROM json_to_recordset($1::json) AS g (instance bigint, token integer, epoch bigint, node text,
                ref bigint, step integer, attempt integer, iteration integer, crashes integer, keys text, used bigint,
                lines json) ORDER BY instance, token) g
        CROSS JOIN LATERAL (SELECT 1 FROM @tokens WHERE instance = g.instance AND number = g.token AND epoch = g.epoch
            AND owner IS NOT NULL AND NOT requested FOR NO KEY UPDATE SKIP LOCKED) t),
    going AS MATERIALIZED (SELECT h.*, s.dedup_key FROM held h LEFT JOIN LATERAL (
            SELECT id, dedup_key FROM @signals WHERE id = h.used AND consumed_at IS NULL
            AND instance_id = (SELECT instance_id FROM @instances WHERE number = h.instance)
            FOR UPDATE SKIP LOCKED) s ON true WHERE h.used IS NULL OR s.id IS NOT NULL),
    dropped AS (DELETE FROM @signals s USING going g WHERE s.id = g.used AND g.dedup_key IS NULL),
    emptied AS (UPDATE @signals s SET consumed_at = @clock_micros(), payload = 'null'
        FROM going g WHERE s.id = g.used AND g.dedup_key IS NOT NULL),
    lines AS (INSERT INTO @results
        SELECT {_LINES} FROM going CROSS JOIN LATERAL json_to_recordset(going.lines) AS g ({_LINE}))
    UPDATE @tokens t SET state = 'ready', node = g.node, ref = g.ref, step = g.step, attempt = g.attempt,
        iteration = g.iteration, crashes = g.crashes, keys = g.keys, due_at = NULL, signal = NULL, moved_at = @clock_micros()
    FROM going g WHERE t.instance = g.instance AND t.number = g.token RETURNING t.instance, t.number"""
# Branches at their joins, under the locks of their instances, so that who counts next sees all that arrived before.
HOT_ARRIVE = f"""WITH g AS MATERIALIZED (SELECT * FROM json_to_recordset($1::json) AS g (instance bigint, token integer,
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
    lines AS (INSERT INTO @results SELECT {_LINES} FROM json_to_recordset($2::json) AS g ({_LINE}, token integer)
        JOIN held h ON h.instance = g.instance AND h.token = g.token)
    SELECT instance, token, claimed_until FROM held"""
# Of parents: whether all their branches have arrived; of their instances: whether nothing of them can move.
STANDINGS = """SELECT g.instance, g.parent,
        NOT EXISTS (SELECT 1 FROM @tokens WHERE instance = g.instance AND parent = g.parent AND state <> 'done'),
        NOT EXISTS (SELECT 1 FROM @tokens WHERE instance = g.instance
            AND (owner IS NOT NULL OR state IN ('ready', 'standing', 'backoff')))
    FROM json_to_recordset($1::json) AS g (instance bigint, parent integer)"""
# A signal is sent under its instance's lock; the token that awaits it is looked for in another statement, which sees it if
# it was parked while the first one waited for that lock.
HOT_SEND = """WITH there AS MATERIALIZED (
        SELECT status FROM @instances WHERE instance_id = $1::text FOR NO KEY UPDATE),
    sent AS (INSERT INTO @signals (instance_id, name, payload, dedup_key, sent_at, early)
        SELECT $1::text, $2::text, $3::text, $4::text, @clock_micros(), NOT EXISTS (SELECT 1 FROM there)
        WHERE NOT EXISTS (SELECT 1 FROM there WHERE status IN ('completed', 'failed', 'cancelled'))
        ON CONFLICT DO NOTHING RETURNING id)
    SELECT (SELECT status FROM there), EXISTS (SELECT 1 FROM sent)"""
HOT_WAKE = """UPDATE @tokens SET wake_at = @clock_micros() WHERE state = 'awaiting' AND signal = $2::text AND owner IS NULL
    AND instance = (SELECT number FROM @instances WHERE instance_id = $1::text AND request IS NULL AND status <> 'paused')"""
LEAVE_MARK = """INSERT INTO @commits VALUES ({place}, {count}, @clock_micros())
    ON CONFLICT (place) DO UPDATE SET count = excluded.count, written_at = excluded.written_at"""
FIND_MARK = "SELECT EXISTS (SELECT 1 FROM @commits WHERE place = %s AND count = %s)"
DROP_MARKS = "DELETE FROM @commits WHERE written_at < %s"
LANDED_LINE = "SELECT worker, started_at FROM @results WHERE instance = %s AND ref = %s"
LANDED_END = """SELECT number, instance_id, definition, created_at, updated_at, output_ref, metadata, priority
    FROM @instances WHERE number = %s AND status = 'completed' AND output_ref = %s"""
HOT_CREATE = f"""WITH made AS (INSERT INTO @instances
        (number, instance_id, definition, status, input, created_at, updated_at, metadata, priority, trace)
        SELECT $1::bigint, $2::text, $3::integer, 'in_progress', $4::text, now, now, $5::text, $6::smallint, $14::text
        FROM {_ONCE} WHERE $9::integer IS NULL OR EXISTS (SELECT 1 FROM @owners WHERE owner = $9::integer FOR KEY SHARE)
        ON CONFLICT DO NOTHING RETURNING number, definition, created_at)
    INSERT INTO @tokens (instance, number, state, node, ref, step, attempt, iteration, crashes, owner, epoch, until,
        moved_at, definition, tags, priority, wake_at)
    SELECT number, 0, $7::text, $8::text, 0, 0, 1, 1, 0, $9::integer, $10::bigint, created_at + $11::bigint, created_at,
        definition, $12::text, $13::smallint, CASE WHEN $9::integer IS NULL THEN created_at END
    FROM made RETURNING moved_at"""
# Of many instances only what differs travels for each, and is read by the server for each.
HOT_CREATE_MANY = f"""WITH s AS MATERIALIZED (SELECT * FROM json_to_record(%s::json) AS s (definition integer, metadata text,
        given smallint, state text, node text, tags text, priority smallint, trace text)),
    made AS (INSERT INTO @instances
        (number, instance_id, definition, status, input, created_at, updated_at, metadata, priority, trace)
        SELECT g.number, g.id, s.definition, 'in_progress', g.input, now, now, s.metadata, s.given, s.trace
        FROM json_to_recordset(%s::json) AS g (number bigint, id text, input text) CROSS JOIN s CROSS JOIN {_ONCE}
        ORDER BY g.id ON CONFLICT DO NOTHING RETURNING number, created_at),
    placed AS (INSERT INTO @tokens (instance, number, state, node, ref, step, attempt, iteration, crashes, epoch, moved_at,
        definition, tags, priority, wake_at)
        SELECT made.number, 0, s.state, s.node, 0, 0, 1, 1, 0, 0, made.created_at, s.definition, s.tags, s.priority,
            made.created_at FROM made CROSS JOIN s RETURNING moved_at)
    SELECT count(*), min(moved_at) FROM placed"""
LANDED_CREATE = "SELECT created_at FROM @instances WHERE number = %s"
# What may move now and its claim; and if that is all, when the next one may, which for a retry that is left to others is a
# little later. One that one more crash may end, or whose instance is locked, or of which it cannot be told why it may move,
# is taken on its own: instances are locked after tokens here, and so without waiting. Each of two workers that look at once
# gets tokens of its own. The length of a claim tells the claims of one statement apart. It waits for the disk: one that
# a crash of the server swallowed would be made again, and an attempt would run twice under one number.
HOT_CLAIM = """WITH c AS MATERIALIZED (SELECT @clock_micros() AS now),
    lanes AS MATERIALIZED (SELECT l.definition, l.tags, p.priority
        FROM json_to_recordset($1::json) AS l (definition integer, tags text)
        CROSS JOIN generate_series(1, 5) AS p (priority)),
    found AS MATERIALIZED (SELECT d.* FROM lanes l CROSS JOIN LATERAL (
            SELECT instance, number, moved_at, state, due_at, signal, crashes,
                wake_at + l.priority * $3::bigint AS urgency FROM @tokens
            WHERE definition = l.definition AND tags = l.tags AND priority = l.priority
            AND wake_at <= (SELECT now FROM c) AND wake_at < $9::bigint - l.priority * $3::bigint
            AND crashes <= $4::bigint
            AND (avoid IS NULL OR avoid <> $6::integer OR wake_at <= (SELECT now FROM c) - $8::bigint)
            ORDER BY wake_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED) d
        ORDER BY d.urgency, d.instance, d.number LIMIT $2::bigint),
    present AS MATERIALIZED (SELECT 1 FROM @owners WHERE owner = $6::integer AND EXISTS (SELECT 1 FROM found)
        FOR KEY SHARE SKIP LOCKED),
    able AS MATERIALIZED (SELECT f.*, s.id, s.payload, s.sent_at, CASE
            WHEN f.crashes >= $5::bigint THEN NULL WHEN f.state IN ('ready', 'standing') THEN f.state
            WHEN i.instance_id IS NULL THEN NULL
            WHEN f.state = 'waiting' THEN 'timer' WHEN f.state = 'backoff' THEN 'backoff'
            WHEN s.id IS NOT NULL AND (f.due_at IS NULL OR s.sent_at < f.due_at) THEN 'signal'
            WHEN f.due_at <= (SELECT now FROM c) THEN 'expired' END AS wake
        FROM present CROSS JOIN found f LEFT JOIN LATERAL (SELECT instance_id FROM @instances
            WHERE f.crashes < $5::bigint AND f.state NOT IN ('ready', 'standing') AND number = f.instance
            AND request IS NULL AND status IN ('in_progress', 'waiting', 'awaiting_signal')
            FOR NO KEY UPDATE SKIP LOCKED) i ON true
        LEFT JOIN LATERAL (SELECT id, payload, sent_at FROM @signals WHERE f.state = 'awaiting'
            AND instance_id = i.instance_id AND name = f.signal AND consumed_at IS NULL ORDER BY id LIMIT 1) s ON true),
    roused AS (UPDATE @instances SET status = 'in_progress', updated_at = (SELECT now FROM c) WHERE status <> 'in_progress'
        AND number IN (SELECT instance FROM able WHERE wake IN ('timer', 'backoff', 'signal', 'expired'))),
    taken AS (UPDATE @tokens t SET owner = $6::integer, until = c.now + $7::bigint,
        epoch = t.epoch + 1, moved_at = c.now, wake_at = NULL, avoid = NULL FROM able a CROSS JOIN c
        WHERE a.wake IS NOT NULL AND t.instance = a.instance AND t.number = a.number
        RETURNING t.instance, t.number, a.urgency, a.moved_at, t.epoch, a.wake, t.node, t.ref, t.step, t.attempt,
            t.iteration, t.crashes, t.keys, t.due_at, a.id, a.signal, a.payload, a.sent_at),
    works AS (SELECT t.*, i.instance_id, i.definition, i.created_at, CASE
                WHEN i.status = 'in_progress' OR t.wake IN ('ready', 'standing') THEN i.updated_at
                ELSE (SELECT now FROM c) END AS updated_at, i.metadata, i.priority, i.trace,
            CASE WHEN t.ref = 0 THEN i.input ELSE r.output END AS value, r.parts
        FROM taken t JOIN @instances i ON i.number = t.instance
        LEFT JOIN @results r ON r.instance = t.instance AND r.ref = t.ref AND t.ref <> 0)
    SELECT n.next_at, (SELECT now FROM c), w.instance, w.number, w.wake, w.moved_at, w.epoch, w.node, w.ref, w.step,
        w.attempt, w.iteration, w.crashes, w.keys, w.due_at, w.id, w.signal, w.payload, w.sent_at, w.instance_id,
        w.definition, w.created_at, w.updated_at, w.metadata, w.priority, w.trace, w.value, w.parts
    FROM (SELECT min(least(d.wake_at, o.wake_at + $8::bigint)) AS next_at FROM lanes l LEFT JOIN LATERAL (
            SELECT wake_at FROM @tokens WHERE definition = l.definition AND tags = l.tags AND priority = l.priority
            AND wake_at > (SELECT now FROM c) AND (avoid IS NULL OR avoid <> $6::integer)
            ORDER BY wake_at LIMIT 1) d ON true
        LEFT JOIN LATERAL (
            SELECT wake_at FROM @tokens WHERE definition = l.definition AND tags = l.tags AND priority = l.priority
            AND wake_at > (SELECT now FROM c) - $8::bigint AND wake_at < coalesce(d.wake_at, 9223372036854775807)
            AND avoid = $6::integer ORDER BY wake_at LIMIT 1) o ON true
        WHERE (SELECT count(*) FROM found) < $2::bigint) n
    LEFT JOIN (SELECT * FROM works UNION ALL
        SELECT instance, number, urgency, moved_at, NULL, NULL, NULL, NULL, NULL, NULL, NULL, crashes, NULL, NULL, NULL,
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM able WHERE wake IS NULL) w ON true
    ORDER BY w.urgency, w.instance, w.number"""
# Claims whose answer was lost, and tokens of transactions in doubt: nobody knows of them.
FORGOTTEN = """SELECT instance, number, epoch FROM @tokens
    WHERE owner = %s AND (until - moved_at = ANY(%s::bigint[]) OR moved_at = ANY(%s::bigint[]))"""
RUN_OUT = """SELECT instance, number, epoch, until, owner FROM @tokens WHERE owner IS NOT NULL AND until < @clock_micros()
    ORDER BY instance, number LIMIT 1000"""
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
