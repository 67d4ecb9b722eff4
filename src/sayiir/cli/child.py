"""A worker process with a parent: `python -m sayiir.cli.child`.

Its options come as the first line of stdin; the end of stdin is the end of the parent.

SIGTERM means to end in good order however often it comes, since a supervisor may send it to a whole group and the parent
passes it on, too; SIGINT, which only the parent sends, means now.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading

import msgspec

from sayiir.cli.codes import RefusedError
from sayiir.cli.find import find_workflows
from sayiir.cli.options import Options
from sayiir.cli.work import Events, Told, log_to_stderr, work


def main() -> int:
    """Work as the parent says; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is a worker to be ended
    options = msgspec.json.decode(_first_line(), type=Options)
    events: Events = queue.SimpleQueue()
    threading.Thread(target=_mind_parent, args=(events,), name="sayiir-parent", daemon=True).start()
    try:
        workflows = find_workflows(options.targets)
        log_to_stderr()
        return work(options, workflows, events, _meaning)
    except RefusedError as error:
        sys.stderr.write(f"sayiir: {error}\n")
        return error.code


def _meaning(number: int) -> Told:
    return Told.END_NOW if number == signal.SIGINT else Told.END


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n") and (more := os.read(0, 65536)):
        line += more
    return line


def _mind_parent(events: Events) -> None:
    # Not by sys.stdin, whose lock would be held while the interpreter ends.
    while os.read(0, 4096):
        pass
    events.put((Told.ORPHAN, 0))


if __name__ == "__main__":
    sys.exit(main())
