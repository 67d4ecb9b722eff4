"""One thread that notices changes, for all streams and long polls of a process.

Rules of this file: a stream holds no thread; whoever waits is told "something may have changed", never what. The thread
begins with the first who waits and ends a moment after the last; changes that come thick are told twice a second to
one, and the more who hear the more seldom, for each asks for its page again: what all of them cost together stays small.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Protocol

from sayiir.clock import Clock
from sayiir.errors import WorkflowError

_LOOK_SECS = 1.0
_BETWEEN_SECS = 0.25
_FOR_EACH_SECS = 0.5
_MOST_SECS = 10.0
_LINGER_LOOKS = 5


class Changing(Protocol):
    """What can be waited on."""

    def changed(self, seen: int, timeout: float) -> int:
        """Block until something may have changed, or the timeout; return the new mark."""
        ...


class Watcher:
    """Counts changes and wakes those who wait for the count to grow.

    Args:
        source: what changes.
        clock: for the pauses.
    """

    def __init__(self, source: Changing, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._mutex = threading.Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._pause = threading.Condition()
        self.count = 1

    async def wait(self, seen: int, timeout: float) -> int:
        """Wait until the count differs from `seen`, or for `timeout` seconds; return the count."""
        if self.count != seen:
            return self.count
        entry = asyncio.get_running_loop(), asyncio.Event()
        with self._mutex:
            self._waiting.add(entry)
            self._begin()
        try:
            if self.count == seen and not self._closed:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(entry[1].wait(), timeout)
        finally:
            with self._mutex:
                self._waiting.discard(entry)
        return self.count

    def close(self) -> None:
        """Wake everybody and end."""
        with self._mutex:
            self._closed = True
            thread = self._thread
        with self._pause:
            self._pause.notify_all()
        self._wake()
        if thread is not None:
            thread.join(2 * _LOOK_SECS)

    @property
    def closed(self) -> bool:
        """Whether it has ended, and streams should."""
        return self._closed

    def _begin(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._watch, name="sayiir-watcher", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        seen, idle = 0, 0
        while True:
            with self._mutex:
                idle = 0 if self._waiting else idle + 1
                if self._closed or idle > _LINGER_LOOKS:
                    self._thread = None
                    return
            try:
                mark = self._source.changed(seen, _LOOK_SECS)
            except WorkflowError:  # the store is away: who asks it will say so
                self._rest(_LOOK_SECS)
                continue
            if mark != seen:
                seen = mark
                self.count += 1
                self._rest(min(max(_BETWEEN_SECS, _FOR_EACH_SECS * self._wake()), _MOST_SECS))

    def _rest(self, seconds: float) -> None:
        with self._pause:
            if not self._closed:
                self._clock.wait(self._pause, seconds)

    def _wake(self) -> int:
        """Wake everybody, and return how many they are."""
        with self._mutex:
            waiting = list(self._waiting)
        for loop, event in waiting:
            with contextlib.suppress(RuntimeError):  # its loop has ended
                loop.call_soon_threadsafe(event.set)
        return len(waiting)
