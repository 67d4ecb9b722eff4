"""`get_task_result`: every node is readable, under every name it has."""

import dataclasses
import datetime as dt
from typing import Any

import pydantic
import pytest

from sayiir import (
    Flow,
    InstanceNotFoundError,
    LoopResult,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
    send_signal,
    task,
)


def add(x):
    return x + 1


def start(x):
    return x


def body(x):
    return LoopResult.done(x * 100) if x > 2 else LoopResult.again(x + 1)


CHILD = Flow("kid").then(add).then(lambda x: x * 10, name="ten").build()
WHOLE = (
    Flow("w").then(start).fork().branch(add).branch(add, lambda x: -x, name="long").branch(CHILD).branch(CHILD, name="named").join(lambda d: d, name="j")
    .route(lambda x: "k", keys=["k", "l"]).branch("k", lambda x: x["add"], name="rk").branch("l", add, name="rl").done()
    .then(lambda e: e["result"], name="pick").loop(body).delay("d", 60).wait_for_signal("go", name="gate").then_flow(CHILD).then(lambda x: None, name="none")
    .build()
)  # fmt: skip
JOINED = {"add": 2, "long": -2, "kid": 20, "named": 20}
RESULTS = {
    "start": 1, "add||long||kid||named": JOINED, "add": 2, "long": -2, "lambda_0": -2, "kid": 20, "named": 20, "child_0": 20, "child_0/add": 2,
    "child_0/ten": 20, "child_1": 20, "child_1/add": 2, "child_1/ten": 20, "j": JOINED, "branch_0::key_fn": "k", "rk": 2, "branch_0": {"branch": "k", "result": 2},
    "pick": 2, "body": 300, "loop_0": 300, "d": 300, "gate": 5, "child_2/add": 6, "child_2": 60,
}  # fmt: skip


@pytest.fixture
def ended(timed, clock):
    run_durable_workflow(WHOLE, "i", 1, timed)
    send_signal("i", "go", 5, timed)
    clock.advance(60)
    assert resume_workflow(WHOLE, "i", timed).is_completed()
    return WorkflowClient(timed)


# --- get_task_result ----------------------------------------------------------------------------------------------


def test_every_node_is_readable(ended):
    assert {name: ended.get_task_result("i", name, default="none") for name in RESULTS} == RESULTS
    listed = {node.id for node in WHOLE.iter_nodes()}
    assert listed - set(RESULTS) == {"rl", "child_2/ten", "none"}


def test_every_node_is_readable_after_a_reopening(tmp_path):
    from tests.runtime.support import JumpClock, finish, open_store

    clock = JumpClock()
    with open_store("sqlite", tmp_path, clock=clock) as backend:
        send_signal("i", "go", 5, backend)
        run_durable_workflow(WHOLE, "i", 1, backend)
        assert finish(WHOLE, "i", backend, clock).is_completed()
    with open_store("sqlite", tmp_path) as backend:
        client = WorkflowClient(backend)
        assert {name: client.get_task_result("i", name, default="none") for name in RESULTS} == RESULTS


def test_short_ids_work_where_they_are_unambiguous(ended):
    short = Flow("v").then_flow(CHILD).build()
    run_durable_workflow(short, "j", 1, ended.backend)
    assert ended.get_task_result("j", "ten") == 20
    assert ended.get_task_result("j", "child_0/ten") == 20


@pytest.mark.parametrize("name", ["ten"])
def test_ambiguous_short_ids_name_the_full_ones(ended, name):
    with pytest.raises(
        ValueError, match="'ten' is ambiguous; use one of the full ids 'child_0/ten', 'child_1/ten', 'child_2/ten'"
    ):
        ended.get_task_result("i", name)


def test_an_id_means_the_same_before_and_after_other_nodes_have_run(backend):
    client = WorkflowClient(backend)
    workflow = Flow("w").then_flow(CHILD).wait_for_signal("go").then_flow(CHILD).build()
    run_durable_workflow(workflow, "i", 1, backend)
    with pytest.raises(ValueError, match="ambiguous"):
        client.get_task_result("i", "ten")
    assert client.get_task_result("i", "child_1/ten", default="not yet") == "not yet"


def test_an_exact_id_wins_over_short_ones(ended):
    assert ended.get_task_result("i", "add") == 2  # the branch, though three children have an `add` too


def test_a_branch_and_its_first_step(ended):
    assert ended.get_task_result("i", "long") == -2
    assert ended.get_task_result("i", "long", step=True) == 2
    assert ended.get_task_result("i", "add", step=True) == 2
    assert ended.get_task_result("i", "kid", step=True) == 2
    assert ended.get_task_result("i", "named", step=True) == 2


