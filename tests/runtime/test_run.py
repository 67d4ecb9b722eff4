"""The table of runs: what blocks, what parks, what is returned, what is raised."""

import pytest

from sayiir import (
    DefinitionMismatchError,
    Flow,
    InMemoryBackend,
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    TaskError,
    WorkflowClient,
    WorkflowError,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    send_signal,
    task,
)
from tests.runtime.support import Calls


def double(x):
    return x * 2


def fail(x):
    raise ValueError("boom")


DOUBLE = Flow("double").then(double).build()
FAIL = Flow("fail").then(fail).build()
WAIT = Flow("wait").then(double).delay("pause", 60).then(double, name="again").build()
SIGNAL = Flow("signal").then(double).wait_for_signal("go", name="gate").then(double, name="again").build()


# --- in memory ----------------------------------------------------------------------------------------------------


def test_run_returns_the_output():
    assert run_workflow(DOUBLE, 21) == 42


def test_run_blocks_through_delays():
    workflow = (
        Flow("w")
        .then(double)
        .delay("a", 0.01)
        .fork()
        .branch(Flow("c").delay("d", 0.01).build())
        .branch(double, name="b")
        .join(lambda d: d)
        .build()
    )
    assert run_workflow(workflow, 1) == {"c": 2, "b": 4}


def test_run_never_begins_a_flow_that_waits_for_a_signal():
    calls = Calls()
    child = Flow("c").wait_for_signal("go", name="gate").build()
    workflow = Flow("w").then(calls).fork().branch(child).join(double).build()
    with pytest.raises(WorkflowError, match="needs a durable run") as caught:
        run_workflow(workflow, 1)
    assert not isinstance(caught.value, TaskError)
    assert (caught.value.workflow_id, caught.value.node_id) == ("w", "child_0/gate")
    assert "child_0/gate" in str(caught.value)
    assert calls.made == []


@pytest.mark.parametrize("workflow", [FAIL, Flow("fail").then(task("fail", timeout=30)(lambda x: fail(x))).build()])
def test_a_failed_run_raises_with_the_cause(workflow):
    with pytest.raises(TaskError) as caught:
        run_workflow(workflow, 1)
    error = caught.value
    assert str(error).startswith("ValueError: boom")
    assert type(error.__cause__) is ValueError
    assert (error.workflow_id, error.instance_id, error.task_id) == ("fail", "fail", "fail")
    assert (error.attempt, error.error_type) == (1, "ValueError")
    assert "raise ValueError" in error.traceback
    assert "sayiir/runtime" not in error.traceback


def test_a_backend_needs_a_name():
    with pytest.raises(ValueError, match="backend= needs instance_id="):
        run_workflow(DOUBLE, 1, backend=InMemoryBackend())


@pytest.mark.parametrize("workflow", [Flow("w").then(double), None, double, "w"])
def test_only_workflows_are_run(workflow):
    hint = r"call \.build\(\)" if isinstance(workflow, Flow) else "expected a Workflow"
    for run in (
        lambda: run_workflow(workflow, 1),
        lambda: run_workflow(workflow, 1, instance_id="a"),
        lambda: run_durable_workflow(workflow, "a", 1),
        lambda: resume_workflow(workflow, "a", InMemoryBackend()),
        lambda: WorkflowClient(InMemoryBackend()).submit(workflow, "a", 1),
    ):
        with pytest.raises(TypeError, match=hint):
            run()


@pytest.mark.parametrize("backend", ["sqlite", object(), InMemoryBackend, 5])
def test_only_backends_are_used(backend):
    for run in (
        lambda: run_workflow(DOUBLE, 1, instance_id="a", backend=backend),
        lambda: run_durable_workflow(DOUBLE, "a", 1, backend),
        lambda: resume_workflow(DOUBLE, "a", backend),
        lambda: WorkflowClient(backend),
    ):
        with pytest.raises(TypeError, match="expected a backend"):
            run()


# --- durable, returning the output --------------------------------------------------------------------------------


def test_a_durable_run_returns_the_output(backend):
    assert run_workflow(DOUBLE, 21, instance_id="a", backend=backend) == 42
    assert WorkflowClient(backend).status("a").output == 42


def test_a_durable_run_without_a_backend_uses_one_of_its_own():
    assert run_workflow(DOUBLE, 21, instance_id="a") == 42
    assert run_workflow(DOUBLE, 21, instance_id="a") == 42
    assert run_durable_workflow(DOUBLE, "a", 21).output == 42


