"""WorkflowStatus: its words, its fields, and that exactly one of its questions is answered with yes."""

import datetime as dt
import pickle
import threading

import pytest

from sayiir import (
    Flow,
    RetryPolicy,
    WorkflowClient,
    WorkflowStatus,
    resume_workflow,
    run_durable_workflow,
    task,
)
from tests.runtime.support import await_event, in_thread

QUESTIONS = {
    "completed": WorkflowStatus.is_completed, "failed": WorkflowStatus.is_failed, "cancelled": WorkflowStatus.is_cancelled,
    "in_progress": WorkflowStatus.is_in_progress, "paused": WorkflowStatus.is_paused, "waiting": WorkflowStatus.is_waiting,
    "awaiting_signal": WorkflowStatus.is_awaiting_signal,
}  # fmt: skip


def same(x):
    return x


def fail(x):
    raise ValueError("boom")


DELAY = Flow("w").delay("pause", 60).then(same).build()
SIGNAL = Flow("w").wait_for_signal("go", name="gate", timeout=60).then(same).build()


def in_state(state, backend):
    client = WorkflowClient(backend)
    match state:
        case "completed":
            return run_durable_workflow(Flow("w").then(same).build(), "i", {"n": 42}, backend)
        case "failed":
            return run_durable_workflow(
                Flow("w").then(task("fail", retries=RetryPolicy(1, 0.0))(lambda x: fail(x))).build(), "i", 1, backend
            )
        case "waiting":
            return run_durable_workflow(DELAY, "i", 1, backend)
        case "awaiting_signal":
            return run_durable_workflow(SIGNAL, "i", 1, backend)
        case "in_progress":
            return client.submit(DELAY, "i", 1)
        case "cancelled":
            client.submit(DELAY, "i", 1)
            client.cancel("i", reason="out of stock", cancelled_by="me")
        case "paused":
            client.submit(DELAY, "i", 1)
            client.pause("i", reason="maintenance", paused_by="ops")
    return client.status("i")


@pytest.mark.parametrize("state", QUESTIONS)
def test_exactly_one_question_is_answered_with_yes(backend, state):
    for status in (in_state(state, backend), WorkflowClient(backend).status("i")):
        assert status.status == state
        assert [name for name, question in QUESTIONS.items() if question(status)] == [state]


@pytest.mark.parametrize("state", QUESTIONS)
def test_what_every_status_tells(timed, clock, state):
    before = clock.now()
    status = in_state(state, timed)
    assert (status.instance_id, status.workflow_id) == ("i", "w")
    assert len(status.definition_hash) == 64
    assert status.created_at == dt.datetime.fromtimestamp(before / 1e6, dt.UTC)
    assert status.updated_at.tzinfo is not None
    assert status.updated_at >= status.created_at
    fields = {
        "output",
        "error",
        "error_detail",
        "reason",
        "cancelled_by",
        "paused_by",
        "wake_at",
        "delay_id",
        "signal_id",
        "signal_name",
    }
    expected = {
        "completed": {"output"}, "failed": {"error", "error_detail"}, "cancelled": {"reason", "cancelled_by"}, "paused": {"reason", "paused_by"},
        "in_progress": set(), "waiting": {"wake_at", "delay_id"}, "awaiting_signal": {"wake_at", "signal_id", "signal_name"},
    }[state]  # fmt: skip
    assert {name for name in fields if getattr(status, name) is not None} == expected


def test_completed(backend):
    status = in_state("completed", backend)
    assert status.output == {"n": 42}
    assert repr(status) == "WorkflowStatus.Completed(output={'n': 42})"


def test_failed(backend):
    status = in_state("failed", backend)
    assert status.error == "ValueError: boom"
    detail = status.error_detail
    assert (detail.error_type, detail.message, detail.task_id, detail.node_id, detail.attempts) == (
        "ValueError",
        "boom",
        "fail",
        "fail",
        2,
    )
    assert detail.traceback.startswith("Traceback")
    assert detail.traceback.rstrip().endswith("ValueError: boom")
    assert repr(status) == "WorkflowStatus.Failed(error='ValueError: boom')"


def test_cancelled(backend):
    status = in_state("cancelled", backend)
    assert (status.reason, status.cancelled_by) == ("out of stock", "me")
    assert repr(status) == "WorkflowStatus.Cancelled(reason='out of stock', cancelled_by='me')"


