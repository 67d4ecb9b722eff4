"""The compiled definition: numbers of branches, what may be called plainly, late annotations, and size."""

import sys

import pytest

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
from sayiir.core.program import Program, tags_of, tags_text
from sayiir.core.retry import RetryPolicy
from sayiir.core.structure import structure, structure_hash
from sayiir.core.values import PLAIN


def task(name, function=lambda x: x, **metadata):
    return TaskNode(name, function, metadata=TaskMetadata(**metadata))


def program(*nodes):
    graph = Graph("w", tuple(nodes))
    text = structure(graph)
    return Program(graph, structure_hash(text), text)


def test_branches_are_numbered_by_the_definition():
    inner = ForkNode("x||y", (Branch("x", (task("x"),)), Branch("y", (task("y"),))), task("ij"))
    outer = ForkNode("a||in", (Branch("a", (task("a"),)), Branch("in", (inner, task("b")))), task("j"))

    def numbers(compiled):
        return {
            (op.id, name): number
            for op in compiled.ops.values()
            if hasattr(op, "branches")
            for number, name, _ in op.branches
        }

    assert numbers(program(outer)) == numbers(program(outer))
    assert sorted(numbers(program(outer)).values()) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("metadata", "inline"),
    [
        ({}, True),
        ({"tags": ["a"]}, True),
        ({"timeout_secs": 1.0}, False),
        ({"retries": RetryPolicy(1)}, False),
        ({"isolation": "process"}, False),
    ],
)
def test_only_plain_tasks_may_be_called_one_after_the_other(metadata, inline):
    assert program(task("a", **metadata)).ops["a"].inline is inline


def test_structures_are_never_called_plainly():
    route = RouteNode("branch_0", task("branch_0::key_fn"), ("k",), (Branch("a", (task("a"),), "k"),))
    fork = ForkNode("b||", (Branch("b", (task("b"),)),), task("j"))
    child = ChildNode("child_0", "kid", (task("child_0/a"),))
    compiled = program(LoopNode("loop_0", task("body")), route, fork, DelayNode("d", 1), SignalNode("s", "s"), child)
    assert not compiled.ops["body"].inline
    assert not compiled.ops["branch_0::key_fn"].inline
    assert not compiled.first.inline
    assert not any(compiled.ops[name].inline for name in ("b||", "d", "s"))


def test_async_tasks_are_not_called_plainly():
    async def later(x):
        return x

    assert not program(TaskNode("a", later, is_async=True)).ops["a"].inline


def test_annotations_are_read_when_first_needed():
    def function(x: "Later") -> "Later":  # noqa: F821 -- defined below
        return x

    function.__globals__.pop("Later", None)
    compiled = program(TaskNode("a", function))
    function.__globals__["Later"] = int
    try:
        assert compiled.prepare() is compiled.prepare()
        assert compiled.ops["a"].codec is not PLAIN
    finally:
        del function.__globals__["Later"]


def test_a_signals_type_is_read():
    assert program(SignalNode("s", "s", type=int)).prepare().ops["s"].codec is not PLAIN
    assert program(SignalNode("s", "s")).prepare().ops["s"].codec is PLAIN


def test_the_first_signal_is_known_wherever_it_stands():
    child = ChildNode("child_0", "kid", (SignalNode("child_0/s", "s"),))
    assert program(task("a")).first_signal is None
    assert program(task("a"), child).first_signal == "child_0/s"


def test_long_flows_need_no_recursion():
    count = sys.getrecursionlimit() * 10
    compiled = program(*(task(f"t{i}") for i in range(count)))
    op, seen = compiled.first, 0
    while op is not compiled.end:
        op, seen = op.next, seen + 1
    assert seen == count


def test_many_branches():
    fork = ForkNode("f", tuple(Branch(f"b{i}", (task(f"b{i}"),)) for i in range(5_000)), task("j"))
    assert len(program(fork).ops["f"].branches) == 5_000


def test_tags_are_one_text_for_one_set():
    assert tags_text(None) == tags_text([]) == ""
    assert tags_text(["gpu", "eu", "gpu"]) == tags_text(["eu", "gpu"]) == '["eu","gpu"]'
    assert tags_of('["eu","gpu"]') == {"eu", "gpu"}
    assert tags_of("") == frozenset()



def test_the_routing_names_tasks_that_ask_for_tags_or_a_priority():
    wanted = task("wanted", tags=["gpu", "eu"])
    branches = (Branch("urgent", (task("urgent", priority=1),)), Branch("other", (task("other"),)))
    compiled = program(task("plain"), wanted, ForkNode("fork", branches, task("join")))
    assert compiled.definition.routing == {"wanted": (None, '["eu","gpu"]'), "urgent": (1, "")}
