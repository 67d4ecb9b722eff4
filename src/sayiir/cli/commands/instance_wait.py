"""`sayiir instance result|watch`: waiting for the end; the exit code says how it ended."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NoReturn

import click

from sayiir.cli import out
from sayiir.cli.codes import CANCELLED, CONFLICT, FAILED, GRACEFUL, INTERRUPTED, TIMEOUT, RefusedError
from sayiir.cli.follow import follow
from sayiir.cli.lazy import Command
from sayiir.cli.place import Link, Place, placed
from sayiir.flow.duration import parse_duration

if TYPE_CHECKING:
    from sayiir.service.model import InstanceView

_CODES = "The exit code says how it ended: 0 completed, 10 failed, 11 cancelled, 6 not within --timeout, 130 Ctrl-C."


@click.command(cls=Command, epilog=_CODES, examples="""
sayiir instance result order-7
sayiir instance result order-7 --timeout 5m > receipt.json
""")  # fmt: skip
@click.argument("instance_id", metavar="ID")
@click.option("--timeout", default="0", show_default=True, metavar="DURATION", help="Wait so long for its end: 30s, 5m, 1h30m.")
@out.output
@placed
def result(place: Place, instance_id: str, timeout: str, form: out.Form) -> NoReturn:
    """Print the output of an instance, as JSON, waiting for it if asked to.

    -o json gives everything about the instance instead.
    """
    secs = parse_duration(timeout)
    with place.open() as link:
        view = link.api.result(link.access, instance_id, timeout=secs)
    sys.exit(told(view, form, waited=secs))


def told(view: InstanceView, form: out.Form, *, waited: float) -> int:
    """Print what came out of an instance, say on stderr what went wrong; return the exit code."""
    name, ended = view.row.instance_id, view.row.status
    if form in {"table", "wide"}:
        if ended == "completed" and view.output is not None:
            click.echo(view.output.text)
            if view.output.truncated:
                out.note(f"sayiir: this is the beginning of {view.output.size} bytes; read all of it with WorkflowClient.status")
    else:
        out.one(form, view, name, lambda _wide: ())
    if ended == "failed":
        out.note(f"sayiir: {name} has failed: {out.harmless(view.why.sentence)}; go on at what failed: sayiir instance retry {name}")
    elif ended == "cancelled":
        out.note(f"sayiir: {name} was cancelled: {out.harmless(view.why.sentence)}")
    elif ended != "completed":
        out.note(f"sayiir: {name} has not ended: {out.harmless(view.why.sentence)}")
        return TIMEOUT if waited else CONFLICT
    return {"completed": GRACEFUL, "failed": FAILED, "cancelled": CANCELLED}[ended]


@click.command(cls=Command, epilog=_CODES, examples="""
sayiir instance watch order-7
sayiir instance watch order-7 --timeout 10m && ship-it
sayiir instance watch order-7 -o jsonl      one line of JSON for each change
""")  # fmt: skip
@click.argument("instance_id", metavar="ID")
@click.option("--timeout", metavar="DURATION", help="Give up after this: 30s, 5m, 1h30m.  [default: never]")
@out.output
@placed
def watch(place: Place, instance_id: str, timeout: str | None, form: out.Form) -> NoReturn:
    """Follow an instance until it ends: a live picture on a terminal, else a line for each change.

    Ctrl-C ends the watching; the instance goes on.
    """
    with place.open() as link:
        sys.exit(watched(link, instance_id, None if timeout is None else parse_duration(timeout), form))


def watched(link: Link, instance_id: str, timeout: float | None, form: out.Form) -> int:
    """Follow an instance to its end; return the exit code."""
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        view = follow(link, instance_id, deadline, form)
    except KeyboardInterrupt:
        out.note(f"{instance_id} goes on; look again: sayiir instance watch {instance_id}")
        return INTERRUPTED
    if view.row.status not in ("completed", "failed", "cancelled"):
        raise RefusedError(f"{instance_id} has not ended within {timeout:g} s: {out.harmless(view.why.sentence)}", TIMEOUT)
    return told(view, "table" if form in {"table", "wide"} else "ids", waited=0) if form in {"table", "wide"} else _code(view)


def _code(view: InstanceView) -> int:
    return {"completed": GRACEFUL, "failed": FAILED, "cancelled": CANCELLED}[view.row.status]
