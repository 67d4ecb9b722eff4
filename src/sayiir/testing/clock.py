"""A clock that stands still until a test moves it, so that nothing sleeps and nothing depends on the machine's speed.

Who waits here waits for a notice or for `advance`; time never passes by itself. A thread that is about to wait has
often worked out its timeout from a time it read before, so a test that advances while others run should first let them
reach their wait: `until_waiting`.
"""

from __future__ import annotations

import threading

MICROS = 1_000_000
_START = 1_750_000_000 * MICROS
_PATIENCE_SECS = 30.0


class _Wait:
    """One thread in a wait."""

    __slots__ = ("condition", "deadline")

    def __init__(self, condition: threading.Condition, deadline: int | None) -> None:
        self.condition = condition
        self.deadline = deadline


class FakeClock:
    """A `sayiir.clock.Clock` in the hands of a test; any number of threads may use it.

    Args:
        start: the time it shows first, in microseconds since 1970 (UTC).
        chance: what every draw of `chance` gives, from 0 up to but not including 1; 0.5 means "no jitter".

    >>> from sayiir import InMemoryBackend
    >>> clock = FakeClock(start=0)
    >>> backend = InMemoryBackend(clock=clock)
    >>> clock.advance(1.5)
    >>> backend.now()
    1500000
    """

    def __init__(self, *, start: int = _START, chance: float = 0.5) -> None:
        if not 0 <= chance < 1:
            raise ValueError(f"chance must be from 0 up to but not including 1, not {chance!r}")
        self.next_chance = chance
        """What the next draws give; a test may set it at any time."""
        self._start = start
        self._passed = 0
        self._waits: list[_Wait] = []
        # Guards the two fields above, and tells `until_waiting` of threads that come.
        self._changed = threading.Condition()

    def now(self) -> int:
        """Return the time in microseconds since 1970 (UTC)."""
        with self._changed:
            return self._start + self._passed

    def monotonic(self) -> float:
        """Return the seconds that were advanced so far."""
        with self._changed:
            return self._passed / MICROS

    def chance(self) -> float:
        """Return `next_chance`."""
        return self.next_chance

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on an acquired condition until somebody notifies it, or until `timeout` seconds were advanced.

        Args:
            condition: the condition; the caller holds it.
            timeout: seconds of this clock; None for ever.

        Returns:
            False when the time ran out.
        """
        with self._changed:
            deadline = None if timeout is None else self._passed + round(timeout * MICROS)
            if deadline is not None and deadline <= self._passed:
                return False
            wait = _Wait(condition, deadline)
            self._waits.append(wait)
            self._changed.notify_all()
        try:
            # `advance` needs the condition to notify it, which this thread holds until it really waits.
            condition.wait()
        finally:
            with self._changed:
                self._waits.remove(wait)
                in_time = deadline is None or self._passed < deadline
        return in_time

    def advance(self, seconds: float) -> None:
        """Let time pass and wake everybody whose wait is over.

        Args:
            seconds: how long, not negative; exact to the microsecond.

        Raises:
            ValueError: negative, or not finite.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"seconds must be finite and not negative, not {seconds!r}")
        with self._changed:
            self._passed += round(seconds * MICROS)
            due = [wait.condition for wait in self._waits if wait.deadline is not None and wait.deadline <= self._passed]
        for condition in due:
            with condition:
                condition.notify_all()

    def advance_to(self, moment: int) -> None:
        """Let time pass until `now()` shows this moment, in microseconds since 1970; a past one changes nothing."""
        self.advance(max(0, moment - self.now()) / MICROS)

    def waiting(self) -> int:
        """Return how many threads wait here now."""
        with self._changed:
            return len(self._waits)

    def until_waiting(self, count: int = 1) -> None:
        """Block, in real time, until at least so many threads wait here.

        Args:
            count: how many.

        Raises:
            TimeoutError: they did not come within half a minute, which no sound test takes.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._waits) >= count, _PATIENCE_SECS):
                raise TimeoutError(f"only {len(self._waits)} of {count} threads came to wait on the fake clock")
