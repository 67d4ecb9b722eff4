"""`python -m demo`: the story. Start a process, watch it die, start another; ask for the approval; show the result."""

from __future__ import annotations

import argparse
import getpass
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

try:
    from rich.console import Console
    from rich.markup import escape
    from rich.prompt import Confirm, Prompt
except ImportError:
    sys.exit("The demo prints with rich: pip install 'sayiir[demo]'")

from demo import outside, processes, report, show
from demo.flow import Order, catalogue, merge
from demo.page import page
from demo.processes import INSTANCE, alone
from demo.proof import Proof, compare
from sayiir import SqliteBackend, WorkflowClient, WorkflowStatus
from sayiir.errors import BackendError

MOST_PROCESSES = 20
APPROVE_SECS = 1.0


class Story:
    """One telling of the demonstration."""

    def __init__(self, console: Console, client: WorkflowClient, *, ask: bool) -> None:
        self._console = console
        self._client = client
        self._ask = ask
        self._watcher = show.Watcher(console, client)

    def tell(self) -> int:
        """Move the instance to its end, whatever happens on the way; return the exit code."""
        for _ in range(MOST_PROCESSES):
            status = self._client.status(INSTANCE)
            if status.is_completed():
                return self._end(status)
            if status.is_failed() or status.is_cancelled():
                show.say(self._console, f"[red]{status!r}[/]")
                return 1
            self._prepare(status)
            if not self._run():
                return 1
        show.say(self._console, f"[red]not finished after {MOST_PROCESSES} processes[/]")
        return 1

    def _run(self) -> bool:
        process = processes.start()
        show.say(self._console, f"a process starts [dim](pid {process.pid})[/]")
        with self._watcher.watching():
            complaint = processes.follow(process, self._watcher.look)
        if process.returncode == -signal.SIGKILL:
            show.say(self._console, "[bold red]killed by SIGKILL[/] in the midst of it; the file is all that is left")
        elif process.returncode == processes.INTERRUPTED:
            raise KeyboardInterrupt
        elif process.returncode:
            self._console.print(complaint, markup=False, highlight=False)
            return False
        return True

    def _prepare(self, status: WorkflowStatus) -> None:
        """Do what a parked instance waits for."""
        if status.is_waiting() and status.wake_at is not None:
            left = (status.wake_at - datetime.now(UTC)).total_seconds()
            if left > 0:
                self._parked(f"for {left:.1f} s more", status.delay_id)
                time.sleep(left)
        elif status.is_awaiting_signal():
            self._parked("for a signal, for months if need be", status.signal_name)
            payload = {"approved": self._approved(), "by": _user()}
            self._client.send_signal(INSTANCE, status.signal_name or "", payload, dedup_key="demo")

    def _parked(self, how_long: str, node: str | None) -> None:
        show.say(self._console, f"it waits at [bold]{node}[/] {how_long}; its process has ended, nothing runs")

    def _approved(self) -> bool:
        if self._ask:
            return Confirm.ask("  Publish the catalogue?", console=self._console, default=True)
        show.say(self._console, "nobody is asked without a terminal (or with --yes): it is approved")
        time.sleep(APPROVE_SECS)
        return True

    def _end(self, status: WorkflowStatus) -> int:
        self._watcher.look()
        console, timeline = self._console, self._client.timeline(INSTANCE)
        proof = compare(outside.effects(), timeline)
        console.print()
        routed = self._client.get_task_result(INSTANCE, "branch_0")
        packages = self._client.get_task_result(INSTANCE, merge).packages
        report.catalogue(console, packages, routed["branch"], routed["result"]["remarks"])
        console.print()
        report.timeline(console, timeline, self._watcher)
        console.print()
        report.proof(console, proof, len(self._watcher.workers))
        console.print()
        picture = outside.folder() / "catalogue.html"
        picture.write_text(page(catalogue, status, timeline, self._facts(status, proof)), encoding="utf-8")
        show.say(console, f"the catalogue: [bold]{escape(status.output or 'not published')}[/]")
        show.say(console, f"a picture of the run: [bold]{escape(str(picture.resolve().as_uri()))}[/]")
        return 0 if proof.holds else 1

    def _facts(self, status: WorkflowStatus, proof: Proof) -> list[tuple[str, str]]:
        return [
            ("Status", status.status),
            ("Output", status.output or "not published"),
            ("Processes", str(len(self._watcher.workers))),
            ("Task code began", f"{proof.began} times"),
            ("Finished", str(proof.finished)),
            ("Failed and tried again", str(proof.failed)),
            ("Cut off by SIGKILL", str(proof.cut_off)),
            ("Ran again after finishing", str(proof.again)),
        ]


