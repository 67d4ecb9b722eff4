"""The event loop on which a worker's async tasks run, thousands at once, and the way there and back."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from sayiir.runtime.invoke import Outcome, awaited
from sayiir.runtime.threads import LOOPS, LoopThread

if TYPE_CHECKING:
    import asyncio

    from sayiir.runtime.executor import Call
    from sayiir.runtime.job import Job


class Coroutines:
    """The async tasks of a shift.

    Args:
        deliver: takes a job whose task has ended, with the outcome as its answer.
    """

    def __init__(self, deliver: Callable[[Job], None]) -> None:
        self._deliver = deliver
        self._mutex = threading.Lock()
        self._thread: LoopThread | None = None
        self._starting: deque[tuple[Job, Call]] = deque()
        self._told = False

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop, made at the first need."""
        with self._mutex:
            if self._thread is None:
                self._thread = LOOPS.take()
            return self._thread.loop

    def begin(self, job: Job, ask: Call) -> None:
        """Run a task; its outcome is delivered."""
        self._starting.append((job, ask))
        if not self._told:
            self._told = True
            self.loop().call_soon_threadsafe(self._start)

    def cancel(self, job: Job) -> None:
        """Cancel the job's task, if it has one now."""
        with self._mutex:
            thread = self._thread
        if thread is not None:
            thread.loop.call_soon_threadsafe(lambda: job.task and job.task.cancel())

    def stop(self) -> None:
        """Give the loop back; what tasks left behind on it is cancelled."""
        with self._mutex:
            thread, self._thread = self._thread, None
        if thread is not None:
            LOOPS.give(thread)

    def _start(self) -> None:
        loop = self.loop()
        self._told = False  # before looking: what is added from now on tells again
        while self._starting:
            job, ask = self._starting.popleft()
            job.task = loop.create_task(awaited(job, ask.op, ask.value, ask.frame), context=job.context.copy())
            job.task.add_done_callback(partial(self._ended, job))
            if job.stopping:
                job.task.cancel()

    def _ended(self, job: Job, task: asyncio.Task[Outcome]) -> None:
        job.task = None
        if task.cancelled():
            job.answer = Outcome(stopped=True)  # called off before its first step, so it could not say so itself
        elif (error := task.exception()) is not None:
            job.answer = Outcome(error=error)
        else:
            job.answer = task.result()
        self._deliver(job)
