"""The arguments of `PostgresBackend`, checked."""

from __future__ import annotations

import re

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


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
