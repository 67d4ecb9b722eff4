"""The one executor: moves a token step by step, for every kind of run.

`steps` is a generator. It asks the planner what to do, and yields what it cannot do by itself: a call that needs a loop,
a thread or a process (`Call`), a checkpoint (`Write`), a wait (`Sleep`), a claim given back (`Release`). A driver answers:
`drive` in a thread, `drive_async` on a loop, a worker's `Shift`. Only they differ between in-process runs and workers.
"""

from __future__ import annotations

from collections.abc import Generator
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from sayiir.core import plan
from sayiir.core.loop import LoopResult
from sayiir.core.program import DelayOp, SignalOp, TaskOp
from sayiir.core.records import Failure, Move, Position, Ref, Wait
from sayiir.core.records import Run as Go
from sayiir.core.values import encode
from sayiir.errors import DeserializationError, SerializationError
from sayiir.runtime import observe
from sayiir.runtime.context import Frame
from sayiir.runtime.failure import describe, is_retryable, misplaced
from sayiir.runtime.invoke import Outcome, Returned, awaited, call, call_here, in_thread
from sayiir.runtime.runner import Runner
from sayiir.store.port import Claim, Fence, Moved, Signal
from sayiir.store.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from sayiir.runtime.run import Run


class Call:
    """Ask: run this task and return its Outcome."""

    __slots__ = ("frame", "op", "value")

    def __init__(self, op: TaskOp | Returned, value: Any, frame: Frame) -> None:
        self.op = op
        self.value = value
        self.frame = frame


class Write:
    """Ask: checkpoint this and return what the store answered."""

    __slots__ = ("consume", "fence", "move")

    def __init__(self, fence: Fence, move: Move, consume: Signal | None) -> None:
        self.fence = fence
        self.move = move
        self.consume = consume


class Sleep:
    """Ask: wait until this time of the store, or until the run is called off."""

    __slots__ = ("until",)

    def __init__(self, until: int) -> None:
        self.until = until


class Release:
    """Ask: give the claim back."""

    __slots__ = ("fence",)

    def __init__(self, fence: Fence) -> None:
        self.fence = fence


Ask: TypeAlias = Call | Write | Sleep | Release
STOPPED = Moved("stopped")
_UNSET = object()


def steps(run: Runner, claim: Claim, *, here: bool) -> Generator[Ask, Any, Moved]:
    """Move a claimed token until it is no longer the caller's, and return the last answer of the store.

    Args:
        run: the run that the token belongs to.
        claim: the token.
        here: whether sync tasks without a timeout may be called in the driver's own thread.
    """
    fence, position, raw, value = claim.fence, claim.position, claim.value, _UNSET
    move, consume = yield from _wake(run, claim)
    while True:
        if run.stopping:
            # Called off, perhaps in the middle of a wait: whatever was to begin is left to whoever goes on.
            yield Release(fence)
            return STOPPED
        if move is None:
            move, value = yield from _attempt(run, fence, position, raw, value, here=here)
            if move is None:
                yield Release(fence)
                return STOPPED
        else:
            value = _UNSET
        moved: Moved = yield Write(fence, move, consume)
        if moved.kind == "again":
            # Another token took the signal and nothing was written: this one still stands at its wait.
            move, consume = _look_again(run, fence, position, moved)
            continue
        raw, value = _carried(move, position.ref, raw, value)
        position, consume = move.position, None
        if moved.kind == "continue":
            move = None
            if moved.due_at is not None:
                yield Sleep(moved.due_at)
                # The retry begins with a write: from here on a cancel must wait for the task, and a crash counts.
                move = Move((), position, plan.RUN)
            elif not run.keeps(position):
                yield Release(fence)
                return STOPPED
        elif moved.kind == "signal":
            move, consume = _signal(run, fence.token, position, moved.signal)
        else:
            if moved.kind == "finished":
                run.cause = run.causes.get(fence.token)
            return moved


