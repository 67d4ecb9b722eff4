"""Keeps the write-ahead log short, and never lets a checkpoint run beside a writer.

SQLite before 3.51.3 can damage a file when one connection begins a checkpoint just while another one's commit starts
the log over. So SQLite's own checkpoints at commits are off for all our connections, and ours hold the write lock
through a second connection: while it is held nobody commits, in whatever process or thread, so nobody starts the log
over. That costs nothing at a commit but a look at the log's size.

The log's size tells how many pages it holds, because `journal_size_limit` cuts it back to the limit each time it starts
over: longer than the limit means that more than `PAGES` pages wait to be carried into the database.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable

PAGES = 1000
LIMIT = PAGES * 4096
_PATIENCE_MS = 1000
_PRAGMAS = ("PRAGMA wal_autocheckpoint = 0", f"PRAGMA journal_size_limit = {LIMIT}")


def prepare(connection: sqlite3.Connection) -> None:
    """Take the log of a connection's database into our hands."""
    for pragma in _PRAGMAS:
        connection.execute(pragma).fetchone()


class Log:
    """The log of one backend's file.

    Args:
        path: the database file, to which something was written already.
        writer: the connection that writes, used by one thread at a time.
        connect: opens another connection to the file.

    Raises:
        OSError: the log cannot be opened.
    """

    def __init__(self, path: str, writer: sqlite3.Connection, connect: Callable[[], sqlite3.Connection]) -> None:
        # Asking an open file for its size takes a tenth of the time that asking by name does. SQLite puts no locks on
        # this file, so that closing it drops none; it is never written here.
        self._file = os.open(path + "-wal", os.O_RDONLY | os.O_CLOEXEC)
        self._close_file = weakref.finalize(self, os.close, self._file)
        self._writer = writer
        self._connect = connect
        self._guard: sqlite3.Connection | None = None
        self._due = LIMIT
        self.checkpoints = 0

    def look(self) -> None:
        """Checkpoint if the log is long; called between two transactions of the writer."""
        size = os.lseek(self._file, 0, os.SEEK_END)
        if size <= self._due:
            if size <= LIMIT:
                self._due = LIMIT
            return
        # Busy writers are mostly out of the way just after our own commit; only a very long log is worth waiting.
        self.checkpoint(patient=size > 16 * LIMIT)
        # Until a commit starts the log over (a reader may delay that), there is no point in coming back at each commit.
        self._due = size + LIMIT // 4

    def checkpoint(self, *, patient: bool = False) -> bool:
        """Carry the log's pages into the database; False when another writer was in the way.

        Never fails: what was committed stands, in the log or in the database.
        """
        try:
            if self._guard is None:
                self._guard = self._connect()
            self._guard.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS if patient else 0}").fetchone()
            try:
                self._guard.execute("BEGIN IMMEDIATE")
                # PASSIVE, the only kind that does not ask for the write lock itself, which the guard has.
                busy, _, _ = self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            finally:
                if self._guard.in_transaction:
                    self._guard.execute("ROLLBACK")
        except sqlite3.Error:
            return False
        self.checkpoints += not busy
        return not busy

    def close(self) -> None:
        """Close what is open; nothing looks any more."""
        if self._guard is not None:
            self._guard.close()
        self._close_file()
