"""What the tests of the SQLite store share: instances made by hand, and child processes that speak over pipes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sayiir
from sayiir import SqliteBackend
from sayiir.core.plan import RUN
from sayiir.core.records import Definition, Move, Position, Record
from sayiir.store.port import Claim, NewInstance

CHILD = Path(__file__).with_name("child.py")
SOURCES = str(Path(sayiir.__file__).parents[1])


def new(instance_id: str = "a", value: bytes = b'{"n":1}') -> NewInstance:
    """Return what `create` is given."""
    return NewInstance(instance_id, Definition("w", "hash", "flow"), value, Position("one"), is_task=True)


def begin(store: SqliteBackend, instance_id: str = "a", **more: Any) -> Claim:
    """Create an instance and claim it."""
    claim = store.create(new(instance_id, **more), "fail", claim=True).claim
    assert claim is not None
    return claim


def step(store: SqliteBackend, claim: Claim, number: int, value: bytes = b'{"n":1}') -> None:
    """Checkpoint a task's result."""
    record = Record(number, "one", "task", output=value, started_at=number, finished_at=number)
    store.checkpoint(claim.fence, Move((record,), Position("one", number, number), RUN))


def raw(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask the file itself, with nothing of ours in between."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def is_sound(path: Path) -> bool:
    """Return whether SQLite finds nothing wrong with the file."""
    return raw(path, "PRAGMA integrity_check") == [("ok",)]


class Child:
    """A process that runs `child.py`; it says a line when it is there, and goes on when it hears one."""

    def __init__(self, command: str, *args: object) -> None:
        path = os.pathsep.join(filter(None, [SOURCES, os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD), command, *map(str, args)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip

    def hear(self) -> str:
        """Return the next line that it says; "" when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, line: str = "go") -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """End it as a power cut would end the process."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Wait for its end; return its exit code."""
        return self.process.wait()


@contextmanager
def child(command: str, *args: object) -> Iterator[Child]:
    """Run a child, and leave none behind."""
    started = Child(command, *args)
    try:
        yield started
    finally:
        started.kill()
        for pipe in (started.process.stdin, started.process.stdout):
            if pipe is not None:
                pipe.close()
