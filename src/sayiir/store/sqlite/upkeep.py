"""Upkeep of a SQLite file from outside of a backend: what a migration would do, and a copy while the file is in use."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sayiir.errors import BackendError
from sayiir.store.port import Pending
from sayiir.store.sqlite.migrate import _TABLE, applied, migrations

_NOW = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


def pending(path: str) -> Pending:
    """Return what would bring a file to this release's schema; the file is only read, and need not exist.

    Raises:
        BackendError: it is no SQLite database, or cannot be read.
    """
    version = _version(path)
    steps = [step for step in migrations() if step[0] > version]
    parts = [
        f"{text.rstrip()}\nINSERT INTO sayiir_migrations VALUES ({number}, '{name}', {_NOW});"
        for number, name, text in steps
    ]
    script = "\n\n".join(["BEGIN IMMEDIATE;", f"{_TABLE};", *parts, "COMMIT;\n"]) if steps else ""
    return Pending(migrations()[-1][0], tuple(f"{number:04d} {name}" for number, name, _ in steps), script)


def backup(path: str, target: str) -> None:
    """Copy a file as it stands at one moment; those who use it are not held up.

    Raises:
        BackendError: it cannot be read, or the copy cannot be written.
    """
    try:
        with closing(_open(path, "ro")) as source, closing(_open(target, "rwc")) as copy:
            source.backup(copy)
    except sqlite3.Error as error:
        Path(target).unlink(missing_ok=True)
        raise BackendError(
            f"{path!r} cannot be copied to {target!r}: {error}; check both paths, their permissions, and the disk's room"
        ) from error


def _version(path: str) -> int:
    if not Path(path).exists():
        return 0
    try:
        with closing(_open(path, "ro")) as connection:
            return applied(connection)
    except sqlite3.Error as error:
        raise BackendError(f"SQLite on {path!r}: {error}; give another path, or restore the file from a backup") from error


def _open(path: str, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