def _wake(run: Runner, claim: Claim) -> Generator[Ask, Any, tuple[Move | None, Signal | None]]:
    """Plan the first move of a token by why it may move."""
    position, token = claim.position, claim.fence.token
    if (nowhere := misplaced(run.program, claim)) is not None:
        return nowhere, None
    if claim.wake == "ready":
        return None, None
    if claim.wake == "standing":
        decision = plan.stand(run.program, position)
        return (None, None) if decision is plan.RUN else (Move((), position, decision), None)
    if claim.wake == "backoff":
        if claim.due_at is not None:
            yield Sleep(claim.due_at)
        return Move((), position, plan.RUN), None
    now = run.store.now()
    attempt = plan.Attempt(token, run.worker, claim.parked_at, now)
    op = run.program.ops[position.node]
    if claim.wake == "timer":
        return plan.delay_over(cast("DelayOp", op), position, attempt), None
    if claim.wake == "expired":
        return plan.signal_timed_out(_signal_op(run, position), position, attempt), None
    return _signal(run, token, position, claim.signal, claim.parked_at)


def _look_again(run: Runner, fence: Fence, position: Position, moved: Moved) -> tuple[Move, Signal | None]:
    """Plan with the next signal of the name, or park again."""
    signal = run.store.peek_signal(fence, _signal_op(run, position).node.signal, moved.due_at)
    if signal is None:
        return Move((), position, plan.stand(run.program, position)), None
    return _signal(run, fence.token, position, signal)


def _signal_op(run: Runner, position: Position) -> SignalOp:
    return cast("SignalOp", run.program.ops[position.node])  # only a signal node awaits one


def _signal(
    run: Runner, token: int, position: Position, signal: Signal | None, parked_at: int | None = None
) -> tuple[Move, Signal]:
    assert signal is not None  # noqa: S101 -- the store said it is here
    op, now = _signal_op(run, position), run.store.now()
    attempt = plan.Attempt(token, run.worker, now if parked_at is None else parked_at, now)
    try:
        op.codec.decode(signal.payload)
    except DeserializationError as error:
        message = f"the payload of signal {op.node.signal!r} does not fit node {op.id!r}: {error}"
        failure = Failure("DeserializationError", message, op.id, op.id)
        return plan.refused(op, position, attempt, failure), signal
    return plan.signal_arrived(op, position, attempt, signal.payload), signal


def _attempt(
    run: Runner, fence: Fence, position: Position, raw: bytes, value: Any, *, here: bool
) -> Generator[Ask, Any, tuple[Move | None, Any]]:
    """Run the task at the position once; the move is None when the run called it off."""
    op = run.program.ops[position.node]
    assert isinstance(op, TaskOp)  # noqa: S101 -- only tasks are run
    started = run.store.now()
    if type(value) not in op.fast:
        try:
            value = op.codec.decode(raw)
        except DeserializationError as error:
            return _refuse(run, fence.token, op, position, started, error), _UNSET
    frame = run.frame.at(op, position.attempt, position.iteration, fence)
    if here and not op.is_async and op.metadata.timeout_secs is None and op.metadata.isolation is None:
        outcome = call_here(op, value, frame)
    else:
        outcome = yield Call(op, value, frame)
    if type(outcome.value) is CoroutineType:
        outcome = yield Call(Returned(op), outcome.value, frame)
    if outcome.stopped:
        return None, _UNSET
    attempt = plan.Attempt(fence.token, run.worker, started, run.store.now())
    raised = outcome.error
    if raised is not None:
        if isinstance(raised, KeyboardInterrupt | SystemExit):
            raise raised
        return failed(run, op, position, attempt, raised), _UNSET
    return _succeeded(run, op, position, attempt, outcome.value)


def failed(run: Runner, op: TaskOp, position: Position, attempt: plan.Attempt, error: BaseException) -> Move:
    """Plan after an exception, and keep it as the cause of what callers get."""
    retryable = is_retryable(error, op.metadata)
    run.causes[attempt.token] = error
    move = plan.task_failed(
        op, position, attempt, describe(error, op, position), retryable=retryable, chance=run.clock.chance()
    )
    if observe.watchers:
        frame = run.frame.at(op, position.attempt, position.iteration, None)
        observe.failed(frame, error, retried=isinstance(move.decision, Wait))
    return move


def _succeeded(run: Runner, op: TaskOp, position: Position, attempt: plan.Attempt, value: Any) -> tuple[Move, Any]:
    verdict: str | None = None
    try:
        if op.loop is not None:
            verdict, value = _verdict(op, value)
        elif op.route is not None and isinstance(value, str):
            verdict = str.__str__(value)
        output = encode(value, allow_nan=op.nan, max_bytes=run.store.max_value_bytes)
    except SerializationError as error:
        # The effect has happened and would only be repeated: never retried.
        return _refuse(run, attempt.token, op, position, attempt.started_at, error), _UNSET
    return plan.task_succeeded(op, position, attempt, output, verdict), value


