"""What to do about a server that refuses, and what a pool's tries to open a connection came to.

Of a connection that was not to be had the driver tells no code, only the server's words; a pool tells nothing at all, so its
connections note it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import psycopg
from psycopg_pool import PoolTimeout

_FULL = "raise max_connections of the server or lower max_connections= here"
_FIXES = {
    "28P01": "check user and password", "28000": "check user, database and pg_hba.conf",
    "3D000": "create the database first", "42501": "grant the user the right to create and use the schema",
    "53300": _FULL,
    "25006": "the server is read-only; connect to the primary", "57014": "raise statement_timeout_secs",
    "25P04": "do less in one transaction, or raise statement_timeout_secs",
}  # fmt: skip
_WORDS = {
    "too many clients": _FULL, "connection slots": _FULL, "too many connections": _FULL,
    "password": "check user and password", 'role "': "check user and password",
    'database "': "create the database first",
}  # fmt: skip
"""The first that is in a text tells: one that speaks of too many may name a role or a database too."""


class PoolConnection(psycopg.Connection[Any]):
    """A connection of a pool."""

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """Open a connection, and tell `note`, one of its options, why that failed; nothing when it did not."""
        note: Callable[[str], None] = options.pop("note")
        try:
            connection = super().connect(conninfo, **options)
        except psycopg.Error as error:
            note(str(error).strip())
            raise
        note("")
        return connection


def advice(error: Exception, text: str, refusal: str) -> str:
    """Return what to do about an error.

    Args:
        error: the driver's, or the pool's.
        text: what it says.
        refusal: why the pool could not open a connection when it tried last; empty when it could.
    """
    state = getattr(error, "sqlstate", None)
    if state:
        return _FIXES.get(state, "see the cause")
    for words, fix in _WORDS.items():
        if words in text:
            return fix
    if isinstance(error, PoolTimeout) and not refusal:
        return "check that the server runs, or raise max_connections= if all connections are busy"
    return "check that the server runs and the URL is right"