def _user() -> str:
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return "somebody"


# --- the choice between going on and starting fresh -------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; return 0 when the instance completed and the proof holds."""
    options = _options(arguments)
    console = Console(highlight=False)
    ask = console.is_terminal and sys.stdin.isatty() and not options.yes
    os.environ[outside.FOLDER] = str(options.folder)
    options.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if not stack.enter_context(alone(options.folder)):
            show.say(console, f"another demonstration is under way in {options.folder}; wait for it, or give --folder")
            return 1
        show.title(console, options.folder)
        client = _open(stack, console, options, ask=ask)
        try:
            return Story(console, client, ask=ask).tell()
        except (KeyboardInterrupt, EOFError):
            console.print()
            show.say(console, "stopped; [bold]make demo[/] goes on from here")
            return processes.INTERRUPTED


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m demo", description="A durable workflow that is killed on the way.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--continue", dest="fresh", action="store_false", help="go on with an unfinished run")
    choice.add_argument("--fresh", action="store_true", help="start anew, whatever is there")
    parser.set_defaults(fresh=None)
    parser.add_argument("--yes", action="store_true", help="approve without asking")
    parser.add_argument("--no-kill", action="store_true", help="leave out the SIGKILL")
    parser.add_argument("--limit", type=int, metavar="N", help="look at the first N packages only")
    parser.add_argument("--folder", type=Path, default=Path("demo-data"), help="where everything goes (demo-data)")
    return parser.parse_args(arguments)


def _open(stack: ExitStack, console: Console, options: argparse.Namespace, *, ask: bool) -> WorkflowClient:
    """Return a client of the run to tell: the one that is there, or a fresh one."""
    going_on = _goes_on(console, fresh=options.fresh, ask=ask)
    if not going_on:
        processes.clear()
    client = WorkflowClient(stack.enter_context(SqliteBackend(processes.database())))
    if not going_on:
        processes.begin(client, Order(limit=options.limit), killed=not options.no_kill)
    show.say(console, "going on with it" if going_on else "a fresh instance is accepted")
    return client


def _goes_on(console: Console, *, fresh: bool | None, ask: bool) -> bool:
    """Decide; an unfinished run is gone on with unless somebody says otherwise, a finished one is left behind."""
    status = None if fresh else _found()
    if status is None:
        if fresh is False:
            show.say(console, "there is nothing to go on with")
        return False
    show.say(console, f"there is a run that is [bold]{status.status}[/]")
    if fresh is not None:
        return True
    if status.is_completed() or status.is_failed() or status.is_cancelled():
        return False
    if not ask:
        return True
    question = "  Go on with it, or start fresh?"
    return Prompt.ask(question, console=console, choices=["continue", "fresh"], default="continue") == "continue"


def _found() -> WorkflowStatus | None:
    """Return the status of the run that an earlier demonstration left, if it can be gone on with."""
    if not processes.database().exists():
        return None
    try:
        with SqliteBackend(processes.database()) as backend:
            status = WorkflowClient(backend).status(INSTANCE)
    except BackendError:
        return None  # no instance, or a file of another release: start fresh
    return status if status.definition_hash == catalogue.definition_hash else None


if __name__ == "__main__":
    sys.exit(main())
