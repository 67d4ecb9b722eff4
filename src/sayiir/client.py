"""`WorkflowClient` and the steering functions: submit, control, ask. Nothing here runs a task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from copy import copy
from typing import Any, Literal, TypeVar, get_args, get_origin, overload

from sayiir.core.loop import LoopResult
from sayiir.core.program import DelayOp, ForkOp, Op, TaskOp
from sayiir.core.values import codec_for, encode, output_annotation, plain
from sayiir.flow.task import declaration_of
from sayiir.flow.typing import Default
from sayiir.flow.workflow import Workflow
from sayiir.runtime.checks import checked_backend, checked_id, checked_policy, checked_signal, checked_workflow, short
from sayiir.runtime.engine import new_instance, output_or_error
from sayiir.runtime.status import WorkflowStatus, status_of
from sayiir.runtime.timeline import TimelineEntry, entry_of, find_record, is_loop_body, running_of
from sayiir.store.base import ScriptedStore
from sayiir.store.port import ConflictPolicy, View
from sayiir.store.scripts import not_found

T = TypeVar("T")
In = TypeVar("In")


class WorkflowClient:
    """Submits instances and controls them; a runner (`resume_workflow`, a worker) does the work.

    Args:
        backend: where instances live.
        conflict_policy: what `submit` does with an id that is taken: "fail" (default), "use_existing",
            "terminate_existing".

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
        self, workflow: Workflow[In, Any], instance_id: str, input: In, *, priority: int | None = None
    ) -> WorkflowStatus:
        """Store a new instance, for a runner to move.

        Args:
            workflow: what it runs.
            instance_id: its name, 1 to 256 bytes.
            input: the first task's input; it must fit the task's annotation.
            priority: 1 (first) to 5 (last).

        Returns:
            `in_progress` when new; the stored status when the policy is "use_existing" and the id was taken.

        Raises:
            SerializationError: the input is not JSON, or does not fit; nothing was stored.
            InstanceAlreadyExistsError, DefinitionMismatchError: the id is taken.
            ValueError: the id or priority is not allowed.
        """
        if priority is not None and (isinstance(priority, bool) or priority not in range(1, 6)):
            raise ValueError(f"priority must be an int from 1 to 5, not {priority!r}")
        new = new_instance(
            checked_workflow(workflow), instance_id, input, priority, max_bytes=self._backend.max_value_bytes
        )
        for task in _first_tasks(workflow.program.first):
            task.codec.decode(new.input)
        created = self._backend.create(new, self._policy, claim=False)
        return self.status(instance_id) if not created.is_new else status_of(View(created.instance, ()))

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

    def send_signal(self, instance_id: str, signal_name: str, payload: Any, *, dedup_key: str | None = None) -> None:
        """Send a signal; it is kept until a `wait_for_signal` of this name consumes it, first in first out.

        Args:
            instance_id: the instance's name; it need not exist yet.
            signal_name: the signal's name.
            payload: any JSON value.
            dedup_key: a second signal of the same name and key is dropped.

        Raises:
            SerializationError: the payload is not JSON.
            InvalidStateError: the instance has finished.
        """
        key = None if dedup_key is None else checked_id(dedup_key, "dedup_key")
        raw = encode(payload, max_bytes=self._backend.max_value_bytes)
        self._backend.send_signal(checked_id(instance_id), checked_signal(signal_name), raw, key)

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
        """
        from sayiir.runtime.retry import restart

        if unknown := sorted(set(replacement) - {"input"}):
            raise TypeError(f"retry got unknown arguments {', '.join(unknown)}; it knows from_task and input")
        limit = self._backend.max_value_bytes
        raw = encode(replacement["input"], max_bytes=limit) if replacement else None
        view = self._view(instance_id)
        structure = self._backend.structure(view.instance.workflow_id, view.instance.definition_hash)
        task_id = None if from_task is None else _task_id(from_task)
        self._backend.retry(instance_id, lambda instance, records: restart(instance, records, structure, task_id, raw))

    def status(self, instance_id: str) -> WorkflowStatus:
        """Return how an instance stands.

        Args:
            instance_id: the instance's name.

        Raises:
            InstanceNotFoundError: nobody has this id.
        """
        return status_of(self._view(instance_id))

    @overload
    def get_task_result(
        self, instance_id: str, task_id: str, *, default: Any = None, iteration: int | None = None, step: bool = False
    ) -> Any: ...
    @overload
    def get_task_result(
        self,
        instance_id: str,
        task_id: Callable[..., LoopResult[T] | Awaitable[LoopResult[T]]],
        *,
        default: Default = ...,
        iteration: int | None = None,
        step: bool = False,
    ) -> T | Default: ...
    @overload
    def get_task_result(
        self,
        instance_id: str,
        task_id: Callable[..., Awaitable[T]],
        *,
        default: Default = ...,
        iteration: int | None = None,
        step: bool = False,
    ) -> T | Default: ...
    @overload
    def get_task_result(
        self,
        instance_id: str,
        task_id: Callable[..., T],
        *,
        default: Default = ...,
        iteration: int | None = None,
        step: bool = False,
    ) -> T | Default: ...
    def get_task_result(
        self,
        instance_id: str,
        task_id: str | Callable[..., Any],
        *,
        default: Any = None,
        iteration: int | None = None,
        step: bool = False,
    ) -> Any:
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
        structure = self._backend.structure(instance.workflow_id, instance.definition_hash)
        records = self._backend.history(instance.number)
        # A function means its own result, also where its name is the name of a branch.
        own = step or not isinstance(task_id, str)
        record = find_record(records, structure, _task_id(task_id), iteration=iteration, step=own)
        if record is None:
            return default
        raw = self._backend.value(instance.number, record.ref)
        if isinstance(task_id, str):
            return plain(raw)
        annotation = output_annotation(task_id)
        if is_loop_body(structure, record.node):
            annotation = _value_annotation(annotation)
        return codec_for(annotation).decode(raw)

    def timeline(self, instance_id: str) -> list[TimelineEntry]:
        """Return everything that happened to an instance: each attempt of each node, in order of start.

        Args:
            instance_id: the instance's name.

        Raises:
            InstanceNotFoundError: nobody has this id.
        """
        view = self._view(instance_id)
        entries = [entry_of(record) for record in self._backend.history(view.instance.number)]
        entries += [
            running_of(token, self._backend.owner_name(token.owner))
            for token in view.tokens
            if token.owner is not None and token.state == "ready"
        ]
        return sorted(entries, key=lambda entry: 0.0 if entry.started_at is None else entry.started_at.timestamp())

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

    def _view(self, instance_id: str) -> View:
        view = self._backend.load(checked_id(instance_id))
        if view is None:
            raise not_found(instance_id)
        return view

    def __repr__(self) -> str:
        return f"WorkflowClient({self._backend!r}, conflict_policy={self._policy!r})"


def _first_tasks(op: Op) -> Iterator[TaskOp]:
    """Yield the tasks that get the instance's input, also behind a delay and in the branches of a fork."""
    ops = [op]
    while ops:
        match op := ops.pop():
            case TaskOp():
                yield op
            case DelayOp():
                ops.append(op.next)
            case ForkOp():
                ops += [first for _, _, first in reversed(op.branches)]
            case _:
                pass


