"""`sayiir demo`: three orders on a local file, told with the very commands that one would type.

Rules of this file: everything that is printed after a `$` is run as it stands there. The workers are processes of their
own, so that one can be killed in the midst of a task; they end with the demo, whatever happens.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sayiir.cli import out
from sayiir.cli.codes import ERROR, RefusedError
from sayiir.cli.lazy import Command
from sayiir.cli.place import Link, Place

if TYPE_CHECKING:
    from sayiir.service.model import InstanceView

_TARGET = "sayiir.cli.demo_flows:orders"
_PATIENCE_SECS = 60.0
_ORDERS = (
    ("order-1", '{"customer": "Ada", "amount": 120}'),
    ("order-2", '{"customer": "Grace", "amount": 80}'),
    ("order-3", '{"customer": "Alan", "amount": 45, "card": "declined"}'),
)


@click.command(cls=Command, examples="""
sayiir demo
sayiir demo --file orders-demo.db
""")  # fmt: skip
@click.option("--file", "path", default="sayiir-demo.db", show_default=True, metavar="PATH",
              help="Where the instances are kept.")  # fmt: skip
def demo(path: str) -> None:
    """Watch three orders: one survives the death of its worker, one waits for a person, one fails and is retried.

    Takes about fifteen seconds, needs no network, and leaves a file that every other command can look at.
    """
    file = Path(path)
    _Story(f"sqlite:///{path}").tell()
    click.echo(f"""
That was all real: {file} holds every attempt. Look around:
  export SAYIIR_URL=sqlite:///{path}
  sayiir instance show order-1 -o wide
  sayiir instance why order-2
  sayiir workflow graph {_TARGET}
  sayiir dev {_TARGET}     the same with a dashboard""")


class _Story:
    def __init__(self, url: str) -> None:
        self._url = url

    def tell(self) -> None:
        """Tell the demo from its beginning to its end."""
        self._say("Three orders are stored in a file; nothing runs yet.")
        for name, order in _ORDERS:
            self._run("submit", _TARGET, name, "--input", order, "--if-exists", "terminate_existing", "-o", "ids")
        with Place(self._url).open() as link:
            self._say("Somebody starts a worker. The bank does not answer at first, so charging is tried again.")
            with self._worker() as first:
                self._wait(link, "order-1", lambda view: _stands(view, "pack", "running"))
                first.kill()
                first.wait()
            self._say("The worker has just been killed (kill -9), in the midst of packing order-1. What now?")
            self._run("instance", "why", "order-1")
            self._say("Another worker goes on where that one stopped; what was done is not done again.")
            with self._worker():
                self._wait(link, "order-1", lambda view: view.row.status == "awaiting_signal")
                self._wait(link, "order-2", lambda view: view.row.status == "awaiting_signal")
                self._run("instance", "list")
                self._run("instance", "why", "order-2", "order-3")
                self._say("A person approves order-1.")
                self._run("signal", "send", "approval", "order-1", "--payload", '{"approved": true, "by": "you"}')
                self._run("instance", "result", "order-1", "--timeout", "30s")
                self._say("order-3 gets another card, and goes on at the task that failed.")
                card = '{"customer": "Alan", "amount": 45, "card": "valid"}'
                self._run("instance", "retry", "order-3", "--from", "charge", "--input", card)
                self._wait(link, "order-3", lambda view: view.row.status in ("awaiting_signal", "failed"))
        self._say("What happened to order-1, attempt by attempt:")
        self._run("instance", "timeline", "order-1")

    def _say(self, text: str) -> None:
        click.echo(f"\n{click.style(text, bold=True) if out.on_terminal() else text}")

    def _run(self, *words: str) -> None:
        """Run a command, here."""
        from sayiir.cli.app import sayiir

        click.echo(f"\n$ sayiir {shlex.join(words)}")
        try:
            code = sayiir.main([*words, "--url", self._url], "sayiir", standalone_mode=False)
        except SystemExit as error:
            code = error.code
        if code:
            raise RefusedError("the demo cannot go on; see above", ERROR)

    @contextmanager
    def _worker(self) -> Generator[subprocess.Popen[bytes], None, None]:
        click.echo(f"\n$ sayiir worker {_TARGET} &")
        command = [sys.executable, "-m", "sayiir.cli", "worker", _TARGET, "--url", self._url]
        nothing = subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing)  # noqa: S603 -- ourselves
        try:
            yield process
            process.terminate()
            process.wait(_PATIENCE_SECS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def _wait(self, link: Link, instance_id: str, until: Callable[[InstanceView], bool]) -> None:
        """Wait until an instance stands as it shall."""
        deadline, seen = time.monotonic() + _PATIENCE_SECS, 0
        while not until(view := link.api.show(link.access, instance_id)):
            if time.monotonic() > deadline:
                raise RefusedError(f"the demo is stuck: {view.why.sentence}", ERROR)
            seen = link.api.changed(seen, 1.0)


def _stands(view: InstanceView, node_id: str, status: str) -> bool:
    return any(node.node_id == node_id and node.status == status for node in view.nodes)
