"""`sayiir worker list`."""

from __future__ import annotations

from typing import Any

import click

from sayiir.cli import out
from sayiir.cli.lazy import Command
from sayiir.cli.out import Column
from sayiir.cli.place import Place, placed
from sayiir.cli.when import ago

_COLUMNS: tuple[Column[Any], ...] = (
    Column("WORKER", lambda row: row.worker_id),
    Column("KIND", lambda row: row.kind),
    Column("STATUS", lambda row: "alive" if row.alive else "gone"),
    Column("CLAIMS", lambda row: row.claims, right=True),
    Column("STARTED", lambda row: ago(row.started_at)),
    Column("HEARTBEAT", lambda row: ago(row.beat_at)),
    Column("OWNER", lambda row: row.owner, wide=True, right=True),
    Column("CONCURRENCY", lambda row: row.concurrency or "", wide=True, right=True),
    Column("TAGS", lambda row: "every task" if row.tags is None else " ".join(row.tags), wide=True),
    Column("WORKFLOWS", lambda row: " ".join(sorted({name for name, _ in row.workflows}))),
)


@click.command("list", cls=Command, examples="""
sayiir worker list
sayiir worker list -o wide
""")  # fmt: skip
@out.output
@placed
def list_(place: Place, form: out.Form) -> None:
    """List the processes that move instances, or could: workers, and programs that run their own."""
    with place.open() as link:
        found = link.api.workers(link.access)
    out.rows(form, found, _COLUMNS, lambda row: row.worker_id, empty="no worker; start one: sayiir worker module:attr")
