"""The planner, function by function: what is written, where the token stands then, and what it does there."""

import json

import msgspec
import pytest

from sayiir.core import plan
from sayiir.core.graph import (
    Branch,
    ChildNode,
    DelayNode,
    ForkNode,
    Graph,
    LoopNode,
    RouteNode,
    SignalNode,
    TaskMetadata,
    TaskNode,
)
from sayiir.core.plan import Attempt
from sayiir.core.program import END, Program
from sayiir.core.records import Await, Complete, Fail, Failure, Fork, Position, Run, Wait, ref_of
from sayiir.core.retry import RetryPolicy
from sayiir.core.structure import structure, structure_hash

ATTEMPT = Attempt(token=0, worker="host:1", started_at=10, finished_at=20)


def task(name, **metadata):
    return TaskNode(name, lambda x: x, metadata=TaskMetadata(**metadata))


def program(*nodes):
    graph = Graph("w", tuple(nodes))
    text = structure(graph)
    return Program(graph, structure_hash(text), text).prepare()


def reason(move):
    assert isinstance(move.decision, Fail)
    return msgspec.json.decode(move.decision.error, type=Failure)


def on(token):
    return msgspec.structs.replace(ATTEMPT, token=token)


# --- start and stand ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "decision"),
    [
        (task("a"), Run()),
        (DelayNode("d", 1.5), Wait(1.5)),
        (SignalNode("s", "go", 3.0), Await("go", 3.0)),
        (SignalNode("s", "go"), Await("go", None)),
        (LoopNode("loop_0", task("a")), Run()),
        (RouteNode("branch_0", task("branch_0::key_fn"), ("k",), (Branch("a", (task("a"),), "k"),)), Run()),
        (ChildNode("child_0", "kid", (task("child_0/a"),)), Run()),
    ],
)
def test_what_a_new_token_does(node, decision):
    compiled = program(node)
    position = plan.start(compiled)
    assert position == Position(compiled.first.id)
    assert plan.stand(compiled, position) == decision


def test_a_token_at_a_fork_starts_every_branch_on_the_forks_value():
    fork = ForkNode("a||d", (Branch("a", (task("a"),)), Branch("d", (DelayNode("d", 1), task("b")))), task("j"))
    compiled = program(task("first"), fork)
    decision = plan.stand(compiled, Position("a||d", ref=7, step=3))
    # Steps go on from the fork's, so that a fork that a retry passes once more never writes a reference twice.
    assert decision == Fork(((1, Position("a", ref=7, step=3), True), (2, Position("d", ref=7, step=3), False)))


def test_a_token_at_the_end_completes():
    assert plan.stand(program(task("a")), Position(END, 1, 1)) == Complete()


def test_a_mark_is_no_place_to_stand():
    compiled = program(ChildNode("child_0", "kid", (task("child_0/a"),)), task("b"))
    mark = compiled.ops["child_0/a"].next
    with pytest.raises(AssertionError, match="passed through"):
        plan._decide(mark, Position("child_0"))


# --- a task's success ---------------------------------------------------------------------------------------------


def test_the_next_task_continues_from_the_result():
    compiled = program(task("a"), task("b"))
    move = plan.task_succeeded(compiled.ops["a"], Position("a", ref=4, step=2, attempt=3), ATTEMPT, b"5", None)
    (record,) = move.records
    assert (record.ref, record.node, record.kind, record.status) == (3, "a", "task", "completed")
    assert (record.iteration, record.attempt, record.output, record.parts, record.source) == (1, 3, b"5", None, 4)
    assert (record.worker, record.started_at, record.finished_at, record.error) == ("host:1", 10, 20, None)
    assert move.position == Position("b", ref=3, step=3)
    assert move.decision == Run()


def test_the_last_task_completes():
    compiled = program(task("a"))
    move = plan.task_succeeded(compiled.first, Position("a"), ATTEMPT, b"5", None)
    assert move.position == Position(END, ref=1, step=1)
    assert move.decision == Complete()


@pytest.mark.parametrize(
    ("node", "decision"), [(DelayNode("d", 2.0), Wait(2.0)), (SignalNode("s", "go", 9.0), Await("go", 9.0))]
)
def test_a_parking_node_comes_next(node, decision):
    compiled = program(task("a"), node)
    move = plan.task_succeeded(compiled.first, Position("a"), ATTEMPT, b"1", None)
    assert (move.position, move.decision) == (Position(node.id, ref=1, step=1), decision)


def test_references_of_branches_do_not_meet_those_of_the_main_line():
    compiled = program(ForkNode("a||b", (Branch("a", (task("a"), task("c"))), Branch("b", (task("b"),))), task("j")))
    move = plan.task_succeeded(compiled.ops["a"], Position("a"), on(1), b"1", None)
    assert move.records[0].ref == ref_of(1, 1) == 1 << 32 | 1
    assert move.position == Position("c", ref=ref_of(1, 1), step=1)


