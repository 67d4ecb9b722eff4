"""What the demonstration prints when the instance has ended: the catalogue, the timeline, the proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.packages import MAX_SOURCE, Package
from demo.proof import Proof
from demo.show import LOOPS, Watcher, took
from sayiir import TimelineEntry

_TOP = 10
_WIDE = 96
_BAR = 16
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue")
_FAMILY = {"permissive": "green", "copyleft": "yellow", "unknown": "red"}


# --- the catalogue ----------------------------------------------------------------------------------------------------


def catalogue(console: Console, found: Sequence[Package], route: str, remarks: Sequence[str]) -> None:
    """Print the product of the run: the packages, and what the route's branch remarked."""
    packages = sorted(found, key=lambda package: -package.size)
    console.print(_packages(packages, wide=console.width >= _WIDE))
    console.print()
    licences = Counter(one.licence or "none given" for one in packages)
    imports = Counter[str]()
    for one in packages:
        imports.update(one.imports)
    side_by_side = Table.grid(padding=(0, 6))
    side_by_side.add_row(_counts("Licences", licences, 28), _counts("Imported most often", imports, 20))
    console.print(side_by_side)
    console.print()
    console.print(_panel(f"The strictest licence is {route}", Text("\n".join(remarks[:_TOP]))))


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.show_edge = table.pad_edge = False
    return table


def _panel(title: str, inside: RenderableType) -> Panel:
    return Panel(inside, title=title, title_align="left", expand=False)


def _packages(packages: Sequence[Package], *, wide: bool) -> Table:
    table = _table(f"The largest of {len(packages)} packages")
    table.show_footer = True
    table.caption, table.caption_justify = f"imports: in the first {decimal(MAX_SOURCE)} of source of each", "left"
    table.add_column("Package", "Total", style="bold", max_width=24 if wide else 18, no_wrap=True)
    table.add_column("Version", max_width=14 if wide else 9, no_wrap=True)
    table.add_column("Licence", max_width=26 if wide else 14, no_wrap=True)
    _number(table, "Files", f"{sum(one.files for one in packages):,}")
    _number(table, "Altered", f"{sum(len(one.altered) for one in packages):,}")
    _number(table, "Imports", f"{sum(_import_count(one) for one in packages):,}")
    _number(table, "Size", decimal(sum(one.size for one in packages)))
    if wide:
        table.add_column()
    largest = max((one.size for one in packages), default=0) or 1
    for one in packages[:_TOP]:
        bar = Text("█" * max(1, round(_BAR * one.size / largest)), "cyan")
        table.add_row(
            Text(one.name),
            Text(one.version),
            Text(one.licence or "none given", _FAMILY[one.family]),
            f"{one.files:,}",
            f"{len(one.altered):,}" if one.altered else "none",
            f"{_import_count(one):,}",
            decimal(one.size),
            *([bar] if wide else []),
        )
    return table


def _number(table: Table, header: str, total: str) -> None:
    table.add_column(header, total, justify="right", no_wrap=True, min_width=max(len(header), len(total)))


def _import_count(package: Package) -> int:
    return sum(package.imports.values())


def _counts(title: str, counts: Counter[str], width: int) -> Table:
    table = _table(title)
    table.show_header = False
    table.add_column(width=width, no_wrap=True)
    table.add_column(justify="right", style="bold")
    for name, count in counts.most_common(_TOP):
        table.add_row(Text(name), f"{count:,}")
    return table


# --- the timeline -----------------------------------------------------------------------------------------------------


def timeline(console: Console, entries: Sequence[TimelineEntry], watcher: Watcher) -> None:
    """Print one row for every node, with a lane in which each process has its number."""
    shown = [entry for entry in entries if entry.kind in ("task", "delay", "await_signal") and entry.started_at]
    nodes = list(dict.fromkeys(entry.node_id for entry in sorted(shown, key=lambda one: one.started_at or 0)))
    times = [time for one in shown for time in (one.started_at, one.finished_at) if time is not None]
    first, last = min(times), max(times)
    width = max(20, min(72, console.width - 42))
    table = _table(f"Timeline of {took(last - first)}")
    table.caption, table.caption_justify = "digits: which process · ✗: did not finish · dots: a wait", "left"
    table.add_column("Node", no_wrap=True, max_width=22)
    table.add_column("Runs", justify="right")
    table.add_column("Took", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, min_width=width)
    for node in nodes:
        lines = [entry for entry in shown if entry.node_id == node]
        length = sum((_length(entry) for entry in lines), timedelta())
        lane = _lane(lines, first, last, width, watcher)
        table.add_row(LOOPS.get(node, node.rpartition("/")[2]), str(len(lines)), took(length), lane)
    console.print(table)


def _length(entry: TimelineEntry) -> timedelta:
    assert entry.started_at is not None  # only such are shown
    return (entry.finished_at or entry.started_at) - entry.started_at


def _lane(lines: Sequence[TimelineEntry], first: datetime, last: datetime, width: int, watcher: Watcher) -> Text:
    cells, styles = [" "] * width, [""] * width
    span = (last - first) / timedelta(microseconds=1) or 1.0

    def place(moment: datetime) -> int:
        return min(width - 1, int(width * ((moment - first) / timedelta(microseconds=1)) / span))

    for entry in lines:
        assert entry.started_at is not None  # only such are shown
        number = watcher.number(entry.worker_id)
        for cell in range(place(entry.started_at), place(entry.finished_at or last) + 1):
            cells[cell] = str(number % 10) if entry.kind == "task" else "·"
            styles[cell] = _COLOURS[number % len(_COLOURS)] if entry.kind == "task" else "dim"
    for entry in lines:
        if entry.status in ("failed", "crashed"):
            cell = place(entry.finished_at or last)
            cells[cell], styles[cell] = "✗", "bold red"
    lane = Text()
    for character, style in zip(cells, styles, strict=True):
        lane.append(character, style)
    return lane


# --- the proof --------------------------------------------------------------------------------------------------------


def proof(console: Console, found: Proof, processes: int) -> None:
    """Print the ledger's counts against the timeline's."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bold")
    table.add_column()
    table.add_row(str(found.began), "times the code of a task began, says effects.jsonl, outside of the database")
    table.add_row(f"= {found.finished}", "finished: their results are in the timeline, each once")
    table.add_row(f"+ {found.failed}", "failed, tried again")
    table.add_row(f"+ {found.cut_off}", f"cut off by SIGKILL, done again by the next of the {processes} processes")
    if found.stopped:
        table.add_row(f"+ {found.stopped}", "stopped by Ctrl-C, done again when it went on")
    table.add_row(f"+ {found.again}", "had finished before, and ran again all the same")
    if found.without_effect:
        table.add_row(str(found.without_effect), "finished without having begun")
    good = Text("✓ Nothing that had finished ran twice.", "bold green")
    verdict = good if found.holds else Text("✗ The ledger and the timeline disagree: this must not happen.", "bold red")
    console.print(_panel("Proof", Group(table, Text(), verdict)))
