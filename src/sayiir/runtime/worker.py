"""`Worker` and `WorkerHandle`: what is asked of a worker, checked, and the way to stop it. The work itself is `Shift`'s."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sayiir.core.program import tags_of
from sayiir.errors import WorkflowError
from sayiir.runtime.checks import checked_backend, checked_id, checked_workflow
from sayiir.runtime.shift import Shift
from sayiir.runtime.slots import COROUTINES, SYNC, Limits
from sayiir.store.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from sayiir.flow.workflow import Workflow
    from sayiir.store.base import ScriptedStore

RETENTION = timedelta(days=30)

INFO = 20
"""logging.INFO; the module is loaded only by who works."""


class Plan:
    """How a worker works: its options, checked."""

    def __init__(
        self,
        worker_id: str,
        *,
        poll_interval: float,
        claim_ttl: float,
        concurrency: int | Mapping[str, int] | None,
        tags: Iterable[str] | None,
        aging_interval: float,
        executor: Executor | Mapping[str, Executor] | None,
        shutdown_grace: float,
        max_crashes: int,
        retention: float | timedelta | None,
        task_logs: int | None = None,
    ) -> None:
        self.worker_id = checked_id(worker_id, "worker_id")
        self.poll_interval = _seconds("poll_interval", poll_interval)
        self.claim_ttl = _seconds("claim_ttl", claim_ttl)
        self.limits = _limits(concurrency)
        self.tags = _tags(tags)
        self.aging_interval = _seconds("aging_interval", aging_interval)
        self.executor = _executor(executor)
        self.shutdown_grace = _seconds("shutdown_grace", shutdown_grace, zero=True)
        self.max_crashes = _count("max_crashes", max_crashes)
        if isinstance(retention, timedelta):
            retention = retention.total_seconds()
        self.retention = None if retention is None else _seconds("retention", retention)
        if task_logs is not None and (isinstance(task_logs, bool) or not isinstance(task_logs, int)):
            raise ValueError(f"task_logs must be a level such as logging.INFO, or None, not {task_logs!r}")
        self.task_logs = task_logs

    def has_tags(self, text: str) -> bool:
        """Return whether this worker has all of the tags, given as text."""
        return self.tags is None or self.tags >= tags_of(text)


class Worker:
    """Moves instances that were submitted: claims what is due, runs it, checkpoints it, for as long as it is started.

    Any number of workers, in any number of processes, may work on one backend.

    Args:
        worker_id: its name, shown to tasks and in timelines; 1 to 256 bytes.
        backend: where the instances live.
        poll_interval: seconds after which an idle worker looks for work at the latest; due work is looked for at least
            once a second. Usually a hint wakes it at once.
        claim_ttl: seconds after which the work of a worker that hangs is given to another. It holds for the backend
            object. A dead worker's work is taken over at once where the backend can tell.
        concurrency: how many tasks at once: a number for all, or `{"sync": …, "async": …}`; 32 sync ones, which have a
            thread each, and 1000 async ones when not given.
        tags: what this worker has; it takes untagged tasks and those whose tags it has all of. None takes every task.
        aging_interval: seconds of waiting that make up for one step of priority.
        executor: where sync tasks run instead of the worker's threads: a `concurrent.futures.Executor`, or one for each
            of some tags. Functions and values must be picklable for an executor of processes.
        shutdown_grace: seconds that running tasks get at a shutdown.
        max_crashes: a task that took its process with it so often ends its instance as failed.
        retention: how long finished instances are kept, as seconds or timedelta; None for ever.
        task_logs: records that tasks log from this level on are kept with their instance, its newest thousand; None for
            none. What the loggers' own levels hold back is not kept either.

    Raises:
        ValueError: an argument is out of range.
        TypeError: the backend is none.

    >>> from sayiir import Flow, InMemoryBackend, Worker, WorkflowClient
    >>> wf = Flow("double").then(lambda x: x * 2, name="double").build()
    >>> client = WorkflowClient(InMemoryBackend())
    >>> with Worker("w1", client.backend).start([wf]):
    ...     _ = client.submit(wf, "a", 21)
    ...     client.wait("a", timeout=10).output
    42
    """

    def __init__(
        self,
        worker_id: str,
        backend: ScriptedStore,
        *,
        poll_interval: float = 5.0,
        claim_ttl: float = 300.0,
        concurrency: int | Mapping[str, int] | None = None,
        tags: Iterable[str] | None = None,
        aging_interval: float = 300.0,
        executor: Executor | Mapping[str, Executor] | None = None,
        shutdown_grace: float = 25.0,
        max_crashes: int = 3,
        retention: float | timedelta | None = RETENTION,
        task_logs: int | None = INFO,
    ) -> None:
        self._plan = Plan(
            worker_id,
            poll_interval=poll_interval,
            claim_ttl=claim_ttl,
            concurrency=concurrency,
            tags=tags,
            aging_interval=aging_interval,
            executor=executor,
            shutdown_grace=shutdown_grace,
            max_crashes=max_crashes,
            retention=retention,
            task_logs=task_logs,
        )
        self._backend = checked_backend(backend)
        self._handle: WorkerHandle | None = None

    @property
    def worker_id(self) -> str:
        """The worker's name."""
        return self._plan.worker_id

    @property
    def backend(self) -> ScriptedStore:
        """The backend that it works on."""
        return self._backend

    def start(self, workflows: Iterable[Workflow[Any, Any]]) -> WorkerHandle:
        """Begin to work, in threads of its own.

        Args:
            workflows: what it moves; several versions of one workflow may be among them. Instances of other definitions
                are left alone.

        Returns:
            The handle to stop it with.

        Raises:
            ValueError: there are no workflows.
            TypeError: one is not a Workflow.
            WorkflowError: it is working already.
            BackendError: the backend cannot be reached.
        """
        known = [checked_workflow(workflow) for workflow in workflows]
        if not known:
            raise ValueError("a worker needs at least one workflow to move")
        if self._handle is not None and not self._handle.join(0):
            raise WorkflowError(f"worker {self.worker_id!r} is working already; shut it down first, or make another")
        shift = Shift(self._backend, self._plan, known)
        with uninterrupted:  # or a Ctrl-C could leave a worker at work that nobody has a handle of
            self._handle = WorkerHandle(shift)
        return self._handle

    def run(self, workflows: Iterable[Workflow[Any, Any]]) -> None:
        """Work until somebody interrupts it: Ctrl-C lets running tasks end, a second one does not.

        Args:
            workflows: what it moves.

        Raises:
            KeyboardInterrupt: it was interrupted, and has ended.
        """
        with self:  # not the handle: Ctrl-C may come while it is being returned
            self.start(workflows).join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._handle is not None:
            self._handle.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"Worker({self.worker_id!r}, {self._backend!r})"


