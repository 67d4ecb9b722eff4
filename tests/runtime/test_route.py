"""Routes as they run: the envelope, the default, exact keys, and a key function that is a task."""

import enum

import pytest

from sayiir import (
    Flow,
    RetryPolicy,
    RouteError,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    task,
)
from tests.runtime.support import Calls


def same(x):
    return x


# --- routes -------------------------------------------------------------------------------------------------------


class Old(str, enum.Enum):
    A = "a"


class New(enum.StrEnum):
    A = "a"


class Text(str):
    __slots__ = ()


def route(key, **options):
    flow = (
        Flow("w")
        .route(key, keys=["a", "b"])
        .branch("a", lambda x: ["A", x], name="ra")
        .branch("b", same, lambda x: ["B", x], name="rb")
    )
    if options.get("default"):
        flow = flow.default_branch(lambda x: ["D", x], name="rd")
    return flow.done().build()


@pytest.mark.parametrize("key", ["a", Old.A, New.A, Text("a")])
def test_the_envelope(backend, key):
    workflow = route(lambda x: key)
    assert run_workflow(workflow, 5) == {"branch": "a", "result": ["A", 5]}
    assert run_durable_workflow(workflow, "i", 5, backend).output == {"branch": "a", "result": ["A", 5]}


def test_longer_branches():
    assert run_workflow(route(lambda x: "b"), 5) == {"branch": "b", "result": ["B", 5]}


def test_the_default_keeps_the_key(backend):
    workflow = route(lambda x: "zz", default=True)
    assert run_workflow(workflow, 5) == {"branch": "zz", "result": ["D", 5]}
    assert run_durable_workflow(workflow, "i", 5, backend).output == {"branch": "zz", "result": ["D", 5]}
    assert run_workflow(route(lambda x: "", default=True), 5) == {"branch": "", "result": ["D", 5]}


def test_the_default_takes_declared_keys_without_a_branch():
    workflow = (
        Flow("w").route(same, keys=["a", "b"]).branch("a", lambda x: 1).default_branch(lambda x: 2).done().build()
    )
    assert run_workflow(workflow, "b") == {"branch": "b", "result": 2}


def test_an_unmatched_key(backend):
    workflow = route(lambda x: "zz")
    with pytest.raises(RouteError, match="'zz'") as caught:
        run_workflow(workflow, 5)
    assert (caught.value.key, caught.value.keys) == ("zz", ["a", "b"])
    assert "'a', 'b'" in str(caught.value)
    status = run_durable_workflow(workflow, "i", 5, backend)
    assert status.error.startswith("RouteError: ")
    assert status.error_detail.node_id == "branch_0::key_fn"
    with pytest.raises(RouteError) as caught:
        run_workflow(workflow, 5, instance_id="i", backend=backend, conflict_policy="use_existing")
    assert (caught.value.key, caught.value.keys) == ("zz", ["a", "b"])


@pytest.mark.parametrize("key", [None, 5, ["a"], b"a", True])
@pytest.mark.parametrize("default", [False, True])
def test_a_key_that_is_not_a_string(backend, key, default):
    workflow = route(lambda x: key, default=default)
    with pytest.raises(RouteError):
        run_workflow(workflow, 5)
    assert run_durable_workflow(workflow, "i", 5, backend).error.startswith("RouteError: ")


def test_keys_are_exact():
    for key in ("A", " a", "a "):
        with pytest.raises(RouteError):
            run_workflow(route(lambda x, key=key: key), 1)


def test_the_key_function_is_a_task_in_all_respects(timed):
    calls = Calls()

    @task("ignored", retries=RetryPolicy(1, 1.0), timeout="30s", priority=2)
    async def key(x):
        calls("key")
        if calls.count("key") == 1:
            raise ValueError("again")
        return "a"

    timed.clock.jumps = True
    workflow = route(key)
    status = run_durable_workflow(workflow, "i", 5, timed)
    assert status.output == {"branch": "a", "result": ["A", 5]}
    client = WorkflowClient(timed)
    assert client.get_task_result("i", "branch_0::key_fn") == "a"
    assert [(entry.node_id, entry.attempt, entry.status) for entry in client.timeline("i")][:2] == [
        ("branch_0::key_fn", 1, "failed"), ("branch_0::key_fn", 2, "completed"),
    ]  # fmt: skip


def test_a_key_is_asked_once_even_when_the_branch_parks(timed, clock):
    calls = Calls()

    def key(x):
        calls("key")
        return "k"

    workflow = Flow("w").route(key, keys=["k"]).branch("k", Flow("c").delay("d", 60).then(same).build()).done().build()
    assert run_durable_workflow(workflow, "i", 5, timed).is_waiting()
    clock.advance(60)
    assert resume_workflow(workflow, "i", timed).output == {"branch": "k", "result": 5}
    assert calls.made == ["key"]


def test_routes_in_sequence():
    workflow = (
        Flow("w")
        .route(same, keys=["a"])
        .branch("a", lambda x: "b")
        .done()
        .then(lambda e: e["result"])
        .route(same, keys=["b"])
        .branch("b", lambda x: "c")
        .done()
        .build()
    )
    assert run_workflow(workflow, "a") == {"branch": "b", "result": "c"}
