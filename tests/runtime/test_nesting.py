"""Structures inside structures, in every combination, in memory, durably and resumed."""

import itertools

import pytest

from sayiir import Flow, LoopResult, WorkflowClient, resume_workflow, run_durable_workflow, run_workflow, send_signal
from tests.runtime.support import JumpClock, finish, open_store


def add(x):
    return x + 1


def key(x):
    return "k" if isinstance(x, int) else "other"


def twice(x):
    return LoopResult.again(x + 1) if x % 2 else LoopResult.done(x)


def unwrap(x):
    """Bring what a structure gave back to a number."""
    while isinstance(x, dict):
        x = sum(map(unwrap, x.values())) if "result" not in x else x["result"]
    return x


def leaf(kind):
    """A workflow of one structure; each maps a number to a number."""
    flow = Flow(kind)
    match kind:
        case "task":
            return flow.then(add).build()
        case "fork":
            return flow.fork().branch(add).branch(lambda x: x, name="same").join(unwrap).build()
        case "route":
            return flow.route(key, keys=["k"]).branch("k", add).done().then(unwrap).build()
        case "loop":
            return flow.loop(twice, name="body").build()
        case "delay":
            return flow.delay("pause", 0.001).build()
        case "signal":
            return flow.wait_for_signal("go", name="gate").build()
        case "child":
            return flow.then_flow(Flow("grandchild").then(add).build()).build()
    raise AssertionError(kind)


def wrap(kind, inner):
    """A workflow with the inner one inside a structure."""
    flow = Flow(f"in-{kind}")
    match kind:
        case "fork":
            return flow.fork().branch(inner, name="inner").branch(add).join(unwrap).build()
        case "fork, later":
            return flow.fork().branch(add, inner, lambda x: x).branch(lambda x: 0, name="zero").join(unwrap).build()
        case "route":
            return flow.route(key, keys=["k", "l"]).branch("k", inner).branch("l", add).done().then(unwrap).build()
        case "default":
            return (
                flow.route(lambda x: "zz", keys=["k"])
                .branch("k", add)
                .default_branch(lambda x: x, inner)
                .done()
                .then(unwrap)
                .build()
            )
        case "child":
            return flow.then(add).then_flow(inner).then(add, name="more").build()
    raise AssertionError(kind)


LEAVES = ("task", "fork", "route", "loop", "delay", "signal", "child")
WRAPS = ("fork", "fork, later", "route", "default", "child")
EXPECTED = {
    "task": lambda x: x + 1,
    "fork": lambda x: 2 * x + 1,
    "route": lambda x: x + 1,
    "loop": lambda x: x + x % 2,
    "delay": lambda x: x,
    "signal": lambda x: 100,
    "child": lambda x: x + 1,
}
AROUND = {
    "fork": lambda f: lambda x: f(x) + x + 1, "fork, later": lambda f: lambda x: f(x + 1), "route": lambda f: f, "default": lambda f: f,
    "child": lambda f: lambda x: f(x + 1) + 1,
}  # fmt: skip
CASES = [(leaf_, (one,)) for leaf_, one in itertools.product(LEAVES, WRAPS)] + [
    (leaf_, pair) for leaf_, pair in itertools.product(LEAVES, itertools.product(WRAPS, WRAPS))
]


@pytest.mark.parametrize(("inside", "around"), CASES, ids=[" in ".join((leaf_, *around)) for leaf_, around in CASES])
def test_every_combination(inside, around, tmp_path):
    workflow, expected = leaf(inside), EXPECTED[inside]
    for kind in around:
        workflow, expected = wrap(kind, workflow), AROUND[kind](expected)
    outcome = expected(7)
    if inside != "signal":
        assert run_workflow(workflow, 7) == outcome
    for kind in ("memory", "sqlite"):
        clock = JumpClock()
        with open_store(kind, tmp_path, clock=clock) as backend:
            status = run_durable_workflow(workflow, "i", 7, backend)
            if inside == "signal":
                assert status.is_awaiting_signal()
                assert status.signal_id.endswith("gate")
                send_signal("i", "go", 100, backend)
            status = finish(workflow, "i", backend, clock)
            assert status.output == outcome, (kind, status)
            ended = {entry.node_id for entry in WorkflowClient(backend).timeline("i") if entry.status == "completed"}
            listed = {node.id for node in workflow.iter_nodes()}
            assert listed - ended <= {
                "add",
                "child_0/add",
                "child_0/child_0/add",
                *(n for n in listed if n.rpartition("/")[2] == "add"),
            }


@pytest.mark.parametrize("inside", ["delay", "signal"])
def test_a_parked_branch_survives_a_new_process(inside, tmp_path):
    workflow = wrap("fork", wrap("route", leaf(inside)))
    clock = JumpClock(jumps=False)
    with open_store("sqlite", tmp_path, clock=clock) as backend:
        parked = run_durable_workflow(workflow, "i", 7, backend)
        assert parked.status in ("waiting", "awaiting_signal")
    with open_store("sqlite", tmp_path, clock=clock) as backend:
        send_signal("i", "go", 100, backend)
        clock.advance(1)
        assert resume_workflow(workflow, "i", backend).is_completed()


def test_parallel_delays_run_side_by_side(timed, clock):
    clock.jumps = False
    pause = Flow("p").delay("d", 60).build()
    workflow = (
        Flow("w")
        .fork()
        .branch(pause, name="a")
        .branch(pause, name="b")
        .branch(pause, name="c")
        .join(lambda d: d)
        .build()
    )
    status = run_durable_workflow(workflow, "i", 1, timed)
    assert [(item.node_id, item.kind) for item in status.parked] == [
        ("child_0/d", "delay"),
        ("child_1/d", "delay"),
        ("child_2/d", "delay"),
    ]
    clock.advance(60)
    assert resume_workflow(workflow, "i", timed).output == {"a": 1, "b": 1, "c": 1}


def test_a_branch_that_is_a_bare_structure_of_its_own():
    for inner, result in (
        (Flow("c").delay("d", 0).build(), 1),
        (Flow("c").loop(twice, name="l").build(), 2),
        (Flow("c").then_flow(leaf("child")).build(), 2),
    ):
        workflow = Flow("w").fork().branch(inner).branch(inner, name="again").join(lambda d: d).build()
        assert run_workflow(workflow, 1) == {"c": result, "again": result}


def test_deep_nesting_of_forks():
    workflow = leaf("task")
    for _ in range(20):
        workflow = (
            Flow("w").fork().branch(workflow, name="deeper").branch(lambda x: 0, name="zero").join(unwrap).build()
        )
    assert run_workflow(workflow, 1) == 2
    assert run_durable_workflow(workflow, "i", 1).output == 2


def test_a_child_twice_is_two_namespaces(backend):
    child = Flow("c").then(add).build()
    workflow = Flow("w").then_flow(child).then_flow(child).build()
    assert run_durable_workflow(workflow, "i", 1, backend).output == 3
    client = WorkflowClient(backend)
    assert client.get_task_result("i", "child_0/add") == 2
    assert client.get_task_result("i", "child_1/add") == 3
