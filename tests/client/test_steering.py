"""Cancel, pause and unpause of instances of which nothing is running."""

import pytest

from sayiir import (
    Flow,
    InstanceNotFoundError,
    InvalidStateError,
    WorkflowClient,
    cancel_workflow,
    pause_workflow,
    resume_workflow,
    run_durable_workflow,
    send_signal,
    unpause_workflow,
)


def same(x):
    return x


DELAY = Flow("w").delay("pause", 60).then(same).build()
GATE = Flow("w").wait_for_signal("go").then(same).build()
FAILS = Flow("w").then(lambda x: 1 / 0).build()


def bring_to(state, backend):
    """Bring instance "i" to a state and return its workflow."""
    client = WorkflowClient(backend)
    match state:
        case "in_progress":
            client.submit(DELAY, "i", 1)
        case "waiting":
            run_durable_workflow(DELAY, "i", 1, backend)
        case "awaiting_signal":
            run_durable_workflow(GATE, "i", 1, backend)
            return GATE
        case "paused":
            run_durable_workflow(DELAY, "i", 1, backend)
            client.pause("i", reason="first", paused_by="a")
        case "completed":
            run_durable_workflow(Flow("w").then(same).build(), "i", 1, backend)
        case "failed":
            run_durable_workflow(FAILS, "i", 1, backend)
            return FAILS
        case "cancelled":
            client.submit(DELAY, "i", 1)
            client.cancel("i", reason="first", cancelled_by="a")
    return DELAY


def snapshot(backend):
    client = WorkflowClient(backend)
    return client.status("i"), client.timeline("i")


# --- nothing is running -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["in_progress", "waiting", "awaiting_signal", "paused"])
def test_cancel_takes_effect_at_once(backend, state):
    workflow = bring_to(state, backend)
    assert cancel_workflow("i", backend, reason="why", cancelled_by="who") is None
    status = WorkflowClient(backend).status("i")
    assert (status.status, status.reason, status.cancelled_by, status.paused_by) == ("cancelled", "why", "who", None)
    assert status.parked == []
    assert resume_workflow(workflow, "i", backend).is_cancelled()


@pytest.mark.parametrize("state", ["in_progress", "waiting", "awaiting_signal"])
def test_pause_takes_effect_at_once(backend, state):
    workflow = bring_to(state, backend)
    assert pause_workflow("i", backend, reason="why", paused_by="who") is None
    status = WorkflowClient(backend).status("i")
    assert (status.status, status.reason, status.paused_by, status.cancelled_by) == ("paused", "why", "who", None)
    assert resume_workflow(workflow, "i", backend).is_paused()


@pytest.mark.parametrize(
    ("state", "after"), [("in_progress", "in_progress"), ("waiting", "waiting"), ("awaiting_signal", "awaiting_signal")]
)
def test_unpause_goes_back_to_what_it_was(backend, state, after):
    bring_to(state, backend)
    pause_workflow("i", backend, reason="why")
    assert unpause_workflow("i", backend) is None
    status = WorkflowClient(backend).status("i")
    assert (status.status, status.reason, status.paused_by) == (after, None, None)


def test_pausing_and_unpausing_a_delay_does_not_shorten_or_lengthen_it(timed, clock):
    bring_to("waiting", timed)
    wake_at = WorkflowClient(timed).status("i").wake_at
    pause_workflow("i", timed)
    clock.advance(59)
    unpause_workflow("i", timed)
    assert resume_workflow(DELAY, "i", timed).wake_at == wake_at
    clock.advance(1)
    assert resume_workflow(DELAY, "i", timed).is_completed()


def test_a_delay_that_ended_while_paused(timed, clock):
    bring_to("paused", timed)
    clock.advance(100)
    assert resume_workflow(DELAY, "i", timed).is_paused()
    unpause_workflow("i", timed)
    assert resume_workflow(DELAY, "i", timed).is_completed()


def test_a_signal_sent_while_paused_is_kept(backend):
    bring_to("awaiting_signal", backend)
    pause_workflow("i", backend)
    send_signal("i", "go", 7, backend)
    assert resume_workflow(GATE, "i", backend).is_paused()
    unpause_workflow("i", backend)
    assert resume_workflow(GATE, "i", backend).output == 7


def test_cancelling_a_cancelled_one_is_no_op_and_keeps_the_first_reason(backend):
    bring_to("cancelled", backend)
    before = snapshot(backend)
    cancel_workflow("i", backend, reason="second", cancelled_by="b")
    assert snapshot(backend) == before
    assert before[0].reason == "first"


def test_pausing_a_paused_one_keeps_the_first_reason(backend):
    bring_to("paused", backend)
    pause_workflow("i", backend, reason="second", paused_by="b")
    assert WorkflowClient(backend).status("i").reason == "first"


def test_cancelling_a_paused_one_gives_the_cancels_reason(backend):
    bring_to("paused", backend)
    cancel_workflow("i", backend, reason="over")
    status = WorkflowClient(backend).status("i")
    assert (status.status, status.reason, status.cancelled_by) == ("cancelled", "over", None)


WRONG = [
    (cancel_workflow, "completed"), (cancel_workflow, "failed"),
    (pause_workflow, "completed"), (pause_workflow, "failed"), (pause_workflow, "cancelled"),
    (unpause_workflow, "in_progress"), (unpause_workflow, "waiting"), (unpause_workflow, "awaiting_signal"),
    (unpause_workflow, "completed"), (unpause_workflow, "failed"), (unpause_workflow, "cancelled"),
]  # fmt: skip


@pytest.mark.parametrize(("steer", "state"), WRONG, ids=[f"{steer.__name__} {state}" for steer, state in WRONG])
def test_wrong_states_are_refused_and_named(backend, steer, state):
    bring_to(state, backend)
    before = snapshot(backend)
    with pytest.raises(InvalidStateError, match=f"'i': it is {state}") as caught:
        steer("i", backend)
    assert (caught.value.instance_id, caught.value.status) == ("i", state)
    assert snapshot(backend) == before


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_signals_to_finished_instances_are_refused(backend, state):
    bring_to(state, backend)
    with pytest.raises(InvalidStateError, match=f"it is {state}") as caught:
        send_signal("i", "go", 1, backend)
    assert (caught.value.instance_id, caught.value.signal_name) == ("i", "go")


@pytest.mark.parametrize("steer", [cancel_workflow, pause_workflow, unpause_workflow])
def test_unknown_instances(backend, steer):
    with pytest.raises(InstanceNotFoundError, match="'nobody' not found") as caught:
        steer("nobody", backend)
    assert caught.value.instance_id == "nobody"


def test_the_functions_and_the_client_are_the_same(backend):
    client = WorkflowClient(backend)
    bring_to("waiting", backend)
    client.pause("i", reason="r", paused_by="p")
    assert client.status("i").paused_by == "p"
    client.unpause("i")
    client.cancel("i", reason="r", cancelled_by="c")
    assert client.status("i").cancelled_by == "c"
    for wrong in (lambda: client.cancel("i", "reason"), lambda: client.pause("i", "reason")):
        with pytest.raises(TypeError):
            wrong()
