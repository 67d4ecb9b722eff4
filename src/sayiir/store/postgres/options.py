"""The arguments of `PostgresBackend`, checked, and what they set on the server."""

from __future__ import annotations

import re

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_HAS_TRANSACTION_TIMEOUT = 170_000


def check_options(schema: str, least: int, most: int, **seconds: float) -> None:
    """Raise ValueError for an argument that is out of range.

    Args:
        schema: the name of a schema, which statements are put together with.
        least: connections kept open.
        most: connections at most.
        seconds: lengths of time, by the names of their arguments.
    """
    if not isinstance(schema, str) or not _SCHEMA.fullmatch(schema):
        raise ValueError(f"schema must be lower-case letters, digits and _, 63 at most, not {schema!r}")
    for name, number in (("min_connections", least), ("max_connections", most)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} must be an int of 1 or more, not {number!r}")
    if least > most:
        raise ValueError(f"min_connections must not be above max_connections, {least} > {most}")
    for name, value in seconds.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400 * 365:
            raise ValueError(f"{name} must be a positive number of seconds, not {value!r}")


def session_settings(statement_secs: float, idle_secs: float) -> dict[str, str]:
    """Return the server settings of each session that is ours: nobody who stands still or is gone keeps locks for long.

    Args:
        statement_secs: after which the server gives a statement up.
        idle_secs: after which it ends a session that waits within a transaction.
    """
    return {
        "statement_timeout": _millis(statement_secs),
        "idle_in_transaction_session_timeout": _millis(idle_secs),
        # Counts on while we have said a part of what we want and stand still, too. Far beyond what any of ours takes.
        "transaction_timeout": _millis(10 * (statement_secs + idle_secs)),
        # A host that is gone is noticed in seconds; by itself the server takes two hours.
        "tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3", "tcp_user_timeout": "15000",
    }  # fmt: skip


def is_known(setting: str, server_version: int) -> bool:
    """Return whether a server knows a setting."""
    return setting != "transaction_timeout" or server_version >= _HAS_TRANSACTION_TIMEOUT


def _millis(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
