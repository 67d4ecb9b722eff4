"""Calls a task: sync or async, with or without a timeout, here or in a child process.

With `aio.py` the only file that knows the difference between sync and async. Whatever a task does comes back as an
`Outcome`; only KeyboardInterrupt and SystemExit, which are not failures of the task, stand out in it.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sayiir.errors import TaskTimeoutError
from sayiir.runtime import observe
from sayiir.runtime.context import FRAME, Frame
from sayiir.runtime.log import log
from sayiir.runtime.threads import HERE, LOOPS, THREADS, end_copy, start_on_loop

if TYPE_CHECKING:
    import asyncio

    from sayiir.core.program import TaskOp
    from sayiir.runtime.runner import Runner

GRACE_SECS = 1.0
"""How long a timed-out or cancelled coroutine may take to clean up before it is abandoned."""


class Outcome:
    """What a call came to: a value, an error, or `stopped` when the run called it off."""

    __slots__ = ("error", "stopped", "value")

    def __init__(self, value: Any = None, error: BaseException | None = None, *, stopped: bool = False) -> None:
        self.value = value
        self.error = error
        self.stopped = stopped


class _Leaks:
    """Counts the calls that went on after their timeout, since a thread cannot be killed."""

    def __init__(self) -> None:
        self.running = 0
        self.total = 0
        self._mutex = threading.Lock()

    def add(self, task_id: str, what: str) -> None:
        with self._mutex:
            self.running += 1
            self.total += 1
            running = self.running
        log().warning(
            "task %r still runs in its %s after it was given up; its result will be refused (%d such now). "
            'Use @task(isolation="process") where a timeout must really stop it',
            task_id,
            what,
            running,
        )

    def remove(self) -> None:
        with self._mutex:
            self.running -= 1


LEAKS = _Leaks()


def abandoned_tasks() -> int:
    """Return how many timed-out calls still run in their threads in this process."""
    return LEAKS.running


class Returned:
    """A coroutine that a plain function returned: awaited in the function's place, under the same declaration."""

    __slots__ = ("id", "metadata", "on_loop")
    is_async = True

    def __init__(self, op: Any) -> None:
        self.id = op.id
        self.metadata = op.metadata
        self.on_loop = op.metadata.isolation is None

    @staticmethod
    def function(coroutine: Any) -> Any:
        """Return what is awaited."""
        return coroutine


def settle(op: Any, coroutine: Any) -> Any:
    """Await a coroutine that a plain function returned, from a thread that has no run; return or raise its outcome."""
    thread = LOOPS.take()
    future, cancel = start_on_loop(thread.loop, _guarded(Returned(op), coroutine), contextvars.copy_context())
    try:
        outcome: Outcome = future.result()
    except BaseException:
        cancel()
        raise
    finally:
        LOOPS.give(thread)
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


def timeout_error(op: TaskOp | Returned) -> TaskTimeoutError:
    """Return the failure of a task that took too long."""
    limit = op.metadata.timeout_secs or 0.0
    return TaskTimeoutError(f"task {op.id!r} timed out after {limit:g}s", task_id=op.id, timeout_secs=limit)


def call(run: Runner, op: TaskOp | Returned, value: Any, frame: Frame) -> Outcome:
    """Call a task from a thread and wait for its outcome."""
    if op.metadata.isolation == "process" and not isinstance(op, Returned):
        from sayiir.runtime.process import call_in_child

        return observed(frame, lambda: call_in_child(run, op, value, frame))
    if isinstance(op, Returned) or op.is_async:
        return _call_coroutine(run, op, value, frame)
    if op.metadata.timeout_secs is not None:
        return _call_bounded(run, op, value, frame)
    return call_here(op, value, frame)


def call_here(op: TaskOp, value: Any, frame: Frame) -> Outcome:
    """Call a sync task in this thread."""
    token, forks = FRAME.set(frame), HERE.forks
    try:
        if observe.watchers:
            with observe.attempt(frame):
                return Outcome(op.function(value))
        return Outcome(op.function(value))
    except Exception as error:  # noqa: BLE001 -- a task may raise anything; it is its outcome
        return Outcome(error=error)
    finally:
        if HERE.forks != forks:
            end_copy()
        FRAME.reset(token)


