"""What the faces show: the values that the command line, the HTTP API and the pages are made of.

Rules of this file: plain frozen Structs, no behaviour; times are aware datetimes in UTC; stored values appear only as
`Payload`, masked and capped, never raw; lists carry rows without payloads. The HTTP API's schema is made from these, so
a field that is renamed here is renamed for every client.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from sayiir.picture.state import Status as NodeStatus
from sayiir.runtime.status import StatusName

Action: TypeAlias = Literal["cancel", "pause", "unpause", "retry", "signal", "submit", "purge"]


class Role(enum.StrEnum):
    """What somebody may do: a viewer reads, an operator steers instances, an admin may also purge and read the audit."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Access(msgspec.Struct, frozen=True):
    """Who asks, and what they may do."""

    user: str = "anonymous"
    role: Role = Role.VIEWER


class Payload(msgspec.Struct, frozen=True):
    """A stored value for people to read.

    Attributes:
        text: indented JSON, secrets masked, cut at the size cap.
        size: bytes as stored.
        truncated: whether `text` was cut.
    """

    text: str
    size: int
    truncated: bool = False


class Trouble(msgspec.Struct, frozen=True):
    """An error, as stored."""

    error_type: str
    message: str
    traceback: str = ""
    task_id: str | None = None
    attempts: int | None = None


class InstanceRow(msgspec.Struct, frozen=True):
    """An instance as a list shows it."""

    instance_id: str
    workflow_id: str
    definition_hash: str
    status: StatusName
    created_at: datetime
    updated_at: datetime
    priority: int | None = None
    reason: str | None = None
    actor: str | None = None
    requested: Literal["cancel", "pause"] | None = None
    metadata: dict[str, Any] = {}


class InstancePage(msgspec.Struct, frozen=True):
    """A page of a list, the newest first; `next` is the cursor of the following one."""

    items: tuple[InstanceRow, ...]
    next: str | None = None


class Count(msgspec.Struct, frozen=True):
    """How many there are of something; `capped` when there are more than were counted."""

    name: str
    count: int
    capped: bool = False


class Facets(msgspec.Struct, frozen=True):
    """How many instances fit a filter, by status and by workflow (each as if its own filter were not set)."""

    statuses: tuple[Count, ...]
    workflows: tuple[Count, ...]


class Why(msgspec.Struct, frozen=True):
    """Why an instance stands where it stands.

    Attributes:
        code: a stable name of the cause, such as "no_worker", "awaiting_signal", "retrying", "failed".
        sentence: one plain sentence.
        evidence: names and values that prove it.
        fix: what would make it move; None when nothing is wrong.
    """

    code: str
    sentence: str
    evidence: tuple[tuple[str, str], ...] = ()
    fix: str | None = None


class NodeView(msgspec.Struct, frozen=True):
    """A node of an instance's definition and how it stands in this instance."""

    node_id: str
    kind: str
    status: NodeStatus
    attempts: int = 0
    iterations: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker_id: str | None = None
    detail: str | None = None


class Attempt(msgspec.Struct, frozen=True):
    """One line of an instance's history: an attempt of a task, a wait, a signal, a structure that was passed."""

    ref: int
    node_id: str
    kind: str
    iteration: int
    attempt: int
    status: str
    started_at: datetime | None
    finished_at: datetime | None
    worker_id: str | None
    error: Trouble | None = None
    superseded: bool = False


class Wait(msgspec.Struct, frozen=True):
    """A place where an instance waits; `form` is the JSON Schema of the awaited signal's payload, where it is known."""

    node_id: str
    kind: Literal["delay", "signal", "retry"]
    since: datetime
    until: datetime | None = None
    signal: str | None = None
    form: dict[str, Any] | None = None


class AuditLine(msgspec.Struct, frozen=True):
    """What somebody did through a face."""

    id: int
    at: datetime
    user: str
    action: str
    target: str
    reason: str | None = None
    details: dict[str, Any] = {}


class LogLine(msgspec.Struct, frozen=True):
    """A line that a task logged."""

    at: datetime
    level: str
    task_id: str
    attempt: int
    logger: str
    message: str


class InstanceView(msgspec.Struct, frozen=True):
    """All that a page about one instance shows, except its attempts, values of nodes and log lines."""

    row: InstanceRow
    why: Why
    input: Payload
    output: Payload | None
    error: Trouble | None
    waits: tuple[Wait, ...]
    nodes: tuple[NodeView, ...]
    actions: tuple[Action, ...]
    """What may be done now, by this user and in this state."""
    trace_url: str | None = None


class NodeValues(msgspec.Struct, frozen=True):
    """What went into a node and what came out of it."""

    node: NodeView
    input: Payload | None
    output: Payload | None
    attempts: tuple[Attempt, ...]
    logs: tuple[LogLine, ...] = ()


class InboxItem(msgspec.Struct, frozen=True):
    """An instance that waits for somebody to send a signal."""

    instance_id: str
    workflow_id: str
    wait: Wait


class WorkflowVersion(msgspec.Struct, frozen=True):
    """A definition that is stored, how many instances it has, and whether a live worker or this server knows it."""

    definition_hash: str
    unfinished: Count
    served_by: tuple[str, ...] = ()
    registered: bool = False


class WorkflowRow(msgspec.Struct, frozen=True):
    """A workflow with its figures: of its newest finished instances, at most 1,000."""

    workflow_id: str
    statuses: tuple[Count, ...]
    versions: tuple[WorkflowVersion, ...]
    success_rate: float | None = None
    p50_secs: float | None = None
    p95_secs: float | None = None
    recent: tuple[float, ...] = ()
    """Seconds that its newest finished instances took, the oldest first, for a small plot."""
    form: dict[str, Any] | None = None
    """JSON Schema of its input, where this server knows the workflow."""


class WorkerRow(msgspec.Struct, frozen=True):
    """A process that holds claims or could: a worker or an in-process runner."""

    worker_id: str
    owner: int
    alive: bool
    started_at: datetime
    beat_at: datetime
    claims: int
    kind: Literal["worker", "runner"]
    concurrency: int | None = None
    tags: tuple[str, ...] | None = None
    workflows: tuple[tuple[str, str], ...] = ()
    """(workflow_id, definition_hash) of each definition that it moves."""


class Selection(msgspec.Struct, frozen=True):
    """Which instances: by their ids, or all that fit a filter (the words of `InstanceFilter`)."""

    ids: tuple[str, ...] | None = None
    where: str | None = None


class BulkResult(msgspec.Struct, frozen=True):
    """What a bulk action did, or with `dry_run` would do."""

    action: Action
    dry_run: bool
    matched: int
    done: int
    refused: tuple[tuple[str, str], ...] = ()
    """(instance_id, sentence), at most 100."""
    next: str | None = None
    """Where to go on: a bulk action does at most 1,000 instances a call, so that progress can be shown."""


class Difference(msgspec.Struct, frozen=True):
    """One node in two instances side by side."""

    node_id: str
    left: NodeView | None
    right: NodeView | None
    same_output: bool | None = None


class Comparison(msgspec.Struct, frozen=True):
    """Two instances side by side, node by node."""

    left: InstanceRow
    right: InstanceRow
    same_input: bool
    nodes: tuple[Difference, ...]


class SavedView(msgspec.Struct, frozen=True):
    """A named filter of the list."""

    name: str
    where: str
    user: str
