"""Traces of what comes through the faces: the HTTP API, its pages, the commands, and a worker whose modules log."""

from __future__ import annotations

import json
import urllib.request

import pytest
from opentelemetry import trace
from starlette.testclient import TestClient

from sayiir import Flow, InMemoryBackend, Worker, WorkflowClient, connect, init_tracing, shutdown_tracing
from sayiir.runtime import observe
from sayiir.server import create_app
from tests.cli.conftest import Shop
from tests.cli.support import Command
from tests.cli.test_serving import Started
from tests.telemetry.conftest import facts

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=one-two,other=3"}
GATE = Flow("gate").then(lambda x: x + 1, name="first").wait_for_signal("go", type=int).then(str, name="last").build()


@pytest.fixture
def backend():
    with InMemoryBackend() as backend:
        yield backend


@pytest.fixture
def http(backend):
    with TestClient(create_app(backend, [GATE]), base_url="http://localhost") as client:
        yield client


def submit(http, name="a", **headers):
    body = {"workflow_id": "gate", "instance_id": name, "input": 1}
    answer = http.post("/api/v1/instances", json=body, headers=headers)
    assert answer.status_code == 201, answer.text


def test_one_trace_over_requests_of_the_api_and_a_worker(collector, http, backend):
    init_tracing()
    client = WorkflowClient(backend)
    with Worker("w-1", backend).start([GATE]):
        submit(http, **SENT)
        client.wait("a", 20, until="parked")
        assert http.post("/api/v1/instances/a/signals/go", json={"payload": 5}, headers=SENT).json() == {"accepted": True}
        assert client.result("a", 20) == "5"
    shutdown_tracing()
    (one,), (signal,) = collector.named("submit gate"), collector.named("signal go")
    mine = [one, signal, *collector.named("first"), *collector.named("last")]
    assert len(mine) == 4
    assert {span.trace_id.hex() for span in mine} == {TRACE}
    assert {span.trace_state for span in mine} == {SENT["tracestate"]}
    assert one.parent_span_id.hex() == PARENT
    assert {span.parent_span_id for span in mine[1:]} == {one.span_id}
    assert [link.span_id.hex() for link in signal.links] == [PARENT]
    assert facts(one) == {"workflow_id": "gate", "instance_id": "a"}
    assert facts(signal) == {"workflow_id": "gate", "instance_id": "a", "signal": "go"}


def test_a_request_leaves_its_trace_to_itself(collector, http, backend):
    init_tracing()
    submit(http, "a", **SENT)
    submit(http, "b")
    submit(http, "c", traceparent=f"{SENT['traceparent']} vendor=1", tracestate="vendor=1")
    longest = f"a={'x' * 250},b={'x' * 250},c=123456"
    submit(http, "d", **{**SENT, "tracestate": longest[:512]})
    submit(http, "e", **{**SENT, "tracestate": longest[:513]})
    shutdown_tracing()
    kept = [backend.load(name).instance.trace for name in "abcde"]
    traces = [text.split("-")[1] for text in kept]
    assert traces == [TRACE, *traces[1:3], TRACE, TRACE]
    assert len(set(traces)) == 3
    states = [text.partition(" ")[2] for text in kept]
    assert states == [SENT["tracestate"], "", "", longest[:512], ""]


def test_a_span_of_the_applications_own_goes_before_the_header(collector, http, backend):
    init_tracing()
    service = trace.get_tracer("user")
    with service.start_as_current_span("middleware") as span:
        submit(http, **SENT)
    shutdown_tracing()
    assert backend.load("a").instance.trace.split("-")[1] == f"{span.get_span_context().trace_id:032x}"


def test_forms_of_the_pages_are_traced(collector, http, backend):
    init_tracing()
    assert http.post("/workflow?id=gate", data={"raw": "1", "instance_id": "a"}, follow_redirects=False).status_code == 303
    shutdown_tracing()
    (one,) = collector.named("submit gate")
    assert backend.load("a").instance.trace.split("-")[1] == one.trace_id.hex()


def test_without_tracing_the_header_is_nobodys(http, backend):
    submit(http, **SENT)
    assert backend.load("a").instance.trace is None


# --- the commands -------------------------------------------------------------------------------------------------

LOGS = """
import logging
from sayiir import Flow
logging.basicConfig(level=logging.WARNING)
flow = Flow("logs").then(lambda x: x + 1, name="add").build()
"""


def test_a_worker_whose_module_has_seen_to_logging_traces(collector, tmp_path):
    (tmp_path / "logging_flows.py").write_text(LOGS)
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with connect(url) as backend:
        client = WorkflowClient(backend)
        client.submit(Flow("logs").then(lambda x: x + 1, name="add").build(), "a", 1)
        with Command("", url, targets=("logging_flows:flow",), cwd=tmp_path) as command:
            assert client.result("a", 60) == 2
            command.send()
            assert command.end() == 0
    assert command.lines == []  # its logging is as the module wants it: warnings only
    (span,) = collector.named("add")
    assert facts(span)["instance_id"] == "a"


def test_a_server_traces(collector, tmp_path):
    url = f"sqlite:///{tmp_path / 'a.db'}"
    connect(url).close()
    with Started("server", "tests.cli.shop:quick", "--url", url, "--bind", "127.0.0.1:0") as server:
        body = json.dumps({"workflow_id": "quick", "instance_id": "a", "input": 1}).encode()
        headers = {**SENT, "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{server.at()}/api/v1/instances", body, headers)) as answer:
            assert answer.status == 201
        server.send()
        assert server.end() == 0
    (span,) = collector.named("submit quick")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)


SHOWN = "http://traces.example/trace/{trace_id}"


@pytest.mark.parametrize("given", ["option", "variable"])
@pytest.mark.parametrize("command", ["server", "dev"])
def test_instances_link_to_their_traces(collector, tmp_path, command, given):
    url = f"sqlite:///{tmp_path / 'a.db'}"
    connect(url).close()
    words = [command, "tests.cli.shop:quick", "--url", url, "--bind", "127.0.0.1:0"]
    words, more = ([*words, "--trace-url", SHOWN], {}) if given == "option" else (words, {"SAYIIR_TRACE_URL": SHOWN})
    with Started(*words, **more) as started:
        at = f"{started.at()}/api/v1/instances"
        body = json.dumps({"workflow_id": "quick", "instance_id": "a", "input": 1}).encode()
        headers = {**SENT, "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(at, body, headers)) as answer:
            assert answer.status == 201
        with urllib.request.urlopen(f"{at}/a") as answer:
            assert json.load(answer)["trace_url"] == f"http://traces.example/trace/{TRACE}"
        started.send()
        assert started.end() == 0


def test_commands_over_a_database_trace(collector, tmp_path):
    shop = Shop(f"sqlite:///{tmp_path / 'a.db'}")
    done = shop("submit", "tests.cli.shop:quick", "a", "--input", "1")
    assert done.err == ""
    shop("signal", "send", "go", "a", "--payload", "5")
    (one,), (signal,) = collector.named("submit quick"), collector.named("signal go")
    assert signal.trace_id == one.trace_id
    assert signal.parent_span_id == one.span_id
    assert observe.watchers == ()
