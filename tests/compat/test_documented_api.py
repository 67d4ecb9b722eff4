"""The programs of the documented API, run as they stand there: execution, client, exceptions.

Each program is the documentation's own text. A preamble gives what the text takes for granted (functions that a reader is
meant to have, a backend where the text connects to a server); then the documented outcome is checked.
"""

import pytest

import sayiir
from sayiir import (
    Flow,
    InMemoryBackend,
    InstanceAlreadyExistsError,
    RetryPolicy,
    TaskError,
    WorkflowClient,
    WorkflowError,
    WorkflowStatus,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    send_signal,
)
from sayiir.flow.task import declaration_of
from tests.compat.support import program


def same(x):
    return x


# --- execution ----------------------------------------------------------------------------------------------------


def double_workflow():
    return Flow("test").then(lambda x: x * 2, name="double").build()


def test_run_workflow():
    names = program(
        """
        from sayiir import run_workflow

        # Prototype — no persistence
        result = run_workflow(workflow, 21)

        # Production — same function, just add params
        durable = run_workflow(workflow, 21, instance_id="run-001", backend=backend)

        # Idempotent — safe to call multiple times
        again = run_workflow(workflow, 21, instance_id="run-001", backend=backend, conflict_policy="use_existing")
        """,
        workflow=double_workflow(),
        backend=InMemoryBackend(),
    )
    assert (names["result"], names["durable"], names["again"]) == (42, 42, 42)
    for flow in (Flow("w").delay("d", 60), Flow("w").wait_for_signal("s")):
        with pytest.raises(WorkflowError):  # did not complete: parks
            run_workflow(flow.build(), 1, instance_id="i")


def test_run_durable_workflow(capsys):
    program(
        """
        from sayiir import run_durable_workflow, InMemoryBackend, Flow

        backend = InMemoryBackend()
        workflow = Flow("test").then(double).build()

        status = run_durable_workflow(
            workflow, "run-001", 21, backend=backend)

        if status.is_completed():
            print(status.output)  # 42
        """,
        double=lambda x: x * 2,
    )
    assert capsys.readouterr().out == "42\n"


def test_resume_cancel_pause_unpause():
    backend = InMemoryBackend()
    workflow = Flow("w").delay("d", 60).build()
    names = program(
        """
        from sayiir import resume_workflow

        status = resume_workflow(workflow, "run-001", backend)
        """,
        workflow=workflow,
        backend=(run_durable_workflow(workflow, "run-001", 1, backend), backend)[1],
    )
    assert names["status"].is_waiting()
    pause = program(
        """
        from sayiir import pause_workflow

        answer = pause_workflow(
            "run-001",
            backend,
            reason="Maintenance window",
            paused_by="ops@example.com")
        """,
        backend=backend,
    )
    status = WorkflowClient(backend).status("run-001")
    assert (status.is_paused(), status.reason, status.paused_by, pause["answer"]) == (
        True,
        "Maintenance window",
        "ops@example.com",
        None,
    )
    program('from sayiir import unpause_workflow\n\nunpause_workflow("run-001", backend)', backend=backend)
    assert not WorkflowClient(backend).status("run-001").is_paused()
    program(
        """
        from sayiir import cancel_workflow

        cancel_workflow(
            "run-001",
            backend,
            reason="User requested cancellation",
            cancelled_by="admin@example.com")
        """,
        backend=backend,
    )
    status = resume_workflow(workflow, "run-001", backend)
    assert (status.is_cancelled(), status.reason, status.cancelled_by) == (
        True,
        "User requested cancellation",
        "admin@example.com",
    )


def test_signals_are_buffered_first_in_first_out():
    backend = InMemoryBackend()
    workflow = Flow("w").wait_for_signal("s").then(lambda x: x, name="first").wait_for_signal("s", name="again").build()
    send_signal("i", "s", 1, backend)
    send_signal("i", "s", 2, backend)
    assert run_durable_workflow(workflow, "i", 0, backend).output == 2
    assert WorkflowClient(backend).get_task_result("i", "first") == 1


STATUS = """
    from sayiir import run_durable_workflow
    status = run_durable_workflow(workflow, "run-001", input_data, backend)

    print(status.status)  # "completed", "failed", "cancelled", etc.
    print(status.output)  # Final result if completed
    print(status.error)  # Error message if failed
    print(status.reason)  # Reason if cancelled/paused
    print(status.cancelled_by)  # Who cancelled (if applicable)

    # Convenience methods
    if status.is_completed():
        print(status.output)
    elif status.is_failed():
        print(status.error)
    elif status.is_cancelled():
        print(f"Cancelled: {status.reason}")
    elif status.is_paused():
        print("Workflow is paused")
    elif status.is_in_progress():
        print("Still running")
"""


def cancels_itself(backend):
    return Flow("w").then(lambda x: WorkflowClient(backend).cancel("run-001", reason="r", cancelled_by="me")).build()


@pytest.mark.parametrize(
    ("make", "printed"),
    [
        (lambda backend: double_workflow(), "completed 42 None None None 42"),
        (lambda backend: Flow("w").then(lambda x: int("x")).build(), "failed None ValueError: invalid literal for int() with base 10: 'x' None None ValueError: invalid literal for int() with base 10: 'x'"),
        (cancels_itself, "cancelled None None r me Cancelled: r"),
    ],
)  # fmt: skip
def test_workflow_status(capsys, make, printed):
    backend = InMemoryBackend()
    names = program(STATUS, workflow=make(backend), backend=backend, input_data=21)
    assert isinstance(names["status"], WorkflowStatus)
    assert capsys.readouterr().out.replace("\n", " ").strip() == printed