def _value_annotation(annotation: Any) -> Any:
    """Return what a loop's body declares about its value, which is stored without the LoopResult around it."""
    return get_args(annotation)[0] if get_origin(annotation) is LoopResult else Any


def _task_id(task: str | Callable[..., Any]) -> str:
    if isinstance(task, str):
        return task
    declared = declaration_of(task)
    name = declared.name if declared is not None and declared.name else getattr(task, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise ValueError(f"{task!r} has no name of its own; give the task's id")
    return name


# --- the documented functions -------------------------------------------------------------------------------------


def cancel_workflow(
    instance_id: str, backend: ScriptedStore, reason: str | None = None, cancelled_by: str | None = None
) -> None:
    """Cancel an instance (see `WorkflowClient.cancel`)."""
    WorkflowClient(backend).cancel(instance_id, reason=reason, cancelled_by=cancelled_by)


def pause_workflow(
    instance_id: str, backend: ScriptedStore, reason: str | None = None, paused_by: str | None = None
) -> None:
    """Pause an instance (see `WorkflowClient.pause`)."""
    WorkflowClient(backend).pause(instance_id, reason=reason, paused_by=paused_by)


def unpause_workflow(instance_id: str, backend: ScriptedStore) -> None:
    """Let a paused instance go on (see `WorkflowClient.unpause`)."""
    WorkflowClient(backend).unpause(instance_id)


def send_signal(instance_id: str, signal_name: str, payload: Any, backend: ScriptedStore) -> None:
    """Send a signal (see `WorkflowClient.send_signal`)."""
    WorkflowClient(backend).send_signal(instance_id, signal_name, payload)
