"""The functions that run workflows in the calling process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sayiir.core import plan
from sayiir.core.lifecycle import TERMINAL, State
from sayiir.core.program import EndOp, Op, Program, TaskOp
from sayiir.core.records import Position
from sayiir.core.values import MAX_BYTES, encode
from sayiir.errors import (
    BackendError,
    ClaimLostError,
    DeserializationError,
    InstanceBusyError,
    SerializationError,
    WorkflowError,
)
from sayiir.runtime import observe, traced
from sayiir.runtime.chain import ChainError, run_chain
from sayiir.runtime.checks import checked_backend, checked_id, checked_policy, checked_workflow
from sayiir.runtime.context import Frame
from sayiir.runtime.failure import describe, read_failure, to_error
from sayiir.runtime.log import log
from sayiir.runtime.run import Caller, Run
from sayiir.runtime.status import WorkflowStatus, status_of
from sayiir.store.port import Claim, Claimed, ConflictPolicy, Fence, Instance, NewInstance, View
from sayiir.store.scripts import not_found
from sayiir.store.uninterrupted import uninterrupted
from sayiir.store.url import throw_away

if TYPE_CHECKING:
    from sayiir.flow.workflow import Workflow
    from sayiir.store.base import ScriptedStore


In = TypeVar("In")


def run_workflow(
    workflow: Workflow[In, Any],
    input_data: In,
    *,
    instance_id: str | None = None,
    backend: ScriptedStore | None = None,
    conflict_policy: ConflictPolicy | None = None,
) -> Any:
    """Run a workflow to its end and return its output as plain JSON values.

    Without `instance_id` nothing is stored, and delays are waited for. With it the run is durable.

    Args:
        workflow: what to run.
        input_data: the first task's input.
        instance_id: the name of a durable instance, 1 to 256 bytes.
        backend: where the instance lives; a throw-away InMemoryBackend when not given.
        conflict_policy: "fail" (default), "use_existing" or "terminate_existing", for an id that is taken.

    Returns:
        The output.

    Raises:
        TaskError: a task failed; `__cause__` is its exception.
        SerializationError: the input is not JSON.
        WorkflowError: the flow waits for a signal and the run is not durable, or a durable run did not complete.
        InstanceAlreadyExistsError, DefinitionMismatchError: the id is taken.
        ValueError: an argument is not allowed.

    >>> from sayiir import Flow, run_workflow
    >>> run_workflow(Flow("w").then(lambda x: x * 2, name="double").build(), 21)
    42
    """
    if instance_id is None:
        if backend is not None:
            raise ValueError("backend= needs instance_id=: a durable run has a name")
        checked_policy(conflict_policy)
        return run_in_memory(checked_workflow(workflow), input_data, None)
    run, view = durable(workflow, instance_id, input_data, backend, conflict_policy, 0.0, None)
    return output_or_error(run, view)


def run_durable_workflow(
    workflow: Workflow[In, Any],
    instance_id: str,
    input_data: In,
    backend: ScriptedStore | None = None,
    conflict_policy: ConflictPolicy | None = None,
    *,
    busy_timeout: float = 0,
) -> WorkflowStatus:
    """Run a workflow with a checkpoint after every task, until it ends or waits for a time or a signal.

    Args:
        workflow: what to run.
        instance_id: the instance's name, 1 to 256 bytes.
        input_data: the first task's input.
        backend: where the instance lives; a throw-away InMemoryBackend when not given.
        conflict_policy: "fail" (default), "use_existing" or "terminate_existing", for an id that is taken.
        busy_timeout: seconds to wait for another runner of the same instance.

    Returns:
        The status; a failed task is one of them, not an exception.

    Raises:
        SerializationError: the input is not JSON.
        InstanceAlreadyExistsError, DefinitionMismatchError: the id is taken.
        BackendError: the store failed; the instance can be resumed.
        ValueError: an argument is not allowed.
    """
    _, view = durable(workflow, instance_id, input_data, backend, conflict_policy, busy_timeout, None)
    return status_of(view)


def resume_workflow(
    workflow: Workflow[Any, Any], instance_id: str, backend: ScriptedStore, *, busy_timeout: float = 0
) -> WorkflowStatus:
    """Go on with an instance from its last checkpoint: after a crash, a delay, a signal, an unpause.

    Args:
        workflow: the definition that the instance was started with.
        instance_id: the instance's name.
        backend: where it lives.
        busy_timeout: seconds to wait for another runner of the same instance.

    Returns:
        The status, also of an instance that has ended or still waits.

    Raises:
        InstanceNotFoundError: nobody has this id.
        DefinitionMismatchError: the workflow is another one; the error says what differs.
        InstanceBusyError: another live runner moves it.
        BackendError: the store failed.
    """
    return status_of(resume(workflow, instance_id, backend, busy_timeout, None)[1])


# --- durable ------------------------------------------------------------------------------------------------------


def new_instance(
    workflow: Workflow[Any, Any],
    instance_id: str,
    input_data: Any,
    priority: int | None = None,
    *,
    max_bytes: int = MAX_BYTES,
) -> NewInstance:
    """Return what `create` stores for a new instance; an input that is not JSON is refused here."""
    program = checked_workflow(workflow).program.prepare()
    position = plan.start(program)
    nan = isinstance(program.first, TaskOp) and program.first.codec.allow_nan
    return NewInstance(
        checked_id(instance_id),
        program.stored(),
        encode(input_data, allow_nan=nan, max_bytes=max_bytes),
        position,
        isinstance(program.first, TaskOp),
        None if workflow.metadata is None else encode(workflow.metadata),
        priority,
    )


def durable(
    workflow: Workflow[Any, Any],
    instance_id: str,
    input_data: Any,
    backend: ScriptedStore | None,
    conflict_policy: ConflictPolicy | None,
    busy_timeout: float,
    caller: Caller | None,
) -> tuple[Run | None, View]:
    """Create an instance and move it; return its run (None when it existed) and how it stands."""
    policy = checked_policy(conflict_policy)
    store = throw_away() if backend is None else checked_backend(backend)
    new = new_instance(workflow, instance_id, input_data, max_bytes=store.max_value_bytes)
    noted: list[Fence] = []
    try:
        with uninterrupted:
            created = traced.create(store, new, policy, claim=True)
            noted += [] if created.claim is None else [created.claim.fence]
        if created.claim is None:
            return None, _settled(store, instance_id, busy_timeout)
        return _move(store, workflow, created.instance, (created.claim,), caller, noted)
    except BaseException:
        _give_back(store, noted)
        raise


def resume(
    workflow: Workflow[Any, Any],
    instance_id: str,
    backend: ScriptedStore,
    busy_timeout: float,
    caller: Caller | None,
) -> tuple[Run | None, View]:
    """Go on with an instance; return its run (None when nothing could move) and how it stands."""
    program = checked_workflow(workflow).program.prepare()
    store = checked_backend(backend)
    noted: list[Fence] = []
    try:
        claimed = _claim(store, checked_id(instance_id), program, busy_timeout, noted)
        if not claimed.claims:
            return None, _loaded(store, instance_id)
        return _move(store, workflow, claimed.instance, claimed.claims, caller, noted)
    except BaseException:
        _give_back(store, noted)
        raise


def _give_back(store: ScriptedStore, noted: list[Fence]) -> None:
    """Give claims back that an interruption (Ctrl-C) left behind; those that moved on are void by then."""
    try:
        with uninterrupted:
            store.release(noted)
    except BackendError:
        # They run out by themselves; the error that brought us here matters more.
        log().exception("could not give claims back")


def _take(store: ScriptedStore, instance_id: str, program: Program, noted: list[Fence]) -> Claimed:
    with uninterrupted:
        claimed = store.claim(instance_id, program.hash, program.structure)
        noted += [claim.fence for claim in claimed.claims]
    return claimed


def _move(
    store: ScriptedStore,
    workflow: Workflow[Any, Any],
    instance: Instance,
    claims: tuple[Claim, ...],
    caller: Caller | None,
    noted: list[Fence],
) -> tuple[Run, View]:
    """Move an instance until all of it waits: what became due while other tokens were busy is taken up too."""
    while True:
        run = _run(store, workflow, instance, caller)
        run.execute(claims)
        view = _ours(run)
        if run.stopping or not _can_go_on(view, store.now()):
            return run, view
        claimed = _take(store, instance.instance_id, workflow.program, noted)
        if not claimed.claims:
            return run, view
        instance, claims = claimed.instance, claimed.claims


def _can_go_on(view: View, now: int) -> bool:
    if view.instance.status in TERMINAL or view.instance.status is State.PAUSED:
        return False
    return any(token.state == "awaiting" or (token.due_at is not None and token.due_at <= now) for token in view.tokens)


def _settled(store: ScriptedStore, instance_id: str, busy_timeout: float) -> View:
    """Return an instance that exists already, once no other runner moves it, or as it stands when the time is up."""
    deadline, seen = store.clock.monotonic() + busy_timeout, 0
    while True:
        view = _loaded(store, instance_id)
        left = deadline - store.clock.monotonic()
        if left <= 0 or all(token.owner is None for token in view.tokens):
            return view
        seen = store.wait_for_hint(seen, min(left, 0.5))


def _ours(run: Run) -> View:
    """Return the instance as it stands after the run, unless somebody put a new one in its place."""
    if run.ended is not None:
        return run.ended
    view = _loaded(run.store, run.frame.instance_id)
    if view.instance.number != run.number:
        raise ClaimLostError(
            f'instance {run.frame.instance_id!r} was replaced (conflict_policy="terminate_existing") while it ran; '
            "what it still did was not written",
            instance_id=run.frame.instance_id,
        )
    return view


def _claim(store: ScriptedStore, instance_id: str, program: Program, busy_timeout: float, noted: list[Fence]) -> Claimed:
    deadline = store.clock.monotonic() + busy_timeout
    seen = 0
    while True:
        claimed = _take(store, instance_id, program, noted)
        if claimed.claims or not claimed.busy:
            return claimed
        left = deadline - store.clock.monotonic()
        if left <= 0:
            raise InstanceBusyError(
                f"instance {instance_id!r} is being moved by another live runner; wait for it, or give busy_timeout=",
                instance_id=instance_id,
            )
        # The other runner's end is a hint here, or found by polling.
        seen = store.wait_for_hint(seen, min(left, 0.5))


def _run(store: ScriptedStore, workflow: Workflow[Any, Any], instance: Instance, caller: Caller | None) -> Run:
    return Run(
        store,
        workflow.program,
        instance.instance_id,
        instance.number,
        workflow.metadata,
        salt=instance.created_at,
        trace=instance.trace,
        caller=caller,
    )


def _loaded(store: ScriptedStore, instance_id: str) -> View:
    view = store.load(instance_id)
    if view is None:
        raise not_found(instance_id)
    return view


def output_or_error(run: Run | None, view: View) -> Any:
    """Return the output, or raise what kept the instance from having one."""
    status = status_of(view)
    if status.is_completed():
        return status.output
    if status.is_failed() and view.instance.error is not None:
        cause = None if run is None else run.cause
        raise to_error(read_failure(view.instance.error), status.workflow_id, status.instance_id, cause) from cause
    raise WorkflowError(
        f"instance {status.instance_id!r} did not complete (status={status.status}); "
        "use run_durable_workflow to get its status, resume_workflow to go on",
        instance_id=status.instance_id,
        status=status.status,
    )


# --- in memory ----------------------------------------------------------------------------------------------------


def run_in_memory(workflow: Workflow[Any, Any], value: Any, caller: Caller | None) -> Any:
    """Run without storage and return the output."""
    program = workflow.program.prepare()
    if program.first_signal is not None:
        raise WorkflowError(
            f"workflow {program.name!r} waits for a signal at node {program.first_signal!r}, which needs a durable run: "
            "give instance_id= and backend=, or use run_durable_workflow",
            workflow_id=program.name,
            node_id=program.first_signal,
        )
    op: Op = program.first
    if not op.inline or caller is not None or observe.watchers:
        nan = isinstance(op, TaskOp) and op.codec.allow_nan
        return _run_transient(workflow, op, encode(value, allow_nan=nan), caller)
    run = _Bare(Frame(program.name, program.name, workflow.metadata, None, 0, None))
    try:
        op, value = run_chain(run, op, value)
    except ChainError as stopped:
        raise _chain_error(stopped, program.name) from stopped.error
    return value if type(op) is EndOp else _run_transient(workflow, op, value, caller)


class _Bare:
    """The little of a run that a chain of plain calls needs."""

    __slots__ = ("frame",)

    def __init__(self, frame: Frame) -> None:
        self.frame = frame


def _chain_error(stopped: ChainError, workflow_id: str) -> WorkflowError:
    error, op = stopped.error, stopped.op
    if stopped.phase == 0 and isinstance(error, SerializationError) and not isinstance(error, DeserializationError):
        return error
    if stopped.phase == 2 and isinstance(error, DeserializationError) and isinstance(op.next, TaskOp):
        op = op.next
    failure = describe(error, op, Position(op.id))
    return to_error(failure, workflow_id, workflow_id, error)


def _run_transient(workflow: Workflow[Any, Any], op: Op, raw: bytes, caller: Caller | None) -> Any:
    """Run from an operation on, over a store that only this run knows, waiting through delays."""
    program = workflow.program
    store = throw_away(history=False)
    new = NewInstance(program.name, program.definition, raw, Position(op.id), isinstance(op, TaskOp))
    created = store.create(new, "fail", claim=True)
    assert created.claim is not None  # noqa: S101 -- a new instance was asked for with its claim
    claims: tuple[Claim, ...] = (created.claim,)
    while True:
        run = _run(store, workflow, created.instance, caller)
        run.execute(claims)
        view = _loaded(store, program.name)
        if view.instance.status in TERMINAL or run.stopping:
            return output_or_error(run, view)  # called off: the caller does not wait for it any more
        claimed = store.claim(program.name, program.hash, program.structure)
        if not claimed.claims and claimed.due_at is not None:
            run.sleep(claimed.due_at)
            claimed = store.claim(program.name, program.hash, program.structure)
        claims = claimed.claims
