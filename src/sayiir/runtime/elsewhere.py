"""Sync tasks in an executor of the user's: threads, a pool of processes, another engine's cluster.

The function, its value and the facts of its context cross, as the executor pickles them; in an executor of threads the
live context does. The executor stays the user's: it is never shut down here.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import msgspec

from sayiir.errors import WorkerCrashError
from sayiir.flow.task import declaration_of
from sayiir.runtime.context import FRAME, Frame, TaskExecutionContext
from sayiir.runtime.invoke import LEAKS, Outcome, call_here, timeout_error

if TYPE_CHECKING:
    from sayiir.core.program import TaskOp
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
            future = executor.submit(_called_there, op.function, value, _facts(frame))
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


def _facts(frame: Frame) -> TaskExecutionContext:
    """Return the context without what cannot be trusted to be pickled: the live run, and filters, which may be lambdas."""
    context = frame.context()
    metadata = msgspec.structs.replace(context.metadata, retry_on=None, no_retry_on=None)
    return msgspec.structs.replace(context, metadata=metadata, _link=None)


def _called_there(function: Any, value: Any, context: TaskExecutionContext) -> Any:
    """Call a task in the executor, perhaps in another process."""
    declared = declaration_of(function)
    if declared is not None:
        filters = {"retry_on": declared.metadata.retry_on, "no_retry_on": declared.metadata.no_retry_on}
        metadata = msgspec.structs.replace(context.metadata, **filters)
        context = msgspec.structs.replace(context, metadata=metadata)
    token = FRAME.set(context)
    try:
        return function(value)
    finally:
        FRAME.reset(token)


def _broken(op: TaskOp, executor: Executor, error: BaseException) -> WorkerCrashError:
    broken = WorkerCrashError(
        f"task {op.id!r} could not run in {type(executor).__name__}: {error or type(error).__name__}; "
        "a pool whose process died or that was shut down takes no more tasks, give the worker a new one",
        task_id=op.id,
    )
    broken.__cause__ = error
    return broken
