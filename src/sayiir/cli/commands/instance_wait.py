"""`sayiir instance result|watch`: waiting for the end; the exit code says how it ended."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NoReturn

import click

from sayiir.cli import out
from sayiir.cli.codes import CANCELLED, CONFLICT, FAILED, GRACEFUL, INTERRUPTED, TIMEOUT, RefusedError
from sayiir.cli.follow import ENDED, follow
from sayiir.cli.lazy import Command
from sayiir.cli.place import Link, Place, placed
from sayiir.flow.duration import parse_duration

if TYPE_CHECKING:
    from sayiir.service.model import InstanceView

_PART_SECS = 30.0
_ENDINGS = {"completed": GRACEFUL, "failed": FAILED, "cancelled": CANCELLED}
_CODES = "The exit code says how it ended: 0 completed, 10 failed, 11 cancelled, 6 not within --timeout, 130 Ctrl-C."


@click.command(cls=Command, epilog=_CODES, examples="""
sayiir instance result order-7
sayiir instance result order-7 --timeout 5m > receipt.json
""")  # fmt: skip
@click.argument("instance_id", metavar="ID")
@click.option("--timeout", default="0", show_default=True, metavar="DURATION",
              help="Wait so long for its end: 30s, 5m, 1h30m.")  # fmt: skip
@out.output
@placed
def result(place: Place, instance_id: str, timeout: str, form: out.Form) -> NoReturn:
    """Print the output of an instance, as JSON, waiting for it if asked to.

    It is printed whole; for viewers, its secrets are masked. -o json gives everything about the instance instead.
    """
    secs = parse_duration(timeout)
    with place.open() as link:
        view = waited(link, instance_id, secs)
        sys.exit(told(link, view, form, patience=secs))


def waited(link: Link, instance_id: str, secs: float) -> InstanceView:
    """Return an instance once it has ended, or as it stands after so many seconds."""
    deadline = time.monotonic() + secs
    while True:
        # In parts, for proxies end what is silent for long.
        left = max(0.0, deadline - time.monotonic())
        view = link.api.result(link.access, instance_id, timeout=min(left, _PART_SECS))
        if view.row.status in ENDED or left <= 0:
            return view


def told(link: Link, view: InstanceView, form: out.Form, *, patience: float) -> int:
    """Print what came out of an instance, say on stderr what went wrong; return the exit code."""
    name, ended = view.row.instance_id, view.row.status
    if form in {"table", "wide"}:
        if ended == "completed":
            out.json(link.api.output(link.access, name)[1])
    else:
        out.one(form, view, name, lambda _wide: ())
    if ended != "completed":
        stands = {"failed": "has failed", "cancelled": "was cancelled"}.get(ended, "has not ended")
        fix = f"go on at what failed: sayiir instance retry {name}" if ended == "failed" else view.why.fix
        out.note(f"sayiir: {name} {stands}: {_why(view, fix)}")
    if ended not in ENDED:
        return TIMEOUT if patience else CONFLICT
    return _ENDINGS[ended]


def _why(view: InstanceView, fix: str | None) -> str:
    """Return why it has not completed, and what would help, as one sentence."""
    sentence = out.harmless(view.why.sentence)
    return f"{sentence.removesuffix('.')}; {out.harmless(fix[0].lower() + fix[1:]).removesuffix('.')}" if fix else sentence


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
    if view.row.status not in ENDED:
        raise RefusedError(f"{instance_id} has not ended within {timeout:g} s: {_why(view, view.why.fix)}", TIMEOUT)
    if form in {"table", "wide"}:
        return told(link, view, form, patience=0)
    if form == "ids":
        out.name(instance_id)
    return _ENDINGS[view.row.status]
