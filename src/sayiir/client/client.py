"""`WorkflowClient`: submit, control, find, ask. Nothing here runs a task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from copy import copy
from datetime import datetime
from typing import Any, Literal, TypeVar, Unpack, overload

from sayiir.client.query import KEEP, Page, Scalar, Wanted, find_all, find_page, purge
from sayiir.client.results import task_name, task_result, timeline
from sayiir.client.submit import Intakes, submitted
from sayiir.core.loop import LoopResult
from sayiir.core.values import encode
from sayiir.flow.duration import Duration
from sayiir.flow.typing import Default
from sayiir.flow.workflow import Workflow
from sayiir.runtime import traced
from sayiir.runtime.checks import checked_backend, checked_id, checked_policy, checked_signal, short
from sayiir.runtime.engine import output_or_error
from sayiir.runtime.status import StatusName, WorkflowStatus, status_of
from sayiir.runtime.timeline import TimelineEntry
from sayiir.store import scripts
from sayiir.store.base import ScriptedStore
from sayiir.store.port import ConflictPolicy, Created, View

T = TypeVar("T")
In = TypeVar("In")


class WorkflowClient:
    """Submits instances and controls them; a runner (`resume_workflow`, a worker) does the work.

    Args:
        backend: where instances live.
        conflict_policy: what `submit` does with a taken id: "fail" (default), "use_existing", "terminate_existing".

    Raises:
        ValueError: the policy is unknown.

    >>> from sayiir import Flow, InMemoryBackend, WorkflowClient, resume_workflow
    >>> wf = Flow("double").then(lambda x: x * 2, name="double").build()
    >>> client = WorkflowClient(InMemoryBackend())
    >>> client.submit(wf, "a", 21)
    WorkflowStatus.InProgress()
    >>> resume_workflow(wf, "a", client.backend).output
    42
    """

    def __init__(self, backend: ScriptedStore, *, conflict_policy: ConflictPolicy | None = None) -> None:
        self._backend = checked_backend(backend)
        self._policy: ConflictPolicy = checked_policy(conflict_policy)
        self._intakes = Intakes(self._backend.max_value_bytes)

    @property
    def backend(self) -> ScriptedStore:
        """The backend that this client was made with."""
        return self._backend

    def with_conflict_policy(self, conflict_policy: ConflictPolicy) -> WorkflowClient:
        """Return a client with another policy on the same backend."""
        other = copy(self)
        other._policy = checked_policy(conflict_policy)
        return other

    def submit(
        self, workflow: Workflow[In, Any], instance_id: str, input: In, *, connection: Any = None,
        priority: int | None = None,
    ) -> WorkflowStatus:  # fmt: skip
        """Store a new instance, for a runner to move.

        Args:
            workflow: what it runs.
            instance_id: its name, 1 to 256 bytes.
            input: the first task's input; it must fit the task's annotation.
            connection: your own connection to the backend's database (sqlite3 or psycopg): the instance is stored in
                its open transaction, and is there once you commit.
            priority: 1 (first) to 5 (last).

        Returns:
            `in_progress` when new; the stored status when the policy is "use_existing" and the id was taken.

        Raises:
            SerializationError: the input is not JSON, or does not fit; nothing was stored.
            InstanceAlreadyExistsError, DefinitionMismatchError: the id is taken.
            BackendError: the connection is not to this backend's database, or has no open transaction.
            ValueError: the id or priority is not allowed.
        """
        new = self._intakes.of(workflow, priority).one(instance_id, input)
        if connection is not None:
            policy, new = self._policy, traced.stamped(new)
            return status_of(self._backend.within(connection, lambda rows: submitted(rows, new, policy)))
        return self._status_of(traced.create(self._backend, new, self._policy, claim=False))

    def submit_many(
        self, workflow: Workflow[In, Any], items: Iterable[tuple[str, In]], *, priority: int | None = None
    ) -> list[WorkflowStatus]:
        """Store many new instances in one transaction: all of them or none.

        Args:
            workflow: what they run.
            items: pairs of (instance_id, input), see `submit`. An id that comes twice is taken the second time.
            priority: 1 (first) to 5 (last).

        Returns:
            A status for each item, in order; as with `submit`, the stored one where the policy is "use_existing".

        Raises:
            SerializationError: an input is not JSON, or does not fit.
            InstanceAlreadyExistsError, DefinitionMismatchError: an id is taken.
            ValueError: an id or the priority is not allowed.

        >>> from sayiir import Flow, InMemoryBackend, WorkflowClient
        >>> wf = Flow("double").then(lambda x: x * 2, name="double").build()
        >>> WorkflowClient(InMemoryBackend()).submit_many(wf, [("a", 1), ("b", 2)])
        [WorkflowStatus.InProgress(), WorkflowStatus.InProgress()]
        """
        news = self._intakes.of(workflow, priority).many(items)
        return [self._status_of(one) for one in traced.create_many(self._backend, news, self._policy)] if news else []

    def cancel(self, instance_id: str, *, reason: str | None = None, cancelled_by: str | None = None) -> None:
        """Cancel an instance: at once, or when the task that runs has ended.

        Args:
            instance_id: the instance's name.
            reason: why, for people; cut at 4 KiB.
            cancelled_by: who.

        Raises:
            InstanceNotFoundError: nobody has this id.
            InvalidStateError: it has completed or failed.
        """
        self._backend.request_cancel(checked_id(instance_id), short(reason), short(cancelled_by))

    def pause(self, instance_id: str, *, reason: str | None = None, paused_by: str | None = None) -> None:
        """Pause an instance: at once, or when the task that runs has ended.

        Args:
            instance_id: the instance's name.
            reason: why, for people; cut at 4 KiB.
            paused_by: who.

        Raises:
            InstanceNotFoundError: nobody has this id.
            InvalidStateError: it has finished.
        """
        self._backend.request_pause(checked_id(instance_id), short(reason), short(paused_by))

    def unpause(self, instance_id: str) -> None:
        """Let a paused instance go on, or withdraw a pause that has not taken effect yet.

        Args:
            instance_id: the instance's name.

        Raises:
            InstanceNotFoundError: nobody has this id.
            InvalidStateError: it is not paused.
        """
        self._backend.unpause(checked_id(instance_id))

    def send_signal(
        self, instance_id: str, signal_name: str, payload: Any, *, dedup_key: str | None = None, connection: Any = None
    ) -> None:
        """Send a signal; it is kept until a `wait_for_signal` of this name consumes it, first in first out.

        Args:
            instance_id: the instance's name; it need not exist yet.
            signal_name: the signal's name.
            payload: any JSON value.
            dedup_key: a second signal of the same name and key is dropped.
            connection: your own connection to the backend's database: the signal is sent once you commit its open
                transaction (see `submit`).

        Raises:
            SerializationError: the payload is not JSON.
            InvalidStateError: the instance has finished.
            BackendError: the connection is not to this backend's database, or has no open transaction.
        """
        key = None if dedup_key is None else checked_id(dedup_key, "dedup_key")
        raw = encode(payload, max_bytes=self._backend.max_value_bytes)
        name, signal = checked_id(instance_id), checked_signal(signal_name)
        if connection is None:
            traced.send_signal(self._backend, name, signal, raw, key)
        else:
            self._backend.within(connection, lambda rows: scripts.send_signal(rows, name, signal, raw, key))

    def retry(self, instance_id: str, *, from_task: str | Callable[..., Any] | None = None, **replacement: Any) -> None:
        """Bring a failed or cancelled instance back to life, for a runner to move.

        It goes on at the task that failed, whose attempts are counted anew; finished results stay.

        Args:
            instance_id: the instance's name.
            from_task: an earlier task to go on at; the results from there on are made again.
            replacement: `input=` gives the task another input.

        Raises:
            InstanceNotFoundError: nobody has this id.
            InvalidStateError: it has not failed and was not cancelled.
            ValueError: `from_task` has not run.
            BackendError: its stored data was damaged so that nobody knows where it ended; `from_task` says where it goes on.
        """
        from sayiir.runtime.retry import restart

        if unknown := sorted(set(replacement) - {"input"}):
            raise TypeError(f"retry got unknown arguments {', '.join(unknown)}; it knows from_task and input")
        limit = self._backend.max_value_bytes
        raw = encode(replacement["input"], max_bytes=limit) if replacement else None
        view = self._view(instance_id)
        structure = self._backend.structure(view.instance.workflow_id, view.instance.definition_hash)
        task_id = None if from_task is None else task_name(from_task)
        self._backend.retry(instance_id, lambda instance, records: restart(instance, records, structure, task_id, raw))

    def status(self, instance_id: str) -> WorkflowStatus:
        """Return how an instance stands.

        Args:
            instance_id: the instance's name.

        Raises:
            InstanceNotFoundError: nobody has this id.
        """
        return status_of(self._view(instance_id))

    def find(
        self,
        *,
        status: StatusName | Iterable[StatusName] | None = None,
        workflow_id: str | Workflow[Any, Any] | None = None,
        id_prefix: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        metadata: Mapping[str, Scalar] | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        """Return a page of the instances that fit all that is given, the newest first.

        Args:
            status: one status name, or several.
            workflow_id: a workflow's name, or the Workflow; all versions of it.
            id_prefix: what the instance id begins with.
            created_after: created at this aware time or later.
            created_before: created before this aware time.
            metadata: what the top level of the workflow's metadata says, by name.
            limit: how many at most, 1 to 1,000.
            cursor: the `next_cursor` of the page before.

        Returns:
            The page: `.items` (statuses without output and error: ask `status` for those), `.next_cursor`.

        Raises:
            ValueError: an argument is not allowed.
        """
        wanted = Wanted(
            status=status, workflow_id=workflow_id, id_prefix=id_prefix, created_after=created_after,
            created_before=created_before, metadata=metadata,
        )  # fmt: skip
        return find_page(self._backend, wanted, limit, cursor)

    def find_all(self, **wanted: Unpack[Wanted]) -> Iterator[WorkflowStatus]:
        """Iterate over all instances that fit, reading page after page.

        Args:
            wanted: as for `find`.

        Raises:
            ValueError: an argument is not allowed.
        """
        return find_all(self._backend, wanted)

    def purge(self, *, older_than: Duration = KEEP, batch: int = 1000) -> int:
        """Delete instances that ended long ago, with their results and signals.

        Args:
            older_than: how long ago, in seconds or as a `timedelta` or text such as "7d"; 30 days when not given.
            batch: how many are deleted in one transaction.

        Returns:
            How many were deleted.

        Raises:
            ValueError: an argument is not allowed.
        """
        return purge(self._backend, older_than, batch)

    @overload
    def get_task_result(
        self, instance_id: str, task_id: str, *, default: Any = None, iteration: int | None = None, step: bool = False
    ) -> Any: ...
    @overload
    def get_task_result(
        self, instance_id: str, task_id: Callable[..., LoopResult[T] | Awaitable[LoopResult[T]]], *,
        default: Default = ..., iteration: int | None = None, step: bool = False,
    ) -> T | Default: ...  # fmt: skip
    @overload
    def get_task_result(
        self, instance_id: str, task_id: Callable[..., Awaitable[T]], *, default: Default = ...,
        iteration: int | None = None, step: bool = False,
    ) -> T | Default: ...  # fmt: skip
    @overload
    def get_task_result(
        self, instance_id: str, task_id: Callable[..., T], *, default: Default = ..., iteration: int | None = None,
        step: bool = False,
    ) -> T | Default: ...  # fmt: skip
    def get_task_result(
        self, instance_id: str, task_id: str | Callable[..., Any], *, default: Any = None, iteration: int | None = None,
        step: bool = False,
    ) -> Any:  # fmt: skip
        """Return what a task, or any other node, gave.

        Args:
            instance_id: the instance's name.
            task_id: the node's full id, a short id that only one node has, a branch's name, or the task function
                itself (then the result is decoded by its return annotation).
            default: what to return when it has not run, to tell that from a result of None.
            iteration: which iteration of a loop, from 1; the last when not given.
            step: for a branch's name, its first task's own result instead of the branch's output.

        Raises:
            InstanceNotFoundError: nobody has this id.
            ValueError: several nodes have this short id.
        """
        instance = self._view(instance_id).instance
        return task_result(self._backend, instance, task_id, default, iteration=iteration, step=step)

    def timeline(self, instance_id: str) -> list[TimelineEntry]:
        """Return everything that happened to an instance: each attempt of each node, in order of start.

        Args:
            instance_id: the instance's name.

        Raises:
            InstanceNotFoundError: nobody has this id.
        """
        return timeline(self._backend, self._view(instance_id))

    def wait(
        self, instance_id: str, timeout: float | None = None, *, until: Literal["ended", "parked"] = "ended"
    ) -> WorkflowStatus:
        """Block until an instance has ended.

        Args:
            instance_id: the instance's name.
            timeout: seconds to wait; None for ever.
            until: "parked" also returns when it waits for a time or a signal, or is paused.

        Raises:
            TimeoutError: it has not ended in time.
            InstanceNotFoundError: nobody has this id.
        """
        if until not in ("ended", "parked"):
            raise ValueError(f'until must be "ended" or "parked", not {until!r}')
        clock = self._backend.clock
        deadline = None if timeout is None else clock.monotonic() + timeout
        seen = 0
        while True:
            status = self.status(instance_id)
            ended = status.is_completed() or status.is_failed() or status.is_cancelled()
            if ended or (until == "parked" and not status.is_in_progress()):
                return status
            left = None if deadline is None else deadline - clock.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError(f"instance {instance_id!r} is still {status.status} after {timeout:g}s")
            seen = self._backend.wait_for_hint(seen, 0.5 if left is None else min(left, 0.5))

    @overload
    def result(self, instance_id: str, timeout: float | None = None, *, type: type[T]) -> T: ...
    @overload
    def result(self, instance_id: str, timeout: float | None = None, type: Any = None) -> Any: ...
    def result(self, instance_id: str, timeout: float | None = None, type: Any = None) -> Any:
        """Block until an instance has ended, and return its output.

        Args:
            instance_id: the instance's name.
            timeout: seconds to wait; None for ever.
            type: what to decode the output into; plain JSON values when not given.

        Raises:
            TaskError: the instance failed.
            WorkflowError: it was cancelled.
            TimeoutError: it has not ended in time.
            InstanceNotFoundError: nobody has this id.
        """
        status = self.wait(instance_id, timeout)
        if status.is_completed():
            return status.output if type is None else status.output_as(type)
        return output_or_error(None, self._view(instance_id))

    def _status_of(self, created: Created) -> WorkflowStatus:
        return status_of(View(created.instance, ())) if created.is_new else self.status(created.instance.instance_id)

    def _view(self, instance_id: str) -> View:
        view = self._backend.load(checked_id(instance_id))
        if view is None:
            raise scripts.not_found(instance_id)
        return view

    def __repr__(self) -> str:
        return f"WorkflowClient({self._backend!r}, conflict_policy={self._policy!r})"
