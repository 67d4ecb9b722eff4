"""Cancel, pause and replacement reach what a worker runs."""

import asyncio
import logging
import threading

from sayiir import Flow, RetryPolicy, WorkflowClient, get_task_context, task
from sayiir.telemetry.metrics import Metrics
from tests.worker.support import Gate, await_event, ended, eventually, reached, status, working


def test_a_cancel_reaches_a_running_coroutine(backend):
    began, cleaned = threading.Event(), threading.Event()

    async def hang(x):
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    flow = Flow("w").then(hang).then(lambda x: x, name="after").build()
    client = WorkflowClient(backend)
    with working(backend, [flow]):
        client.submit(flow, "a", 1)
        await_event(began)
        client.cancel("a", reason="enough", cancelled_by="me")
        await_event(cleaned)
        found = ended(backend, "a")
    assert (found.status, found.reason, found.cancelled_by) == ("cancelled", "enough", "me")


def test_a_cancel_shows_in_the_context_of_a_thread_and_no_further_task_starts(backend):
    began, after = threading.Event(), threading.Event()

    def watch(x):
        began.set()
        eventually(lambda: get_task_context().cancelled)
        return x

    flow = Flow("w").then(watch).then(lambda x: after.set(), name="after").build()
    client = WorkflowClient(backend)
    with working(backend, [flow]):
        client.submit(flow, "a", 1)
        await_event(began)
        client.cancel("a")
        assert ended(backend, "a").is_cancelled()
    assert not after.is_set()


def test_a_pause_stops_before_the_next_task_and_unpause_goes_on(backend):
    gate, after = Gate(), threading.Event()

    def first(x):
        gate.pass_through()
        return x + 1

    def second(x):
        after.set()
        return x * 10

    flow = Flow("w").then(first).then(second).build()
    client = WorkflowClient(backend)
    with working(backend, [flow]):
        client.submit(flow, "a", 1)
        gate.await_arrivals()
        client.pause("a")
        gate.open.set()
        reached(backend, "a", "paused")
        assert not after.is_set()
        assert client.get_task_result("a", "first") == 2
        client.unpause("a")
        assert ended(backend, "a").output == 20


def test_what_waits_is_paused_unpaused_and_cancelled_under_a_worker(backend):
    flow = Flow("w").wait_for_signal("go", name="go").build()
    client = WorkflowClient(backend)
    with working(backend, [flow]):
        for name in ("paused", "cancelled"):
            client.submit(flow, name, 1)
            reached(backend, name, "awaiting_signal")
        client.cancel("cancelled")
        client.pause("paused")
        client.send_signal("paused", "go", "payload")
        assert status(backend, "paused").is_paused()
        client.unpause("paused")
        assert ended(backend, "paused").output == "payload"
        assert status(backend, "cancelled").is_cancelled()


def test_a_late_write_of_a_replaced_instance_is_refused_and_logged(backend, caplog):
    gate, values = Gate(), []

    @task(retries=RetryPolicy(1, 0.0))
    def step(x):
        if x == "old" and get_task_context().attempt == 1:
            raise ValueError("once more")
        gate.pass_through(x)
        values.append(x)
        return x

    flow = Flow("w").then(step).build()
    client = WorkflowClient(backend)
    with Metrics() as metrics, caplog.at_level(logging.INFO, "sayiir"), working(backend, [flow], worker_id="loser"):
        client.submit(flow, "a", "old")
        gate.await_arrivals()
        client.with_conflict_policy("terminate_existing").submit(flow, "a", "new")
        gate.await_arrivals(2)
        gate.open.set()
        assert ended(backend, "a").output == "new"
    refused = [record for record in caplog.records if "is refused" in record.message]
    assert [(r.worker_id, r.instance_id, r.task_id, r.attempt) for r in refused] == [("loser", "a", "step", 2)]
    assert sorted(values) == ["new", "old"]
    assert metrics.registry.get_sample_value("sayiir_claims_lost_total") == 1


def test_a_failing_branch_cancels_the_coroutines_beside_it(backend):
    began, cleaned = threading.Event(), threading.Event()

    async def hang(x):
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    def fail(x):
        await_event(began)
        raise ValueError("no")

    flow = Flow("w").fork().branch(hang).branch(fail).join(lambda x: x, name="join").build()
    with working(backend, [flow]):
        WorkflowClient(backend).submit(flow, "a", 1)
        assert ended(backend, "a").error == "ValueError: no"
        await_event(cleaned)
