"""Submitting, the conflict policies, and what is refused before anything is stored."""

import dataclasses
import threading

import pytest

from sayiir import (
    ClaimLostError,
    DefinitionMismatchError,
    DeserializationError,
    Flow,
    InMemoryBackend,
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    send_signal,
)
from tests.runtime.support import Calls, await_event, in_thread


def double(x):
    return x * 2


DOUBLE = Flow("double").then(double).build()
OTHER = Flow("double").then(double).then(double, name="more").build()
GATE = Flow("gate").then(double).wait_for_signal("go").then(double, name="again").build()


# --- submit -------------------------------------------------------------------------------------------------------


def test_submit_runs_nothing(backend):
    calls = Calls()
    client = WorkflowClient(backend)
    workflow = Flow("w").then(calls).build()
    status = client.submit(workflow, "i", {"items": [1, 2, 3]})
    assert status.is_in_progress()
    assert status == client.status("i")
    assert calls.made == []
    assert client.timeline("i") == []
    assert resume_workflow(workflow, "i", backend).is_completed()
    assert calls.made == [{"items": [1, 2, 3]}]


def test_the_backend_of_a_client(backend):
    client = WorkflowClient(backend)
    assert client.backend is backend
    assert repr(backend) in repr(client)


@pytest.mark.parametrize("priority", [1, 5, None])
def test_good_priorities(backend, priority):
    assert WorkflowClient(backend).submit(DOUBLE, "i", 1, priority=priority).is_in_progress()
    assert backend.load("i").instance.priority == priority


@pytest.mark.parametrize("priority", [0, 6, True, "1", 2.5, []])
def test_bad_priorities(backend, priority):
    with pytest.raises(ValueError, match="priority must be an int from 1 to 5"):
        WorkflowClient(backend).submit(DOUBLE, "i", 1, priority=priority)
    with pytest.raises(InstanceNotFoundError):
        WorkflowClient(backend).status("i")


@dataclasses.dataclass
class Order:
    id: int


def take(order: Order) -> int:
    return order.id


async def take_later(order: Order) -> int:
    return order.id


FIRST_TASKS = {
    "task": Flow("w").then(take),
    "async": Flow("w").then(take_later),
    "loop": Flow("w").loop(take),
    "key": Flow("w").route(take, keys=["k"]).default_branch(double).done(),
    "child": Flow("w").then_flow(Flow("c").then(take).build()),
    "behind a delay": Flow("w").delay("d", 1).then(take),
    "a branch": Flow("w").fork().branch(double).branch(take).join(lambda d: d),
    "deep": Flow("w")
    .delay("d", 1)
    .fork()
    .branch(double)
    .branch(Flow("c").delay("e", 1).fork().branch(take).join(lambda d: d).build())
    .join(lambda d: d, name="j"),
}


@pytest.mark.parametrize("name", FIRST_TASKS)
def test_an_input_that_does_not_fit_is_refused_before_anything_is_stored(backend, name):
    client, workflow = WorkflowClient(backend), FIRST_TASKS[name].build()
    with pytest.raises(DeserializationError, match="validation error"):
        client.submit(workflow, "i", {"id": "text"})
    with pytest.raises(InstanceNotFoundError):
        client.status("i")
    for given in ({"id": 1}, Order(1)):
        assert client.with_conflict_policy("terminate_existing").submit(workflow, "i", given).is_in_progress()


def test_it_replaces_nothing_either(backend):
    client = WorkflowClient(backend, conflict_policy="terminate_existing")
    workflow = Flow("w").then(take).build()
    run_durable_workflow(workflow, "i", Order(7), backend)
    with pytest.raises(DeserializationError):
        client.submit(workflow, "i", {"id": "text"})
    assert client.status("i").output == 7


# --- conflict policies --------------------------------------------------------------------------------------------