def _verdict(op: TaskOp, value: Any) -> tuple[str, Any]:
    if isinstance(value, LoopResult):
        return ("again" if value.is_again else "done"), value.value
    if isinstance(value, dict) and value.keys() == {"_loop", "value"} and value["_loop"] in ("again", "done"):
        return value["_loop"], value["value"]
    raise SerializationError(
        f"loop body {op.id!r} returned {type(value).__name__}; it must return LoopResult.again(value) or "
        'LoopResult.done(value), or their dict form {"_loop": "again" or "done", "value": …}',
        task_id=op.id,
    )


def _refuse(run: Runner, token: int, op: TaskOp, position: Position, started: int, error: SerializationError) -> Move:
    run.causes[token] = error
    attempt = plan.Attempt(token, run.worker, started, run.store.now())
    return plan.refused(op, position, attempt, describe(error, op, position))


def _carried(move: Move, ref: Ref, raw: bytes, value: Any) -> tuple[bytes, Any]:
    """Return the value that the token goes on with: encoded, and as the object when it is a task's very output."""
    target = move.position.ref
    if target == ref:
        return raw, _UNSET
    last = move.records[-1]
    if target == last.ref and last.output is not None:
        return last.output, value
    known = {ref: raw}
    for record in move.records:
        if record.output is not None:
            known[record.ref] = record.output
        elif record.parts is not None:
            known[record.ref] = plan.compose(record.parts, known)
    return known[target], _UNSET


# --- drivers ------------------------------------------------------------------------------------------------------


def drive(run: Run, claim: Claim) -> Moved:
    """Move a token from a thread."""
    walk = steps(run, claim, here=True)
    run.hold(claim.fence)
    answer: Any = None
    while True:
        try:
            ask = walk.send(answer)
        except StopIteration as end:
            run.let_go(claim.fence)
            return end.value  # type: ignore[no-any-return]
        match ask:
            case Write():
                answer = _write(run, ask)
            case Call():
                answer = call(run, ask.op, ask.value, ask.frame)
            case Sleep():
                run.sleep(ask.until)
                answer = None
            case Release():
                run.store.release([ask.fence])
                answer = None


async def drive_async(run: Run, claim: Claim) -> Moved:
    """Move a token from an event loop; what blocks goes to threads."""
    walk = steps(run, claim, here=False)
    run.hold(claim.fence)
    answer: Any = None
    while True:
        try:
            ask = walk.send(answer)
        except StopIteration as end:
            run.let_go(claim.fence)
            return end.value  # type: ignore[no-any-return]
        match ask:
            case Write():
                answer = await _aside(run, lambda ask=ask: _write(run, ask))
            case Call() if ask.op.on_loop:
                answer = await awaited(run, ask.op, ask.value, ask.frame)
            case Call():
                answer = await in_thread(lambda ask=ask: call(run, ask.op, ask.value, ask.frame))  # type: ignore[misc]
            case Sleep():
                answer = await in_thread(lambda ask=ask: run.sleep(ask.until))  # type: ignore[misc]
            case Release():
                answer = await _aside(run, lambda ask=ask: run.store.release([ask.fence]))


def _write(run: Run, ask: Write) -> Moved:
    if not observe.watchers:
        return _written(run, ask)
    began = run.clock.monotonic()
    moved = _written(run, ask)
    observe.checkpointed(run.clock.monotonic() - began, 1)
    return moved


def _written(run: Run, ask: Write) -> Moved:
    store = run.store
    if type(ask.move.decision) is Go:
        return store.checkpoint(ask.fence, ask.move, consume=ask.consume, hold=True)  # brings no new claim
    with uninterrupted:
        moved = store.checkpoint(ask.fence, ask.move, consume=ask.consume, hold=True)
        for claim in moved.claims:
            run.hold(claim.fence)
    return moved


async def _aside(run: Run, write: Any) -> Any:
    """Await a write. A cancelled await still sees it through: its answer may bring claims that must not be forgotten."""
    if run.store.name == "memory":
        return write()
    import asyncio

    writing = asyncio.ensure_future(in_thread(write))
    while True:
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            if writing.cancelled():
                raise
            run.call_off()


__all__ = ["Call", "Outcome", "Release", "Sleep", "Write", "drive", "drive_async", "steps"]
