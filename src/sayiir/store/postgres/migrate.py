"""Numbered SQL files, applied forward under one advisory lock, in one transaction."""

from __future__ import annotations

from importlib import resources
from typing import Any

from psycopg import Connection, sql

from sayiir.errors import SchemaVersionError
from sayiir.store.postgres.options import is_known

_LOCK = 0x5A11
"""Of migrations, whatever the schema; held for moments."""


def migrations() -> list[tuple[int, str, str]]:
    """Return (number, name, SQL) of every migration of this release, in order."""
    folder = resources.files("sayiir.store.postgres") / "migrations"
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name[:4]), name[5:-4], (folder / name).read_text("utf-8")) for name in files]


def applied(connection: Connection[Any], schema: str) -> int:
    """Return the number of the newest applied migration, 0 for a schema without our tables."""
    # Not by to_regclass(), which after the wait for the lock may still not know what was made meanwhile.
    known = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = %s AND tablename = 'migrations'"
    if connection.execute(known, (schema,)).fetchone() is None:
        return 0
    newest = sql.SQL("SELECT coalesce(max(number), 0) FROM {}.migrations").format(sql.Identifier(schema))
    return int((connection.execute(newest).fetchone() or (0,))[0])


def migrate(connection: Connection[Any], schema: str) -> None:
    """Bring a schema to this release's version; several processes may do so at once, and older workers go on.

    Raises:
        SchemaVersionError: the schema was made by a newer release.
    """
    steps = migrations()
    newest = steps[-1][0]
    version = applied(connection, schema)
    if version < newest:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            version = applied(connection, schema)  # asked again: another process may have migrated meanwhile
            _apply(connection, schema, [step for step in steps if step[0] > version])
    if version > newest:
        raise SchemaVersionError(
            f"schema {schema!r} has version {version}, this release knows up to {newest}; "
            "install a newer release of sayiir"
        )


def _apply(connection: Connection[Any], schema: str, steps: list[tuple[int, str, str]]) -> None:
    name = sql.Identifier(schema)
    # Not IF NOT EXISTS, for which the server wants the right to create schemas of who has one already.
    if connection.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", (schema,)).fetchone() is None:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
    # Unqualified names in the files mean this schema. A table in use is waited for only briefly: work goes first.
    connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(name))
    connection.execute("SET LOCAL lock_timeout = '5s'")
    if is_known("transaction_timeout", connection.info.server_version):
        connection.execute("SET LOCAL transaction_timeout = 0")  # each statement has its own
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY, name text NOT NULL, applied_at bigint NOT NULL)"
    )
    for number, title, text in steps:
        connection.execute(text.encode(), prepare=False)
        connection.execute("INSERT INTO migrations VALUES (%s, %s, clock_micros())", (number, title))
