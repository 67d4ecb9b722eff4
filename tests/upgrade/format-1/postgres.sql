-- The first schema. Frozen once released: a change is a new numbered file.
-- Times are microseconds since 1970 (UTC). A reference names a value inside an instance: token << 32 | step; 0 is the input.
-- Value columns hold JSON text, whose order and numbers jsonb would change; `output::jsonb` reads it.

-- The only clock of claims, delays, timeouts and retries.
CREATE FUNCTION clock_micros() RETURNS bigint LANGUAGE sql VOLATILE
    AS 'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint';

-- `routing` is JSON: node → [priority, tags], for tasks that declare either, as the newest registration says. `lanes` is
-- a JSON array of all tags texts that tokens of this definition were ever stored with.
CREATE TABLE definitions (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_id text NOT NULL,
    definition_hash text NOT NULL,
    structure text NOT NULL,
    routing text NOT NULL,
    lanes text NOT NULL,
    UNIQUE (workflow_id, definition_hash)
);

-- `number` is made from the time by whoever creates the row, and never used again, so a late write of a replaced
-- instance finds nothing. Room is left in each page, so that the end of an instance is written beside its beginning.
CREATE TABLE instances (
    number bigint PRIMARY KEY,
    instance_id text COLLATE "C" NOT NULL UNIQUE,
    definition integer NOT NULL,
    status text NOT NULL,
    input text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    output_ref bigint,
    error text,
    reason text,
    actor text,
    request text,
    request_reason text,
    request_actor text,
    metadata text,
    priority smallint,
    halted text,
    -- The W3C trace context of the submit, where that was traced.
    trace text
) WITH (fillfactor = 80);
-- For lists. By columns that a completion does not write: a failed instance has an error, one that failed or was cancelled
-- has halted tokens, an unfinished one a main token. So the usual end of an instance writes no index.
CREATE INDEX instances_definition ON instances (definition, number);
CREATE INDEX instances_failed ON instances (number) WHERE error IS NOT NULL;
CREATE INDEX instances_cancelled ON instances (number) WHERE halted IS NOT NULL AND error IS NULL;

-- The hot table: only unfinished instances have rows here. A row is where its token stood when it last did more than go
-- from one task to the next; the newest line of `results` above its `step` says where it stands since.
CREATE TABLE tokens (
    instance bigint NOT NULL,
    number integer NOT NULL,
    state text NOT NULL,
    node text NOT NULL,
    ref bigint NOT NULL,
    step integer NOT NULL,
    attempt integer NOT NULL,
    iteration integer NOT NULL,
    crashes integer NOT NULL,
    keys text,
    parent integer,
    due_at bigint,
    signal text,
    owner integer,
    epoch bigint NOT NULL,
    until bigint,
    moved_at bigint NOT NULL,
    definition integer NOT NULL,
    tags text NOT NULL,
    priority smallint NOT NULL,
    wake_at bigint,
    avoid integer,
    requested boolean NOT NULL DEFAULT false,
    PRIMARY KEY (instance, number)
) WITH (
    fillfactor = 60,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
-- Where workers look. Claimed tokens, and those that only an event can move, are not in it.
CREATE INDEX tokens_due ON tokens (definition, tags, priority, wake_at) WHERE wake_at IS NOT NULL;
-- Who waits for a signal, for whoever is asked to send it.
CREATE INDEX tokens_awaiting ON tokens (instance, number) WHERE signal IS NOT NULL;

-- Append-only history: every attempt that ended and every structure that was passed. Each value is written once.
-- A line with `next` has also moved its token: it stands there now, although its row was not written again.
CREATE TABLE results (
    instance bigint NOT NULL,
    ref bigint NOT NULL,
    node text NOT NULL,
    kind text NOT NULL,
    iteration integer NOT NULL,
    attempt integer NOT NULL,
    status text NOT NULL,
    output text,
    parts text,
    source bigint NOT NULL,
    error text,
    worker text,
    started_at bigint NOT NULL,
    finished_at bigint NOT NULL,
    superseded boolean NOT NULL DEFAULT false,
    next text,
    PRIMARY KEY (instance, ref)
);

-- First in, first out for each instance and name. Keyed by id, since a signal may come before its instance. It is `early`
-- until somebody has looked whether its instance was created, and parked without seeing it, before it was committed.
CREATE TABLE signals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    payload text NOT NULL,
    dedup_key text,
    sent_at bigint NOT NULL,
    consumed_at bigint,
    early boolean NOT NULL DEFAULT false
);
CREATE INDEX signals_early ON signals (id) WHERE early;
CREATE INDEX signals_waiting ON signals (instance_id, name, id) WHERE consumed_at IS NULL;
CREATE UNIQUE INDEX signals_dedup ON signals (instance_id, name, dedup_key) WHERE dedup_key IS NOT NULL;

-- Processes that hold claims. A live one holds a session advisory lock of its number, unless `locked` is false. `facts` is
-- JSON: worker id → what the worker told of itself, for people.
CREATE TABLE owners (
    owner integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    started_at bigint NOT NULL,
    beat_at bigint NOT NULL,
    locked boolean NOT NULL,
    facts text
) WITH (fillfactor = 20);

-- The last transaction of each thread that writes: whoever did not get the answer to COMMIT asks here.
CREATE TABLE commits (
    place bigint PRIMARY KEY,
    count bigint NOT NULL,
    written_at bigint NOT NULL
) WITH (fillfactor = 20);

-- What somebody did through a face.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    reason text,
    details text NOT NULL
);
CREATE INDEX audit_target ON audit (target, id);

-- Named filters of the list of instances.
CREATE TABLE views (
    name text PRIMARY KEY,
    filter text NOT NULL,
    actor text NOT NULL
);

-- The newest lines that the tasks of an instance logged, as many as `observe_port` says.
CREATE TABLE logs (
    instance bigint NOT NULL,
    id integer NOT NULL,
    at bigint NOT NULL,
    level text NOT NULL,
    task text NOT NULL,
    attempt integer NOT NULL,
    logger text NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (instance, id)
);
