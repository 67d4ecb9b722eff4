"""Group commit: threads that write at the same time share one transaction.

The first to come leads: it runs its own script and those of everybody who waits, commits once, and hands out the
results. Nobody waits longer than for the commit that is under way; no artificial delay. Leadership goes to the first
that queued meanwhile. A script that refuses (a WorkflowError) has written nothing and does not disturb the others; a
script that fails in SQL rolls the batch back, and everybody is run again alone.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any

from sayiir.errors import BackendError, WorkflowError

Script = Callable[[Any], Any]


class _Entry:
    """A script that waits for a leader, or to lead."""

    __slots__ = ("error", "leads", "result", "script", "woken")

    def __init__(self, script: Script) -> None:
        self.script = script
        self.result: Any = None
        self.error: BaseException | None = None
        self.leads = False
        self.woken: threading.Lock | None = None

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class GroupCommit:
    """Serialises the writes of one connection."""

    def __init__(
        self, connection: sqlite3.Connection, rows: Any, explain: Callable[[sqlite3.Error], BackendError]
    ) -> None:
        self._connection = connection
        self._rows = rows
        self._explain = explain
        self._mutex = threading.Lock()
        self._leading = False
        self._queue: list[_Entry] = []
        self.commits = 0
        self.scripts = 0

    def run(self, script: Script) -> Any:
        """Run a script in a transaction and return its result once that is committed.

        Raises:
            BackendError: SQLite refused; nothing of this script was written.
        """
        entry = _Entry(script)
        with self._mutex:
            if self._leading:
                entry.woken = threading.Lock()
                entry.woken.acquire()
                self._queue.append(entry)
            else:
                self._leading = True
                entry.leads = True
        if entry.woken is not None:
            self._wait(entry)
        if entry.leads:
            self._lead(entry)
        return entry.outcome()

    def _wait(self, entry: _Entry) -> None:
        assert entry.woken is not None  # noqa: S101 -- the caller saw it
        try:
            entry.woken.acquire()
        except BaseException:
            # Interrupted while waiting: leave the queue, or see the write through, for it can no longer be called off.
            with self._mutex:
                if entry in self._queue:
                    self._queue.remove(entry)
                    raise
            entry.woken.acquire()
            if entry.leads:
                self._pass_on()
            raise

    def _lead(self, own: _Entry) -> None:
        with self._mutex:
            batch = [own, *self._queue]
            self._queue.clear()
        unfinished = batch
        try:
            unfinished = self._commit(batch)
            while unfinished:
                # The batch was rolled back because of one script: each is tried alone and answers for itself.
                unfinished = [*self._commit(unfinished[:1], alone=True), *unfinished[1:]]
        except BaseException:
            with self._mutex:
                self._queue[:0] = [entry for entry in unfinished if entry is not own]
            raise
        finally:
            self._deliver([entry for entry in batch if entry is not own], unfinished)
            self._pass_on()

    def _deliver(self, followers: list[_Entry], unfinished: list[_Entry]) -> None:
        for entry in followers:
            if entry not in unfinished and entry.woken is not None:
                entry.woken.release()

    def _pass_on(self) -> None:
        with self._mutex:
            if not self._queue:
                self._leading = False
                return
            following = self._queue.pop(0)
        following.leads = True
        assert following.woken is not None  # noqa: S101 -- whoever queues waits
        following.woken.release()

    def _commit(self, batch: list[_Entry], *, alone: bool = False) -> list[_Entry]:
        """Run a batch in one transaction; return the entries that must be tried again, alone."""
        execute, committing = self._connection.execute, False
        try:
            execute("BEGIN IMMEDIATE")
            for entry in batch:
                try:
                    entry.result = entry.script(self._rows)
                except WorkflowError as error:
                    entry.error = error
            committing = True
            execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            if alone or len(batch) == 1:
                batch[0].error = self._explain(error)
                return []
            for entry in batch:
                entry.result = entry.error = None
            return batch
        except BaseException:
            if committing and not self._connection.in_transaction:
                # Interrupted (Ctrl-C) after the commit: it stands, and those who waited must learn their results.
                for entry in batch[1:]:
                    if entry.woken is not None:
                        entry.woken.release()
                batch[1:] = []
            else:
                self._roll_back()
            raise
        self.commits += 1
        self.scripts += len(batch)
        return []

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                # SQLite rolled back by itself (disk full, I/O error); there is nothing left to undo.
                return