def test_retry_policy():
    names = program(
        """
        from sayiir import RetryPolicy, task

        policy = RetryPolicy(
            max_retries=3,
            initial_delay_secs=1.0,
            backoff_multiplier=2.0)

        @task(retries=policy)
        def flaky_task(data: dict) -> dict:
            # May fail and retry with exponential backoff
            return process(data)
        """
    )
    policy = names["policy"]
    assert [policy.delay_secs(attempt) for attempt in range(3)] == [1.0, 2.0, 4.0]
    assert (RetryPolicy().max_retries, RetryPolicy().initial_delay_secs, RetryPolicy().backoff_multiplier) == (
        2,
        1.0,
        2.0,
    )
    assert (
        declaration_of(names["flaky_task"]).metadata.retries is policy
        or declaration_of(names["flaky_task"]).metadata.retries == policy
    )


# --- the client ---------------------------------------------------------------------------------------------------


def validating():
    return (
        Flow("order")
        .then(lambda order: {"valid": True, **order}, name="validate_order")
        .wait_for_signal("approval")
        .build()
    )


def test_workflow_client():
    workflow, backend = validating(), InMemoryBackend()
    names = program(
        """
        from sayiir import WorkflowClient
        client = WorkflowClient(backend)
        # Submit a workflow — a worker will pick it up
        status = client.submit(workflow, "order-42", {"items": [1, 2, 3]})
        submitted = status
        # Lifecycle operations
        client.pause("order-42", reason="Maintenance window")
        client.unpause("order-42")
        client.send_signal("order-42", "approval", {"approved": True})
        client.cancel("order-42", reason="Out of stock", cancelled_by="system")
        status = client.status("order-42")
        """,
        workflow=workflow,
        backend=backend,
    )
    assert names["submitted"].is_in_progress()
    status = names["status"]
    assert (status.status, status.reason, status.cancelled_by) == ("cancelled", "Out of stock", "system")


def test_conflict_policies():
    names = program(
        """
        from sayiir import WorkflowClient
        # Safe retries — submitting the same ID twice returns the existing status
        client = WorkflowClient(backend, conflict_policy="use_existing")
        status = client.submit(workflow, "order-42", input) # creates
        created = status
        status = client.submit(workflow, "order-42", input) # returns existing
        """,
        workflow=validating(),
        backend=InMemoryBackend(),
        input={},
    )
    assert names["created"].is_in_progress()
    assert names["status"].is_in_progress()
    client = names["client"]
    with pytest.raises(InstanceAlreadyExistsError):
        WorkflowClient(client.backend).submit(validating(), "order-42", {})
    assert (
        client.with_conflict_policy("terminate_existing")
        .submit(validating(), "order-42", {"fresh": 1})
        .is_in_progress()
    )
    resume_workflow(validating(), "order-42", client.backend)
    assert client.get_task_result("order-42", "validate_order") == {"valid": True, "fresh": 1}


def test_client_status_and_task_result(capsys):
    backend = InMemoryBackend()
    workflow = validating()
    client = WorkflowClient(backend)
    client.submit(workflow, "order-42", {"id": 1})
    assert client.get_task_result("order-42", "validate_order") is None  # never executed
    resume_workflow(workflow, "order-42", backend)
    client.send_signal("order-42", "approval", "yes")
    resume_workflow(workflow, "order-42", backend)
    program(
        """
        status = client.status("order-42")
        if status.is_completed():
            print(status.output)
        result = client.get_task_result("order-42", "validate_order")
        if result is not None:
            print(result)
        """,
        client=client,
    )
    assert capsys.readouterr().out == "yes\n{'valid': True, 'id': 1}\n"


# --- exceptions ---------------------------------------------------------------------------------------------------


def test_workflow_error(capsys):
    broken = Flow("w").then(lambda x: 1 / 0).build()
    program(
        """
        from sayiir import WorkflowError, run_workflow

        try:
            run_workflow(workflow, input_data)
        except WorkflowError as e:
            print(f"Workflow error: {e}")
        from sayiir import TaskError

        try:
            run_workflow(workflow, input_data)
        except TaskError as e:
            print(f"Task failed: {e}")
        """,
        workflow=broken,
        input_data=1,
    )
    assert (
        capsys.readouterr().out
        == "Workflow error: ZeroDivisionError: division by zero\nTask failed: ZeroDivisionError: division by zero\n"
    )
    assert issubclass(TaskError, WorkflowError)
    assert issubclass(sayiir.BackendError, WorkflowError)


def test_instance_already_exists(capsys):
    backend = InMemoryBackend()
    run_durable_workflow(double_workflow(), "run-001", 1, backend)
    program(
        """
        from sayiir import InstanceAlreadyExistsError, run_durable_workflow

        try:
            run_durable_workflow(workflow, "run-001", input_data, backend=backend)
        except InstanceAlreadyExistsError:
            print("Instance already exists — use conflict_policy='use_existing' for idempotent runs")
        """,
        workflow=double_workflow(),
        backend=backend,
        input_data=1,
    )
    assert capsys.readouterr().out.startswith("Instance already exists")
