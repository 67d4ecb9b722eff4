"""The verbs for faces on PostgreSQL: how the shared statements are executed, and what only this database can tell."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from sayiir.store.observe_sql import TABLES, SqlObserving
from sayiir.store.port import Query
from sayiir.store.postgres.filters import filters

_SIZES = """SELECT relname, reltuples::bigint, pg_total_relation_size(c.oid) FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE nspname = %s AND relkind = 'r'"""


class PostgresObserving(SqlObserving):
    """Rows for faces over one connection."""

    observe_blob = "error"
    _connection: Connection[Any]
    _shared: Any

    def ask(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._connection.execute(_spelled(statement, self._shared.schema), values).fetchall()

    def tell_it(self, statement: str, values: Sequence[Any] = ()) -> int:
        return self._connection.execute(_spelled(statement, self._shared.schema), values).rowcount

    def filters(self, query: Query) -> tuple[str, list[Any]]:
        where, values = filters(query)
        return where.replace("%s", "?"), values

    def table_figures(self) -> dict[str, dict[str, int | bool | None]]:
        rows = self._connection.execute(_SIZES.encode(), (self._shared.schema,)).fetchall()
        found = {row[0]: (row[1], row[2]) for row in rows}
        return {
            table: {"rows": self._rows_of(table, found[table][0]), "rows_capped": False, "bytes": found[table][1]}
            for table in TABLES
            if table in found
        }

    def _rows_of(self, table: str, estimate: int) -> int:
        """Return the server's estimate, or a count where there is none yet, or so few that it costs nothing."""
        if estimate > 100_000:
            return estimate
        return int(self.ask(f"SELECT count(*) FROM @{table}")[0][0])  # noqa: S608 -- a constant


@functools.lru_cache(maxsize=512)
def _spelled(statement: str, schema: str) -> bytes:
    schema_dot = f'"{schema}".'
    text = statement.replace("@>", "\0").replace("@", schema_dot).replace("\0", "@>")
    return text.replace("%", "%%").replace("?", "%s").encode()
