"""`sayiir instance list|show|why|timeline`: reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from sayiir.cli import out
from sayiir.cli.given import filter_of, read_ids
from sayiir.cli.lazy import Command
from sayiir.cli.place import Link, Place, placed
from sayiir.cli.sheets import INSTANCES, attempt_columns, instance_sheet, why_sheet

if TYPE_CHECKING:
    from sayiir.service.model import InstanceRow

_PAGE = 1000
_FILTER = """\b
WHERE is any number of words, all of which must fit:
  order-7            what its id begins with
  status:failed,paused
  workflow:orders
  since:2h           created in the last two hours; since:2026-11-01, until:…
  meta.customer:ann  what the workflow's metadata says"""


@click.command("list", cls=Command, examples="""
sayiir instance list
sayiir instance list status:failed since:1d
sayiir instance list workflow:orders --limit 500 -o wide
sayiir instance list status:failed --all -o ids | sayiir instance retry -
""")  # fmt: skip
@click.argument("where", nargs=-1)
@click.option("-n", "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many at most.")
@click.option("--all", "everything", is_flag=True, help="All that fit.")
@click.option("--cursor", help="Go on where an earlier list ended: its `next`.")
@out.output
@placed
def list_(
    place: Place, where: tuple[str, ...], limit: int, everything: bool, cursor: str | None, form: out.Form
) -> None:
    """List instances, the newest first."""
    with place.open() as link:
        pages = Pages(link, filter_of(where), None if everything else limit, cursor)
        out.rows(
            form, pages, INSTANCES, lambda row: row.instance_id,
            empty="no instances" + (" fit; sayiir instance list shows all" if where else " yet; sayiir submit makes one"),
            envelope=lambda items: {"items": items, "next": pages.next},
        )  # fmt: skip
        if pages.next is not None and form in {"table", "wide"}:
            out.note(f"there are more: --limit {limit * 10}, --all, or --cursor {pages.next}")


list_.help = f"{list_.help}\n\n{_FILTER}"


class Pages:
    """The rows of one page after another; `next` is where the last one that was read ended."""

    def __init__(self, link: Link, where: str, limit: int | None, cursor: str | None) -> None:
        self._link, self._where, self._limit, self.next = link, where, limit, cursor

    def __iter__(self) -> Iterator[InstanceRow]:
        left = self._limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(left, _PAGE)
            page = self._link.api.find(self._link.access, self._where, cursor=self.next, limit=size)
            self.next = page.next
            yield from page.items
            if page.next is None:
                return
            left = left if left is None else left - len(page.items)


@click.command(cls=Command, examples="""
sayiir instance show order-7
sayiir instance show order-7 -o wide      with input and output
sayiir instance show order-7 -o json | jq .why.sentence
""")  # fmt: skip
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@out.output
@placed
def show(place: Place, ids: tuple[str, ...], form: out.Form) -> None:
    """Show how instances stand: status, why, what they wait for, every task.

    ID may be -, for ids on stdin.
    """
    with place.open() as link:
        views = (link.api.show(link.access, one) for one in read_ids(ids))
        _each(form, ids, views, lambda view: view.row.instance_id, instance_sheet)


@click.command(cls=Command, examples="""
sayiir instance why order-7
sayiir instance list status:failed -o ids | sayiir instance why -
""")  # fmt: skip
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@out.output
@placed
def why(place: Place, ids: tuple[str, ...], form: out.Form) -> None:
    """Say in one sentence why instances do not move, or ended as they did, with the evidence and the fix."""
    with place.open() as link:
        told = ((view.row.instance_id, view.why) for view in (link.api.show(link.access, one) for one in read_ids(ids)))
        if form in {"table", "wide"}:
            _each(form, ids, told, lambda pair: pair[0], why_sheet)
        else:
            found = ({"instance_id": name, **_plain(reason)} for name, reason in told)
            _each(form, ids, found, lambda pair: pair["instance_id"], lambda *_: None)


@click.command(cls=Command, examples="""
sayiir instance timeline order-7
sayiir instance timeline order-7 -o wide     with a bar for each attempt
sayiir instance timeline order-7 -o jsonl | jq -r 'select(.status == "failed") | .error.message'
""")  # fmt: skip
@click.argument("instance_id", metavar="ID")
@out.output
@placed
def timeline(place: Place, instance_id: str, form: out.Form) -> None:
    """Show every attempt of every task, wait and structure, in order of start."""
    with place.open() as link:
        found = link.api.attempts(link.access, instance_id)
    out.rows(
        form, found, attempt_columns(_span(found)), lambda attempt: attempt.node_id, empty="nothing has happened to it yet"
    )


def _span(attempts: Iterable[Any]) -> tuple[datetime, datetime] | None:
    times = [time for one in attempts for time in (one.started_at, one.finished_at) if time is not None]
    return (min(times), max(times)) if times else None


def _plain(value: Any) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain


def _each(form: out.Form, given: tuple[str, ...], values: Iterable[Any], ident: Any, sheet: Any) -> None:
    """Print one thing, or several below each other; JSON of several is a list of items."""
    if form == "json" and (len(given) > 1 or "-" in given):
        out.json({"items": list(values)})
        return
    for number, value in enumerate(values):
        if form in {"table", "wide"}:
            if number:
                click.echo()
            sheet(value, form == "wide")
        else:
            out.one(form, value, ident(value), lambda _wide: ())
