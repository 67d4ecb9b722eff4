"""The planner inside structures: routes, loops, forks and children."""

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
    TaskMetadata,
    TaskNode,
    prefixed,
)
from sayiir.core.plan import Attempt
from sayiir.core.program import END, Program
from sayiir.core.records import Arrive, Complete, Fail, Failure, Position, Run, Wait, ref_of
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


# --- routes -------------------------------------------------------------------------------------------------------


def routed(default=False, after=()):
    branches = [Branch("a", (task("a"),), "x"), Branch("b", (DelayNode("b", 1.0),), "y")]
    if default:
        branches.append(Branch("c", (task("c"),), None))
    return program(RouteNode("branch_0", task("branch_0::key_fn"), ("x", "y"), tuple(branches)), *after)


def test_the_key_chooses_the_branch_which_gets_the_routes_input():
    compiled = routed()
    move = plan.task_succeeded(compiled.first, Position(compiled.first.id, ref=0), ATTEMPT, b'"x"', "x")
    assert move.records[0].output == b'"x"'
    assert move.position == Position("a", ref=0, step=1, keys=("x",))
    assert move.decision == Run()


def test_a_branch_may_begin_with_a_delay():
    compiled = routed()
    move = plan.task_succeeded(compiled.first, Position(compiled.first.id), ATTEMPT, b'"y"', "y")
    assert (move.position, move.decision) == (Position("b", ref=0, step=1, keys=("y",)), Wait(1.0))


def test_the_default_branch_keeps_the_key_that_was_returned():
    compiled = routed(default=True)
    move = plan.task_succeeded(compiled.first, Position(compiled.first.id), ATTEMPT, b'"other"', "other")
    assert move.position == Position("c", ref=0, step=1, keys=("other",))


@pytest.mark.parametrize(("key", "shown"), [("zz", "'zz'"), (None, "not a string")])
def test_an_unmatched_key_fails_the_instance(key, shown):
    compiled = routed()
    move = plan.task_succeeded(compiled.first, Position(compiled.first.id, attempt=2), ATTEMPT, b"1", key)
    failure = reason(move)
    assert (failure.error_type, failure.code, failure.attempts) == ("RouteError", "route_unmatched", 2)
    assert failure.details == {"key": key, "keys": ["x", "y"]}
    assert shown in failure.message
    assert "'x', 'y'" in failure.message
    assert [record.status for record in move.records] == ["completed"]
    assert move.position.step == 1


def test_a_default_takes_no_key_that_is_not_a_string():
    move = plan.task_succeeded(routed(default=True).first, Position("branch_0::key_fn"), ATTEMPT, b"1", None)
    assert reason(move).error_type == "RouteError"


def test_the_end_of_a_routes_branch_makes_the_envelope():
    compiled = routed(after=(task("z"),))
    move = plan.task_succeeded(compiled.ops["a"], Position("a", ref=0, step=1, keys=("x",)), ATTEMPT, b"5", None)
    result, envelope = move.records
    assert (envelope.node, envelope.kind, envelope.ref, envelope.source) == ("branch_0", "branch", 3, 0)
    assert json.loads(envelope.parts) == ["route", "x", 2]
    assert plan.compose(envelope.parts, {result.ref: b"5"}) == b'{"branch":"x","result":5}'
    assert move.position == Position("z", ref=3, step=3)


def test_routes_nest():
    inner = RouteNode("branch_1", task("branch_1::key_fn"), ("in",), (Branch("a", (task("a"),), "in"),))
    compiled = program(RouteNode("branch_0", task("branch_0::key_fn"), ("out",), (Branch("i", (inner,), "out"),)))
    first = plan.task_succeeded(compiled.first, plan.start(compiled), ATTEMPT, b'"out"', "out")
    assert first.position.keys == ("out",)
    second = plan.task_succeeded(compiled.ops["branch_1::key_fn"], first.position, ATTEMPT, b'"in"', "in")
    assert second.position == Position("a", ref=0, step=2, keys=("out", "in"))
    third = plan.task_succeeded(compiled.ops["a"], second.position, ATTEMPT, b"5", None)
    assert [(record.node, record.ref) for record in third.records] == [("a", 3), ("branch_1", 4), ("branch_0", 5)]
    values = {3: b"5"}
    for record in third.records[1:]:
        assert plan.needed(record.parts) == [record.ref - 1]
        values[record.ref] = plan.compose(record.parts, values)
    assert json.loads(values[5]) == {"branch": "out", "result": {"branch": "in", "result": 5}}
    assert (third.position, third.decision) == (Position(END, ref=5, step=5), Complete())


# --- loops --------------------------------------------------------------------------------------------------------


def looping(on_max="fail", limit=3, after=()):
    return program(LoopNode("loop_0", task("body"), limit, on_max), *after)


def test_again_runs_the_body_on_its_value():
    compiled = looping()
    move = plan.task_succeeded(compiled.first, Position("body", attempt=2, crashes=1), ATTEMPT, b"1", "again")
    assert move.records[0].iteration == 1
    assert move.position == Position("body", ref=1, step=1, attempt=1, iteration=2, crashes=0)
    assert move.decision == Run()


