"""`/metrics` of the server: real values of the store, and of whatever this process measures, each once."""

from __future__ import annotations

import json
import urllib.request

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from sayiir import Flow, InMemoryBackend, Worker, WorkflowClient
from sayiir.server import create_app
from sayiir.telemetry.metrics import Backlog, Metrics, backlog_of
from tests.cli.test_serving import FLOW, Started, get
from tests.telemetry.test_metrics import samples
from tests.worker.support import eventually

ADD = Flow("add").then(lambda x: x + 1, name="add").build()


@pytest.fixture
def backend():
    with InMemoryBackend() as backend:
        yield backend


@pytest.fixture
def http(backend):
    with TestClient(create_app(backend, [ADD]), base_url="http://localhost") as client:
        yield client


def page(http):
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    names = [family.name for family in text_string_to_metric_families(answer.text)]
    assert len(set(names)) == len(names), "no family stands there twice"
    return samples(answer.content)


def test_the_backlog_is_the_stores(http):
    assert http.post("/api/v1/instances", json={"workflow_id": "add", "input": 1}).status_code == 201
    found = page(http)
    assert found["sayiir_queue_due",] == 1
    assert found["sayiir_queue_oldest_seconds",] >= 0
    assert ("sayiir_checkpoints_total",) not in found


def test_whoever_measures_in_this_process_is_shown(http, backend):
    client = WorkflowClient(backend)
    with Metrics(), Worker("w-1", backend).start([ADD]):
        client.submit(ADD, "a", 1)
        assert client.result("a", 20) == 2
        taken = "sayiir_task_seconds_count", ("outcome", "completed"), ("task", "add"), ("workflow", "add")
        found = eventually(lambda: (now := page(http)).get(taken) and now)
    assert found[taken] == 1
    assert found["sayiir_queue_due",] == 0
    assert found["sayiir_worker_slots", ("kind", "sync"), ("state", "all"), ("worker", "w-1")] == 32
    assert taken not in page(http)


def test_what_is_measured_twice_is_shown_once(http, backend):
    registered = set(REGISTRY._collector_to_names)
    WorkflowClient(backend).submit(ADD, "a", 1)
    try:
        with Metrics(lambda: Backlog(7, 1.0), REGISTRY), Metrics(lambda: backlog_of(backend)):
            found = page(http)
    finally:
        for mine in set(REGISTRY._collector_to_names) - registered:
            REGISTRY.unregister(mine)
    assert found["sayiir_queue_due",] == 1, "the server's own"
    assert found["sayiir_claims_lost_total",] == 0


def test_dev_counts_what_its_worker_does(tmp_path):
    (tmp_path / "hello.py").write_text(FLOW.format(word="Hello"))
    with Started("dev", "hello:greet", "--bind", "127.0.0.1:0", "--no-reload", cwd=tmp_path) as dev:
        url = dev.at()
        body = json.dumps({"workflow_id": "greet", "instance_id": "a", "input": "Ada"}).encode()
        request = urllib.request.Request(f"{url}/api/v1/instances", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 201
        taken = "sayiir_task_seconds_count", ("outcome", "completed"), ("task", "greet"), ("workflow", "greet")
        found = eventually(lambda: (now := samples(get(f"{url}/metrics"))).get(taken) and now)
        dev.send()
        assert dev.end() == 0
    assert found[taken] == 1
    assert found["sayiir_claims_lost_total",] == 0
    assert "sayiir_queue_due" in {key[0] for key in found}
