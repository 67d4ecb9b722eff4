"""Spans as a collector gets them: one trace from the submit over every attempt to the signals."""

from __future__ import annotations

import asyncio
import socket

import pytest
from opentelemetry import trace

from sayiir import (
    Flow,
    InMemoryBackend,
    PostgresBackend,
    SqliteBackend,
    Worker,
    WorkflowClient,
    arun_workflow,
    init_tracing,
    run_durable_workflow,
    run_workflow,
    shutdown_tracing,
    task,
)
from tests.telemetry.conftest import facts


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def backend(request, tmp_path):
    match request.param:
        case "memory":
            store = InMemoryBackend()
        case "sqlite":
            store = SqliteBackend(tmp_path / "a.db")
        case _:
            store = PostgresBackend(request.getfixturevalue("pg_url"))
    with store:
        yield store


@task(retries=1)
def flaky(value):
    from sayiir import get_task_context

    if get_task_context().attempt == 1:
        raise ValueError("not yet")
    with trace.get_tracer("user").start_as_current_span("inside"):
        return value + 1


@task
async def later(value):
    with trace.get_tracer("user").start_as_current_span("inside async"):
        await asyncio.sleep(0)
    return value


ORDER = Flow("order").then(flaky).wait_for_signal("go").then(later).build()


def test_one_trace_over_submit_worker_and_signal(collector, backend, monkeypatch):
    init_tracing()
    client = WorkflowClient(backend)
    with Worker("w-1", backend).start([ORDER]):
        client.submit(ORDER, "a", 1)
        client.wait("a", 20, until="parked")
        with trace.get_tracer("user").start_as_current_span("somewhere else"):
            client.send_signal("a", "go", 5)
        assert client.result("a", 20) == 5
    shutdown_tracing()
    (submit,), attempts = collector.named("submit order"), collector.named("flaky")
    (signal,), (last,) = collector.named("signal go"), collector.named("later")
    (sender,) = collector.named("somewhere else")
    mine = [submit, *attempts, signal, last, *collector.named("inside"), *collector.named("inside async")]
    assert len(mine) == 7
    assert {span.trace_id for span in mine} == {submit.trace_id}
    assert {span.parent_span_id for span in (*attempts, signal, last)} == {submit.span_id}
    assert sender.trace_id != submit.trace_id
    assert [link.span_id for link in signal.links] == [sender.span_id]
    assert collector.named("inside")[0].parent_span_id in {span.span_id for span in attempts}
    assert collector.named("inside async")[0].parent_span_id == last.span_id
    first, second = sorted(attempts, key=lambda span: span.start_time_unix_nano)
    wanted = {"workflow_id": "order", "instance_id": "a", "task_id": "flaky", "worker_id": "w-1", "iteration": 1}
    assert facts(first) == {**wanted, "attempt": 1}
    assert facts(second) == {**wanted, "attempt": 2}
    assert facts(submit) == {"workflow_id": "order", "instance_id": "a"}
    assert facts(signal) == {"workflow_id": "order", "instance_id": "a", "signal": "go"}
    assert (first.status.code, first.events[0].name) == (2, "exception")
    assert second.status.code != 2


def test_many_submitted_at_once_are_one_span(collector, backend):
    init_tracing()
    WorkflowClient(backend).submit_many(ORDER, [("a", 1), ("b", 2)])
    shutdown_tracing()
    (submit,) = collector.named("submit order")
    assert facts(submit) == {"workflow_id": "order"}
    assert {backend.load(name).instance.trace.split("-")[1] for name in "ab"} == {submit.trace_id.hex()}


def test_a_signal_before_its_instance_is_a_trace_of_its_own(collector, backend):
    init_tracing()
    WorkflowClient(backend).send_signal("a", "go", 5)
    shutdown_tracing()
    (signal,) = collector.named("signal go")
    assert facts(signal) == {"instance_id": "a", "signal": "go"}


def test_runs_in_this_process_are_in_the_callers_trace(collector, backend):
    init_tracing()
    wf = Flow("w").then(lambda x: x + 1, name="one").then(later).build()
    with trace.get_tracer("user").start_as_current_span("caller"):
        assert run_durable_workflow(wf, "a", 1, backend).output == 2
        assert run_workflow(wf, 1) == 2
        assert asyncio.run(arun_workflow(wf, 1)) == 2
    shutdown_tracing()
    (caller,) = collector.named("caller")
    assert len(collector.named("one")) == len(collector.named("later")) == 3
    assert {span.trace_id for span in collector.spans} == {caller.trace_id}


def test_a_collector_that_is_away_disturbs_nobody(monkeypatch, backend):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        init_tracing()
        assert run_durable_workflow(Flow("w").then(lambda x: x + 1).build(), "a", 1, backend).output == 2
        shutdown_tracing()


def test_without_tracing_nothing_is_stored(backend):
    run_durable_workflow(Flow("w").then(lambda x: x + 1).build(), "a", 1, backend)
    assert backend.load("a").instance.trace is None
