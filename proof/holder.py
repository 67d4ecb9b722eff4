"""A worker's process for the measurement of takeovers: `python holder.py URL NAME LEDGER`; ends when its input does.

The first attempt of its task holds on for ever, the second returns at once; each is a line in the ledger, with its time.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

from sayiir import Flow, Worker, connect, get_task_context

_LEDGER = -1
_FOR_EVER = threading.Event()


def hold(value: Any) -> Any:
    """Note the attempt; the first one is never done."""
    context = get_task_context()
    assert context is not None
    line = {"instance": context.instance_id, "attempt": context.attempt, "pid": os.getpid(), "at": time.time()}
    os.write(_LEDGER, (json.dumps(line) + "\n").encode())
    if context.attempt == 1:
        _FOR_EVER.wait()
    return value


def workflow() -> Any:
    """Return the flow of one task."""
    return Flow("held").then(hold).build()


def main(url: str, name: str, ledger: str) -> None:
    """Work until the input ends."""
    global _LEDGER  # noqa: PLW0603 -- as the chaos tests' workers
    _LEDGER = os.open(ledger, os.O_WRONLY | os.O_APPEND)
    with connect(url) as backend:
        worker = Worker(name, backend, shutdown_grace=0.1)
        with worker.start([workflow()]):
            sys.stderr.write("working\n")
            sys.stderr.flush()
            sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
