"""`python -m tests.upgrade.make`: make the artefacts of this release's format, in `tests/upgrade/format-1/`.

Before 1.0 the format may still change: then they are made anew. From 1.0 on each release's stay, beside the newer ones.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from sayiir import PostgresBackend, SqliteBackend
from sayiir.testing.life import LeapClock
from tests.servers.postgres import PostgresServer
from tests.upgrade.flows import fill

FOLDER = Path(__file__).parent / "format-1"
ROOT = f"{Path(__file__).parents[2]}/"
"""Cut off the paths in tracebacks, so that the files are the same wherever they are made."""
TABLES = ("migrations", "definitions", "instances", "tokens", "results", "signals", "owners")


def sqlite_text() -> str:
    """Return the SQL of a filled SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        clock = LeapClock()
        with SqliteBackend(path, clock=clock) as store:
            store.private = True
            store.worker_name = "kept"
            fill(store, clock.advance)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE sayiir_owners SET name = 'kept'")
            connection.execute("UPDATE sayiir_results SET worker = 'kept' WHERE worker IS NOT NULL")
            return "\n".join(connection.iterdump()) + "\n"


def postgres_rows(url: str) -> dict[str, Any]:
    """Return the rows of a filled schema, as JSON; its tables are made by the migrations of that release."""
    clock = LeapClock()
    with psycopg.connect(url, autocommit=True) as connection:
        with PostgresBackend(url, clock=clock) as store:
            store.private = True

            def hold(seconds: float) -> None:
                clock.advance(seconds)
                connection.execute(
                    "CREATE OR REPLACE FUNCTION sayiir.clock_micros() RETURNS bigint LANGUAGE sql VOLATILE "
                    f"AS 'SELECT {clock.now()}'"
                )

            hold(0)
            fill(store, hold)
        connection.execute("UPDATE sayiir.results SET worker = 'kept' WHERE worker IS NOT NULL")
        connection.execute("UPDATE sayiir.owners SET name = 'kept'")
        return {table: _rows(connection, table) for table in TABLES}


def _rows(connection: psycopg.Connection[Any], table: str) -> list[Any]:
    found = connection.execute(f"SELECT to_json(t) FROM sayiir.{table} t ORDER BY 1::text".encode()).fetchall()
    return [row[0] for row in found]


def main() -> None:
    """Make them."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "sqlite.sql").write_text(sqlite_text().replace(ROOT, ""), "utf-8")
    with PostgresServer(fast=True) as server:
        rows = postgres_rows(server.create_database())
    (FOLDER / "postgres.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False).replace(ROOT, "") + "\n", "utf-8")
    migration = Path(sys.modules["sayiir"].__file__ or "").parent / "store" / "postgres" / "migrations"
    schema = "".join(file.read_text("utf-8") for file in sorted(migration.glob("*.sql")))
    (FOLDER / "postgres.sql").write_text(schema, "utf-8")


if __name__ == "__main__":
    main()
