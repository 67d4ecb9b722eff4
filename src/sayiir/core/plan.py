"""The planner: where a token stands and what just happened → what to write and what to do next.

Pure: no clock, no chance, no storage. A length of time is given in seconds for the store to add to its own clock;
the chance for jitter is an argument. Every function returns a `Move` (or a `Decision` where nothing is written).
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from sayiir.core.program import (
    DelayOp,
    EndBranch,
    EndChild,
    EndOp,
    EndRoute,
    ForkOp,
    Op,
    Program,
    SignalOp,
    TaskOp,
)
from sayiir.core.records import (
    Arrive,
    Await,
    Complete,
    Decision,
    Fail,
    Failure,
    Fork,
    Move,
    Position,
    Record,
    Ref,
    Run,
    Wait,
    ref_of,
)

_encode = msgspec.json.encode
RUN = Run()
COMPLETE = Complete()


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """Who did what at a position, and when (microseconds)."""

    token: int
    worker: str | None
    started_at: int
    finished_at: int


def start(program: Program) -> Position:
    """Return where a new instance's main token stands."""
    return Position(program.first.id)


def stand(program: Program, position: Position) -> Decision:
    """Return what a token does that stands here and has done nothing yet."""
    return _decide(program.ops[position.node], position)


def task_succeeded(op: TaskOp, position: Position, attempt: Attempt, output: bytes, verdict: str | None) -> Move:
    """Plan after a task's success.

    Args:
        op: the task.
        position: where it ran.
        attempt: who ran it, and when.
        output: its encoded result; for a loop's body the value inside its LoopResult.
        verdict: for a route's key task the key; for a loop's body "again" or "done"; else unused.
    """
    ref = ref_of(attempt.token, position.step + 1)
    record = Record(
        ref, op.id, "task", position.iteration, position.attempt, "completed", output, None, position.ref, None,
        attempt.worker, attempt.started_at, attempt.finished_at,
    )  # fmt: skip
    if op.route is None and op.loop is None:
        following = op.next
        if type(following) is TaskOp:  # the common case, without the general way's detours
            return Move((record,), Position(following.id, ref, position.step + 1, 1, 1, 0, position.keys), RUN)
        return _settle(following, [record], position, ref, attempt)
    if op.route is not None:
        return _routed(op, record, position, attempt, verdict)
    return _looped(op, record, position, attempt, verdict)


def task_failed(
    op: TaskOp, position: Position, attempt: Attempt, failure: Failure, *, retryable: bool, chance: float
) -> Move:
    """Plan after a task's failure: another try after the policy's delay, or the end of the instance."""
    error = _encode(failure)
    record = Record(
        ref_of(attempt.token, position.step + 1), op.id, "task", position.iteration, position.attempt, "failed",
        None, None, position.ref, error, attempt.worker, attempt.started_at, attempt.finished_at,
    )  # fmt: skip
    here = msgspec.structs.replace(position, step=position.step + 1)
    policy = op.metadata.retries
    failures = position.attempt - 1 - position.crashes
    if retryable and policy is not None and failures < policy.max_retries:
        again = msgspec.structs.replace(here, attempt=position.attempt + 1)
        return Move((record,), again, Wait(policy.delay_secs(failures, chance), retry=True))
    return Move((record,), here, Fail(error))


def delay_over(op: DelayOp, position: Position, attempt: Attempt) -> Move:
    """Plan after a delay: its input goes on unchanged."""
    record = _structure(op.id, "delay", position, attempt, position.step + 1, ["ref", position.ref])
    return _settle(op.next, [record], position, position.ref, attempt)


def signal_arrived(op: SignalOp, position: Position, attempt: Attempt, payload: bytes) -> Move:
    """Plan after a signal: its payload becomes the value."""
    ref = ref_of(attempt.token, position.step + 1)
    record = Record(
        ref, op.id, "await_signal", 1, 1, "completed", payload, None, position.ref, None,
        attempt.worker, attempt.started_at, attempt.finished_at,
    )  # fmt: skip
    return _settle(op.next, [record], position, ref, attempt)


def signal_timed_out(op: SignalOp, position: Position, attempt: Attempt) -> Move:
    """Plan after a signal's deadline passed without it: failure, or the previous value goes on."""
    if op.node.on_timeout == "continue":
        record = _structure(op.id, "await_signal", position, attempt, position.step + 1, ["ref", position.ref])
        return _settle(op.next, [record], position, position.ref, attempt)
    waited = op.node.timeout_secs or 0.0
    message = f"signal {op.node.signal!r} did not arrive within {waited:g}s at node {op.id!r}"
    failure = Failure(
        "SignalTimeoutError", message, op.id, op.id, code="signal_timeout",
        details={"signal_name": op.node.signal, "waited_secs": waited},
    )  # fmt: skip
    return refused(op, position, attempt, failure)


def refused(op: TaskOp | SignalOp, position: Position, attempt: Attempt, failure: Failure) -> Move:
    """Plan the end of the instance at this node: nothing is retried."""
    error = _encode(failure)
    kind = "task" if isinstance(op, TaskOp) else "await_signal"
    record = Record(
        ref_of(attempt.token, position.step + 1), op.id, kind, position.iteration, position.attempt, "failed",
        None, None, position.ref, error, attempt.worker, attempt.started_at, attempt.finished_at,
    )  # fmt: skip
    return Move((record,), msgspec.structs.replace(position, step=position.step + 1), Fail(error))


