"""Writing in a caller's own transaction: the scripts run over the caller's connection, who commits or rolls back.

A savepoint around the script keeps a refusal from leaving half a change in the caller's transaction; the connection's
row factory and the like are neither relied on nor changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from sayiir.errors import BackendError
from sayiir.store.postgres.links import Links
from sayiir.store.postgres.rows import PostgresRows, Shared

T = TypeVar("T")


class Guest:
    """A caller's connection as `PostgresRows` needs one: plain rows, whatever the caller's factories make."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: Any, values: Any = None) -> psycopg.Cursor[Any]:
        """Execute one statement."""
        cursor = psycopg.Cursor(self._connection, row_factory=tuple_row)
        if self._connection.info.pipeline_status == PipelineStatus.OFF:
            return cursor.execute(statement, values)
        with self._connection.pipeline():  # the answer is here at its end, not at the end of the caller's
            return cursor.execute(statement, values)

    def cursor(self) -> psycopg.Cursor[Any]:
        """Return a cursor."""
        return psycopg.Cursor(self._connection, row_factory=tuple_row)


def visit(connection: Any, shared: Shared, links: Links, script: Callable[[Any], T]) -> T:
    """Run a script in the transaction of a connection, which begins here if it would begin by itself.

    Raises:
        TypeError: it is no psycopg connection.
        BackendError: it leads elsewhere, or has no open transaction.
    """
    if not isinstance(connection, psycopg.Connection):
        raise TypeError(f"connection must be a psycopg.Connection (not an async one) to {links.shown}, not {connection!r}")
    status = connection.info.transaction_status
    if connection.autocommit and status == TransactionStatus.IDLE:
        raise BackendError(
            "connection= has no open transaction: use `with connection.transaction():`, or a connection without autocommit"
        )
    guest = Guest(connection)
    try:
        # Before the savepoint: where no transaction is open yet it begins with this, or the block would be all of it.
        row = guest.execute(
            "SELECT to_regclass(%s) IS NOT NULL AND EXISTS (SELECT 1 FROM pg_catalog.pg_database "
            "WHERE datname = current_database() AND oid = %s::oid)",
            (f'"{shared.schema}".instances', links.database),
        ).fetchone()
        if row is None or not row[0]:
            raise BackendError(f"connection= leads to another database than {links.shown}, or not to its schema")
        with connection.transaction():
            now = guest.execute(b"SELECT " + shared.sql.NOW).fetchone()
            return script(PostgresRows(guest, shared, int(now[0]) if now else 0, write=True))  # type: ignore[arg-type]
    except psycopg.Error as error:
        raise links.explain(error) from error