def test_paused(backend):
    status = in_state("paused", backend)
    assert (status.reason, status.paused_by) == ("maintenance", "ops")
    assert repr(status) == "WorkflowStatus.Paused(reason='maintenance', paused_by='ops')"


def test_in_progress(backend):
    assert repr(in_state("in_progress", backend)) == "WorkflowStatus.InProgress()"


def test_waiting(timed, clock):
    status = in_state("waiting", timed)
    assert status.delay_id == "pause"
    assert status.wake_at == dt.datetime.fromtimestamp(clock.now() / 1e6, dt.UTC) + dt.timedelta(seconds=60)
    assert repr(status).startswith("WorkflowStatus.Waiting(wake_at=datetime.datetime(")
    assert [(item.node_id, item.kind, item.wake_at, item.signal_name) for item in status.parked] == [
        ("pause", "delay", status.wake_at, None)
    ]


def test_awaiting_signal(timed, clock):
    status = in_state("awaiting_signal", timed)
    assert (status.signal_id, status.signal_name) == ("gate", "go")
    assert status.wake_at.timestamp() == pytest.approx(clock.now() / 1e6 + 60)
    assert repr(status).startswith("WorkflowStatus.AwaitingSignal(signal_name='go', signal_id='gate', wake_at=")
    assert [(item.node_id, item.kind, item.signal_name) for item in status.parked] == [("gate", "signal", "go")]


def test_a_signal_without_timeout_has_no_wake_at(backend):
    status = run_durable_workflow(Flow("w").wait_for_signal("go").build(), "i", 1, backend)
    assert (status.wake_at, status.signal_id) == (None, "go")


def test_a_deadline_in_the_past_is_shown_until_somebody_looks(timed, clock):
    in_state("awaiting_signal", timed)
    clock.advance(100)
    status = WorkflowClient(timed).status("i")
    assert status.is_awaiting_signal()
    assert status.wake_at.timestamp() < clock.now() / 1e6
    assert resume_workflow(SIGNAL, "i", timed).error.startswith("SignalTimeoutError: ")


def test_awaiting_a_signal_comes_before_waiting(backend):
    pause = Flow("p").delay("later", 600).build()
    sooner = Flow("p").delay("sooner", 60).build()
    gate = Flow("g").wait_for_signal("go").build()
    workflow = (
        Flow("w").fork().branch(pause, name="a").branch(gate, name="b").branch(sooner, name="c").join(same).build()
    )
    status = run_durable_workflow(workflow, "i", 1, backend)
    assert (status.status, status.signal_id, status.signal_name, status.delay_id) == (
        "awaiting_signal",
        "child_1/go",
        "go",
        None,
    )
    assert {(item.node_id, item.kind) for item in status.parked} == {
        ("child_0/later", "delay"),
        ("child_1/go", "signal"),
        ("child_2/sooner", "delay"),
    }
    WorkflowClient(backend).send_signal("i", "go", 1)
    status = resume_workflow(workflow, "i", backend)
    assert (status.status, status.delay_id) == ("waiting", "child_2/sooner")
    assert len(status.parked) == 2


def test_a_running_instance_is_in_progress(backend):
    started, go = threading.Event(), threading.Event()

    def hold(x):
        started.set()
        await_event(go)
        return x

    pause = Flow("p").delay("d", 600).build()
    workflow = Flow("w").fork().branch(hold).branch(pause).join(same).build()
    with in_thread(run_durable_workflow, workflow, "i", 1, backend) as running:
        await_event(started)
        assert WorkflowClient(backend).status("i").is_in_progress()
        go.set()
        assert running.result().is_waiting()


@pytest.mark.parametrize("state", QUESTIONS)
def test_a_status_is_a_frozen_comparable_picklable_value(backend, state):
    status = in_state(state, backend)
    assert pickle.loads(pickle.dumps(status)) == status
    assert WorkflowClient(backend).status("i") == status
    with pytest.raises(AttributeError):
        status.status = "completed"


def test_times_are_exact_to_the_microsecond(timed, clock):
    clock.time = 1_700_000_000_123_457
    assert in_state("completed", timed).created_at == dt.datetime(2023, 11, 14, 22, 13, 20, 123457, tzinfo=dt.UTC)
