"""Upkeep of a PostgreSQL schema from outside of a backend: what a migration would do."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict

from sayiir.errors import BackendError
from sayiir.store.port import Pending
from sayiir.store.postgres.migrate import applied, migrations
from sayiir.store.postgres.options import check_options

_PATIENCE_SECS = 5
_TABLE = """CREATE TABLE IF NOT EXISTS migrations (
    number integer PRIMARY KEY, name text NOT NULL, applied_at bigint NOT NULL);"""


def pending(url: str, schema: str) -> Pending:
    """Return what would bring a schema to this release's version; the database is only read.

    Raises:
        ValueError: the schema's name cannot be.
        BackendError: there is no server, or it refuses.
    """
    check_options(schema, 1, 1)
    try:
        with psycopg.connect(url, connect_timeout=_PATIENCE_SECS) as connection:
            version = applied(connection, schema)
    except psycopg.Error as error:
        shown = conninfo_to_dict(url)
        said = str(error).strip().replace(str(shown.get("password") or "\0"), "***")
        raise BackendError(f"PostgreSQL at {shown.get('host')}: {said}; check the URL, the user and the server") from None
    steps = [step for step in migrations() if step[0] > version]
    parts = [
        f"{text.rstrip()}\nINSERT INTO migrations VALUES ({number}, '{name}', clock_micros());"
        for number, name, text in steps
    ]
    head = ["BEGIN;", f"CREATE SCHEMA IF NOT EXISTS {schema};\nSET LOCAL search_path TO {schema};", _TABLE]
    script = "\n\n".join([*head, *parts, "COMMIT;\n"]) if steps else ""
    return Pending(migrations()[-1][0], tuple(f"{number:04d} {name}" for number, name, _ in steps), script)
