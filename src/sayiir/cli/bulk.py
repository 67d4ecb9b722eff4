"""Steering several instances: named ones one by one, all that fit a filter in the server's own portions.

Rules of this file: what was refused is said on stderr, each with its sentence, and the rest goes on; the exit code is
then that of the first refusal. A filter acts only after a yes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click
import msgspec

from sayiir.cli import out
from sayiir.cli.codes import CONFLICT, GRACEFUL, code_of, one_line
from sayiir.cli.given import confirmed, read_ids
from sayiir.cli.place import Link
from sayiir.cli.sheets import INSTANCES
from sayiir.errors import WorkflowError

if TYPE_CHECKING:
    from sayiir.service.model import Action, BulkResult, InstanceRow, Selection

_PORTION = 1000


def selected(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command IDs, --where, --dry-run and --yes."""
    for part in (
        click.option("-y", "--yes", is_flag=True, help="With --where: do not ask."),
        click.option("--dry-run", is_flag=True, help="Only say what it would do."),
        click.option("--where", metavar="FILTER", help="All that fit, instead of ids; see `sayiir instance list --help`."),
        click.argument("ids", metavar="[ID...|-]", nargs=-1),
    ):
        function = part(function)
    return function


def check_selection(ids: tuple[str, ...], where: str | None) -> None:
    """Refuse a command that names no instances, or names them twice over.

    Raises:
        click.UsageError: it is so.
    """
    if bool(ids) == (where is not None):
        both = ", not both" if ids else ""
        raise click.UsageError(f"say which: ids, - for ids on stdin, or --where with a filter{both}")
    if where is not None and not where.strip():
        raise click.UsageError("--where is empty and would mean every instance; write a word at least, as in status:failed")


def steer(
    link: Link, action: Action, ids: tuple[str, ...], where: str | None, *, act: Callable[[Link, str], InstanceRow],
    dry_run: bool, yes: bool, reason: str | None, form: out.Form,
) -> int:  # fmt: skip
    """Do something to instances and print what came of it.

    Args:
        link: where they are.
        action: what.
        ids: which ones by name; "-" stands for stdin.
        where: or by a filter.
        act: does it to one of them.
        dry_run: whether to say only what would happen.
        yes: whether not to ask before a filter acts.
        reason: why, for people.
        form: how it is printed.

    Returns:
        The exit code.
    """
    check_selection(ids, where)
    if where is None and not dry_run:
        done = Refusals()
        changed = done.through(read_ids(ids), lambda one: act(link, one))
        out.rows(form, changed, INSTANCES, lambda row: row.instance_id, empty="")
        return done.code
    if not dry_run:
        matched = _bulk(link, action, ids, where, dry_run=True, reason=reason, each=lambda _part: None).matched
        confirmed(f"{action} {matched} instances that fit {where!r}?", yes=yes)
    return _printed(_bulk(link, action, ids, where, dry_run=dry_run, reason=reason, each=_progress(form)), form)


class Refusals:
    """Goes on after a refusal, and remembers the exit code of the first."""

    def __init__(self) -> None:
        self.code = GRACEFUL

    def through(self, ids: Iterable[str], act: Callable[[str], Any]) -> Iterator[Any]:
        """Yield what each gave that was not refused."""
        for instance_id in ids:
            try:
                done = act(instance_id)
            except (WorkflowError, ValueError) as error:
                out.note(f"sayiir: {out.harmless(one_line(error))}")
                self.code = self.code or code_of(error)
            else:
                yield done


def _bulk(
    link: Link, action: Action, ids: tuple[str, ...], where: str | None, *, dry_run: bool, reason: str | None,
    each: Callable[[BulkResult], None],
) -> BulkResult:  # fmt: skip
    """Act on everything, portion by portion; return the sum."""
    from sayiir.service.model import BulkResult

    total = BulkResult(action, dry_run, 0, 0)
    for selection in _selections(ids, where):
        cursor: str | None = None
        while True:
            part = link.api.bulk(link.access, action, selection, dry_run=dry_run, reason=reason, cursor=cursor)
            each(part)
            matched, done = total.matched + part.matched, total.done + part.done
            total = msgspec.structs.replace(total, matched=matched, done=done, refused=total.refused + part.refused)
            cursor = part.next
            if cursor is None:
                break
    return total


def _selections(ids: tuple[str, ...], where: str | None) -> Iterator[Selection]:
    from sayiir.service.model import Selection

    if where is not None:
        yield Selection(where=where)
        return
    names = read_ids(ids)
    while portion := tuple(islice(names, _PORTION)):
        yield Selection(ids=portion)


def _progress(form: out.Form) -> Callable[[BulkResult], None]:
    def each(part: BulkResult) -> None:
        if form == "jsonl":
            out.line(part)
        elif part.next is not None:
            out.note(f"{part.done} of {part.matched} …")

    return each


def _printed(total: BulkResult, form: out.Form) -> int:
    if form == "json":
        out.json(total)
    elif form == "ids":
        for instance_id, _ in total.refused:
            out.name(instance_id)
    elif form in {"table", "wide"}:
        did = "would be done" if total.dry_run else "done"
        out.facts([("action", total.action), ("matched", total.matched), (did, str(total.done)),
                   ("refused", str(total.matched - total.done))])  # fmt: skip
        for instance_id, sentence in total.refused:
            out.note(f"sayiir: {out.harmless(sentence if instance_id in sentence else f'{instance_id}: {sentence}')}")
    return GRACEFUL if total.done == total.matched or total.dry_run else CONFLICT