def test_done_leaves_the_loop_and_names_its_value():
    compiled = looping(after=(task("z"),))
    move = plan.task_succeeded(compiled.first, Position("body", ref=1, step=1, iteration=2), ATTEMPT, b"7", "done")
    body, loop = move.records
    assert (body.node, body.iteration, body.output) == ("body", 2, b"7")
    assert (loop.node, loop.kind, loop.output, json.loads(loop.parts)) == ("loop_0", "loop", None, ["ref", body.ref])
    assert plan.compose(loop.parts, {body.ref: b"7"}) == b"7"
    assert move.position == Position("z", ref=body.ref, step=3)


def test_the_limit_fails_the_instance():
    move = plan.task_succeeded(looping().first, Position("body", iteration=3), ATTEMPT, b"1", "again")
    failure = reason(move)
    assert (failure.error_type, failure.code, failure.details) == (
        "LoopLimitError",
        "loop_limit",
        {"max_iterations": 3},
    )
    assert "'loop_0'" in failure.message
    assert "on_max" in failure.message
    assert [record.status for record in move.records] == ["completed"]


def test_the_limit_may_end_with_the_last_value():
    compiled = looping("exit_with_last")
    move = plan.task_succeeded(compiled.first, Position("body", iteration=3, step=2), ATTEMPT, b"9", "again")
    assert [record.node for record in move.records] == ["body", "loop_0"]
    assert (move.position, move.decision) == (Position(END, ref=3, step=4), Complete())


# --- forks and children -------------------------------------------------------------------------------------------


def forked():
    branches = (Branch("a", (task("a"),)), Branch("b", (task("b"), task("c"))), Branch("d", (DelayNode("d", 1),)))
    return program(ForkNode("a||b||d", branches, task("j")), task("z"))


EXPECTED = ((1, "a"), (2, "b"), (3, "d"))


def test_a_branch_of_one_task_arrives_without_a_line_of_its_own():
    move = plan.task_succeeded(forked().ops["a"], Position("a"), on(1), b"1", None)
    assert [record.node for record in move.records] == ["a"]
    assert move.decision == Arrive(0, "a||b||d", "j", EXPECTED)
    assert move.position.ref == ref_of(1, 1)


def test_a_longer_branch_gets_a_line_under_its_name():
    move = plan.task_succeeded(forked().ops["c"], Position("c", ref=ref_of(2, 1), step=1), on(2), b"2", None)
    task_record, branch = move.records
    assert (branch.node, branch.kind, json.loads(branch.parts)) == (
        "a||b||d::b",
        "fork_branch",
        ["ref", task_record.ref],
    )
    assert move.position == Position("a||b||d::b", ref=task_record.ref, step=3)
    assert isinstance(move.decision, Arrive)


def test_a_branch_of_one_delay_gets_a_line_or_not_but_arrives():
    move = plan.delay_over(forked().ops["d"], Position("d"), on(3))
    assert isinstance(move.decision, Arrive)
    assert move.position.ref == 0


def test_the_join_gets_the_dict_in_the_order_of_declaration():
    arrive = Arrive(0, "a||b||d", "j", EXPECTED)
    refs = {"a": 11, "b": 22, "d": 33}
    record, position = plan.joined(arrive, refs, Position("a||b||d", ref=2, step=4, keys=("k",)), ATTEMPT)
    assert (record.node, record.kind, record.ref, record.source) == ("a||b||d", "fork", 5, 2)
    assert plan.needed(record.parts) == [11, 22, 33]
    assert plan.compose(record.parts, {33: b"3", 22: b"2", 11: b"1"}) == b'{"a":1,"b":2,"d":3}'
    assert position == Position("j", ref=5, step=5, keys=("k",))


def test_names_in_composed_values_are_escaped():
    parts = msgspec.json.encode(["fork", {'a"b': 1, "é": 2}])
    assert json.loads(plan.compose(parts, {1: b"1", 2: b"2"})) == {'a"b': 1, "é": 2}
    parts = msgspec.json.encode(["route", 'k"\n', 1])
    assert json.loads(plan.compose(parts, {1: b"null"})) == {"branch": 'k"\n', "result": None}


def test_the_end_of_a_child_names_its_output():
    compiled = program(ChildNode("child_0", "kid", prefixed((task("a"),), "child_0")), task("z"))
    move = plan.task_succeeded(compiled.first, Position("child_0/a"), ATTEMPT, b"1", None)
    assert [(record.node, record.kind) for record in move.records] == [
        ("child_0/a", "task"),
        ("child_0", "child_workflow"),
    ]
    assert json.loads(move.records[1].parts) == ["ref", 1]
    assert (move.position, move.decision) == (Position("z", ref=1, step=2), Run())


def test_everything_may_end_at_once():
    inner = RouteNode(
        "child_0/branch_0", task("child_0/branch_0::key_fn"), ("k",), (Branch("a", (task("child_0/a"),), "k"),)
    )
    child = ChildNode("child_0", "kid", (inner,))
    compiled = program(ForkNode("kid||b", (Branch("kid", (child,)), Branch("b", (task("b"),))), task("j")))
    move = plan.task_succeeded(compiled.ops["child_0/a"], Position("child_0/a", step=1, keys=("k",)), on(1), b"1", None)
    assert [record.node for record in move.records] == ["child_0/a", "child_0/branch_0", "child_0", "kid||b::kid"]
    assert [record.ref & 0xFFFFFFFF for record in move.records] == [2, 3, 4, 5]
    assert move.position == Position("kid||b::kid", ref=ref_of(1, 3), step=5)
    assert isinstance(move.decision, Arrive)