def observed(frame: Frame, function: Callable[[], Outcome]) -> Outcome:
    """Call a task that runs in another process; whoever watches is told here."""
    if not observe.watchers:
        return function()
    outcome = Outcome()
    with suppress(Exception), observe.attempt(frame):
        outcome = function()
        if isinstance(outcome.error, Exception):
            raise outcome.error
    return outcome


def _call_bounded(run: Runner, op: TaskOp, value: Any, frame: Frame) -> Outcome:
    done, box = threading.Condition(), list[Outcome]()
    context = contextvars.copy_context()
    given_up = False

    def job() -> None:
        try:
            outcome = context.run(call_here, op, value, frame)
        except BaseException as error:  # noqa: BLE001 -- carried to the thread that waits
            outcome = Outcome(error=error)
        with done:
            box.append(outcome)
            late = given_up
            done.notify()
        if late:
            LEAKS.remove()

    limit = op.metadata.timeout_secs or 0.0
    deadline = run.clock.monotonic() + limit
    THREADS.start(job)
    with done:
        while not box and (left := deadline - run.clock.monotonic()) > 0:
            run.clock.wait(done, left)
        if box:
            return box[0]
        given_up = True
        LEAKS.add(op.id, "thread")
    return Outcome(error=timeout_error(op))


def _call_coroutine(run: Runner, op: TaskOp | Returned, value: Any, frame: Frame) -> Outcome:
    context = contextvars.copy_context()
    future, cancel = start_on_loop(run.loop(), awaited(run, op, value, frame), context)
    run.add_cancel(cancel)
    limit = op.metadata.timeout_secs
    try:
        # The coroutine bounds itself; the longer wait here is for one that blocks its loop.
        outcome: Outcome = future.result(None if limit is None else limit + 2 * GRACE_SECS)
    except TimeoutError:
        run.abandon_loop()
        LEAKS.add(op.id, "event loop")
        future.add_done_callback(lambda _: LEAKS.remove())
        return Outcome(error=timeout_error(op))
    except BaseException as error:
        cancel()
        if run.stopping and type(error).__name__ == "CancelledError":
            return Outcome(stopped=True)  # called off before its first step, so it could not say so itself
        raise
    finally:
        run.remove_cancel(cancel)
    return outcome


async def awaited(run: Runner, op: TaskOp | Returned, value: Any, frame: Frame) -> Outcome:
    """Await an async task on the running loop, within its timeout."""
    import asyncio

    FRAME.set(frame)
    task = asyncio.ensure_future(_guarded(op, value))
    try:
        await asyncio.wait({task}, timeout=op.metadata.timeout_secs)
    except asyncio.CancelledError:
        # Not the task's own doing (that ends in its outcome): the run is called off, or its caller's loop is ending.
        run.call_off()
        await _call_off(task, op)
        return Outcome(stopped=True)
    if not task.done():
        await _call_off(task, op)
        return Outcome(error=timeout_error(op))
    return task.result()


async def _guarded(op: TaskOp | Returned, value: Any) -> Outcome:
    import asyncio

    frame, forks = FRAME.get(), HERE.forks
    try:
        if observe.watchers and isinstance(frame, Frame):
            with observe.attempt(frame):
                return Outcome(await op.function(value))
        return Outcome(await op.function(value))
    except asyncio.CancelledError as error:
        return Outcome(error=error)
    except BaseException as error:  # noqa: BLE001 -- KeyboardInterrupt would kill the loop's thread; it is carried on
        return Outcome(error=error)
    finally:
        if HERE.forks != forks:
            end_copy()


async def _call_off(task: asyncio.Task[Outcome], op: TaskOp | Returned) -> None:
    import asyncio

    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=GRACE_SECS)
    if not done:
        LEAKS.add(op.id, "event loop")
        task.add_done_callback(lambda _: LEAKS.remove())


async def in_thread(function: Callable[[], Any]) -> Any:
    """Await a blocking function, run in a kept thread with a copy of the present context."""
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(result: Any, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    def job() -> None:
        result, failure = None, None
        try:
            result = context.run(function)
        except BaseException as error:  # noqa: BLE001 -- carried to the coroutine that waits
            failure = error
        try:
            loop.call_soon_threadsafe(deliver, result, failure)
        except RuntimeError:
            # The loop was closed meanwhile: nobody waits any more.
            log().debug("the loop ended before the result of %r came", function)

    THREADS.start(job)
    return await future
