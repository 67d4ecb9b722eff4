"""Wake-ups inside one process. A hint may be lost, doubled or late: the rows are the truth."""

from __future__ import annotations

import threading

from sayiir.clock import Clock


class Hints:
    """A counter that grows with every change, and a way to wait for it to grow."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._steering = threading.Condition()
        self._alarms = threading.Condition()
        self._mark = 1
        self._steered = 1
        self._alarmed = 1
        self._waiting = 0

    def steer(self) -> None:
        """Say that runners must look: a cancel, a pause, a replacement, or a write of another process."""
        self._steer_here()
        self.notify()

    def _steer_here(self) -> None:
        with self._steering:
            self._steered += 1
            self._steering.notify_all()

    def wait_steered(self, seen: int, timeout: float | None) -> int:
        """Block until the count of `steer` differs from `seen`, or for `timeout` seconds; return the count.

        Apart from `wait`, so that who watches over runs is not woken by each of their ends.
        """
        with self._steering:
            if self._steered == seen:
                self._clock.wait(self._steering, timeout)
            return self._steered

    def alarm(self) -> None:
        """Say that somebody seems to have died: who sweeps up must look."""
        with self._alarms:
            self._alarmed += 1
            self._alarms.notify_all()

    def wait_alarmed(self, seen: int, timeout: float | None) -> int:
        """Block until the count of `alarm` differs from `seen`, or for `timeout` seconds; return the count."""
        with self._alarms:
            if self._alarmed == seen:
                self._clock.wait(self._alarms, timeout)
            return self._alarmed

    def notify(self) -> None:
        """Say that something changed."""
        self.nudge()

    def nudge(self) -> None:
        """Wake who waits in this process, and nobody else."""
        self._mark += 1
        if self._waiting:
            with self._condition:
                self._condition.notify_all()

    @property
    def mark(self) -> int:
        """The present count of changes."""
        return self._mark

    def wait(self, seen: int, timeout: float | None) -> int:
        """Block until the count differs from `seen`, or for `timeout` seconds; return the count."""
        with self._condition:
            # Counted before looking: a notify between the look and the wait would otherwise see no waiter.
            self._waiting += 1
            try:
                if self._mark == seen:
                    self._clock.wait(self._condition, timeout)
            finally:
                self._waiting -= 1
            return self._mark
