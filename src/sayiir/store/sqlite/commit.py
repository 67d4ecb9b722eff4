"""Group commit: threads that write at the same time share one transaction.

The first to come leads: it runs its own script and those of everybody who waits, commits once, and hands out the
results. Nobody waits longer than for the commit that is under way; no artificial delay. Leadership goes to the first
that queued meanwhile. A script that refuses (a WorkflowError before it wrote) does not disturb the others; one that
fails in any other way rolls the batch back, and everybody is run again alone and answers for itself.

An interruption (Ctrl-C) may come between any two lines. The rules that survive it: an entry is `settled` as soon as its
outcome stands, before anybody is woken; who leads passes the lead on, whatever happens; nothing settled runs again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any

from sayiir.errors import BackendError, WorkflowError
from sayiir.store.sqlite.wal import Log

Script = Callable[[Any], Any]
# The driver also meets texts of a damaged file that are not UTF-8, even in SQLite's own messages.
DRIVER_ERRORS = (sqlite3.Error, UnicodeDecodeError)


class _Entry:
    """A script that waits for a leader, or to lead."""

    __slots__ = ("error", "leads", "queued", "result", "script", "settled", "woken")

    def __init__(self, script: Script) -> None:
        self.script = script
        self.result: Any = None
        self.error: BaseException | None = None
        self.queued = False
        self.leads = False
        self.settled = False
        self.woken = threading.Lock()
        self.woken.acquire()

    def outcome(self) -> Any:
        """Return the result or raise the error."""
        if self.error is not None:
            raise self.error
        return self.result


class GroupCommit:
    """Serialises the writes of one connection.

    Args:
        connection: the connection, in autocommit mode.
        rows: what scripts get.
        explain: makes SQLite's errors ours.
        log: looked at by the leader after each batch, when its followers have their results.
        forget: called when a transaction is rolled back, with all that was learned in it.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        rows: Any,
        explain: Callable[[Exception], BackendError],
        log: Log | None = None,
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._rows = rows
        self._explain = explain
        self._log = log
        self._forget = forget
        self._mutex = threading.Lock()
        # Held while the connection is in use, so that it is not closed under a transaction.
        self._seat = threading.RLock()
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
        try:
            self._enter(entry)
            while not (entry.settled or entry.leads):
                entry.woken.acquire()
            if entry.leads:
                self._lead(entry)
        except BaseException:
            self._leave(entry)
            raise
        finally:
            if entry.leads:
                self._pass_on(entry)
        return entry.outcome()

    def close(self) -> None:
        """Close the connection and the log when nobody is using them; scripts that come later fail."""
        with self._seat:
            log, self._log = self._log, None
            if log is not None:
                log.close()
            self._connection.close()

    def _enter(self, entry: _Entry) -> None:
        with self._mutex:
            if self._leading:
                self._queue.append(entry)
                entry.queued = True
            else:
                entry.leads = self._leading = True

    def _leave(self, entry: _Entry) -> None:
        """After an interruption: take the script back, or see the write through that can no longer be called off."""
        while not (entry.settled or entry.leads):
            try:
                with self._mutex:
                    if entry in self._queue:
                        self._queue.remove(entry)
                        return
                if not entry.queued:
                    return
                entry.woken.acquire()
            except KeyboardInterrupt:  # pressed again: the first one is on its way already
                continue

    def _lead(self, own: _Entry) -> None:
        followers: list[_Entry] = []
        try:
            with self._mutex:
                followers, self._queue = self._queue, []
            batch = [own, *followers]
            with self._seat:
                self._commit(batch)
                for entry in batch:
                    if not entry.settled:
                        self._commit([entry])
        finally:
            with self._mutex:
                # Unsettled only if the leader was interrupted: somebody else must lead them.
                self._queue[:0] = [entry for entry in followers if not entry.settled]
            for entry in followers:
                if entry.settled:
                    entry.woken.release()
        with self._seat:
            if self._log is not None:
                self._log.look()

    def _pass_on(self, entry: _Entry) -> None:
        with self._mutex:
            entry.leads = False
            following = self._queue.pop(0) if self._queue else None
            if following is None:
                self._leading = False
                return
            following.leads = True
        following.woken.release()

    def _commit(self, batch: list[_Entry]) -> None:
        """Run a batch in one transaction; if it fails, a batch of one is settled with its error, others stay."""
        execute, committing = self._connection.execute, False
        try:
            if self._connection.in_transaction:
                self._roll_back()  # an interruption fell between the last BEGIN and what followed
            execute("BEGIN IMMEDIATE")
            for entry in batch:
                self._run(entry)
            committing = True
            execute("COMMIT")
        except Exception as error:  # noqa: BLE001 -- handed to whom it belongs
            self._roll_back()
            for entry in batch:
                entry.result = entry.error = None
            if len(batch) == 1:
                batch[0].error = self._explain(error) if isinstance(error, DRIVER_ERRORS) else error
                batch[0].settled = True
            return
        except BaseException:
            if not committing or self._connection.in_transaction:
                self._roll_back()
                raise
            # Interrupted just after the commit: it stands.
            for entry in batch:
                entry.settled = True
            raise
        for entry in batch:
            entry.settled = True
        self.commits += 1
        self.scripts += len(batch)

    def _run(self, entry: _Entry) -> None:
        before = self._connection.total_changes
        try:
            entry.result = entry.script(self._rows)
        except WorkflowError as error:
            if self._connection.total_changes != before:
                raise  # it has written: the batch must go back
            entry.error = error

    def _roll_back(self) -> None:
        self._forget()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            # SQLite rolled back by itself (disk full, I/O error), or was closed; there is nothing left to undo.
            return
