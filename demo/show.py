"""All that the demonstration prints while it works. With a terminal bars move; without one, lines do.

Rules of this file: it only shows; what it shows it gets from the client, which reads the file. Colours never say
anything by themselves, so `NO_COLOR` loses nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.rule import Rule

from demo.flow import read_inventory
from demo.processes import INSTANCE
from sayiir import TimelineEntry, WorkflowClient

LOOPS = {
    "child_0/read_metadata": "metadata",
    "child_1/hash_files": "sizes and hashes",
    "child_2/count_imports": "imports",
}
"""The three loops: the node of each body, and what it is called here."""

_QUIET = ("input", "loop", "fork", "fork_branch", "branch", "child_workflow")


class Watcher:
    """Shows how an instance gets on: a line for every step that ends, and bars for the loops."""

    def __init__(self, console: Console, client: WorkflowClient) -> None:
        self._console = console
        self._client = client
        self._shown = 0
        self._bars: dict[str, TaskID] = {}
        self._packages: tuple[int, int] | None = None
        self._progress: Progress | None = None
        self.workers: list[str] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Show bars as long as the block lasts, if there is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description:<16}"),
            BarColumn(None),
            MofNCompleteColumn(),
            TextColumn("packages"),
        )
        with Progress(*columns, console=self._console, transient=True, expand=True) as self._progress:
            self._bars = {}
            yield
        self._progress = None

    def look(self) -> None:
        """Read the timeline and show what is new in it."""
        timeline = self._client.timeline(INSTANCE)
        ended = sorted((entry for entry in timeline if entry.finished_at), key=lambda entry: entry.finished_at or 0)
        for entry in ended[self._shown :]:
            self._line(entry, timeline)
        self._shown = len(ended)
        if self._progress is not None:
            self._move_bars(self._progress, timeline)

    def _line(self, entry: TimelineEntry, timeline: Sequence[TimelineEntry]) -> None:
        number = self.number(entry.worker_id)
        by = f"[dim]process {number}[/]" if number else ""
        name = escape(entry.node_id.rpartition("/")[2])
        if entry.kind in _QUIET or (entry.status == "completed" and self._goes_on(entry, timeline)):
            return
        match entry.status:
            case "failed":
                mark, about = "[yellow]↻[/]", f"[yellow]{escape(entry.error or '')}[/] "
            case "crashed":
                which = f", round {entry.iteration}" if entry.node_id in LOOPS else ""
                mark, about = "[red]✗[/]", f"[red]cut off by the kill{which}; runs again[/] "
            case _:
                mark, about = "[green]✓[/]", f"{self._about(entry):<12}"
        self._console.print(f"  {mark} {name:<22}{about}{by}", soft_wrap=True)

    def _goes_on(self, entry: TimelineEntry, timeline: Sequence[TimelineEntry]) -> bool:
        """Return whether this is a loop's round that is not its last."""
        loop = "/".join((entry.node_id.rpartition("/")[0], "loop_0"))
        over = any(other.node_id == loop for other in timeline)
        return entry.node_id in LOOPS and not (over and entry.iteration == _rounds(entry.node_id, timeline))

    def _about(self, entry: TimelineEntry) -> str:
        if entry.node_id in LOOPS:
            return f"{entry.iteration} rounds"
        assert entry.started_at is not None  # it has ended
        assert entry.finished_at is not None  # it has ended
        return took(entry.finished_at - entry.started_at)

    def number(self, worker: str | None) -> int:
        """Return a process's number, counted from 1 in order of appearance; 0 for none."""
        if worker is None:
            return 0
        if worker not in self.workers:
            self.workers.append(worker)
        return self.workers.index(worker) + 1

    def _move_bars(self, progress: Progress, timeline: Sequence[TimelineEntry]) -> None:
        if self._packages is None:
            work = self._client.get_task_result(INSTANCE, read_inventory)
            if work is None:
                return
            self._packages = work.batch, len(work.todo)
        batch, total = self._packages
        done = {node: min(total, batch * _rounds(node, timeline)) for node in LOOPS}
        for node, label in LOOPS.items():
            if node not in self._bars:
                self._bars[node] = progress.add_task(label, total=total)
            progress.update(self._bars[node], completed=done[node], visible=min(done.values()) < total)


def _rounds(node: str, timeline: Sequence[TimelineEntry]) -> int:
    done = [entry.iteration for entry in timeline if entry.node_id == node and entry.status == "completed"]
    return max(done, default=0)


def took(length: timedelta) -> str:
    """Return a length of time for people.

    >>> took(timedelta(milliseconds=12)), took(timedelta(seconds=3.14159))
    ('12 ms', '3.1 s')
    """
    seconds = length.total_seconds()
    return f"{math.ceil(seconds * 1000)} ms" if seconds < 1 else f"{seconds:.1f} s"


def title(console: Console, folder: Path) -> None:
    """Say what is going to happen."""
    console.print(Rule("[bold]Sayiir[/] · a durable workflow that is killed on the way"))
    console.print(
        Padding(
            "It catalogues the Python packages of this environment: licences, sizes, hashes, imports.\n"
            f"Its state is one SQLite file in [bold]{escape(str(folder))}[/]; the workflow is [bold]demo/flow.py[/].",
            (1, 2),
        )
    )


def say(console: Console, text: str) -> None:
    """Print one line of the story."""
    console.print(f"[bold cyan]▸[/] {text}")
