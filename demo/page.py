"""The picture of the run as an HTML page, made of the timeline. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from sayiir import TimelineEntry, Workflow, WorkflowStatus
from sayiir.core.graph import LoopNode, NodeKind, walk
from sayiir.picture import NodeState, Status, TimelineBar, run_page

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BARS = ("task", "delay", "await_signal")
_STATUS: dict[str, Status] = {"crashed": "failed", "abandoned": "cancelled"}


def page(
    workflow: Workflow[Any, Any],
    status: WorkflowStatus,
    timeline: Sequence[TimelineEntry],
    facts: Sequence[tuple[str, str]],
) -> str:
    """Return the page of one instance."""
    bodies = {node.body.id for node in walk(workflow.graph.nodes) if isinstance(node, LoopNode)}
    bars = [_bar(one, in_loop=one.node_id in bodies) for one in timeline if one.kind in _BARS]
    return run_page(
        workflow.graph,
        _states(workflow, status, timeline),
        title=status.instance_id,
        facts=facts,
        timeline=sorted(bars, key=lambda bar: bar.start_us),
    )


def _states(
    workflow: Workflow[Any, Any], status: WorkflowStatus, timeline: Sequence[TimelineEntry]
) -> dict[str, NodeState]:
    states: dict[str, NodeState] = {}
    if status.is_completed():
        # What has no line was on a way not taken.
        states = {node.id: NodeState("skipped") for node in walk(workflow.graph.nodes)}
    for node in {entry.node_id: None for entry in timeline}:
        lines = [entry for entry in timeline if entry.node_id == node]
        states[node] = NodeState(_status(lines[-1]), _detail(lines))
    for parked in status.parked:
        states[parked.node_id] = NodeState("awaiting_signal" if parked.kind == "signal" else "waiting")
    return states


def _detail(lines: Sequence[TimelineEntry]) -> str | None:
    rounds = max(line.iteration for line in lines)
    if rounds > 1:
        return f"{rounds}×"
    return f"{len(lines)} attempts" if len(lines) > 1 else None


def _status(entry: TimelineEntry) -> Status:
    return _STATUS.get(entry.status, cast("Status", entry.status))


def _bar(entry: TimelineEntry, *, in_loop: bool) -> TimelineBar:
    start = _micros(entry.started_at)
    return TimelineBar(
        entry.node_id,
        cast("NodeKind", entry.kind),
        _status(entry),
        entry.attempt,
        entry.iteration if in_loop else None,
        start or 0,
        _micros(entry.finished_at),
        entry.worker_id,
        "the process died" if entry.status == "crashed" else entry.error,
    )


def _micros(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    passed = moment - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
