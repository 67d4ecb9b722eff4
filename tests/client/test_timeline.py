"""`wait`, `result` and the timeline."""

import dataclasses
import datetime as dt
import pickle
import threading

import pydantic
import pytest

from sayiir import (
    DeserializationError,
    Flow,
    LoopResult,
    RetryPolicy,
    TaskError,
    WorkflowClient,
    WorkflowError,
    resume_workflow,
    run_durable_workflow,
    send_signal,
    task,
)
from tests.runtime.support import PATIENCE_SECS, await_event, in_thread


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


@pytest.fixture
def ended(timed, clock):
    run_durable_workflow(WHOLE, "i", 1, timed)
    send_signal("i", "go", 5, timed)
    clock.advance(60)
    assert resume_workflow(WHOLE, "i", timed).is_completed()
    return WorkflowClient(timed)


@dataclasses.dataclass
class Receipt:
    total: float
    when: dt.date


class Model(pydantic.BaseModel):
    n: int


def receipt(x) -> Receipt:
    return Receipt(x, dt.date(2024, 1, 2))


# --- wait and result ----------------------------------------------------------------------------------------------


def test_result_of_what_has_ended(backend):
    client = WorkflowClient(backend)
    run_durable_workflow(Flow("w").then(receipt).build(), "ok", 3, backend)
    run_durable_workflow(Flow("w").then(lambda x: 1 / 0).build(), "bad", 3, backend)
    client.submit(Flow("w").then(add).build(), "off", 3)
    client.cancel("off")
    assert client.result("ok") == {"total": 3, "when": "2024-01-02"}
    assert client.result("ok", type=Receipt) == Receipt(3.0, dt.date(2024, 1, 2))
    with pytest.raises(DeserializationError):
        client.result("ok", type=Model)
    with pytest.raises(TaskError, match="^ZeroDivisionError"):
        client.result("bad")
    with pytest.raises(WorkflowError, match="status=cancelled") as caught:
        client.result("off")
    assert not isinstance(caught.value, TaskError)
    assert [client.wait(name).status for name in ("ok", "bad", "off")] == ["completed", "failed", "cancelled"]


@pytest.mark.parametrize("ask", ["wait", "result"])
def test_waiting_ends_with_the_instance(backend, ask):
    started, go = threading.Event(), threading.Event()

    def hold(x):
        started.set()
        await_event(go)
        return x

    workflow, client = Flow("w").then(hold).build(), WorkflowClient(backend)
    with in_thread(run_durable_workflow, workflow, "i", 1, backend):
        await_event(started)
        with in_thread(getattr(client, ask), "i", PATIENCE_SECS) as waiting:
            go.set()
            answer = waiting.result()
    assert answer == 1 if ask == "result" else answer.is_completed()


@pytest.mark.parametrize("ask", ["wait", "result"])
def test_waiting_gives_up(timed, ask):
    client = WorkflowClient(timed)
    run_durable_workflow(WHOLE, "i", 1, timed)
    with pytest.raises(TimeoutError, match="'i' is still waiting after 5s"):
        getattr(client, ask)("i", 5)
    with pytest.raises(TimeoutError):
        getattr(client, ask)("i", 0)


def test_waiting_until_parked(backend):
    client = WorkflowClient(backend)
    run_durable_workflow(WHOLE, "i", 1, backend)
    assert client.wait("i", 0, until="parked").is_waiting()
    client.pause("i")
    assert client.wait("i", until="parked").is_paused()
    with pytest.raises(ValueError, match="until must be"):
        client.wait("i", 0, until="done")


# --- the timeline -------------------------------------------------------------------------------------------------


def test_the_timeline_tells_everything_in_order_of_start(ended):
    entries = ended.timeline("i")
    assert [entry.started_at for entry in entries] == sorted(entry.started_at for entry in entries)
    by_node = {entry.node_id: entry for entry in entries}
    assert {node.id for node in WHOLE.iter_nodes()} - set(by_node) == {"rl"}
    assert {name: by_node[name].kind for name in ("start", "d", "gate", "branch_0", "loop_0", "child_0", "add||long||kid||named", "branch_0::key_fn")} == {
        "start": "task", "d": "delay", "gate": "await_signal", "branch_0": "branch", "loop_0": "loop", "child_0": "child_workflow",
        "add||long||kid||named": "fork", "branch_0::key_fn": "task",
    }  # fmt: skip
    assert all(
        entry.status == "completed" and entry.error is None and entry.finished_at >= entry.started_at
        for entry in entries
    )
    assert [(entry.iteration, entry.task_id) for entry in entries if entry.node_id == "body"] == [
        (1, "body"),
        (2, "body"),
    ]
    assert by_node["d"].task_id is None
    assert by_node["start"].worker_id
    assert not by_node["start"].superseded


def test_the_timeline_tells_how_long_a_wait_was(ended):
    (delay,) = [entry for entry in ended.timeline("i") if entry.node_id == "d"]
    assert delay.finished_at - delay.started_at == dt.timedelta(seconds=60)


def test_the_timeline_tells_every_attempt(timed):
    attempts = []

    @task(retries=RetryPolicy(2, 1.0))
    def flaky(x):
        attempts.append(x)
        if len(attempts) < 3:
            raise ValueError(f"no {len(attempts)}")
        return x

    run_durable_workflow(Flow("w").then(flaky).build(), "i", 1, timed)
    assert [(entry.attempt, entry.status, entry.error) for entry in WorkflowClient(timed).timeline("i")] == [
        (1, "failed", "ValueError: no 1"), (2, "failed", "ValueError: no 2"), (3, "completed", None),
    ]  # fmt: skip


def test_the_timeline_tells_what_runs_now(backend):
    started, go = threading.Event(), threading.Event()

    def hold(x):
        started.set()
        await_event(go)
        return x

    workflow, client = Flow("w").then(add).then(hold).build(), WorkflowClient(backend)
    with in_thread(run_durable_workflow, workflow, "i", 1, backend):
        await_event(started)
        first, second = client.timeline("i")
        assert (first.node_id, first.status) == ("add", "completed")
        assert (second.node_id, second.task_id, second.status, second.attempt, second.finished_at) == (
            "hold",
            "hold",
            "running",
            1,
            None,
        )
        assert second.worker_id == first.worker_id
        go.set()
    assert [entry.status for entry in client.timeline("i")] == ["completed", "completed"]


def test_a_running_task_stands_where_it_started(timed, clock):
    started, first_done, go = threading.Event(), threading.Event(), threading.Event()

    def long(x):
        started.set()
        await_event(go)
        return x

    def quick(x):
        await_event(started)
        clock.advance(1)
        return x

    def second(x):
        return x

    def after(x):
        first_done.set()
        await_event(go)
        return x

    workflow, client = (
        Flow("w").fork().branch(long).branch(quick, second, after).join(lambda d: d).build(),
        WorkflowClient(timed),
    )
    with in_thread(run_durable_workflow, workflow, "i", 1, timed):
        await_event(first_done)
        entries = client.timeline("i")
        go.set()
    order = [(entry.node_id, entry.status) for entry in entries]
    assert order.index(("long", "running")) < order.index(("second", "completed")) < order.index(("after", "running"))


def test_entries_are_picklable_values(ended):
    entries = ended.timeline("i")
    assert pickle.loads(pickle.dumps(entries)) == entries
    with pytest.raises(AttributeError):
        entries[0].status = "failed"