@pytest.mark.parametrize(("workflow", "state"), [(WAIT, "waiting"), (SIGNAL, "awaiting_signal")])
def test_a_parked_run_did_not_complete(backend, workflow, state):
    with pytest.raises(WorkflowError, match=rf"did not complete \(status={state}\)") as caught:
        run_workflow(workflow, 1, instance_id="a", backend=backend)
    assert not isinstance(caught.value, TaskError)
    assert (caught.value.instance_id, caught.value.status) == ("a", state)
    assert WorkflowClient(backend).status("a").status == state


def test_a_failed_durable_run_raises_with_the_cause(backend):
    with pytest.raises(TaskError, match="^ValueError: boom") as caught:
        run_workflow(FAIL, 1, instance_id="a", backend=backend)
    assert type(caught.value.__cause__) is ValueError
    assert (caught.value.instance_id, caught.value.task_id) == ("a", "fail")


def test_the_stored_failure_raises_without_a_cause(backend):
    run_durable_workflow(FAIL, "a", 1, backend)
    with pytest.raises(TaskError, match="^ValueError: boom") as caught:
        run_workflow(FAIL, 1, instance_id="a", backend=backend, conflict_policy="use_existing")
    assert caught.value.__cause__ is None
    assert "raise ValueError" in caught.value.traceback


def test_the_documented_idempotent_run(backend):
    assert run_workflow(DOUBLE, 21, instance_id="run-001", backend=backend) == 42
    assert run_workflow(DOUBLE, 21, instance_id="run-001", backend=backend, conflict_policy="use_existing") == 42
    with pytest.raises(InstanceAlreadyExistsError):
        run_workflow(DOUBLE, 21, instance_id="run-001", backend=backend)


# --- durable, returning the status --------------------------------------------------------------------------------


def test_a_task_that_fails_is_a_status(backend):
    status = run_durable_workflow(FAIL, "a", 1, backend)
    assert status.is_failed()
    assert status.error == "ValueError: boom"


def test_a_delay_parks(backend):
    status = run_durable_workflow(WAIT, "a", 1, backend)
    assert (status.status, status.delay_id) == ("waiting", "pause")


def test_a_signal_parks(backend):
    status = run_durable_workflow(SIGNAL, "a", 1, backend)
    assert (status.status, status.signal_id, status.signal_name) == ("awaiting_signal", "gate", "go")
    send_signal("a", "go", 5, backend)
    assert resume_workflow(SIGNAL, "a", backend).output == 10


def test_resuming_too_early_changes_nothing(timed, clock):
    run_durable_workflow(WAIT, "a", 1, timed)
    clock.advance(59.9)
    assert resume_workflow(WAIT, "a", timed).is_waiting()
    clock.advance(0.1)
    assert resume_workflow(WAIT, "a", timed).output == 4


def test_finished_tasks_never_run_again(timed, clock):
    calls = Calls()

    def note(name):
        def function(x):
            calls(name)
            return x

        return function

    workflow = Flow("w").then(note("a"), name="a").delay("d", 5).then(note("b"), name="b").build()
    run_durable_workflow(workflow, "i", 1, timed)
    for _ in range(3):
        assert resume_workflow(workflow, "i", timed).is_waiting()
    clock.advance(5)
    assert resume_workflow(workflow, "i", timed).is_completed()
    assert resume_workflow(workflow, "i", timed).is_completed()
    assert calls.made == ["a", "b"]


def test_resume_reports_what_has_ended(backend):
    run_durable_workflow(FAIL, "a", 1, backend)
    assert resume_workflow(FAIL, "a", backend).is_failed()


def test_resume_of_the_unknown(backend):
    with pytest.raises(InstanceNotFoundError, match="'nobody' not found"):
        resume_workflow(DOUBLE, "nobody", backend)


def test_resume_with_another_definition_says_what_differs(backend):
    run_durable_workflow(WAIT, "a", 1, backend)
    other = Flow("wait").then(double).delay("pause", 60).then(double, name="more").build()
    with pytest.raises(DefinitionMismatchError) as caught:
        resume_workflow(other, "a", backend)
    assert '-  task "again"' in caught.value.difference
    assert '+  task "more"' in caught.value.difference
    assert caught.value.difference in str(caught.value)
    assert (caught.value.instance_id, caught.value.workflow_id) == ("a", "wait")


def test_changes_that_are_safe_for_running_instances(timed, clock):
    first = Flow("w").then(double).delay("d", 60).then(task("b", retries=1)(lambda x: x * 2)).build()
    second = (
        Flow("w", metadata={"v": 2})
        .then(task("double", timeout=9)(lambda x: x))
        .delay("d", 1)
        .then(double, name="b")
        .build()
    )
    run_durable_workflow(first, "a", 1, timed)
    clock.advance(60)
    assert resume_workflow(second, "a", timed).output == 4
