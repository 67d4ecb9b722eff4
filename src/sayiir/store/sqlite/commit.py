"""Group commit on SQLite: scripts that are run at the same time share one transaction.

A step that comes alone is one statement, and so a transaction by itself: no BEGIN, no COMMIT.
A script that refuses (a WorkflowError before it wrote) does not disturb the others; one that fails in any other way
rolls the batch back, and everybody is run again alone and answers for itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from sayiir.errors import BackendError, WorkflowError
from sayiir.store.group import Entry, Group
from sayiir.store.sqlite.steps import TOGETHER, Step, write_alone, write_together
from sayiir.store.sqlite.wal import Log

# The driver also meets texts of a damaged file that are not UTF-8, even in SQLite's own messages.
DRIVER_ERRORS = (sqlite3.Error, UnicodeDecodeError)


class GroupCommit(Group):
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
        super().__init__()
        self._connection = connection
        self._rows = rows
        self._explain = explain
        self._log = log
        self._forget = forget
        self.commits = 0
        self.scripts = 0

    def close(self) -> None:
        """Close the connection and the log when nobody is using them; scripts that come later fail."""
        with self._seat:
            log, self._log = self._log, None
            if log is not None:
                log.close()
            self._connection.close()

    def _afterwards(self) -> None:
        with self._seat:
            if self._log is not None:
                self._log.look()

    def _commit(self, batch: list[Entry]) -> None:
        """Run a batch in one transaction; if it fails, a batch of one is settled with its error, others stay."""
        execute, committing = self._connection.execute, False
        try:
            if self._connection.in_transaction:
                self._roll_back()  # an interruption fell between the last BEGIN and what followed
            if len(batch) > 1 or not self._is_written(batch[0]):
                execute("BEGIN IMMEDIATE")
                self._run_all(batch)
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

    def _is_written(self, entry: Entry) -> bool:
        """Write a step by its one statement; False for other work, and if it must be found out why it cannot be."""
        if type(entry.work) is Step:
            entry.result = write_alone(self._connection, entry.work)
        return entry.result is not None

    def _run_all(self, batch: list[Entry]) -> None:
        if len(batch) >= TOGETHER:
            steps = [entry for entry in batch if type(entry.work) is Step]
            answers = write_together(self._connection, [entry.work for entry in steps])
            for entry, answer in zip(steps, answers, strict=True):
                entry.result = answer
        for entry in batch:
            if entry.result is None and not self._is_written(entry):
                self._run(entry)

    def _run(self, entry: Entry) -> None:
        before = self._connection.total_changes
        try:
            entry.result = entry.work(self._rows)
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
