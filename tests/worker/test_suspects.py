"""What a worker runs beside tasks with which processes died: all after one crash, each by itself before the last."""

import threading

import pytest

from sayiir import Flow, InMemoryBackend, RetryPolicy, SqliteBackend, WorkflowClient, task
from tests.worker.support import PATIENCE_SECS, Gate, ended, working


@pytest.fixture(params=[InMemoryBackend, SqliteBackend])
def store(request):
    """In memory both: there what an owner held outlives it."""
    with request.param() as store:
        yield store


def die(store, flow, times, *names):
    """Submit instances, and let so many processes die with all of them in hand."""
    for name in names:
        WorkflowClient(store).submit(flow, name, name)
    for _ in range(times):
        for name in names:
            assert len(store.claim(name, flow.definition_hash, "").claims) == 1
        store.abandon()
        assert store.sweep() == len(names)


class Looks:
    """Counts how often a worker has asked for work."""

    def __init__(self, store):
        self._claim_due, self._changed, self._count = store.claim_due, threading.Condition(), 0
        store.claim_due = self._claim

    def _claim(self, *args, **options):
        due = self._claim_due(*args, **options)
        with self._changed:
            self._count += 1
            self._changed.notify_all()
        return due

    def await_more(self, count):
        with self._changed:
            wanted = self._count + count
            assert self._changed.wait_for(lambda: self._count >= wanted, PATIENCE_SECS), "the worker looks no more"


def test_what_a_dead_worker_had_in_hand_runs_at_once_elsewhere(store):
    gate = Gate()
    flow = Flow("held").then(gate.pass_through, name="hold").build()
    die(store, flow, 1, "a", "b", "c")
    with working(store, [flow], concurrency=4):
        gate.await_arrivals(3)
        gate.open.set()
        ended(store, "a", "b", "c")


def test_before_the_last_crash_each_runs_by_itself_beside_the_innocent(store):
    gate, looks, running, peaks = Gate(), Looks(store), [], []

    def hold(name):
        running.append(name)
        peaks.append(len(running))
        looks.await_more(3)  # in which another could have been taken
        running.remove(name)

    flow = Flow("held").then(hold, name="hold").build()
    other = Flow("free").then(gate.pass_through, name="pass").build()
    die(store, flow, 2, "a", "b", "c")
    WorkflowClient(store).submit(other, "x", "x")
    with working(store, [flow, other], concurrency=4, poll_interval=0.02):
        gate.await_arrivals(1)
        ended(store, "a", "b", "c")
        gate.open.set()
        ended(store, "x")
    assert peaks == [1, 1, 1]


def test_who_waits_before_another_attempt_is_still_by_itself(store):
    looks, failed, running, peaks = Looks(store), set(), [], []

    @task(retries=RetryPolicy(max_retries=5, initial_delay_secs=0.001))
    def hold(name):
        if name not in failed:
            failed.add(name)
            raise ConnectionError("away")
        running.append(name)
        peaks.append(len(running))
        looks.await_more(3)  # in which another could have been taken
        running.remove(name)

    flow = Flow("held").then(hold, name="hold").build()
    die(store, flow, 2, "a", "b", "c")
    with working(store, [flow], concurrency=4, poll_interval=0.02, max_crashes=3):
        ended(store, "a", "b", "c")
    assert peaks == [1, 1, 1]


def test_who_has_ended_the_task_that_is_suspect_holds_nobody_up(store):
    gate = Gate()
    flow = Flow("held").then(lambda x: x, name="suspect").then(gate.pass_through, name="hold").build()
    die(store, flow, 2, "a", "b", "c")
    with working(store, [flow], concurrency=4):
        gate.await_arrivals(3)
        gate.open.set()
        ended(store, "a", "b", "c")
