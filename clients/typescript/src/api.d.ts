// Made by scripts/types.mjs from the OpenAPI document. Not to be edited.

/** Whether a signal was new. */
export interface Accepted {
  accepted: boolean;
}

/** One line of an instance's history: an attempt of a task, a wait, a signal, a structure that was passed. */
export interface Attempt {
  ref: number;
  node_id: string;
  kind: string;
  iteration: number;
  attempt: number;
  status: string;
  started_at: string | null;
  finished_at: string | null;
  worker_id: string | null;
  error: Trouble | null;
  superseded: boolean;
}

/** What happened to an instance. */
export interface Attempts {
  items: Array<Attempt>;
}

/** A page of what was done. */
export interface Audit {
  items: Array<AuditLine>;
  next: string | null;
}

/** What somebody did through a face. */
export interface AuditLine {
  id: number;
  at: string;
  user: string;
  action: string;
  target: string;
  reason: string | null;
  details: Record<string, unknown>;
}

/** One action for many instances, at most 1,000 a request: go on with `next` as `cursor`. */
export interface BulkBody {
  action: "cancel" | "pause" | "retry" | "unpause";
  selection: Selection;
  dry_run?: boolean;
  reason?: string | null;
  cursor?: string | null;
}

/** What a bulk action did, or with `dry_run` would do. */
export interface BulkResult {
  action: "cancel" | "pause" | "purge" | "retry" | "signal" | "submit" | "unpause";
  dry_run: boolean;
  matched: number;
  done: number;
  refused: Array<[string, string]>;
  next: string | null;
}

/** Two instances side by side, node by node. */
export interface Comparison {
  left: InstanceRow;
  right: InstanceRow;
  same_input: boolean;
  nodes: Array<Difference>;
}

/** How many there are of something; `capped` when there are more than were counted. */
export interface Count {
  name: string;
  count: number;
  capped: boolean;
}

/** How many. */
export interface Counted {
  count: number;
}

/** One node in two instances side by side. */
export interface Difference {
  node_id: string;
  left: NodeView | null;
  right: NodeView | null;
  same_output: boolean | null;
}

/** How many instances fit a filter, by status and by workflow (each as if its own filter were not set). */
export interface Facets {
  statuses: Array<Count>;
  workflows: Array<Count>;
}

/** A page of the inbox. */
export interface Inbox {
  items: Array<InboxItem>;
  next: string | null;
}

/** An instance that waits for somebody to send a signal. */
export interface InboxItem {
  instance_id: string;
  workflow_id: string;
  wait: Wait;
}

/** A page of a list, the newest first; `next` is the cursor of the following one. */
export interface InstancePage {
  items: Array<InstanceRow>;
  next: string | null;
}

/** An instance as a list shows it. */
export interface InstanceRow {
  instance_id: string;
  workflow_id: string;
  definition_hash: string;
  status: "awaiting_signal" | "cancelled" | "completed" | "failed" | "in_progress" | "paused" | "waiting";
  created_at: string;
  updated_at: string;
  priority: number | null;
  reason: string | null;
  actor: string | null;
  requested: "cancel" | "pause" | null;
  metadata: Record<string, unknown>;
}

/** All that a page about one instance shows, except its attempts, values of nodes and log lines. */
export interface InstanceView {
  row: InstanceRow;
  why: Why;
  input: Payload;
  output: Payload | null;
  error: Trouble | null;
  waits: Array<Wait>;
  nodes: Array<NodeView>;
  actions: Array<"cancel" | "pause" | "purge" | "retry" | "signal" | "submit" | "unpause">;
  trace_url: string | null;
}

/** A line that a task logged. */
export interface LogLine {
  at: string;
  level: string;
  task_id: string;
  attempt: number;
  logger: string;
  message: string;
}

/** Log lines in order. */
export interface Logs {
  items: Array<LogLine>;
}

/** What went into a node and what came out of it. */
export interface NodeValues {
  node: NodeView;
  input: Payload | null;
  output: Payload | null;
  attempts: Array<Attempt>;
  logs: Array<LogLine>;
}

/** A node of an instance's definition and how it stands in this instance. */
export interface NodeView {
  node_id: string;
  kind: string;
  status: "awaiting_signal" | "cancelled" | "completed" | "failed" | "paused" | "pending" | "running" | "skipped" | "waiting";
  attempts: number;
  iterations: number;
  started_at: string | null;
  finished_at: string | null;
  worker_id: string | null;
  detail: string | null;
}

