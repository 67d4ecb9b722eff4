"""Daemon threads and event loops, kept for the next user.

Daemon, because an abandoned task (its timeout passed, its fork failed) must not keep the process from ending. A job runs
in a thread of its own at once: bounding how much runs side by side is the caller's matter, since a bound here could let
tasks that wait for each other wait for ever.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

_IDLE_SECS = 10.0


class _Thread:
    """One kept thread and its hand-over."""

    __slots__ = ("job", "wake")

    def __init__(self) -> None:
        self.job: Callable[[], None] | None = None
        # A raw lock: a Semaphore is Python code, and one that is interrupted half way never wakes anybody again.
        self.wake = threading.Lock()
        self.wake.acquire()


class Threads:
    """Starts jobs in kept daemon threads."""

    def __init__(self) -> None:
        self._idle: list[_Thread] = []
        self._mutex = threading.Lock()

    def start(self, job: Callable[[], None]) -> None:
        """Run a job, which handles its own errors, in another thread."""
        with self._mutex:
            thread = self._idle.pop() if self._idle else None
        if thread is None:
            thread = _Thread()
            thread.job = job
            threading.Thread(target=self._work, args=(thread,), name="sayiir-task", daemon=True).start()
            return
        thread.job = job
        thread.wake.release()

    def _work(self, thread: _Thread) -> None:
        while True:
            job, thread.job = thread.job, None
            assert job is not None  # noqa: S101 -- woken only with a job
            job()
            del job  # or the last job's results would live as long as the idle thread
            with self._mutex:
                self._idle.append(thread)
            if thread.wake.acquire(timeout=_IDLE_SECS):
                continue
            with self._mutex:
                if thread in self._idle:
                    self._idle.remove(thread)
                    return
            thread.wake.acquire()  # a job was handed over at the last moment


class LoopThread:
    """An event loop that runs in a thread of its own."""

    def __init__(self) -> None:
        import asyncio

        self.loop = asyncio.new_event_loop()
        self._ended = False
        threading.Thread(target=self._run, name="sayiir-loop", daemon=True).start()

    def _run(self) -> None:
        while not self._ended:
            try:
                self.loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                # asyncio lets these out of a task's subtask as well as into whoever awaits it. The awaiting task
                # carries it on to the run; the loop's other tasks still need their loop.
                continue
        self.loop.close()

    def stop(self) -> None:
        """End the loop and its thread."""
        self._ended = True
        self.loop.call_soon_threadsafe(self.loop.stop)


class Loops:
    """Keeps event loops between runs; each run has one for itself, so one that a task blocks harms only that run."""

    def __init__(self) -> None:
        self._idle: list[LoopThread] = []
        self._mutex = threading.Lock()

    def take(self) -> LoopThread:
        """Return a loop for one run."""
        with self._mutex:
            if self._idle:
                return self._idle.pop()
        return LoopThread()

    def give(self, thread: LoopThread) -> None:
        """Give a loop back. It is free for others once nothing blocks it and what was left on it has ended."""
        thread.loop.call_soon_threadsafe(self._clear, thread)

    def _clear(self, thread: LoopThread) -> None:
        """On the loop itself: end what tasks left behind, as `asyncio.run` does."""
        import asyncio

        left = asyncio.all_tasks(thread.loop)
        if left:
            for task in left:
                task.cancel()
            ended = asyncio.gather(*left, return_exceptions=True)
            ended.add_done_callback(lambda _: self._clear(thread))
            return
        with self._mutex:
            if len(self._idle) < 4:
                self._idle.append(thread)
                return
        thread.stop()


def start_on_loop(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context
) -> tuple[Future[Any], Callable[[], None]]:
    """Start a coroutine on a loop of another thread; return its future and a function that cancels it."""
    import asyncio
    from concurrent.futures import Future

    future: Future[Any] = Future()
    started: list[asyncio.Task[Any]] = []
    called_off = threading.Event()

    def finish(task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            _set(future, None, asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            _set(future, None, error)
        else:
            _set(future, task.result(), None)

    def start() -> None:
        task = loop.create_task(coroutine, context=context)
        started.append(task)
        task.add_done_callback(finish)
        if called_off.is_set():
            task.cancel()

    def cancel() -> None:
        called_off.set()
        try:
            loop.call_soon_threadsafe(lambda: started and started[0].cancel())
        except RuntimeError:
            return  # the loop is closed: nothing of it runs any more

    loop.call_soon_threadsafe(start)
    return future, cancel


def _set(future: Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


THREADS = Threads()
LOOPS = Loops()


class _Here:
    """What is so of this process."""

    forks = 0
    """How often it was forked off another, from the first one on."""


HERE = _Here()


def end_copy() -> None:
    """End this process if it is a copy of a worker's, which a task forked off and which has come to the end of the task.

    It could do nothing more, since whoever waits for the task's outcome is not in it, and would wait for ever; meanwhile it
    would keep the worker's locks and connections, so that nobody could tell when the worker itself dies. Nothing is flushed:
    what the streams hold is the worker's. A copy of a thread of the user's goes on there.
    """
    if threading.current_thread().name.startswith("sayiir-"):
        os._exit(0)


def _forget() -> None:
    # A forked child has none of the parent's threads.
    THREADS.__init__()  # type: ignore[misc]
    LOOPS.__init__()  # type: ignore[misc]
    HERE.forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
