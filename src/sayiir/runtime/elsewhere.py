"""Sync tasks in an executor of the user's: threads, a pool of processes, another engine's cluster.

Only the function and its value cross, as the executor pickles them; in an executor of threads the task's context goes with
them. The executor stays the user's: it is never shut down here.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from sayiir.errors import WorkerCrashError
from sayiir.runtime.invoke import LEAKS, Outcome, call_here, timeout_error

if TYPE_CHECKING:
    from sayiir.core.program import TaskOp
    from sayiir.runtime.context import Frame
    from sayiir.runtime.runner import Runner

Executors = Executor | Mapping[str, Executor]


def executor_for(executors: Executors | None, op: TaskOp) -> Executor | None:
    """Return where a sync task runs: the executor of its first tag that has one; None for the worker's own threads."""
    if executors is None or op.metadata.isolation is not None:
        return None
    if not isinstance(executors, Mapping):
        return executors
    return next((executors[tag] for tag in op.metadata.tags or () if tag in executors), None)


def call_elsewhere(run: Runner, executor: Executor, op: TaskOp, value: Any, frame: Frame) -> Outcome:
    """Call a task there and wait for its outcome, within its timeout."""
    try:
        future: Future[Any]
        if isinstance(executor, ThreadPoolExecutor):
            future = executor.submit(copy_context().run, _called, op, value, frame)
        else:
            future = executor.submit(op.function, value)
    except RuntimeError as error:  # it was shut down, or broke before
        return Outcome(error=_broken(op, executor, error))
    run.add_cancel(future.cancel)
    try:
        return Outcome(future.result(op.metadata.timeout_secs))
    except CancelledError as error:
        return Outcome(stopped=True) if run.stopping else Outcome(error=_broken(op, executor, error))
    except BrokenExecutor as error:
        return Outcome(error=_broken(op, executor, error))
    except TimeoutError as error:
        if future.done():
            return Outcome(error=error)  # the task's own
        if not future.cancel():
            LEAKS.add(op.id, "executor")
            future.add_done_callback(lambda _: LEAKS.remove())
        return Outcome(error=timeout_error(op))
    except BaseException as error:  # noqa: BLE001 -- whatever the task raised there; it is its outcome
        return Outcome(error=error)
    finally:
        run.remove_cancel(future.cancel)


def _called(op: TaskOp, value: Any, frame: Frame) -> Any:
    outcome = call_here(op, value, frame)
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


def _broken(op: TaskOp, executor: Executor, error: BaseException) -> WorkerCrashError:
    broken = WorkerCrashError(
        f"task {op.id!r} could not run in {type(executor).__name__}: {error or type(error).__name__}; "
        "a pool whose process died or that was shut down takes no more tasks, give the worker a new one",
        task_id=op.id,
    )
    broken.__cause__ = error
    return broken