class WorkerHandle:
    """A worker at work. Used as a context manager it is shut down, and joined, at the end of the block."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._told = False
        shift.start()

    @property
    def worker_id(self) -> str:
        """The worker's name."""
        return self._shift.worker_id

    def shutdown(self, *, now: bool = False) -> None:
        """Ask the worker to end; returns at once, and may be called again.

        It claims nothing more. Running tasks may end within the grace time, their results are kept, and the rest is left to
        other workers.

        Args:
            now: do not wait for running tasks: coroutines are cancelled, threads abandoned.
        """
        self._shift.close(now=now)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the worker has ended; Ctrl-C interrupts the wait.

        Args:
            timeout: seconds to wait at most; None for as long as it takes.

        Returns:
            Whether it has ended.

        Raises:
            KeyboardInterrupt, SystemExit: a task raised it, and the worker has ended for that; raised once.
        """
        if not self._shift.done.wait(timeout):
            return False
        if self._shift.fatal is not None and not self._told:
            self._told = True
            raise self._shift.fatal
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.shutdown()
        try:
            self.join()
        except KeyboardInterrupt:
            if self._shift.done.is_set():
                raise
            self.shutdown(now=True)
            self.join()
            raise

    def __repr__(self) -> str:
        state = "ended" if self._shift.done.is_set() else "ending" if self._shift.closing else "working"
        return f"WorkerHandle({self.worker_id!r}, {state})"


# --- checks -------------------------------------------------------------------------------------------------------


def _seconds(name: str, value: Any, *, zero: bool = False) -> float:
    number = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    if not number or value < 0 or not (value or zero):
        raise ValueError(f"{name} must be a {'' if zero else 'positive '}number of seconds, not {value!r}")
    return float(value)


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an int of 1 or more, not {value!r}")
    return value


def _limits(concurrency: Any) -> Limits:
    if concurrency is None:
        return Limits(ahead=True)
    if not isinstance(concurrency, Mapping):
        every = _count("concurrency", concurrency)
        return Limits(every, every, every)
    if unknown := concurrency.keys() - {"sync", "async"}:
        raise ValueError(f'concurrency has the kinds "sync" and "async", not {unknown.pop()!r}')
    return Limits(
        _count('concurrency["sync"]', concurrency.get("sync", SYNC)),
        _count('concurrency["async"]', concurrency.get("async", COROUTINES)),
    )


def _tags(tags: Any) -> frozenset[str] | None:
    if tags is None:
        return None
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise ValueError(f"tags must be a list of strings, not {tags!r}")  # noqa: TRY004 -- one error for all
    found = list(tags)
    for tag in found:
        if not isinstance(tag, str) or not 1 <= len(tag) <= 64:
            raise ValueError(f"a tag must be a string of 1 to 64 characters, not {tag!r}")
    return frozenset(found) or None


def _executor(executor: Any) -> Executor | Mapping[str, Executor] | None:
    for one in executor.values() if isinstance(executor, Mapping) else () if executor is None else (executor,):
        if not callable(getattr(one, "submit", None)):
            raise ValueError(f"executor must be a concurrent.futures.Executor, or one for each tag, not {one!r}")  # noqa: TRY004 -- likewise
    return executor  # type: ignore[no-any-return]
