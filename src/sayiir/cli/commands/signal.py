"""`sayiir signal send`."""

from __future__ import annotations

import sys
from typing import Any, TypedDict

import click

from sayiir.cli import out
from sayiir.cli.bulk import Refusals, check_selection, selected
from sayiir.cli.commands.instance_see import Pages
from sayiir.cli.given import confirmed, read_ids, read_json
from sayiir.cli.lazy import Command, LazyGroup
from sayiir.cli.out import Column
from sayiir.cli.place import Place, placed

signal = LazyGroup(
    "signal",
    help="Send signals to instances that wait for them.",
    entries={"send": ("signal:send", "Send a signal; it is kept until the instance takes it.")},
)


class Sent(TypedDict):
    """What became of a signal; `accepted` is False when its dedup key was seen before."""

    instance_id: str
    signal: str
    accepted: bool


_COLUMNS: tuple[Column[Any], ...] = (
    Column("INSTANCE", lambda sent: sent["instance_id"]),
    Column("SIGNAL", lambda sent: sent["signal"]),
    Column("SENT", lambda sent: "yes" if sent["accepted"] else "no, seen before"),
)


@click.command(cls=Command, examples="""
sayiir signal send approval order-7 --payload '{"approved": true}'
sayiir signal send approval order-7 --payload @decision.json --dedup-key ticket-12
sayiir instance list workflow:orders status:awaiting_signal -o ids | sayiir signal send approval -
sayiir signal send wake --where "workflow:orders status:awaiting_signal" --yes
""")  # fmt: skip
@click.argument("name", metavar="NAME")
@selected
@click.option("--payload", default="null", show_default=True, metavar="JSON", help="JSON, @file, or - for stdin.")
@click.option("--dedup-key", metavar="KEY", help="A second signal of the same name and key is dropped.")
@out.output
@placed
def send(
    place: Place, name: str, ids: tuple[str, ...], where: str | None, dry_run: bool, yes: bool, payload: str,
    dedup_key: str | None, form: out.Form,
) -> None:  # fmt: skip
    """Send a signal to instances; it is kept until a wait for this name takes it, first in, first out."""
    check_selection(ids, where)
    if payload == "-" and "-" in ids:
        raise click.UsageError("stdin cannot be both the ids and the payload; use --payload @file")
    raw = read_json(payload, "--payload")
    with place.open(traces=True) as link:
        names = list(read_ids(ids)) if where is None else [row.instance_id for row in Pages(link, where, None, None)]
        if where is not None and not dry_run:
            confirmed(f"send {name} to {len(names)} instances that fit {where!r}?", yes=yes)

        def act(instance_id: str) -> Sent:
            accepted = dry_run or link.api.signal(link.access, instance_id, name, raw, dedup_key=dedup_key)
            return Sent(instance_id=instance_id, signal=name, accepted=accepted)

        done = Refusals()
        out.rows(form, done.through(names, act), _COLUMNS, lambda sent: sent["instance_id"], empty="")
        if dry_run:
            out.note("nothing was sent")
    sys.exit(done.code)