STARTS = {
    "submit": lambda workflow, backend, policy: WorkflowClient(backend, conflict_policy=policy).submit(
        workflow, "i", 10
    ),
    "run_durable_workflow": lambda workflow, backend, policy: run_durable_workflow(workflow, "i", 10, backend, policy),
    "run_workflow": lambda workflow, backend, policy: run_workflow(
        workflow, 10, instance_id="i", backend=backend, conflict_policy=policy
    ),
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("policy", ["replace", "", "FAIL", 5, object()])
def test_unknown_policies_are_refused_at_once(backend, start, policy):
    with pytest.raises(ValueError, match="conflict_policy must be one of 'fail', 'use_existing', 'terminate_existing'"):
        STARTS[start](DOUBLE, backend, policy)
    with pytest.raises(ValueError, match="conflict_policy"):
        WorkflowClient(backend).with_conflict_policy(policy)
    with pytest.raises(ValueError, match="conflict_policy"):
        run_workflow(DOUBLE, 1, conflict_policy=policy)
    assert backend.load("i") is None


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("policy", [None, "fail"])
def test_fail(backend, start, policy):
    run_durable_workflow(DOUBLE, "i", 1, backend)
    with pytest.raises(InstanceAlreadyExistsError, match="'i' already exists and is completed") as caught:
        STARTS[start](DOUBLE, backend, policy)
    assert (caught.value.instance_id, caught.value.status) == ("i", "completed")
    assert WorkflowClient(backend).status("i").output == 2


def test_use_existing_returns_what_is_stored_and_runs_nothing(backend):
    calls = Calls()
    workflow = Flow("w").then(lambda x: calls("task") or x).build()
    run_durable_workflow(workflow, "i", 1, backend)
    status = STARTS["submit"](workflow, backend, "use_existing")
    assert (status.status, status.output) == ("completed", 1)
    assert STARTS["run_durable_workflow"](workflow, backend, "use_existing").output == 1
    assert STARTS["run_workflow"](workflow, backend, "use_existing") == 1
    assert calls.count("task") == 1


def test_use_existing_of_an_instance_that_waits(backend):
    run_durable_workflow(GATE, "i", 1, backend)
    assert STARTS["submit"](GATE, backend, "use_existing").is_awaiting_signal()
    assert STARTS["run_durable_workflow"](GATE, backend, "use_existing").is_awaiting_signal()


def test_use_existing_creates_what_is_not_there(backend):
    assert STARTS["submit"](DOUBLE, backend, "use_existing").is_in_progress()
    assert resume_workflow(DOUBLE, "i", backend).output == 20


def test_terminate_existing_starts_anew(backend):
    run_durable_workflow(GATE, "i", 1, backend)
    send_signal("i", "go", "old", backend)
    status = STARTS["run_durable_workflow"](GATE, backend, "terminate_existing")
    assert status.is_awaiting_signal()  # the old run's buffered signal is gone
    client = WorkflowClient(backend)
    assert client.get_task_result("i", "double") == 20
    assert [entry.node_id for entry in client.timeline("i")] == ["double"]
    send_signal("i", "go", 3, backend)
    assert resume_workflow(GATE, "i", backend).output == 6


@pytest.mark.parametrize("start", STARTS)
def test_terminate_existing_of_each_start(backend, start):
    run_durable_workflow(DOUBLE, "i", 1, backend)
    STARTS[start](DOUBLE, backend, "terminate_existing")
    assert resume_workflow(DOUBLE, "i", backend).output == 20


def test_a_late_write_of_the_old_run_is_refused(backend):
    started, go, calls = threading.Event(), threading.Event(), Calls()

    def hold(x):
        started.set()
        await_event(go)
        return "old"

    workflow = Flow("w").then(hold).then(lambda x: calls(x) or x, name="after").build()
    with in_thread(run_durable_workflow, workflow, "i", 1, backend) as old:
        await_event(started)
        WorkflowClient(backend, conflict_policy="terminate_existing").submit(workflow, "i", 2)
        go.set()
        with pytest.raises(ClaimLostError, match="was replaced"):
            old.result()
    assert calls.made == []
    client = WorkflowClient(backend)
    assert client.status("i").is_in_progress()
    assert client.timeline("i") == []
    assert resume_workflow(workflow, "i", backend).output == "old"


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("policy", ["fail", "use_existing"])
def test_another_definition_under_the_id(backend, start, policy):
    run_durable_workflow(DOUBLE, "i", 1, backend)
    with pytest.raises(DefinitionMismatchError) as caught:
        STARTS[start](OTHER, backend, policy)
    assert caught.value.difference.splitlines()[-1] == '+  task "more"'
    assert "task" in str(caught.value)
    assert WorkflowClient(backend).status("i").output == 2


def test_another_definition_replaces(backend):
    run_durable_workflow(DOUBLE, "i", 1, backend)
    assert STARTS["run_workflow"](OTHER, backend, "terminate_existing") == 40
    assert WorkflowClient(backend).status("i").definition_hash == OTHER.definition_hash


def test_another_workflow_under_the_id(backend):
    run_durable_workflow(DOUBLE, "i", 1, backend)
    with pytest.raises(DefinitionMismatchError, match='[+]flow "gate"'):
        WorkflowClient(backend).submit(GATE, "i", 1)


def test_a_client_with_another_policy_shares_the_backend(backend):
    client = WorkflowClient(backend)
    other = client.with_conflict_policy("use_existing")
    assert other is not client
    assert other.backend is client.backend
    client.submit(DOUBLE, "i", 1)
    assert other.submit(DOUBLE, "i", 1).is_in_progress()
    with pytest.raises(InstanceAlreadyExistsError):
        client.submit(DOUBLE, "i", 1)


def test_one_of_many_submitters_wins(backend):
    barrier, outcomes = threading.Barrier(8), Calls()

    def submit():
        barrier.wait(30)
        try:
            WorkflowClient(backend).submit(DOUBLE, "i", 1)
            outcomes("created")
        except InstanceAlreadyExistsError:
            outcomes("taken")

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (outcomes.count("created"), outcomes.count("taken")) == (1, 7)


def test_backends_are_worlds_of_their_own():
    one, two = InMemoryBackend(), InMemoryBackend()
    run_durable_workflow(DOUBLE, "i", 1, one)
    assert two.load("i") is None
    assert run_durable_workflow(DOUBLE, "i", 2, two).output == 4
