"""The kept threads of a worker, and the queue of jobs they share.

A woken thread takes jobs until there are none. Before it runs one it sees to it that another thread is on its way if jobs
are left, and never more than one: jobs that end at once are then all done by the thread that is awake anyhow, and those
that block are overtaken. Waking a thread costs more than running a small task.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

J = TypeVar("J")


class Crew(Generic[J]):
    """Runs jobs in at most `limit` daemon threads.

    Args:
        name: of the threads.
        limit: how many threads there may be; they are started when they are needed.
        run: what is done with a job; it handles its own errors.
    """

    def __init__(self, name: str, limit: int, run: Callable[[J], None]) -> None:
        self._name = name
        self._limit = limit
        self._run = run
        self._jobs: deque[J] = deque()
        self._mutex = threading.Lock()
        self._idle: list[threading.Lock] = []
        self._threads = 0
        self._waking = False
        self._stopped = False
        self.taken = 0
        """How many jobs have been taken so far."""

    def put(self, job: J) -> None:
        """Queue a job."""
        self._jobs.append(job)
        if not self._waking:
            self._wake()

    def put_all(self, jobs: list[J]) -> None:
        """Queue several jobs."""
        self._jobs.extend(jobs)
        if jobs and not self._waking:
            self._wake()

    def withdraw(self, fits: Callable[[J], bool]) -> list[J]:
        """Take jobs out of the queue again."""
        found: list[J] = []
        for _ in range(len(self._jobs)):
            try:
                job = self._jobs.popleft()
            except IndexError:
                break
            (found if fits(job) else self._jobs).append(job)
        return found

    def stop(self) -> None:
        """Let the threads end once they have nothing to do."""
        with self._mutex:
            self._stopped = True
            idle, self._idle = self._idle, []
        for wake in idle:
            wake.release()

    def _wake(self) -> None:
        with self._mutex:
            if self._waking or not self._jobs:
                return
            if self._idle:
                self._idle.pop().release()
            elif self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
            else:
                return
            self._waking = True

    def _work(self) -> None:
        wake = threading.Lock()
        wake.acquire()
        woken = True
        while True:
            try:
                job = self._jobs.popleft()
                self.taken += 1
            except IndexError:
                with self._mutex:
                    if woken:
                        woken = self._waking = False
                    if self._jobs:
                        continue
                    if self._stopped:
                        self._threads -= 1
                        return
                    self._idle.append(wake)
                wake.acquire()
                woken = True
                continue
            if woken:
                with self._mutex:
                    woken = self._waking = False
            if self._jobs and not self._waking:
                self._wake()
            self._run(job)
            del job  # or an idle thread would keep its results alive
