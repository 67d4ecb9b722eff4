"""What commands print: tables for people, JSON for programs, ids for pipes.

Rules of this file: data goes to stdout, everything else to stderr. JSON is the API's own, never reshaped. Columns are
plain text unless stdout is a terminal and rich is there; a status is a word always, colour only adds to it. Text of
users is made harmless first: no control character reaches a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

import click
import msgspec

T = TypeVar("T")
Form: TypeAlias = Literal["table", "wide", "json", "jsonl", "ids"]
FORMS: tuple[Form, ...] = ("table", "wide", "json", "jsonl", "ids")
_COLOURS = {
    "completed": "green", "failed": "bold red", "cancelled": "yellow", "paused": "yellow", "in_progress": "cyan",
    "running": "cyan", "waiting": "blue", "awaiting_signal": "magenta", "crashed": "bold red", "pending": "dim",
    "skipped": "dim", "alive": "green", "gone": "dim",
}  # fmt: skip
_HARMLESS = dict.fromkeys((*range(32), *range(127, 160), *range(8234, 8239), *range(8294, 8298)), "�")

_ESCAPES = {number: f"\\u{number:04x}" for number in _HARMLESS if number > 32}


class Column(NamedTuple, Generic[T]):
    """A column of a table.

    Args:
        title: what stands above it.
        cell: the text for a row.
        wide: whether it is shown in the wide form only.
        right: whether it is aligned at the right.
    """

    title: str
    cell: Callable[[T], object]
    wide: bool = False
    right: bool = False


def output(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `-o`, which reaches it as `form`."""
    return click.option(
        "-o", "--output", "form", type=click.Choice(FORMS), default="table", show_default=True,
        help="How it is printed: columns, more columns, JSON, a line of JSON for each, ids only.",
    )(function)  # fmt: skip


def rows(
    form: Form, items: Iterable[T], columns: Sequence[Column[T]], ident: Callable[[T], str], *,
    empty: str = "nothing found", envelope: Callable[[list[T]], object] = lambda items: {"items": items},
) -> None:  # fmt: skip
    """Print a list; lines of JSON and ids are printed as they come.

    Args:
        form: how.
        items: what.
        columns: of the table.
        ident: what names an item.
        empty: what stderr says when there is none, if anything.
        envelope: what JSON puts around them.
    """
    if form == "jsonl":
        for item in items:
            line(item)
    elif form == "ids":
        for item in items:
            name(ident(item))
    elif form == "json":
        json(envelope(list(items)))
    else:
        shown = list(items)
        if not shown:
            if empty:
                note(empty)
            return
        chosen = [column for column in columns if form == "wide" or not column.wide]
        _table(chosen, [[harmless(column.cell(item)) for column in chosen] for item in shown])


def one(form: Form, value: Any, ident: str, sheet: Callable[[bool], Iterable[tuple[str, object]]]) -> None:
    """Print one thing.

    Args:
        form: how.
        value: it.
        ident: what names it.
        sheet: its names and values for people; True for the wide form.
    """
    if form == "jsonl":
        line(value)
    elif form == "ids":
        name(ident)
    elif form == "json":
        json(value)
    else:
        facts(sheet(form == "wide"))


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values below each other; a value of several lines is indented."""
    told = [(name, str(value).splitlines()) for name, value in pairs if value not in (None, "")]
    width = max((len(name) for name, _ in told), default=0)
    for name, lines in told:
        for number, part in enumerate(map(harmless, lines)):
            label = _styled(name.ljust(width), "dim") if number == 0 else " " * width
            click.echo(f"{label}  {_styled(part, _COLOURS.get(part))}")


def json(value: Any) -> None:
    """Print JSON for people and programs."""
    _json(msgspec.json.format(msgspec.json.encode(value), indent=2))


def line(value: Any) -> None:
    """Print JSON on one line, at once."""
    _json(msgspec.json.encode(value))


def name(ident: str) -> None:
    """Print an id as it is; on a terminal, made harmless."""
    click.echo(harmless(ident) if on_terminal() else ident, color=True)  # else click leaves parts of it out


def note(text: str) -> None:
    """Say something that is no data."""
    click.echo(text, err=True)


def heading(text: str) -> None:
    """Print a heading of a sheet."""
    click.echo(f"\n{_styled(text, 'bold')}")


def harmless(value: object) -> str:
    """Return text that no terminal takes for a command.

    >>> harmless("a" + chr(27) + "[31m")
    'a�[31m'
    """
    return str(value).replace("\n", " ").replace("\t", " ").translate(_HARMLESS).encode("utf-8", "replace").decode()


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def console() -> Any | None:
    """Return rich's console; None where plain text is to be written."""
    if not on_terminal():
        return None
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        return None
    return Console(highlight=False, markup=False)


def colour_of(status: str) -> str:
    """Return rich's style of a status."""
    return _COLOURS.get(status, "")


def _styled(text: str, style: str | None) -> str:
    if not style or not on_terminal() or os.environ.get("NO_COLOR"):
        return text
    words = style.split()
    colour = next((word for word in words if word not in ("bold", "dim")), None)
    return click.style(text, fg=colour, bold="bold" in words or None, dim="dim" in words or None)


def _json(raw: bytes) -> None:
    text = raw.decode()
    # JSON has escapes of its own below 32; the others that a terminal may take for commands get theirs here.
    click.echo(text.translate(_ESCAPES) if on_terminal() else text)


def _table(columns: Sequence[Column[Any]], cells: list[list[str]]) -> None:
    rich = console()
    if rich is None:
        _plain(columns, cells)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell, _COLOURS.get(cell, "")) for cell in row))
    rich.print(table)


def _plain(columns: Sequence[Column[Any]], cells: list[list[str]]) -> None:
    table = [[column.title for column in columns], *cells]
    widths = [max(len(row[number]) for row in table) for number in range(len(columns))]
    for row in table:
        padded = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())