def _routed(op: TaskOp, record: Record, position: Position, attempt: Attempt, key: str | None) -> Move:
    route = op.route
    assert route is not None  # noqa: S101 -- the caller saw it
    target = route.branches.get(key, route.default) if key is not None else None
    if target is None:
        shown = "something that is not a string" if key is None else repr(key)
        message = f"route {route.id!r} got {shown} from {op.id!r}; declared keys: {', '.join(map(repr, route.keys))}"
        details = {"key": key, "keys": list(route.keys)}
        failure = Failure(
            "RouteError", message, op.id, op.id, position.attempt, code="route_unmatched", details=details
        )
        here = msgspec.structs.replace(position, step=position.step + 1)
        return Move((record,), here, Fail(_encode(failure)))
    assert key is not None  # noqa: S101 -- a target was found for it
    inside = msgspec.structs.replace(position, keys=(*position.keys, key))
    return _settle(target, [record], inside, position.ref, attempt)


def _looped(op: TaskOp, record: Record, position: Position, attempt: Attempt, verdict: str | None) -> Move:
    loop = op.loop
    assert loop is not None  # noqa: S101 -- the caller saw it
    if verdict == "again" and position.iteration < loop.max_iterations:
        again = Position(op.id, record.ref, position.step + 1, 1, position.iteration + 1, 0, position.keys)
        return Move((record,), again, RUN)
    if verdict == "again" and loop.on_max == "fail":
        message = (
            f"loop {loop.id!r} was not done after {loop.max_iterations} iterations of {op.id!r}; "
            'raise max_iterations or give on_max="exit_with_last"'
        )
        details = {"max_iterations": loop.max_iterations}
        failure = Failure("LoopLimitError", message, op.id, op.id, position.attempt, code="loop_limit", details=details)
        here = msgspec.structs.replace(position, step=position.step + 1)
        return Move((record,), here, Fail(_encode(failure)))
    end = _structure(loop.id, "loop", position, attempt, position.step + 2, ["ref", record.ref])
    return _settle(op.next, [record, end], position, record.ref, attempt)


def _structure(node: str, kind: str, position: Position, attempt: Attempt, step: int, parts: list[object]) -> Record:
    return Record(
        ref_of(attempt.token, step), node, kind, 1, 1, "completed", None, _encode(parts), position.ref, None,
        attempt.worker, attempt.started_at, attempt.finished_at,
    )  # fmt: skip


def _settle(op: Op, records: list[Record], position: Position, ref: Ref, attempt: Attempt) -> Move:
    """Pass through the marks that end structures, then decide at the operation reached."""
    step, keys = position.step + len(records), position.keys
    while isinstance(op, EndRoute | EndChild):
        parts: list[object] = ["ref", ref]
        if isinstance(op, EndRoute):
            parts = ["route", keys[-1], ref]
            keys = keys[:-1]
        step += 1
        kind = "branch" if isinstance(op, EndRoute) else "child_workflow"
        records.append(_structure(op.id, kind, position, attempt, step, parts))
        ref = records[-1].ref if isinstance(op, EndRoute) else ref
        op = op.next
    if isinstance(op, EndBranch) and op.recorded:
        step += 1
        records.append(_structure(op.id, "fork_branch", position, attempt, step, ["ref", ref]))
    here = Position(op.id, ref, step, keys=keys)
    return Move(tuple(records), here, _decide(op, here))


def _decide(op: Op, position: Position) -> Decision:
    match op:
        case TaskOp():
            return RUN
        case DelayOp():
            return Wait(op.seconds)
        case SignalOp():
            return Await(op.node.signal, op.node.timeout_secs)
        case ForkOp():
            # A branch token counts on from its parent's steps, so that after a retry, which starts above every step
            # taken before, no branch can write over what an earlier life of it wrote.
            return Fork(
                tuple(
                    (number, Position(first.id, position.ref, position.step), isinstance(first, TaskOp))
                    for number, _, first in op.branches
                )
            )
        case EndBranch():
            expected = tuple((number, name) for number, name, _ in op.fork.branches)
            return Arrive(op.parent, op.fork.id, op.fork.join.id, expected)
        case EndOp():
            return COMPLETE
        case EndRoute() | EndChild():
            raise AssertionError("marks are passed through before deciding")
        case _:
            assert_never(op)


def joined(arrive: Arrive, refs: dict[str, Ref], parent: Position, attempt: Attempt) -> tuple[Record, Position]:
    """Plan the join: the line that says of which values the dict is made, and where the parent stands now."""
    step = parent.step + 1
    parts: list[object] = ["fork", refs]
    record = _structure(arrive.fork, "fork", parent, attempt, step, parts)
    return record, Position(arrive.join, record.ref, step, keys=parent.keys)


def needed(parts: bytes) -> list[Ref]:
    """Return the references that a composed value is made of."""
    made = msgspec.json.decode(parts)
    return list(made[1].values()) if made[0] == "fork" else [made[-1]]


def compose(parts: bytes, values: dict[Ref, bytes]) -> bytes:
    """Return the JSON of a composed value: a route's envelope, a join's dict, or a value passed on."""
    made = msgspec.json.decode(parts)
    if made[0] == "fork":
        return b"{" + b",".join(_encode(name) + b":" + values[ref] for name, ref in made[1].items()) + b"}"
    if made[0] == "route":
        return b'{"branch":' + _encode(made[1]) + b',"result":' + values[made[2]] + b"}"
    return values[made[1]]