def test_a_branch_has_no_output_before_it_ends(backend):
    gate = Flow("g").wait_for_signal("go").build()
    workflow = Flow("w").fork().branch(add, gate).join(lambda d: d).build()
    run_durable_workflow(workflow, "i", 1, backend)
    client = WorkflowClient(backend)
    assert client.get_task_result("i", "add", default="none") == "none"
    assert client.get_task_result("i", "add", step=True) == 2
    send_signal("i", "go", 9, backend)
    assert resume_workflow(workflow, "i", backend).output == {"add": 9}
    assert client.get_task_result("i", "add") == 9


def test_branches_of_forks_in_children(backend):
    inner = (
        Flow("in")
        .fork()
        .branch(add, lambda x: x * 10)
        .branch(lambda x: x, name="same")
        .join(lambda d: d, name="j")
        .build()
    )
    workflow = Flow("w").then_flow(inner).then(lambda d: 1).then_flow(inner).build()
    run_durable_workflow(workflow, "i", 1, backend)
    client = WorkflowClient(backend)
    assert client.get_task_result("i", "child_0/add") == 20
    assert client.get_task_result("i", "child_0/add", step=True) == 2
    assert client.get_task_result("i", "child_0/same") == 1
    with pytest.raises(ValueError, match="'child_0/add', 'child_1/add'"):
        client.get_task_result("i", "add")
    kinds = [(entry.node_id, entry.kind) for entry in client.timeline("i") if entry.kind == "fork_branch"]
    assert [node for node, _ in kinds] == ["child_0/add||same::add", "child_1/add||same::add"]


def test_iterations(ended):
    assert [ended.get_task_result("i", "body", iteration=n) for n in (1, 2, 3)] == [3, 300, None]
    assert ended.get_task_result("i", "body") == 300
    assert ended.get_task_result("i", "start", iteration=1) == 1
    assert ended.get_task_result("i", "body", iteration=9, default="none") == "none"


def test_default_tells_none_from_not_run(ended):
    marker = object()
    assert ended.get_task_result("i", "none", default=marker) is None
    assert ended.get_task_result("i", "rl", default=marker) is marker
    assert ended.get_task_result("i", "rl") is None
    assert ended.get_task_result("i", "no such task", default=marker) is marker
    assert ended.get_task_result("i", "") is None


def test_unknown_instances(backend):
    client = WorkflowClient(backend)
    for ask in (
        lambda: client.get_task_result("x", "a"),
        lambda: client.timeline("x"),
        lambda: client.status("x"),
        lambda: client.wait("x", 0),
        lambda: client.result("x", 0),
    ):
        with pytest.raises(InstanceNotFoundError):
            ask()


def test_a_failed_task_has_no_result_but_finished_ones_have(backend):
    run_durable_workflow(Flow("w").then(add).then(lambda x: 1 / 0, name="bad").build(), "i", 1, backend)
    client = WorkflowClient(backend)
    assert client.get_task_result("i", "add") == 2
    assert client.get_task_result("i", "bad", default="none") == "none"


# --- the function as the id ---------------------------------------------------------------------------------------


@dataclasses.dataclass
class Receipt:
    total: float
    when: dt.date


class Model(pydantic.BaseModel):
    n: int


def receipt(x) -> Receipt:
    return Receipt(x, dt.date(2024, 1, 2))


@task("named-task")
def model(x: Receipt) -> Model:
    return Model(n=int(x.total))


async def later(x: Model) -> list[Model]:
    return [x, x]


def untyped(x):
    return {"a": (1, 2)}


def typed_body(x: Any) -> LoopResult[Model]:
    return LoopResult.done(Model(n=7))


TYPED = Flow("w").then(receipt).then(model).then(later).then(untyped).loop(typed_body).build()


def test_a_function_is_an_id_and_its_annotation_decodes(backend):
    run_durable_workflow(TYPED, "i", 3, backend)
    client = WorkflowClient(backend)
    assert client.get_task_result("i", receipt) == Receipt(3.0, dt.date(2024, 1, 2))
    assert client.get_task_result("i", "receipt") == {"total": 3, "when": "2024-01-02"}
    assert client.get_task_result("i", model) == Model(n=3)
    assert client.get_task_result("i", later) == [Model(n=3), Model(n=3)]
    assert client.get_task_result("i", untyped) == {"a": [1, 2]}
    assert client.get_task_result("i", typed_body) == Model(n=7)
    assert client.get_task_result("i", add, default="none") == "none"


def test_a_function_means_its_own_result_also_in_a_longer_branch(backend):
    workflow = Flow("w").fork().branch(receipt, model).join(lambda d: d).build()
    run_durable_workflow(workflow, "i", 3, backend)
    assert WorkflowClient(backend).get_task_result("i", receipt) == Receipt(3.0, dt.date(2024, 1, 2))


@pytest.mark.parametrize("nameless", [lambda x: x, __import__("functools").partial(add)])
def test_a_function_without_a_name_is_no_id(backend, nameless):
    run_durable_workflow(TYPED, "i", 3, backend)
    with pytest.raises(ValueError, match="no name of its own"):
        WorkflowClient(backend).get_task_result("i", nameless)
