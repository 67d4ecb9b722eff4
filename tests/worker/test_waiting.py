"""Retries, delays and signals free the slot, and go on by themselves when their time has come."""

import threading

from sayiir import Flow, RetryPolicy, WorkflowClient, task
from tests.worker.support import await_event, ended, eventually, reached, status, working


def backs_off(backend, instance_id):
    token = backend.load(instance_id).tokens[0]
    return token.state == "backoff" and token.owner is None


def test_a_retry_frees_the_slot_and_is_made_when_it_is_due(timed, clock):
    tries = []

    @task(retries=RetryPolicy(2, 60))
    def flaky(x):
        tries.append(clock.now())
        if len(tries) < 3:
            raise ConnectionError("down")
        return x

    flow, other = Flow("w").then(flaky).build(), Flow("o").then(lambda x: x, name="o").build()
    client = WorkflowClient(timed)
    with working(timed, [flow, other], concurrency=1):
        client.submit(flow, "a", "done")
        eventually(lambda: backs_off(timed, "a"))
        client.submit(other, "b", "beside")
        assert ended(timed, "b").output == "beside"
        clock.advance(59.9)
        client.submit(other, "c", "beside")
        ended(timed, "c")
        assert len(tries) == 1
        clock.advance(0.2)
        eventually(lambda: len(tries) == 2 and backs_off(timed, "a"))
        clock.advance(120)
        assert ended(timed, "a").output == "done"
    assert tries[1] - tries[0] >= 60_000_000
    assert tries[2] - tries[1] >= 120_000_000


def test_a_delay_ends_without_anybody_resuming(timed, clock):
    flow = Flow("w").delay("night", "8h").then(lambda x: x, name="morning").build()
    client = WorkflowClient(timed)
    with working(timed, [flow], concurrency=1):
        for number in range(20):
            client.submit(flow, f"i{number}", number)
        for number in range(20):
            reached(timed, f"i{number}", "waiting")
        clock.advance(8 * 3600 - 1)
        assert status(timed, "i0").is_waiting()
        clock.advance(1)
        assert [s.output for s in ended(timed, *(f"i{n}" for n in range(20)))] == list(range(20))


def test_a_delay_that_ends_while_the_worker_looks_is_not_slept_over(timed, clock, monkeypatch):
    """It was not due yet when the store was asked, and is when the worker reckons how long to sleep."""
    flow = Flow("w").delay("night", "8h").then(lambda x: x, name="morning").build()
    other = Flow("o").then(lambda x: x, name="o").build()
    client, armed, claim_due = WorkflowClient(timed), threading.Event(), timed.claim_due

    def slow(*asked, **options):
        due = claim_due(*asked, **options)
        if armed.is_set() and due.next_at is not None and not due.works:
            armed.clear()
            clock.advance((due.next_at - timed.now()) / 1e6 + 0.001)
        return due

    monkeypatch.setattr(timed, "claim_due", slow)
    with working(timed, [flow, other]):
        client.submit(flow, "a", 1)
        reached(timed, "a", "waiting")
        client.submit(other, "b", 1)
        ended(timed, "b")  # the worker has seen the delay
        armed.set()
        client.submit(other, "c", 1)
        assert ended(timed, "a").output == 1


def test_a_signal_wakes_its_instance_and_a_deadline_ends_the_wait(timed, clock):
    flow = (
        Flow("w")
        .wait_for_signal("go", name="go", timeout="1h", on_timeout="continue")
        .then(lambda x: x, name="after")
        .build()
    )
    client = WorkflowClient(timed)
    with working(timed, [flow]):
        for name in ("signalled", "expired"):
            client.submit(flow, name, "own")
            reached(timed, name, "awaiting_signal")
        client.send_signal("signalled", "go", "sent")
        assert ended(timed, "signalled").output == "sent"
        assert status(timed, "expired").is_awaiting_signal()
        clock.advance(3600)
        assert ended(timed, "expired").output == "own"


def test_signals_sent_before_the_wait_are_consumed_in_order(backend):
    flow = Flow("w").wait_for_signal("s", name="one").wait_for_signal("s", name="two").build()
    client = WorkflowClient(backend)
    for payload in (1, 2, 3):
        client.send_signal("a", "s", payload)
    with working(backend, [flow]):
        client.submit(flow, "a", None)
        assert ended(backend, "a").output == 2
    assert client.get_task_result("a", "one") == 1


def test_branches_wait_apart_from_each_other(backend):
    ran = threading.Event()
    waits = Flow("waits").wait_for_signal("go", name="go").build()
    flow = (
        Flow("w")
        .fork()
        .branch(waits, name="waits")
        .branch(lambda x: ran.set(), name="runs")
        .join(lambda x: x, name="join")
        .build()
    )
    client = WorkflowClient(backend)
    with working(backend, [flow], concurrency=1):
        client.submit(flow, "a", 1)
        await_event(ran)
        reached(backend, "a", "awaiting_signal")
        client.send_signal("a", "go", "came")
        assert ended(backend, "a").output == {"waits": "came", "runs": None}
