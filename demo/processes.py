"""The processes of the demonstration: a child moves the instance until it ends, parks or is killed; the parent watches.

They share nothing but the SQLite file. `python -m demo.processes` is the child: the few lines of `move` are all that it
takes to begin, and all that it takes to go on after a crash.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from demo import outside
from demo.flow import Order, catalogue
from sayiir import SqliteBackend, WorkflowClient, resume_workflow

INSTANCE = "installed-packages"
LOOK_SECS = 0.1
INTERRUPTED = 130
_OURS = ("catalogue.db*", "effects.jsonl", "inventory.json*", "catalogue.json*", "catalogue.draft.json*", "power-cut",
         "catalogue.html")  # fmt: skip


def database() -> Path:
    """Return the path of the database file."""
    return outside.folder() / "catalogue.db"


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Hold the folder for the length of the block; False when another demonstration holds it."""
    with (folder / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def clear() -> None:
    """Remove what an earlier demonstration left; nothing but files of ours."""
    for pattern in _OURS:
        for path in outside.folder().glob(pattern):
            path.unlink()


def begin(client: WorkflowClient, order: Order, *, killed: bool) -> None:
    """Accept a new instance; from here on it cannot be lost."""
    if killed:
        (outside.folder() / "power-cut").touch()
    client.submit(catalogue, INSTANCE, order)


def move() -> int:
    """Move the instance as far as it goes: the child's job."""
    try:
        with SqliteBackend(database()) as backend:
            # When an earlier demo was killed itself, its child may still be at it: wait for that.
            resume_workflow(catalogue, INSTANCE, backend, busy_timeout=60)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def start() -> subprocess.Popen[str]:
    """Start a process that moves the instance."""
    command = [sys.executable, "-m", "demo.processes"]
    environment = {**os.environ, outside.FOLDER: str(outside.folder())}
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def follow(process: subprocess.Popen[str], look: Callable[[], None]) -> str:
    """Look again and again until the process has ended, then once more; return what it complained about."""
    while True:
        try:
            process.wait(LOOK_SECS)
        except subprocess.TimeoutExpired:
            look()
        else:
            look()
            assert process.stderr is not None  # started with a pipe
            with process.stderr as complaints:
                return complaints.read()


if __name__ == "__main__":
    sys.exit(move())
