"""What happened to an instance, attempt by attempt, and the results of single tasks."""

from __future__ import annotations

from datetime import datetime

import msgspec

from sayiir.core.outline import outline, result_ids
from sayiir.core.records import Record
from sayiir.core.values import unpack
from sayiir.runtime.failure import read_failure
from sayiir.runtime.status import moment
from sayiir.store.port import Token


class TimelineEntry(msgspec.Struct, frozen=True):
    """One line of an instance's history.

    Attributes:
        node_id: the node's full id.
        task_id: the same for a task, None for other nodes.
        kind: task, delay, await_signal, loop, branch (a route), fork, fork_branch, child_workflow or input.
        iteration: the loop's iteration, from 1.
        attempt: from 1.
        status: completed, failed, crashed (its process died) or running.
        started_at: when it began.
        finished_at: when it ended; None while it runs.
        worker_id: host and process that ran it.
        error: "ErrorType: message" of a failed attempt.
        superseded: whether a retry made it again.
    """

    node_id: str
    task_id: str | None
    kind: str
    iteration: int
    attempt: int
    status: str
    started_at: datetime | None
    finished_at: datetime | None
    worker_id: str | None
    error: str | None = None
    superseded: bool = False


def entry_of(record: Record) -> TimelineEntry:
    """Return the public form of a record."""
    error = None if record.error is None else read_failure(unpack(record.error)).text
    return TimelineEntry(
        record.node,
        record.node if record.kind == "task" else None,
        record.kind,
        record.iteration,
        record.attempt,
        record.status,
        moment(record.started_at),
        moment(record.finished_at),
        record.worker,
        error,
        record.superseded,
    )


def running_of(token: Token, worker: str | None) -> TimelineEntry:
    """Return the line of a task that a live runner has under way."""
    started = moment(token.moved_at)
    return TimelineEntry(
        token.node, token.node, "task", token.iteration, token.attempt, "running", started, None, worker
    )


def find_record(
    records: list[Record], structure: str, task_id: str, *, iteration: int | None, step: bool
) -> Record | None:
    """Return the record whose value `get_task_result` means by an id.

    Args:
        records: the instance's records.
        structure: the text of its definition.
        task_id: a full id, a short one that only one node has, or a branch's name.
        iteration: which iteration of a loop; the last when None.
        step: for a branch's name, its first task's own result instead of the branch's output.

    Raises:
        ValueError: a short id that several nodes have.
    """
    ids = result_ids(outline(structure), step=step)
    # By the definition and not by what has run, so that an id means the same from the first moment on.
    fits = [task_id] if task_id in ids else [full for full in ids if full.rpartition("/")[2] == task_id]
    if len(fits) > 1:
        raise ValueError(f"id {task_id!r} is ambiguous; use one of the full ids {', '.join(map(repr, sorted(fits)))}")
    wanted = [
        record
        for record in records
        if fits and record.node == ids[fits[0]] and record.status == "completed"
        if record.kind != "input" and not record.superseded and iteration in (None, record.iteration)
    ]
    return max(wanted, key=lambda record: (record.iteration, record.ref), default=None)


def is_loop_body(structure: str, node: str) -> bool:
    """Return whether a node of a definition is the body of a loop."""
    return any(item.word == "loop" and item.items[0].name == node for item in outline(structure).walk())
