"""What a worker does while its store cannot be reached: says so once, waits longer and longer, and goes on for ever."""

from __future__ import annotations

import threading
from typing import Any

from sayiir.clock import Clock
from sayiir.errors import BackendError
from sayiir.runtime.log import log

_FIRST_SECS = 0.05
_LONGEST_SECS = 5.0


class Trouble:
    """The trouble that one of a worker's threads has with the store.

    Args:
        clock: for waits and their jitter.
        what: what cannot be done, for the log.
        facts: what log records carry.
    """

    def __init__(self, clock: Clock, what: str, facts: dict[str, Any]) -> None:
        self._clock = clock
        self._what = what
        self._facts = facts
        self._failures = 0
        self._ended = False
        self._changed = threading.Condition()

    @property
    def active(self) -> bool:
        """Whether the last try failed."""
        return self._failures > 0

    def met(self, error: Exception) -> None:
        """Note a failure; the first of a row is logged, and every one that is not the store's."""
        if not isinstance(error, BackendError):
            log().error("worker %s met an error", self._facts["worker_id"], exc_info=error, extra=self._facts)
        elif not self._failures and not self._ended:
            log().warning(
                "worker %s could not %s and goes on trying: %s", self._facts["worker_id"], self._what, error,
                extra=self._facts,
            )  # fmt: skip
        self._failures += 1

    def over(self) -> None:
        """Note a success."""
        if self._failures:
            self._failures = 0
            log().info("worker %s can %s again", self._facts["worker_id"], self._what, extra=self._facts)

    def pause(self) -> bool:
        """Wait before the next try; False when there shall be none."""
        longest = min(_LONGEST_SECS, _FIRST_SECS * 2 ** min(self._failures, 10))
        with self._changed:
            if not self._ended:
                self._clock.wait(self._changed, longest * (0.5 + self._clock.chance() / 2))
            return not self._ended

    def end(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
