"""Cancel, pause and unpause while tasks run, retry, or are about to start."""

import asyncio
import functools
import threading

import pytest

from sayiir import (
    Flow,
    InvalidStateError,
    RetryPolicy,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
    task,
)
from tests.runtime.support import PATIENCE_SECS, Calls, await_event, in_thread, until


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


# --- while a task runs --------------------------------------------------------------------------------------------


class Held:
    """An instance whose task stands still until it is let go."""

    def __init__(self, backend, kind="sync", *, last=False, fails=False, retries=None):
        self.started, self.go, self.cancelled, self.calls = (
            threading.Event(),
            threading.Event(),
            threading.Event(),
            Calls(),
        )
        self.client, self.backend, self.fails = WorkflowClient(backend), backend, fails
        body = {"sync": self.hold, "bounded": self.hold, "async": self.hold_async, "bounded async": self.hold_async}[
            kind
        ]
        options = {"timeout": 600} if "bounded" in kind else {}
        flow = Flow("w").then(task("hold", retries=retries, **options)(functools.partial(body)))
        if not last:
            flow.then(lambda x: self.calls("after") or x, name="after")
        self.workflow = flow.build()

    def hold(self, x):
        self.calls("hold")
        self.started.set()
        await_event(self.go)
        if self.fails:
            raise ValueError("failed")
        return x

    async def hold_async(self, x):
        self.calls("hold")
        self.started.set()
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.fails:
            raise ValueError("failed")
        return x

    def running(self):
        return in_thread(run_durable_workflow, self.workflow, "i", 1, self.backend)


@pytest.mark.parametrize("kind", ["sync", "bounded"])
def test_a_cancel_waits_for_the_task_that_runs(backend, kind):
    held = Held(backend, kind)
    with held.running() as running:
        await_event(held.started)
        held.client.cancel("i", reason="why", cancelled_by="who")
        assert held.client.status("i").is_in_progress()
        held.go.set()
        status = running.result()
    assert (status.status, status.reason, status.cancelled_by) == ("cancelled", "why", "who")
    assert held.calls.made == ["hold"]
    assert held.client.get_task_result("i", "hold") == 1  # what had been done is kept


@pytest.mark.parametrize("kind", ["async", "bounded async"])
def test_a_cancel_cancels_an_async_task(backend, kind):
    held = Held(backend, kind)
    with held.running() as running:
        await_event(held.started)
        held.client.cancel("i", reason="why")
        status = running.result()
    assert (status.status, status.reason) == ("cancelled", "why")
    assert held.cancelled.is_set()
    assert held.calls.made == ["hold"]


@pytest.mark.parametrize("kind", ["sync", "bounded", "async", "bounded async"])
def test_a_pause_waits_for_the_task_that_runs(backend, kind):
    held = Held(backend, kind)
    with held.running() as running:
        await_event(held.started)
        held.client.pause("i", reason="why", paused_by="who")
        assert held.client.status("i").is_in_progress()
        held.go.set()
        status = running.result()
    assert (status.status, status.reason, status.paused_by) == ("paused", "why", "who")
    assert held.calls.made == ["hold"]
    held.client.unpause("i")
    assert resume_workflow(held.workflow, "i", backend).output == 1
    assert held.calls.made == ["hold", "after"]


def test_unpause_withdraws_a_pause_that_has_not_taken_effect(backend):
    held = Held(backend)
    with held.running() as running:
        await_event(held.started)
        held.client.pause("i")
        held.client.unpause("i")
        held.go.set()
        assert running.result().is_completed()
    with pytest.raises(InvalidStateError):
        held.client.unpause("i")


@pytest.mark.parametrize("order", [("pause", "cancel"), ("cancel", "pause")])
def test_cancel_beats_pause(backend, order):
    held = Held(backend)
    with held.running() as running:
        await_event(held.started)
        for verb in order:
            getattr(held.client, verb)("i", reason=verb)
        held.go.set()
        status = running.result()
    assert (status.status, status.reason) == ("cancelled", "cancel")


def test_the_first_reason_stays(backend):
    held = Held(backend)
    with held.running() as running:
        await_event(held.started)
        held.client.cancel("i", reason="first", cancelled_by="a")
        held.client.cancel("i", reason="second", cancelled_by="b")
        held.go.set()
        status = running.result()
    assert (status.reason, status.cancelled_by) == ("first", "a")


