"""The verbs for faces on SQLite: how the shared statements are executed, and what only this database can tell."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from sayiir.store.observe_sql import TABLES, SqlObserving
from sayiir.store.port import Query
from sayiir.store.sqlite import sql


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

    def table_figures(self) -> dict[str, dict[str, int | None]]:
        try:
            sizes = dict(self._execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE").fetchall())
        except sqlite3.OperationalError:  # not every build of SQLite has it
            sizes = {}
        return {
            table: {
                "rows": int(self._execute(f"SELECT count(*) FROM sayiir_{table}").fetchone()[0]),  # noqa: S608
                "bytes": sizes.get(f"sayiir_{table}"),
            }
            for table in TABLES
        }

    def engine_faults(self) -> list[str]:
        return [row[0] for row in self._execute("PRAGMA integrity_check(20)").fetchall() if row[0] != "ok"]


@functools.lru_cache(maxsize=512)
def _spelled(statement: str) -> str:
    return statement.replace("@", "sayiir_")
