"""`iter_nodes()`: every node, its kind and predecessor, in execution order."""

import pickle

import pytest

from sayiir import Flow, NodeInfo, RetryPolicy, Workflow, task


@task(timeout=3, retries=RetryPolicy(2, 0.5), priority=1)
def a(x):
    return x


def b(x):
    return x


def c(x):
    return x


def j(x):
    return x


def key(x):
    return "k"


A = {"timeout_secs": 3.0, "retry_policy": RetryPolicy(2, 0.5), "priority": 1}


def nodes(workflow):
    return list(workflow.iter_nodes())


def test_the_whole_tree_in_execution_order():
    child = Flow("kid").then(a).delay("pause", 1).build()
    workflow = (
        Flow("w").then(a, name="a0").fork().branch(b, c).branch(lambda x: x, name="inc").join(j).delay("d", 0.01)
        .route(key, keys=["k", "l"]).branch("k", b, lambda x: x, name="kb").branch("l", child).default_branch(c, name="cc")
        .done().loop(b, name="body").then_flow(child).wait_for_signal("sig", name="sg", timeout="1m").then(lambda x: x)
        .build()
    )  # fmt: skip
    assert nodes(workflow) == [
        NodeInfo("a0", "task", None, **A),
        NodeInfo("b||inc", "fork", "a0"),
        NodeInfo("b", "task", "b||inc"),
        NodeInfo("c", "task", "b"),
        NodeInfo("inc", "task", "b||inc"),
        NodeInfo("j", "task", "b||inc"),
        NodeInfo("d", "delay", "j"),
        NodeInfo("branch_0", "branch", "d"),
        NodeInfo("kb", "task", "branch_0"),
        NodeInfo("lambda_0", "task", "kb"),
        NodeInfo("child_0", "child_workflow", "branch_0"),
        NodeInfo("child_0/a", "task", "child_0", **A),
        NodeInfo("child_0/pause", "delay", "child_0/a"),
        NodeInfo("cc", "task", "branch_0"),
        NodeInfo("loop_0", "loop", "branch_0"),
        NodeInfo("body", "task", "loop_0"),
        NodeInfo("child_1", "child_workflow", "loop_0"),
        NodeInfo("child_1/a", "task", "child_1", **A),
        NodeInfo("child_1/pause", "delay", "child_1/a"),
        NodeInfo("sg", "await_signal", "child_1", timeout_secs=60.0),
        NodeInfo("lambda_1", "task", "sg"),
    ]


@pytest.mark.parametrize(
    ("workflow", "expected"),
    [
        (Flow("w").fork().branch(b).branch(c).join(j).build(), [None, "b||c", "b||c", "b||c"]),
        (Flow("w").route(key, keys=["k"]).branch("k", b).done().build(), [None, "branch_0"]),
        (Flow("w").loop(b).build(), [None, "loop_0"]),
        (Flow("w").delay("d", 1).build(), [None]),
        (Flow("w").wait_for_signal("s").build(), [None]),
        (Flow("w").then_flow(Flow("x").then(b).build()).build(), [None, "child_0"]),
    ],
)
def test_the_first_node_has_no_predecessor(workflow, expected):
    assert [node.predecessor_id for node in nodes(workflow)] == expected


def test_a_child_that_begins_with_a_structure():
    child = Flow("kid").fork().branch(b).branch(c).join(j).build()
    found = [(node.id, node.predecessor_id) for node in nodes(Flow("w").then_flow(child).then(a).build())]
    assert found == [
        ("child_0", None), ("child_0/b||c", "child_0"), ("child_0/b", "child_0/b||c"), ("child_0/c", "child_0/b||c"),
        ("child_0/j", "child_0/b||c"), ("a", "child_0"),
    ]  # fmt: skip


def test_key_functions_are_not_listed():
    workflow = Flow("w").route(key, keys=["k"]).branch("k", b).done().build()
    assert not any("key_fn" in node.id for node in workflow.iter_nodes())


def test_predecessors_are_listed_before_their_followers():
    child = Flow("kid").route(key, keys=["k"]).branch("k", b).done().loop(c).build()
    workflow = Flow("w").then(a).fork().branch(b, child).branch(child, name="x").join(j).build()
    seen = [None]
    for node in workflow.iter_nodes():
        assert node.predecessor_id in seen
        seen.append(node.id)


def test_node_info_is_a_frozen_comparable_picklable_value():
    info = NodeInfo("a", "task", None, 1.0, RetryPolicy(1), 2)
    assert pickle.loads(pickle.dumps(info)) == info  # noqa: S301 -- our own bytes
    assert info != NodeInfo("a", "task")
    assert repr(info).startswith("NodeInfo(id='a', kind='task'")
    with pytest.raises(AttributeError):
        info.id = "b"  # type: ignore[misc]


def test_pictures_of_a_definition():
    workflow = Flow("w").then(a).fork().branch(b).branch(c).join(j).build()
    assert workflow.to_mermaid().startswith("flowchart")
    assert workflow.to_svg().lstrip().startswith("<svg")
    assert workflow._repr_mimebundle_().keys() >= {"image/svg+xml", "text/plain"}
    assert isinstance(workflow, Workflow)
