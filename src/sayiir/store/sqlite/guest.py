"""Writing in a caller's own transaction: the scripts run over the caller's connection, who commits or rolls back.

The connection stays as it is: its row and text factories and its isolation level are neither relied on nor changed. A
savepoint around the script keeps a refusal from leaving half a change in the caller's transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sayiir.errors import BackendError

T = TypeVar("T")
_LEGACY = -1
"""How `Connection.autocommit` says that transactions begin by themselves, before the first write."""
_SAVEPOINT = "sayiir_guest"


class Guest:
    """A caller's connection, as `SqliteRows` needs one: plain rows, whatever the caller's factories make."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Iterable[Any] = ()) -> sqlite3.Cursor:
        """Execute one statement."""
        return self._cursor().execute(statement, values)  # type: ignore[arg-type]

    def executemany(self, statement: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        """Execute one statement for each row of values."""
        return self._cursor().executemany(statement, rows)

    def _cursor(self) -> sqlite3.Cursor:
        # Not connection.cursor(), which has the row factory, and which a subclass may have changed.
        return sqlite3.Cursor(self._connection)


def visit(connection: Any, path: str, script: Callable[[Guest], T]) -> T:
    """Run a script in the transaction of a connection to a file, which begins here if it would begin by itself.

    Raises:
        TypeError: it is no sqlite3.Connection.
        BackendError: it is one to another database, or has no open transaction.
    """
    if not isinstance(connection, sqlite3.Connection):
        raise TypeError(f"connection must be a sqlite3.Connection to {path!r}, not {connection!r}")
    guest, texts = Guest(connection), connection.text_factory
    # There is no such choice for a single cursor; it is given back before the caller can see it.
    connection.text_factory = str
    try:
        _check_place(guest, path)
        _join(connection, guest, path)
        return _whole(connection, guest, script)
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", "") != "SQLITE_BUSY_SNAPSHOT":
            raise
        raise BackendError(
            f"connection= has a transaction on {path!r} that has only read so far, and others have written since; roll it "
            "back, and begin it with BEGIN IMMEDIATE"
        ) from error
    finally:
        connection.text_factory = texts


def _whole(connection: sqlite3.Connection, guest: Guest, script: Callable[[Guest], T]) -> T:
    """Run a script wholly or not at all, inside the transaction that is open."""
    guest.execute(f"SAVEPOINT {_SAVEPOINT}")
    try:
        result = script(guest)
    except BaseException:
        if connection.in_transaction:  # else SQLite has rolled all of it back, as on a full disk
            guest.execute(f"ROLLBACK TO {_SAVEPOINT}")
            guest.execute(f"RELEASE {_SAVEPOINT}")
        raise
    guest.execute(f"RELEASE {_SAVEPOINT}")
    return result


def _check_place(guest: Guest, path: str) -> None:
    found = next((file for _, name, file in guest.execute("PRAGMA database_list") if name == "main"), "")
    if not found or not _same(found, path):
        raise BackendError(
            f"connection= leads to {found or 'a database in memory'!r}, not to {path!r}; give a connection to the same "
            "file, since a transaction is of one file"
        )
    if guest.execute("SELECT 1 FROM sqlite_master WHERE name = 'sayiir_instances'").fetchone() is None:
        raise BackendError(
            f"connection= does not see the tables of {path!r}: its transaction began before they were made; begin another"
        )


def _join(connection: sqlite3.Connection, guest: Guest, path: str) -> None:
    if connection.in_transaction:
        return
    autocommit: Any = getattr(connection, "autocommit", _LEGACY)
    if autocommit == _LEGACY and connection.isolation_level is not None:
        # As the caller's first INSERT would, but before anything is read: what was read stays true until the commit.
        guest.execute("BEGIN IMMEDIATE")
        return
    raise BackendError(
        f"connection= has no open transaction on {path!r}: each statement would be committed by itself; execute BEGIN "
        "first, and COMMIT when all is written"
    )


def _same(found: str, path: str) -> bool:
    try:
        return os.path.samefile(found, path)  # noqa: PTH121 -- a path may be bytes or text
    except OSError:
        return False
