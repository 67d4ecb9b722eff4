"""Columns and sheets of the values that several commands show. No I/O but through `out`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sayiir.cli import out
from sayiir.cli.out import Column
from sayiir.cli.when import ago, took

if TYPE_CHECKING:
    from sayiir.service.model import Attempt, InstanceRow, InstanceView, NodeView, Wait, Why

_BAR = 30
_HASH = 12


def _note_of(row: InstanceRow) -> str:
    """Return what people should know beside the status."""
    if row.requested:
        return f"{row.requested} requested"
    by = f"by {row.actor}" if row.actor else ""
    return ": ".join(part for part in (by, row.reason or "") if part)


def _metadata(row: InstanceRow) -> str:
    return " ".join(f"{name}={value}" for name, value in row.metadata.items())


INSTANCES: tuple[Column[Any], ...] = (
    Column("INSTANCE", lambda row: row.instance_id),
    Column("WORKFLOW", lambda row: row.workflow_id),
    Column("STATUS", lambda row: row.status),
    Column("CREATED", lambda row: ago(row.created_at)),
    Column("CHANGED", lambda row: ago(row.updated_at)),
    Column("PRIORITY", lambda row: row.priority or "", wide=True, right=True),
    Column("VERSION", lambda row: row.definition_hash[:_HASH], wide=True),
    Column("METADATA", _metadata, wide=True),
    Column("NOTE", _note_of),
)

NODES: tuple[Column[Any], ...] = (
    Column("TASK", lambda node: node.node_id),
    Column("KIND", lambda node: node.kind),
    Column("STATUS", lambda node: node.status),
    Column("ATTEMPTS", lambda node: node.attempts or "", right=True),
    Column("TOOK", lambda node: took(node.started_at, node.finished_at), right=True),
    Column("ROUNDS", lambda node: node.iterations if node.iterations > 1 else "", wide=True, right=True),
    Column("STARTED", lambda node: ago(node.started_at), wide=True),
    Column("WORKER", lambda node: node.worker_id or "", wide=True),
    Column("NOTE", lambda node: "" if node.detail == took(node.started_at, node.finished_at) else node.detail or ""),
)


def attempt_columns(span: tuple[datetime, datetime] | None) -> tuple[Column[Any], ...]:
    """Return the columns of a timeline; the wide one draws a bar within the whole span."""
    return (
        Column("TASK", lambda one: one.node_id),
        Column("KIND", lambda one: one.kind, wide=True),
        Column("ROUND", lambda one: one.iteration, wide=True, right=True),
        Column("ATTEMPT", lambda one: one.attempt, right=True),
        Column("STATUS", lambda one: f"{one.status} (made again)" if one.superseded else one.status),
        Column("STARTED", lambda one: ago(one.started_at)),
        Column("TOOK", lambda one: took(one.started_at, one.finished_at), right=True),
        Column("", lambda one: _bar(one, span), wide=True),
        Column("WORKER", lambda one: one.worker_id or ""),
        Column("ERROR", lambda one: f"{one.error.error_type}: {one.error.message}" if one.error else ""),
    )


def _bar(attempt: Attempt, span: tuple[datetime, datetime] | None) -> str:
    if span is None or attempt.started_at is None:
        return ""
    whole = max((span[1] - span[0]).total_seconds(), 1e-6)
    first = int((attempt.started_at - span[0]).total_seconds() / whole * (_BAR - 1))
    last = int(((attempt.finished_at or span[1]) - span[0]).total_seconds() / whole * (_BAR - 1))
    return " " * first + "━" * (last - first + 1) + " " * (_BAR - 1 - last)


def why_sheet(named: tuple[str, Why], _wide: bool) -> None:
    """Print why an instance stands where it stands."""
    instance_id, why = named
    evidence = [(f"  {name}", value) for name, value in why.evidence]
    out.facts([(out.harmless(instance_id), why.sentence), *evidence, ("  fix", why.fix)])


def instance_sheet(view: InstanceView, wide: bool) -> None:
    """Print all about an instance."""
    row = view.row
    out.facts([
        ("instance", row.instance_id), ("workflow", row.workflow_id), ("version", row.definition_hash[:_HASH]),
        ("status", row.status), ("note", _note_of(row)), ("priority", row.priority), ("metadata", _metadata(row)),
        ("created", _moment(row.created_at)), ("changed", _moment(row.updated_at)),
        ("why", view.why.sentence), ("fix", view.why.fix), ("trace", view.trace_url),
        *(("waits", _wait(wait)) for wait in view.waits),
    ])  # fmt: skip
    if view.error is not None:
        out.facts([("error", f"{view.error.error_type}: {view.error.message}")])
        if wide and view.error.traceback:
            out.heading("Traceback")
            out.facts([("", view.error.traceback)])
    if wide:
        for name, payload in (("Input", view.input), ("Output", view.output)):
            if payload is not None:
                out.heading(f"{name} ({payload.size} bytes{', cut' if payload.truncated else ''})")
                out.facts([("", payload.text)])
    if view.nodes:
        out.heading("Tasks")
        nodes(view.nodes, "wide" if wide else "table")


def nodes(found: tuple[NodeView, ...], form: out.Form) -> None:
    """Print the nodes of an instance."""
    out.rows(form, found, NODES, lambda node: node.node_id, empty="it has no tasks")


def _moment(moment: datetime) -> str:
    return f"{ago(moment)} ({moment.astimezone():%Y-%m-%d %H:%M:%S %z})"


def _wait(wait: Wait) -> str:
    until = f", until {ago(wait.until)}" if wait.until else ""
    what = {"signal": f"for signal {wait.signal}", "delay": "for a time", "retry": "to be tried again"}[wait.kind]
    return f"{what} at {wait.node_id}, since {ago(wait.since)}{until}"
