-- The first schema. Frozen once released: a change is a new numbered file.
-- Times are microseconds since 1970 (UTC). A reference names a value inside an instance: token << 32 | step; 0 is the input.
-- Value columns hold JSON text, or a BLOB that begins with the envelope of docs/FORMAT.md.

-- `routing` is JSON: node → [priority, tags], for tasks that declare either, as the newest registration says. `lanes` is
-- a JSON array of all tags texts that tokens of this definition were ever stored with.
CREATE TABLE sayiir_definitions (
    number INTEGER PRIMARY KEY,
    workflow_id TEXT NOT NULL,
    definition_hash TEXT NOT NULL,
    structure TEXT NOT NULL,
    routing TEXT NOT NULL,
    lanes TEXT NOT NULL,
    UNIQUE (workflow_id, definition_hash)
);

-- `number` is made from the time by whoever creates the row, and never used again, so a late write of a replaced
-- instance finds nothing.
CREATE TABLE sayiir_instances (
    number INTEGER PRIMARY KEY,
    instance_id TEXT NOT NULL UNIQUE,
    definition INTEGER NOT NULL,
    status TEXT NOT NULL,
    input NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    output_ref INTEGER,
    error TEXT,
    reason TEXT,
    actor TEXT,
    request TEXT,
    request_reason TEXT,
    request_actor TEXT,
    metadata TEXT,
    priority INTEGER,
    halted TEXT,
    -- The W3C trace context of the submit, where that was traced.
    trace TEXT
);
-- For lists. By columns that a completion does not write: a failed instance has an error, one that failed or was cancelled
-- has halted tokens, an unfinished one a main token. So the usual end of an instance writes no index.
CREATE INDEX sayiir_instances_definition ON sayiir_instances (definition, number);
CREATE INDEX sayiir_instances_failed ON sayiir_instances (number) WHERE error IS NOT NULL;
CREATE INDEX sayiir_instances_cancelled ON sayiir_instances (number) WHERE halted IS NOT NULL AND error IS NULL;

-- The hot table: only unfinished instances have rows here. A row is where its token stood when it last did more than go
-- from one task to the next; the newest line of sayiir_results above its `step` says where it stands since.
CREATE TABLE sayiir_tokens (
    instance INTEGER NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    node TEXT NOT NULL,
    ref INTEGER NOT NULL,
    step INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    keys TEXT,
    parent INTEGER,
    due_at INTEGER,
    signal TEXT,
    owner INTEGER,
    epoch INTEGER NOT NULL,
    until INTEGER,
    moved_at INTEGER NOT NULL,
    definition INTEGER NOT NULL,
    tags TEXT NOT NULL,
    priority INTEGER NOT NULL,
    wake_at INTEGER,
    avoid INTEGER,
    requested INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instance, number)
) WITHOUT ROWID;
-- Where workers look. Claimed tokens, and those that only an event can move, are not in it.
CREATE INDEX sayiir_tokens_due ON sayiir_tokens (definition, tags, priority, wake_at) WHERE wake_at IS NOT NULL;
-- Who waits for a signal, for whoever is asked to send it.
CREATE INDEX sayiir_tokens_awaiting ON sayiir_tokens (instance, number) WHERE signal IS NOT NULL;

-- Append-only history: every attempt that ended and every structure that was passed. Each value is written once.
-- A line with `next` has also moved its token: it stands there now, although its row was not written again.
CREATE TABLE sayiir_results (
    instance INTEGER NOT NULL,
    ref INTEGER NOT NULL,
    node TEXT NOT NULL,
    kind TEXT NOT NULL,
    iteration INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    status TEXT NOT NULL,
    output,
    parts TEXT,
    source INTEGER NOT NULL,
    error TEXT,
    worker TEXT,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    superseded INTEGER NOT NULL DEFAULT 0,
    next TEXT,
    PRIMARY KEY (instance, ref)
) WITHOUT ROWID;

-- First in, first out for each instance and name. Keyed by id, since a signal may come before its instance.
CREATE TABLE sayiir_signals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id TEXT NOT NULL,
    name TEXT NOT NULL,
    payload NOT NULL,
    dedup_key TEXT,
    sent_at INTEGER NOT NULL,
    consumed_at INTEGER
);
CREATE INDEX sayiir_signals_waiting ON sayiir_signals (instance_id, name, id) WHERE consumed_at IS NULL;
CREATE UNIQUE INDEX sayiir_signals_dedup ON sayiir_signals (instance_id, name, dedup_key) WHERE dedup_key IS NOT NULL;

-- Processes that hold claims. A live one holds a lock on its byte of the file "<database>-owners". `facts` is JSON: worker
-- id → what the worker told of itself, for people.
CREATE TABLE sayiir_owners (
    owner INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    beat_at INTEGER NOT NULL,
    facts TEXT
);

-- What somebody did through a face.
CREATE TABLE sayiir_audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    reason TEXT,
    details TEXT NOT NULL
);
CREATE INDEX sayiir_audit_target ON sayiir_audit (target, id);

-- Named filters of the list of instances.
CREATE TABLE sayiir_views (
    name TEXT PRIMARY KEY,
    filter TEXT NOT NULL,
    actor TEXT NOT NULL
);

-- The newest lines that the tasks of an instance logged, as many as `observe_port` says.
CREATE TABLE sayiir_logs (
    instance INTEGER NOT NULL,
    id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level TEXT NOT NULL,
    task TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    logger TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (instance, id)
) WITHOUT ROWID;
