"""One read on one view of the file, and the most time that it may take: SQLite asks now and then whether it is over.

Rules of this file: what SQLite asks is made of C functions alone. Where a function of Python stood, Ctrl-C could be handled
inside of it, and what a signal's handler raises there is lost.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_STEPS = 10_000
"""Of SQLite's virtual machine, between two questions; well below a millisecond."""


def viewed(connection: sqlite3.Connection, rows: Any, script: Callable[[Any], T], seconds: float | None) -> T:
    """Run a script on one view of the file, for so many seconds at most, if any."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")  # an interruption fell between the last BEGIN and what followed
    connection.execute("BEGIN")
    try:
        return in_time(connection, rows, script, seconds)
    finally:
        connection.execute("ROLLBACK")


def in_time(connection: sqlite3.Connection, rows: Any, script: Callable[[Any], T], seconds: float | None) -> T:
    """Run a script that only reads, for so many seconds at most, if any."""
    with _limited(connection, seconds):
        return script(rows)


@contextmanager
def _limited(connection: sqlite3.Connection, seconds: float | None) -> Generator[None, None, None]:
    """Let what runs on a connection be interrupted after so many seconds, until the block is left."""
    if seconds is None:
        yield
        return
    is_over = map((time.monotonic() + seconds).__lt__, iter(time.monotonic, None))
    try:  # begun before, or an interruption in between would leave it there for whoever comes next
        connection.set_progress_handler(is_over.__next__, _STEPS)
        yield
    finally:
        connection.set_progress_handler(None, 0)