# --- failures -----------------------------------------------------------------------------------------------------

FAILURE = Failure("ValueError", "no", "a", "a", 1, "trace")


def fail(policy=None, position=None, *, retryable=True, chance=0.5):
    compiled = program(task("a", retries=policy))
    return plan.task_failed(
        compiled.first, position or Position("a", ref=5, step=3), ATTEMPT, FAILURE, retryable=retryable, chance=chance
    )


def test_without_retries_the_instance_fails():
    move = fail()
    (record,) = move.records
    assert (record.status, record.output, record.source, record.ref) == ("failed", None, 5, 4)
    assert msgspec.json.decode(record.error, type=Failure) == reason(move) == FAILURE
    assert move.position == Position("a", ref=5, step=4)


def test_retries_wait_longer_each_time_and_then_end():
    policy, position, waits = RetryPolicy(3, 1.0, 2.0), Position("a"), []
    while isinstance((move := fail(policy, position)).decision, Wait):
        assert move.decision.retry
        assert move.position.attempt == position.attempt + 1
        assert move.position.ref == position.ref
        waits.append(move.decision.seconds)
        position = move.position
    assert waits == [1.0, 2.0, 4.0]
    assert reason(move) == FAILURE


def test_chance_decides_the_jitter():
    policy = RetryPolicy(1, 10.0, jitter=0.2)
    assert fail(policy, chance=0.0).decision.seconds == pytest.approx(8.0)
    assert fail(policy, chance=0.5).decision.seconds == pytest.approx(10.0)


def test_what_must_not_be_retried_fails_at_once():
    assert reason(fail(RetryPolicy(3), retryable=False)) == FAILURE


def test_crashes_do_not_use_up_retries():
    move = fail(RetryPolicy(1, 1.0), Position("a", attempt=3, crashes=2))
    assert move.decision == Wait(1.0, retry=True)
    assert isinstance(fail(RetryPolicy(1, 1.0), Position("a", attempt=4, crashes=2)).decision, Fail)


def test_a_refused_task_fails_at_once_whatever_its_retries():
    compiled = program(task("a", retries=RetryPolicy(9)), SignalNode("s", "go"))
    for name, kind in (("a", "task"), ("s", "await_signal")):
        move = plan.refused(compiled.ops[name], Position(name, ref=2, step=2, attempt=2), ATTEMPT, FAILURE)
        assert (move.records[0].kind, move.records[0].status, move.records[0].attempt) == (kind, "failed", 2)
        assert reason(move) == FAILURE
        assert move.position.step == 3


# --- delays and signals -------------------------------------------------------------------------------------------


def test_a_delay_passes_its_input_on():
    compiled = program(DelayNode("d", 1), task("a"))
    move = plan.delay_over(compiled.first, Position("d", ref=4, step=1), ATTEMPT)
    (record,) = move.records
    assert (record.node, record.kind, json.loads(record.parts), record.source) == ("d", "delay", ["ref", 4], 4)
    assert plan.needed(record.parts) == [4]
    assert plan.compose(record.parts, {4: b"[]"}) == b"[]"
    assert (move.position, move.decision) == (Position("a", ref=4, step=2), Run())


def test_a_signals_payload_becomes_the_value():
    compiled = program(SignalNode("s", "go"), task("a"))
    move = plan.signal_arrived(compiled.first, Position("s", ref=4, step=1), ATTEMPT, b'{"ok":true}')
    (record,) = move.records
    assert (record.node, record.kind, record.output, record.ref) == ("s", "await_signal", b'{"ok":true}', 2)
    assert move.position == Position("a", ref=2, step=2)


def test_an_expired_wait_fails_the_instance():
    compiled = program(SignalNode("s", "go", 1.5))
    failure = reason(plan.signal_timed_out(compiled.first, Position("s"), ATTEMPT))
    assert (failure.error_type, failure.code) == ("SignalTimeoutError", "signal_timeout")
    assert failure.details == {"signal_name": "go", "waited_secs": 1.5}
    assert failure.message == "signal 'go' did not arrive within 1.5s at node 's'"


def test_an_expired_wait_may_continue_with_the_previous_value():
    compiled = program(SignalNode("s", "go", 1.5, on_timeout="continue"), task("a"))
    move = plan.signal_timed_out(compiled.first, Position("s", ref=4, step=1), ATTEMPT)
    assert (move.records[0].status, json.loads(move.records[0].parts)) == ("completed", ["ref", 4])
    assert (move.position, move.decision) == (Position("a", ref=4, step=2), Run())
