"""The only place that reads the time, draws ids and chance.

Everything else takes them as arguments, so that tests decide them. The core may not import this file.
Times are integer microseconds since 1970 in UTC: exact, comparable, and the same in every store.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

MICROS = 1_000_000


class Clock(Protocol):
    """What the engine needs of time and chance."""

    def now(self) -> int:
        """Return the wall-clock time in microseconds since 1970 (UTC)."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""
        ...

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on an acquired condition for at most `timeout` seconds; False when the time ran out."""
        ...

    def chance(self) -> float:
        """Return a number drawn uniformly from [0, 1)."""
        ...


class SystemClock:
    """The machine's own clock, guarded against steps backwards: `now()` never returns less than before."""

    def __init__(self) -> None:
        self._seen = 0

    def now(self) -> int:
        now = time.time_ns() // 1000
        if now < self._seen:
            return self._seen
        self._seen = now
        return now

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        return condition.wait(timeout)

    def chance(self) -> float:
        import random  # only where a retry asks for jitter

        return random.random()  # noqa: S311 -- jitter, not a secret


SYSTEM_CLOCK = SystemClock()
