"""The async API: the same engine, awaited.

There is no second engine here. A run's sync work happens in a thread; its async tasks run on the caller's own event loop,
where the caller's clients and sessions live. Cancelling the await calls the run off and leaves the instance resumable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import islice
from typing import Any, Literal, TypeVar, Unpack, overload

from sayiir.client import Page, Wanted, WorkflowClient
from sayiir.client.query import KEEP, MAX_PAGE
from sayiir.core.loop import LoopResult
from sayiir.flow.duration import Duration
from sayiir.flow.typing import Default
from sayiir.flow.workflow import Workflow
from sayiir.runtime.checks import checked_policy, checked_workflow
from sayiir.runtime.engine import durable, output_or_error, resume, run_in_memory
from sayiir.runtime.invoke import GRACE_SECS, in_thread
from sayiir.runtime.run import Caller
from sayiir.runtime.status import WorkflowStatus, status_of
from sayiir.runtime.timeline import TimelineEntry
from sayiir.store.base import ScriptedStore
from sayiir.store.port import ConflictPolicy

T = TypeVar("T")
In = TypeVar("In")


async def _engine(job: Callable[[Caller], T]) -> T:
    """Run a blocking engine call in a thread, for this task and on its loop."""
    caller = Caller(asyncio.get_running_loop())
    working = asyncio.ensure_future(in_thread(lambda: job(caller)))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        caller.leave()
        # Time for the async task to clean up and the claim to be given back; a sync task cannot be stopped, and is not
        # waited for.
        await asyncio.wait({working}, timeout=2 * GRACE_SECS)
        if working.done() and not working.cancelled():
            working.exception()  # seen: the cancellation is what the caller gets
        raise


async def arun_workflow(
    workflow: Workflow[In, Any],
    input_data: In,
    *,
    instance_id: str | None = None,
    backend: ScriptedStore | None = None,
    conflict_policy: ConflictPolicy | None = None,
) -> Any:
    """Await a run and its output (see `run_workflow`).

    >>> import asyncio
    >>> from sayiir import Flow, arun_workflow
    >>> asyncio.run(arun_workflow(Flow("w").then(lambda x: x * 2, name="double").build(), 21))
    42
    """
    if instance_id is None:
        if backend is not None:
            raise ValueError("backend= needs instance_id=: a durable run has a name")
        checked_policy(conflict_policy)
        checked_workflow(workflow)
        return await _engine(lambda caller: run_in_memory(workflow, input_data, caller))

    def job(caller: Caller) -> Any:
        return output_or_error(*durable(workflow, instance_id, input_data, backend, conflict_policy, 0.0, caller))

    return await _engine(job)


async def arun_durable_workflow(
    workflow: Workflow[In, Any],
    instance_id: str,
    input_data: In,
    backend: ScriptedStore | None = None,
    conflict_policy: ConflictPolicy | None = None,
    *,
    busy_timeout: float = 0,
) -> WorkflowStatus:
    """Await a durable run and its status (see `run_durable_workflow`)."""

    def job(caller: Caller) -> WorkflowStatus:
        run = durable(workflow, instance_id, input_data, backend, conflict_policy, busy_timeout, caller)
        return status_of(run[1])

    return await _engine(job)


async def aresume_workflow(
    workflow: Workflow[Any, Any], instance_id: str, backend: ScriptedStore, *, busy_timeout: float = 0
) -> WorkflowStatus:
    """Await going on with an instance, and its status (see `resume_workflow`)."""
    return await _engine(lambda caller: status_of(resume(workflow, instance_id, backend, busy_timeout, caller)[1]))


async def acancel_workflow(
    instance_id: str, backend: ScriptedStore, reason: str | None = None, cancelled_by: str | None = None
) -> None:
    """Cancel an instance (see `cancel_workflow`)."""
    await AsyncWorkflowClient(backend).cancel(instance_id, reason=reason, cancelled_by=cancelled_by)


async def apause_workflow(
    instance_id: str, backend: ScriptedStore, reason: str | None = None, paused_by: str | None = None
) -> None:
    """Pause an instance (see `pause_workflow`)."""
    await AsyncWorkflowClient(backend).pause(instance_id, reason=reason, paused_by=paused_by)


async def aunpause_workflow(instance_id: str, backend: ScriptedStore) -> None:
    """Let a paused instance go on (see `unpause_workflow`)."""
    await AsyncWorkflowClient(backend).unpause(instance_id)


async def asend_signal(instance_id: str, signal_name: str, payload: Any, backend: ScriptedStore) -> None:
    """Send a signal (see `send_signal`)."""
    await AsyncWorkflowClient(backend).send_signal(instance_id, signal_name, payload)


class AsyncWorkflowClient:
    """`WorkflowClient` for asyncio: the same methods, awaited; its calls never block the loop.

    Args:
        backend: where instances live.
        conflict_policy: what `submit` does with an id that is taken (see `WorkflowClient`).

    >>> import asyncio
    >>> from sayiir import AsyncWorkflowClient, Flow, InMemoryBackend
    >>> client = AsyncWorkflowClient(InMemoryBackend())
    >>> asyncio.run(client.submit(Flow("w").then(lambda x: x, name="same").build(), "a", 1))
    WorkflowStatus.InProgress()
    """

    def __init__(self, backend: ScriptedStore, *, conflict_policy: ConflictPolicy | None = None) -> None:
        self._client = WorkflowClient(backend, conflict_policy=conflict_policy)

    @property
    def backend(self) -> ScriptedStore:
        """The backend that this client was made with."""
        return self._client.backend

    def with_conflict_policy(self, conflict_policy: ConflictPolicy) -> AsyncWorkflowClient:
        """Return a client with another policy on the same backend."""
        return AsyncWorkflowClient(self.backend, conflict_policy=conflict_policy)

    async def submit(
        self,
        workflow: Workflow[In, Any],
        instance_id: str,
        input: In,
        *,
        connection: Any = None,
        priority: int | None = None,
    ) -> WorkflowStatus:
        """Store a new instance (see `WorkflowClient.submit`); on a connection of yours, in the thread of the loop."""
        submit = self._client.submit
        if connection is not None:
            return submit(workflow, instance_id, input, connection=connection, priority=priority)
        return await self._aside(lambda: submit(workflow, instance_id, input, priority=priority))

    async def submit_many(
        self, workflow: Workflow[In, Any], items: Iterable[tuple[str, In]], *, priority: int | None = None
    ) -> list[WorkflowStatus]:
        """Store many new instances, or none (see `WorkflowClient.submit_many`)."""
        return await self._aside(lambda: self._client.submit_many(workflow, items, priority=priority))

    async def cancel(self, instance_id: str, *, reason: str | None = None, cancelled_by: str | None = None) -> None:
        """Cancel an instance (see `WorkflowClient.cancel`)."""
        await self._aside(lambda: self._client.cancel(instance_id, reason=reason, cancelled_by=cancelled_by))

    async def pause(self, instance_id: str, *, reason: str | None = None, paused_by: str | None = None) -> None:
        """Pause an instance (see `WorkflowClient.pause`)."""
        await self._aside(lambda: self._client.pause(instance_id, reason=reason, paused_by=paused_by))

    async def unpause(self, instance_id: str) -> None:
        """Let a paused instance go on (see `WorkflowClient.unpause`)."""
        await self._aside(lambda: self._client.unpause(instance_id))

    async def send_signal(
        self, instance_id: str, signal_name: str, payload: Any, *, dedup_key: str | None = None, connection: Any = None
    ) -> None:
        """Send a signal (see `WorkflowClient.send_signal`); on a connection of yours, in the thread of the loop."""
        send = self._client.send_signal
        if connection is not None:
            send(instance_id, signal_name, payload, dedup_key=dedup_key, connection=connection)
        else:
            await self._aside(lambda: send(instance_id, signal_name, payload, dedup_key=dedup_key))

    async def retry(
        self, instance_id: str, *, from_task: str | Callable[..., Any] | None = None, **replacement: Any
    ) -> None:
        """Bring an ended instance back to life (see `WorkflowClient.retry`)."""
        await self._aside(lambda: self._client.retry(instance_id, from_task=from_task, **replacement))

    async def status(self, instance_id: str) -> WorkflowStatus:
        """Return how an instance stands (see `WorkflowClient.status`)."""
        return await self._aside(lambda: self._client.status(instance_id))

    async def find(self, *, limit: int = 100, cursor: str | None = None, **wanted: Unpack[Wanted]) -> Page:
        """Return a page of the instances that fit (see `WorkflowClient.find`)."""
        return await self._aside(lambda: self._client.find(limit=limit, cursor=cursor, **wanted))

    async def find_all(self, **wanted: Unpack[Wanted]) -> AsyncIterator[WorkflowStatus]:
        """Iterate over all instances that fit (see `WorkflowClient.find_all`)."""
        found = self._client.find_all(**wanted)
        while chunk := await self._aside(lambda: list(islice(found, MAX_PAGE))):
            for status in chunk:
                yield status

    async def purge(self, *, older_than: Duration = KEEP, batch: int = 1000) -> int:
        """Delete instances that ended long ago (see `WorkflowClient.purge`)."""
        return await self._aside(lambda: self._client.purge(older_than=older_than, batch=batch))

    @overload
    async def get_task_result(
        self, instance_id: str, task_id: str, *, default: Any = None, iteration: int | None = None, step: bool = False
    ) -> Any: ...
    @overload
    async def get_task_result(
        self,
        instance_id: str,
        task_id: Callable[..., LoopResult[T] | Awaitable[LoopResult[T]]],
        *,
        default: Default = ...,
        iteration: int | None = None,
        step: bool = False,
    ) -> T | Default: ...
    @overload
    async def get_task_result(
        self,
        instance_id: str,
        task_id: Callable[..., Awaitable[T]],
        *,
        default: Default = ...,
        iteration: int | None = None,
        step: bool = False,
    ) -> T | Default: ...
    @overload
    async def get_task_result(
        self,
        instance_id: str,
        task_id: Callable[..., T],
        *,
        default: Default = ...,
        iteration: int | None = None,
        step: bool = False,
    ) -> T | Default: ...
    async def get_task_result(
        self,
        instance_id: str,
        task_id: Any,
        *,
        default: Any = None,
        iteration: int | None = None,
        step: bool = False,
    ) -> Any:
        """Return what a node gave (see `WorkflowClient.get_task_result`)."""
        get = self._client.get_task_result
        return await self._aside(lambda: get(instance_id, task_id, default=default, iteration=iteration, step=step))

    async def timeline(self, instance_id: str) -> list[TimelineEntry]:
        """Return everything that happened to an instance (see `WorkflowClient.timeline`)."""
        return await self._aside(lambda: self._client.timeline(instance_id))

    async def wait(
        self, instance_id: str, timeout: float | None = None, *, until: Literal["ended", "parked"] = "ended"
    ) -> WorkflowStatus:
        """Await the end of an instance (see `WorkflowClient.wait`)."""
        return await self._aside(lambda: self._client.wait(instance_id, timeout, until=until))

    @overload
    async def result(self, instance_id: str, timeout: float | None = None, *, type: type[T]) -> T: ...
    @overload
    async def result(self, instance_id: str, timeout: float | None = None, type: Any = None) -> Any: ...
    async def result(self, instance_id: str, timeout: float | None = None, type: Any = None) -> Any:
        """Await an instance's output (see `WorkflowClient.result`)."""
        return await self._aside(lambda: self._client.result(instance_id, timeout, type))

    async def _aside(self, call: Callable[[], T]) -> T:
        result: T = await in_thread(call)
        return result

    def __repr__(self) -> str:
        return f"Async{self._client!r}"
