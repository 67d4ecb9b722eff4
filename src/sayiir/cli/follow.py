"""An instance as it moves: a live picture on a terminal, else a line for each change.

Rules of this file: it only reads. A view is asked for whenever a hint says that something may have changed, and now and
then whatever the hints say: of a store once a second, of a server, which streams its hints, seldom.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from sayiir.cli import out
from sayiir.cli.place import Link
from sayiir.cli.when import clock, now, took

if TYPE_CHECKING:
    from sayiir.service.model import InstanceView, NodeView

ENDED = ("completed", "failed", "cancelled")
_MARKS = {
    "completed": "✔", "failed": "✘", "running": "▶", "waiting": "◷", "awaiting_signal": "✉", "paused": "‖",
    "cancelled": "⊘", "skipped": "↷", "pending": "·",
}  # fmt: skip


def follow(link: Link, instance_id: str, deadline: float | None, form: out.Form) -> InstanceView:
    """Show an instance until it ends or the deadline (of `time.monotonic`) has passed; return it as it stands then."""
    looks = _looks(link, instance_id, deadline)
    if form in {"json", "jsonl"}:
        return _lines(looks, lambda view, _before: out.line(view))
    if form == "ids":
        return _lines(looks, lambda _view, _before: None)
    console = out.console()
    return _lines(looks, _tell) if console is None else _live(looks, console)


def _looks(link: Link, instance_id: str, deadline: float | None) -> Iterator[InstanceView]:
    """Yield the instance at first and whenever it may have changed; the last one has ended, or it is too late."""
    seen = link.api.changed(0, 0.0)
    while True:
        view = link.api.show(link.access, instance_id)
        yield view
        left = link.looks_secs if deadline is None else min(link.looks_secs, deadline - time.monotonic())
        if view.row.status in ENDED or left <= 0:
            return
        seen = link.api.changed(seen, left)


def _lines(looks: Iterator[InstanceView], tell: Any) -> InstanceView:
    before: InstanceView | None = None
    for view in looks:
        if before is None or _facts(view) != _facts(before):
            tell(view, before)
            before = view
    assert before is not None  # noqa: S101 -- there is always a first look
    return before


def _facts(view: InstanceView) -> Any:
    nodes = [(node.node_id, node.status, node.attempts, node.iterations) for node in view.nodes]
    return view.row.status, view.row.requested, nodes


def _tell(view: InstanceView, before: InstanceView | None) -> None:
    """Write what has changed."""
    known = {} if before is None else {node.node_id: node for node in before.nodes}
    for node in view.nodes:
        old = known.get(node.node_id)
        new = (node.status, node.attempts, node.iterations)
        if new != ((old.status, old.attempts, old.iterations) if old else ("pending", 0, 0)):
            at = node.finished_at or node.started_at or now()
            click.echo(f"{clock(at)}  {out.harmless(node.node_id)}  {_words(node)}")
    row = view.row
    if before is None or before.row.status != row.status:
        click.echo(f"{clock(row.updated_at)}  {out.harmless(row.instance_id)}  {row.status}  {_why(view)}".rstrip())


def _why(view: InstanceView) -> str:
    return "" if view.row.status == "completed" else out.harmless(view.why.sentence)


def _words(node: NodeView) -> str:
    parts: list[str] = [node.status]
    if node.attempts > 1:
        parts.append(f"attempt {node.attempts}")
    if node.iterations > 1:
        parts.append(f"round {node.iterations}")
    if node.detail:
        parts.append(out.harmless(node.detail))
    return "  ".join(parts)


def _live(looks: Iterator[InstanceView], console: Any) -> InstanceView:
    from rich.live import Live

    view: InstanceView | None = None
    with Live(console=console, refresh_per_second=8, get_renderable=lambda: "" if view is None else _picture(view)) as live:
        for view in looks:  # noqa: B007 -- the picture reads it
            live.refresh()
    assert view is not None  # noqa: S101 -- there is always a first look
    return view


def _picture(view: InstanceView) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    row = view.row
    status = row.status, out.colour_of(row.status)
    head = Text.assemble((out.harmless(row.instance_id), "bold"), "  ", out.harmless(row.workflow_id), "  ", status)
    table = Table.grid(padding=(0, 2, 0, 0))
    for node in view.nodes:
        colour = out.colour_of(node.status)
        end = node.finished_at or (now() if node.status == "running" else None)
        table.add_row(
            Text(f"  {_MARKS[node.status]}", colour), Text(out.harmless(node.node_id)), Text(_words(node), colour),
            Text(took(node.started_at, end), "dim"),
        )  # fmt: skip
    return Group(head, table, Text(_why(view), "dim"))
