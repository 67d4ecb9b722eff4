"""Durations as people write them, turned into seconds."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TypeAlias

Duration: TypeAlias = "str | float | int | timedelta"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|h|d)\s*", re.ASCII)
MAX_SECONDS = 100 * 365 * 86_400.0


def parse_duration(value: Duration) -> float:
    """Return a duration in seconds.

    Args:
        value: a number of seconds, a `timedelta`, or text such as "100ms", "30s", "5m", "1h", "2d", "1h30m".

    Raises:
        ValueError: the text is not a duration, or the length is negative, not finite or over 100 years.

    >>> parse_duration("1h30m")
    5400.0
    """
    seconds = _seconds(value)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"Invalid duration: {value!r}. It must be finite and not negative.")
    if seconds > MAX_SECONDS:
        raise ValueError(f"Invalid duration: {value!r}. It must not be longer than 100 years.")
    return seconds


def _seconds(value: Duration) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e300 else math.inf
    if isinstance(value, str):
        text = value.strip().lower()
        try:
            return float(text)
        except ValueError:
            pass
        position, total = 0, 0.0
        while position < len(text) and (part := _PART.match(text, position)):
            total += float(part[1]) * _UNITS[part[2]]
            position = part.end()
        if text and position == len(text):
            return total
    raise ValueError(
        f'Invalid duration: {value!r}. Expected a number (seconds), a timedelta, or a string like "30s", "5m", "1h", '
        '"2d", "1h30m", "100ms".'
    )