@pytest.mark.parametrize(("verb", "state"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_request_during_the_last_task_wins(backend, verb, state):
    held = Held(backend, last=True)
    with held.running() as running:
        await_event(held.started)
        getattr(held.client, verb)("i")
        held.go.set()
        assert running.result().status == state
    if verb == "pause":
        held.client.unpause("i")
        assert resume_workflow(held.workflow, "i", backend).output == 1
    assert held.calls.made == ["hold"]


def test_a_cancel_during_a_failing_last_task_wins(backend):
    held = Held(backend, last=True, fails=True)
    with held.running() as running:
        await_event(held.started)
        held.client.cancel("i")
        held.go.set()
        assert running.result().is_cancelled()


def test_a_pause_does_not_hide_a_failure(backend):
    held = Held(backend, last=True, fails=True)
    with held.running() as running:
        await_event(held.started)
        held.client.pause("i")
        held.go.set()
        assert running.result().status in ("failed", "paused")
    assert held.client.timeline("i")[0].error == "ValueError: failed"


@pytest.mark.parametrize(("verb", "state"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_pending_retry_is_not_made(backend, verb, state):
    held = Held(backend, fails=True, retries=RetryPolicy(3, 0.0))
    with held.running() as running:
        await_event(held.started)
        getattr(held.client, verb)("i")
        held.go.set()
        assert running.result().status == state
    assert held.calls.made == ["hold"]
    if verb == "pause":
        held.client.unpause("i")
        assert resume_workflow(held.workflow, "i", backend).is_failed()
        assert held.calls.count("hold") == 4


def test_a_pause_waits_for_all_branches(backend):
    barrier, paused, go, calls = threading.Barrier(3), threading.Event(), threading.Event(), Calls()

    def quick(x):
        barrier.wait(PATIENCE_SECS)
        await_event(paused)
        return x

    def slow(x):
        barrier.wait(PATIENCE_SECS)
        await_event(go)
        return x

    workflow = (
        Flow("w")
        .fork()
        .branch(quick, lambda x: calls("after") or x)
        .branch(slow)
        .join(lambda d: calls("join") or d)
        .build()
    )
    client = WorkflowClient(backend)
    with in_thread(run_durable_workflow, workflow, "i", 1, backend) as running:
        barrier.wait(PATIENCE_SECS)
        client.pause("i")
        paused.set()
        until(backend, lambda: client.get_task_result("i", "quick", step=True) == 1)
        assert client.status("i").is_in_progress()  # one task still runs
        go.set()
        assert running.result().is_paused()
    assert calls.made == []
    client.unpause("i")
    assert resume_workflow(workflow, "i", backend).output == {"quick": 1, "slow": 1}
    assert calls.made == ["after", "join"]


def test_a_cancel_with_branches_in_every_state(backend):
    started, go = threading.Event(), threading.Event()
    calls = Calls()

    def hold(x):
        started.set()
        await_event(go)
        return x

    pause, gate = Flow("p").delay("d", 600).build(), Flow("g").wait_for_signal("go").build()
    workflow = (
        Flow("w")
        .fork()
        .branch(hold, lambda x: calls("after"))
        .branch(pause)
        .branch(gate)
        .branch(same)
        .join(lambda d: calls("join"))
        .build()
    )
    client = WorkflowClient(backend)
    with in_thread(run_durable_workflow, workflow, "i", 1, backend) as running:
        await_event(started)
        until(backend, lambda: len(client.status("i").parked) == 2 and client.get_task_result("i", "same") == 1)
        client.cancel("i")
        go.set()
        status = running.result()
    assert (status.status, status.parked) == ("cancelled", [])
    assert calls.made == []


def test_no_task_starts_after_a_cancel_has_returned(backend):
    """Between two tasks, in whatever moment the request falls."""
    calls, client = Calls(), WorkflowClient(backend)
    cancelled = threading.Event()

    def step(number):
        def work(x):
            calls(f"after cancel {number}" if cancelled.is_set() else "before")
            return x

        return work

    flow = Flow("w")
    for number in range(300):
        flow.then(step(number), name=f"t{number}")
    workflow = flow.build()
    for attempt in range(5):
        cancelled.clear()
        instance = f"i{attempt}"
        with in_thread(run_durable_workflow, workflow, instance, 1, backend) as running:
            until(backend, lambda: backend.load(instance) is not None)
            try:
                client.cancel(instance)
            except InvalidStateError:
                continue
            running_now = {entry.node_id for entry in client.timeline(instance) if entry.status == "running"}
            cancelled.set()
            assert running.result().is_cancelled()
        late = [name for name in calls.made if name.startswith("after cancel")]
        calls.made.clear()
        # The one task that ran at that moment may be seen on either side of the flag.
        assert len(late) <= 1, (late, running_now)


def test_steering_from_inside_a_task(backend):
    client = WorkflowClient(backend)

    def stop(x):
        client.cancel("i", reason="myself")
        return x

    status = run_durable_workflow(Flow("w").then(stop).then(same).build(), "i", 1, backend)
    assert (status.status, status.reason) == ("cancelled", "myself")


def test_pausing_from_inside_a_task_and_going_on(backend):
    client = WorkflowClient(backend)
    workflow = (
        Flow("w").then(lambda x: client.pause("i") or x, name="stop").fork().branch(same).join(lambda d: d).build()
    )
    assert run_durable_workflow(workflow, "i", 1, backend).is_paused()
    client.unpause("i")
    assert resume_workflow(workflow, "i", backend).output == {"same": 1}


def test_a_cancelled_run_in_another_process_life_stays_cancelled(backend):
    held = Held(backend)
    with held.running() as running:
        await_event(held.started)
        held.client.cancel("i")
        held.go.set()
        running.result()
    assert resume_workflow(held.workflow, "i", backend).is_cancelled()
    assert held.calls.made == ["hold"]
