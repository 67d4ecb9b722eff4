"""`sayiir instance cancel|pause|unpause|retry`: by id, by ids on stdin, or all that fit a filter."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import click

from sayiir.cli import out
from sayiir.cli.bulk import selected, steer
from sayiir.cli.given import read_json
from sayiir.cli.lazy import Command
from sayiir.cli.place import Link, Place, placed

if TYPE_CHECKING:
    from sayiir.service.model import InstanceRow

_Verb: TypeAlias = Literal["cancel", "pause", "unpause", "retry"]


def _steering(verb: _Verb) -> Callable[[Callable[..., Any]], Command]:
    """Give a command the arguments that all of these have."""

    def decorate(function: Callable[..., Any]) -> Command:
        for part in (placed, out.output, click.option("--reason", help="Why, for people."), selected):
            function = part(function)
        examples = _EXAMPLES.format(verb=verb) + _MORE.get(verb, "")
        made: Command = click.command(verb, cls=Command, examples=examples)(function)
        return made

    return decorate


_EXAMPLES = """
sayiir instance {verb} order-7 --reason "the customer called"
sayiir instance list workflow:orders since:1h -o ids | sayiir instance {verb} -
sayiir instance {verb} --where "workflow:orders since:1h" --dry-run
"""
_MORE = {"retry": """sayiir instance retry order-7 --from charge --input '{"amount": 12}'\n"""}


@_steering("cancel")
def cancel(place: Place, **given: Any) -> None:
    """Cancel instances: at once, or as soon as the task that runs has ended."""
    _go(place, "cancel", **given)


@_steering("pause")
def pause(place: Place, **given: Any) -> None:
    """Pause instances: at once, or as soon as the task that runs has ended."""
    _go(place, "pause", **given)


@_steering("unpause")
def unpause(place: Place, **given: Any) -> None:
    """Let paused instances go on."""
    _go(place, "unpause", **given)


@click.option("--input", "input_", metavar="JSON", help="Another input for the task: JSON, @file, or - for stdin.")
@click.option("--from", "from_task", metavar="TASK", help="Go on at this task; later results are made again.")
@_steering("retry")
def retry(place: Place, from_task: str | None, input_: str | None, **given: Any) -> None:
    """Bring failed or cancelled instances back to life, at the task that failed; finished results stay."""
    raw = None if input_ is None else read_json(input_, "--input")
    if (from_task or raw) and (given["where"] or given["dry_run"]):
        raise click.UsageError("--from and --input are for named instances; leave --where and --dry-run out")
    _go(place, "retry", **given, from_task=from_task, input_json=raw)


def _go(
    place: Place, verb: _Verb, *, ids: tuple[str, ...], where: str | None, dry_run: bool, yes: bool, reason: str | None,
    form: out.Form, **more: Any,
) -> None:  # fmt: skip
    def act(link: Link, instance_id: str) -> InstanceRow:
        row: InstanceRow = getattr(link.api, verb)(link.access, instance_id, reason=reason, **more)
        return row

    with place.open() as link:
        sys.exit(steer(link, verb, ids, where, act=act, dry_run=dry_run, yes=yes, reason=reason, form=form))
