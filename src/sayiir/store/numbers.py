"""Numbers for instances: made by whoever creates one, in order of time, and never given twice.

The number is known before it is written, so that after a lost connection a store can be asked whether the write came
through. No sequence of the database is needed, which would be one more page to write. Two makers that meet by chance
learn it from the primary key, and the later one takes the next number.
"""

from __future__ import annotations

import threading

from sayiir.clock import Clock

_MAKER_BITS = 10
"""Leaves 53 bits of microseconds: enough until the year 2255."""


class Numbers:
    """Makes numbers of 63 bits: microseconds since 1970, then chance, so that two makers hardly ever meet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._maker = int(clock.chance() * (1 << _MAKER_BITS))
        self._last = 0
        self._mutex = threading.Lock()

    def next(self, above: int = 0) -> int:
        """Return a number greater than `above` and than every number that this maker gave."""
        drawn = self._clock.now() << _MAKER_BITS | self._maker
        with self._mutex:
            self._last = max(drawn, self._last + 1, above + 1)
            return self._last


def number_of(moment: int) -> int:
    """Return a number that instances created before a moment (microseconds) are below."""
    return min(moment << _MAKER_BITS, 2**63 - 1)
