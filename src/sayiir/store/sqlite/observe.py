"""The verbs for faces on SQLite: how the shared statements are executed, and what only this database can tell."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from sayiir.store.observe_sql import TABLES, SqlObserving
from sayiir.store.port import Query
from sayiir.store.sqlite import sql

_MOST = 100_000
"""So many rows of a table are counted."""
_SMALL_PAGES = 10_000


class SqliteObserving(SqlObserving):
    """Rows for faces over one connection."""

    observe_blob = "CAST(error AS BLOB)"
    _execute: Callable[..., sqlite3.Cursor]

    def ask(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._execute(_spelled(statement), values).fetchall()

    def tell_it(self, statement: str, values: Sequence[Any] = ()) -> int:
        return self._execute(_spelled(statement), values).rowcount

    def filters(self, query: Query) -> tuple[str, list[Any]]:
        return sql.filters(query)

    def table_figures(self) -> dict[str, dict[str, int | bool | None]]:
        sizes = self._sizes()
        found: dict[str, dict[str, int | bool | None]] = {}
        for table in TABLES:
            some = f"SELECT count(*) FROM (SELECT 1 FROM sayiir_{table} LIMIT {_MOST + 1})"  # noqa: S608 -- constants
            rows = int(self._execute(some).fetchone()[0])
            found[table] = {"rows": min(rows, _MOST), "rows_capped": rows > _MOST, "bytes": sizes.get(f"sayiir_{table}")}
        return found

    def _sizes(self) -> dict[str, int]:
        (pages,) = self._execute("PRAGMA page_count").fetchone()
        if pages > _SMALL_PAGES:
            return {}  # it would read the whole file
        try:
            return dict(self._execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE").fetchall())
        except sqlite3.OperationalError:  # not every build of SQLite has it
            return {}

    def engine_faults(self) -> list[str]:
        return [row[0] for row in self._execute("PRAGMA integrity_check(20)").fetchall() if row[0] != "ok"]


@functools.lru_cache(maxsize=512)
def _spelled(statement: str) -> str:
    return statement.replace("@", "sayiir_")
