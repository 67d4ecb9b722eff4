"""Metrics as Prometheus reads them."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sayiir import (
    Flow,
    InMemoryBackend,
    PostgresBackend,
    RetryPolicy,
    Worker,
    WorkflowClient,
    get_task_context,
    resume_workflow,
    task,
)
from sayiir.runtime import observe
from sayiir.telemetry.metrics import Backlog, Exposed, Metrics, backlog_of
from sayiir.testing.clock import FakeClock
from tests.servers.ground import until
from tests.worker.support import STORES, Gate, eventually, open_store


@task(retries=RetryPolicy(1, 0.0))
def flaky(value):
    if value < 0 or get_task_context().attempt == 1:
        raise ValueError("not yet")
    return value


WORKFLOW = Flow("order").then(flaky).then(lambda x: x, name="last").build()


def samples(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(params=STORES)
def timed(request, tmp_path, clock):
    with open_store(request.param, tmp_path, clock=clock) as store:
        yield store


def test_what_a_worker_did_is_scraped():
    backend = InMemoryBackend()
    client = WorkflowClient(backend)
    with Metrics(lambda: Backlog(3, 1.5)) as metrics, Worker("w-1", backend).start([WORKFLOW]):
        client.submit(WORKFLOW, "a", 1)
        client.submit(WORKFLOW, "b", -1)
        for name in "ab":
            client.wait(name, 20)
        # Whoever waits learns of the end a moment before the checkpoint is counted.
        until(lambda: samples(metrics.text())["sayiir_checkpoints_total",] >= 5, "the count of five checkpoints")
        exposed = Exposed(metrics, 0)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{exposed.port}/metrics") as answer:
                assert answer.headers["Content-Type"].startswith("text/plain")
                found = samples(answer.read())
            with pytest.raises(urllib.error.HTTPError, match="only /metrics"):
                urllib.request.urlopen(f"http://127.0.0.1:{exposed.port}/")
        finally:
            exposed.close()
    flaky, order = ("task", "flaky"), ("workflow", "order")
    assert found["sayiir_task_seconds_count", ("outcome", "failed"), flaky, order] == 3
    assert found["sayiir_task_seconds_count", ("outcome", "completed"), flaky, order] == 1
    assert found["sayiir_task_seconds_count", ("outcome", "completed"), ("task", "last"), order] == 1
    assert found["sayiir_task_retries_total", flaky, order] == 2
    assert found["sayiir_task_failures_total", flaky, order] == 1
    assert found["sayiir_checkpoints_total",] >= 5
    assert found["sayiir_checkpoint_seconds_count",] >= 1
    assert found["sayiir_claims_lost_total",] == 0
    assert found["sayiir_queue_due",] == 3
    assert found["sayiir_queue_oldest_seconds",] == 1.5
    slots = {key[2][1]: value for key, value in found.items() if key[0] == "sayiir_worker_slots" and key[1][1] == "sync"}
    assert slots["all"] == 32
    assert 0 <= slots["used"] <= 2


def test_a_task_that_runs_uses_a_slot():
    backend, gate = InMemoryBackend(), Gate()
    flow = Flow("held").then(gate.pass_through, name="held").build()
    used = "sayiir_worker_slots", ("kind", "sync"), ("state", "used"), ("worker", "w-1")
    with Metrics() as metrics, Worker("w-1", backend).start([flow]):
        assert samples(metrics.text())[used] == 0
        WorkflowClient(backend).submit(flow, "a", 1)
        gate.await_arrivals()
        assert samples(metrics.text())[used] == 1
        gate.open.set()
        WorkflowClient(backend).result("a", 20)
        eventually(lambda: samples(metrics.text())[used] == 0)
    assert not any(key[0] == "sayiir_worker_slots" for key in samples(metrics.text()))


def test_the_backlog_of_a_store_whose_time_is_ours(timed, clock):
    assert backlog_of(timed) == Backlog(0, 0.0)
    client = WorkflowClient(timed)
    for name in "ab":
        client.submit(WORKFLOW, name, 1)
        clock.advance(90)
    found = samples(Metrics(lambda: backlog_of(timed)).text())
    assert (found["sayiir_queue_due",], found["sayiir_queue_oldest_seconds",]) == (2, 180)


def test_the_backlog_of_postgres(pg_url):
    with PostgresBackend(pg_url) as backend:
        assert backlog_of(backend) == Backlog(0, 0.0)
        for name in "ab":
            WorkflowClient(backend).submit(WORKFLOW, name, 1)
        first = eventually(lambda: (now := backlog_of(backend)).oldest_secs > 0 and now)
        assert first.due == 2
        eventually(lambda: backlog_of(backend).oldest_secs > first.oldest_secs)
        resume_workflow(WORKFLOW, "a", backend)
        assert backlog_of(backend).due == 1


def test_a_backend_that_is_away_leaves_the_other_metrics():
    def away():
        raise OSError("away")

    metrics = Metrics(away)
    observe.claim_lost({})
    with metrics:
        observe.claim_lost({})
    found = samples(metrics.text())
    assert found["sayiir_claims_lost_total",] == 1
    assert ("sayiir_queue_due",) not in found