/** The nodes of an instance, groups before what is in them. */
export interface Nodes {
  items: Array<NodeView>;
}

/** An instance, and its output once it has completed: as stored for operators, with secrets masked for viewers. */
export interface Output {
  instance: InstanceRow;
  output: unknown;
  error: Trouble | null;
}

/** A stored value for people to read. */
export interface Payload {
  text: string;
  size: number;
  truncated: boolean;
}

/** What went wrong. */
export interface Problem {
  title: string;
  status: number;
  code: string;
  detail: string;
  type?: string;
  instance_id?: string | null;
  state?: string | null;
}

/** Deletes what ended so long ago: seconds, or a text such as "30d". */
export interface PurgeBody {
  older_than?: number | string;
  dry_run?: boolean;
}

/** Why, for people. */
export interface ReasonBody {
  reason?: string | null;
}

/** Where to go on, and with which input; both as it was when not given. */
export interface RetryBody {
  from_task?: string | null;
  input?: unknown;
  reason?: string | null;
}

/** A named filter of the list. */
export interface SavedView {
  name: string;
  where: string;
  user: string;
}

/** JSON Schemas of what a workflow takes: None where nothing is declared. */
export interface Schemas {
  input: Record<string, unknown> | null;
  signals: Record<string, Record<string, unknown> | null>;
}

/** Which instances: by their ids, or all that fit a filter (the words of `InstanceFilter`). */
export interface Selection {
  ids?: Array<string> | null;
  where?: string | null;
}

/** A signal's payload. Without `dedup_key` the Idempotency-Key is it. */
export interface SignalBody {
  payload?: unknown;
  dedup_key?: string | null;
}

/** A new instance. */
export interface SubmitBody {
  workflow_id: string;
  input?: unknown;
  instance_id?: string | null;
  priority?: number | null;
  policy?: "fail" | "terminate_existing" | "use_existing" | null;
  definition_hash?: string | null;
}

/** What a task gave, if it has; as stored for operators, with secrets masked for viewers. */
export interface TaskValue {
  found: boolean;
  value: unknown;
}

/** Sentences. */
export interface Texts {
  items: Array<string>;
}

/** An error, as stored. */
export interface Trouble {
  error_type: string;
  message: string;
  traceback: string;
  task_id: string | null;
  attempts: number | null;
}

/** A filter to be kept; `replaces` is the name of a view that is renamed to this one. */
export interface ViewBody {
  where?: string;
  replaces?: string | null;
}

/** The saved filters. */
export interface Views {
  items: Array<SavedView>;
}

/** A place where an instance waits; `form` is the JSON Schema of the awaited signal's payload, where it is known. */
export interface Wait {
  node_id: string;
  kind: "delay" | "retry" | "signal";
  since: string;
  until: string | null;
  signal: string | null;
  form: Record<string, unknown> | null;
}

/** Why an instance stands where it stands. */
export interface Why {
  code: string;
  sentence: string;
  evidence: Array<[string, string]>;
  fix: string | null;
}

/** A process that holds claims or could: a worker or an in-process runner. */
export interface WorkerRow {
  worker_id: string;
  owner: number;
  alive: boolean;
  started_at: string;
  beat_at: string;
  claims: number;
  kind: "runner" | "worker";
  concurrency: number | null;
  tags: Array<string> | null;
  workflows: Array<[string, string]>;
}

/** All workers. */
export interface Workers {
  items: Array<WorkerRow>;
}

/** A workflow with its figures: of its newest finished instances, at most 1,000. */
export interface WorkflowRow {
  workflow_id: string;
  statuses: Array<Count>;
  versions: Array<WorkflowVersion>;
  success_rate: number | null;
  p50_secs: number | null;
  p95_secs: number | null;
  recent: Array<number>;
  form: Record<string, unknown> | null;
}

/** A definition that is stored, how many instances it has, and whether a live worker or this server knows it. */
export interface WorkflowVersion {
  definition_hash: string;
  unfinished: Count;
  served_by: Array<string>;
  registered: boolean;
}

/** All workflows. */
export interface Workflows {
  items: Array<WorkflowRow>;
}

