"""How many tokens a worker moves at once: slots for sync tasks, which need a thread, and for coroutines, which do not.

Most of the time of a short task goes by without a thread, in its checkpoint. So where nobody said how many tasks may run
at once, some tokens more are claimed: as many as have lately ended within a moment, none when tasks take long. There are
threads for no more tasks than there are slots; the others wait in line, and are given back when the line stands still.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from sayiir.clock import Clock

if TYPE_CHECKING:
    from sayiir.runtime.job import Job

SYNC = 32
COROUTINES = 1000
_MOMENT_SECS = 0.05
_MOST_AHEAD = 480


class Limits:
    """What `concurrency` says: of each kind, and together; and whether some more may be claimed."""

    def __init__(
        self, sync: int = SYNC, coroutines: int = COROUTINES, together: int | None = None, *, ahead: bool = False
    ) -> None:
        self.ahead = ahead
        self.sync = sync
        self.coroutines = coroutines
        self.together = sync + coroutines if together is None else together

    def exact(self) -> Limits:
        """Return the same without more."""
        return Limits(self.sync, self.coroutines, self.together)


class Slots:
    """The slots of one worker. Whoever waits for one is told when a job gives its own back.

    Args:
        limits: how many there are.
        clock: for waits.
        nudge: called when a slot is free of a kind of which none was when somebody asked for `room`.
    """

    def __init__(self, limits: Limits, clock: Clock, nudge: Callable[[], object] = int) -> None:
        self._limits = limits
        self._clock = clock
        self._nudge = nudge
        self._wanted = [False, False]
        self._used = [0, 0]  # by is_async
        self._ahead = 0
        self._counted_at = clock.monotonic()
        self._ended = 0
        self.changed = threading.Condition()

    def free(self, is_async: bool) -> int:
        """Return how many slots of a kind are free."""
        free = min(self.all(is_async) - self._used[is_async], self._limits.together - sum(self._used))
        return max(0, free + self._ahead)

    def room(self, is_async: bool) -> int:
        """Return how many slots of a kind are free; when none is, `nudge` will tell of the first that is."""
        with self.changed:
            free = self.free(is_async)
            self._wanted[is_async] = not free
        return free

    def look_ahead(self) -> None:
        """Count what has ended in the last moment, if as many may be claimed beyond the slots."""
        passed = self._clock.monotonic() - self._counted_at
        if self._limits.ahead and passed >= _MOMENT_SECS:
            self._ahead = min(_MOST_AHEAD, int(self._ended * _MOMENT_SECS / passed))
            self._counted_at += passed
            self._ended = 0

    def all(self, is_async: bool) -> int:
        """Return how many slots of a kind there are."""
        return self._limits.coroutines if is_async else self._limits.sync

    def used(self, is_async: bool) -> int:
        """Return how many slots of a kind are taken."""
        return self._used[is_async]

    def take(self, job: Job, is_async: bool) -> bool:
        """Give the job a slot of a kind; False when none is free."""
        with self.changed:
            if not self.free(is_async):
                return False
            self._used[is_async] += 1
            job.is_async = is_async
        return True

    def change(self, job: Job, is_async: bool) -> bool:
        """Give the job a slot of the other kind for its own; False when none is free."""
        with self.changed:
            if job.is_async is None:
                return False
            self._used[job.is_async] -= 1
            if not self.free(is_async):
                self._used[job.is_async] += 1
                return False
            self._used[is_async] += 1
            job.is_async = is_async
            self._tell()
        return True

    def give(self, job: Job) -> None:
        """Take the job's slot back, if it has one."""
        with self.changed:
            if job.is_async is not None:
                self._used[job.is_async] -= 1
                job.is_async = None
                self._ended += job.begun
            self._tell()

    def _tell(self) -> None:
        self.changed.notify_all()
        for is_async in (False, True):
            if self._wanted[is_async] and self.free(is_async):
                self._wanted[is_async] = False
                self._nudge()

    def wait(self, seconds: float) -> None:
        """Wait until slots change, or so long; who must not miss a change holds `changed` and looks first."""
        self._clock.wait(self.changed, seconds)
