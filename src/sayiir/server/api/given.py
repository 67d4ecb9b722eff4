"""What endpoints give, beside the values of `service.model`."""

from __future__ import annotations

from typing import Any

import msgspec

from sayiir.service.model import (
    Attempt,
    AuditLine,
    InboxItem,
    InstanceRow,
    LogLine,
    NodeView,
    SavedView,
    Trouble,
    WorkerRow,
    WorkflowRow,
)


class Attempts(msgspec.Struct, frozen=True):
    """What happened to an instance."""

    items: tuple[Attempt, ...]


class Nodes(msgspec.Struct, frozen=True):
    """The nodes of an instance, groups before what is in them."""

    items: tuple[NodeView, ...]


class Logs(msgspec.Struct, frozen=True):
    """Log lines in order."""

    items: tuple[LogLine, ...]


class Workflows(msgspec.Struct, frozen=True):
    """All workflows."""

    items: tuple[WorkflowRow, ...]


class Workers(msgspec.Struct, frozen=True):
    """All workers."""

    items: tuple[WorkerRow, ...]


class Inbox(msgspec.Struct, frozen=True):
    """A page of the inbox."""

    items: tuple[InboxItem, ...]
    next: str | None = None


class Audit(msgspec.Struct, frozen=True):
    """A page of what was done."""

    items: tuple[AuditLine, ...]
    next: str | None = None


class Views(msgspec.Struct, frozen=True):
    """The saved filters."""

    items: tuple[SavedView, ...]


class Texts(msgspec.Struct, frozen=True):
    """Sentences."""

    items: tuple[str, ...]


class Output(msgspec.Struct, frozen=True):
    """An instance, and its output once it has completed: as stored for operators, with secrets masked for viewers."""

    instance: InstanceRow
    output: Any = None
    error: Trouble | None = None


class TaskValue(msgspec.Struct, frozen=True):
    """What a task gave, if it has; as stored for operators, with secrets masked for viewers."""

    found: bool
    value: Any = None


class Schemas(msgspec.Struct, frozen=True):
    """JSON Schemas of what a workflow takes: None where nothing is declared."""

    input: dict[str, Any] | None
    signals: dict[str, dict[str, Any] | None]
    """By the id of the node that awaits it."""


class Accepted(msgspec.Struct, frozen=True):
    """Whether a signal was new."""

    accepted: bool


class Counted(msgspec.Struct, frozen=True):
    """How many."""

    count: int
