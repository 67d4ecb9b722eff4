"""Numbered SQL files, applied forward, each in a transaction of its own."""

from __future__ import annotations

import sqlite3
from importlib import resources

from sayiir.errors import SchemaVersionError

_TABLE = """CREATE TABLE IF NOT EXISTS sayiir_migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)"""


def migrations() -> list[tuple[int, str, str]]:
    """Return (number, name, SQL) of every migration of this release, in order."""
    folder = resources.files("sayiir.store.sqlite") / "migrations"
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name[:4]), name[5:-4], (folder / name).read_text("utf-8")) for name in files]


def applied(connection: sqlite3.Connection) -> int:
    """Return the number of the newest applied migration, 0 for a file without our tables."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'sayiir_migrations'")
    if known.fetchone() is None:
        return 0
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM sayiir_migrations").fetchone()[0])


def migrate(connection: sqlite3.Connection, path: str, now: int) -> None:
    """Bring a file to this release's schema; several processes may do so at once.

    Raises:
        SchemaVersionError: the file was made by a newer release.
    """
    steps = migrations()
    newest = steps[-1][0]
    version = applied(connection)
    if version < newest:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(_TABLE)
            # Asked again under the write lock: another process may have migrated meanwhile.
            version = applied(connection)
            for number, name, sql in steps:
                if number > version:
                    for statement in statements(sql):
                        connection.execute(statement)
                    connection.execute("INSERT INTO sayiir_migrations VALUES (?, ?, ?)", (number, name, now))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if version > newest:
        raise SchemaVersionError(
            f"{path} has schema version {version}, this release knows up to {newest}; install a newer release of sayiir"
        )


def statements(sql: str) -> list[str]:
    """Split a migration into its statements; `executescript` would commit between them."""
    found, current = [], ""
    for line in sql.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found
