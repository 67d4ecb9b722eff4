"""Bringing failed and cancelled instances back: where they go on, what runs again, what stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sayiir import (
    Flow,
    InMemoryBackend,
    InstanceNotFoundError,
    InvalidStateError,
    SerializationError,
    SqliteBackend,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
)

WHOLE = ["a", "b", "b2", "ij", "j", "key", "last", "mid", "p", "q", "q2", "rb", "z"]


class World:
    """A rich flow whose tasks note that they ran, and two of which fail as long as they are told to."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.failing: set[str] = set()
        step = self.step
        inner = Flow("inner").then(step("p")).fork().branch(step("q"), step("q2")).branch(step("mid")).join(step("ij"))
        fork = Flow("w").then(step("a")).fork().branch(step("b"), step("b2")).branch(inner.build(), name="in")
        route = fork.join(step("j")).route(step("key", "k"), keys=["k"]).branch("k", step("rb"), step("last"))
        self.workflow = route.done().then(step("z")).build()

    def step(self, name: str, answer: Any = None) -> Callable[[Any], Any]:
        def body(value: Any) -> Any:
            self.ran.append(name)
            if name in self.failing:
                raise ValueError(name)
            return answer if answer is not None else f"{value}>{name}" if isinstance(value, str) else value

        body.__name__ = name
        return body


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Any]:
    with InMemoryBackend() if request.param == "memory" else SqliteBackend(tmp_path / "runs.db") as store:
        yield store


def fail_at(world: World, backend: Any, name: str) -> WorkflowClient:
    world.failing = {name}
    assert run_durable_workflow(world.workflow, "i", "in", backend).error == f"ValueError: {name}"
    world.failing = set()
    world.ran.clear()
    return WorkflowClient(backend)


def test_goes_on_at_the_task_that_failed(backend: Any) -> None:
    world = World()
    client = fail_at(world, backend, "last")
    client.retry("i")
    status = client.status("i")
    assert (status.status, status.error) == ("in_progress", None)
    assert resume_workflow(world.workflow, "i", backend).output == {
        "branch": "k",
        "result": {"b": "in>a>b>b2", "in": {"q": "in>a>p>q>q2", "mid": "in>a>p>mid"}},
    }
    assert world.ran == ["last", "z"]
    outcomes = [(e.attempt, e.status) for e in client.timeline("i") if e.node_id == "last"]
    assert outcomes == [(1, "failed"), (1, "completed")]


@pytest.mark.parametrize(
    ("task", "again"),
    [
        ("a", [name for name in WHOLE]),
        ("b2", ["b2", "j", "key", "last", "rb", "z"]),
        ("child_0/q", ["ij", "j", "key", "last", "q", "q2", "rb", "z"]),
        ("mid", ["ij", "j", "key", "last", "mid", "rb", "z"]),
        ("child_0/ij", ["ij", "j", "key", "last", "rb", "z"]),
        ("j", ["j", "key", "last", "rb", "z"]),
        ("branch_0::key_fn", ["key", "last", "rb", "z"]),
        ("rb", ["last", "rb", "z"]),
        ("last", ["last", "z"]),
    ],
)
def test_goes_on_at_any_earlier_task(backend: Any, task: str, again: list[str]) -> None:
    undisturbed = World()
    expected = run_durable_workflow(undisturbed.workflow, "other", "in", backend).output
    world = World()
    client = fail_at(world, backend, "last")
    client.retry("i", from_task=task)
    assert resume_workflow(world.workflow, "i", backend).output == expected
    assert sorted(world.ran) == again
    entries = client.timeline("i")
    short = task.rpartition("/")[2]
    assert any(e.superseded and e.node_id.rpartition("/")[2] == short for e in entries)
    current = [e.node_id for e in entries if e.status == "completed" and not e.superseded]
    assert len(current) == len(set(current))


def test_a_branch_beside_the_failed_one_keeps_its_results(backend: Any) -> None:
    world = World()
    client = fail_at(world, backend, "ij")
    client.retry("i", from_task="q2")
    assert resume_workflow(world.workflow, "i", backend).is_completed()
    assert "mid" not in world.ran
    assert "q" not in world.ran


def test_another_input_for_the_failed_or_an_earlier_task(backend: Any) -> None:
    world = World()
    client = fail_at(world, backend, "z")
    client.retry("i", input="new")
    assert resume_workflow(world.workflow, "i", backend).output == "new>z"
    world = World()
    world.failing = {"last"}
    run_durable_workflow(world.workflow, "k", "in", backend)
    world.failing = set()
    client.retry("k", from_task="b2", input="new")
    assert resume_workflow(world.workflow, "k", backend).output["result"]["b"] == "new>b2"


def test_a_cancelled_instance_goes_on_where_it_stood(backend: Any) -> None:
    workflow = Flow("w").then(lambda x: x + 1, name="a").delay("d", "1h").then(lambda x: x, name="b").build()
    run_durable_workflow(workflow, "i", 1, backend)
    client = WorkflowClient(backend)
    client.cancel("i", reason="no")
    client.retry("i")
    status = client.status("i")
    assert (status.status, status.delay_id, status.reason) == ("waiting", "d", None)


def test_attempts_are_counted_anew(backend: Any) -> None:
    from sayiir import RetryPolicy, task

    tries: list[int] = []

    @task(retries=RetryPolicy(1, 0.0))
    def flaky(x: int) -> int:
        tries.append(x)
        if len(tries) < 4:
            raise ValueError("not yet")
        return x

    workflow = Flow("w").then(flaky).build()
    assert run_durable_workflow(workflow, "i", 1, backend).is_failed()
    WorkflowClient(backend).retry("i")
    assert resume_workflow(workflow, "i", backend).output == 1
    attempts = [(e.attempt, e.status) for e in WorkflowClient(backend).timeline("i")]
    assert attempts == [(1, "failed"), (2, "failed"), (1, "failed"), (2, "completed")]


def test_an_expired_signal_wait_waits_anew(backend: Any) -> None:
    workflow = Flow("w").wait_for_signal("go", timeout=0).then(lambda x: x, name="a").build()
    status = run_durable_workflow(workflow, "i", 1, backend)
    if not status.is_failed():
        status = resume_workflow(workflow, "i", backend)
    assert status.error_detail.error_type == "SignalTimeoutError"
    client = WorkflowClient(backend)
    client.retry("i")
    client.send_signal("i", "go", 5)
    assert resume_workflow(workflow, "i", backend).output == 5


def test_refusals(backend: Any) -> None:
    world = World()
    client = fail_at(world, backend, "j")
    with pytest.raises(InstanceNotFoundError):
        client.retry("nobody")
    with pytest.raises(ValueError, match="has not run"):
        client.retry("i", from_task="z")
    with pytest.raises(ValueError, match="no task 'nothing'"):
        client.retry("i", from_task="nothing")
    with pytest.raises(SerializationError):
        client.retry("i", input=object())
    with pytest.raises(TypeError, match="inputs"):
        client.retry("i", inputs=1)
    assert client.status("i").is_failed()
    client.retry("i")
    with pytest.raises(InvalidStateError, match="in_progress"):
        client.retry("i")
    assert resume_workflow(world.workflow, "i", backend).is_completed()
    with pytest.raises(InvalidStateError, match="completed"):
        client.retry("i")
