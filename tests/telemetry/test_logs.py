"""Log records of tasks: their ids, JSON, and the lines that are kept."""

from __future__ import annotations

import json
import logging
import threading

import pytest

from sayiir import Flow, InMemoryBackend, Worker, WorkflowClient, init_tracing, run_workflow, shutdown_tracing, task
from sayiir.telemetry.logs import LONGEST_LINE, JsonLines, Keeper, TaskFields


@task
def talks(value):
    logging.getLogger("app.pay").info("paid %s", value)
    return value


@task
async def talks_later(value):
    logging.getLogger("app.pay").info("later %s", value)
    return value


WORKFLOW = Flow("order").then(talks).then(talks_later).build()


@pytest.fixture
def app():
    logger = logging.getLogger("app")
    before, logger.level = logger.level, logging.INFO
    handlers = []

    def add(handler):
        handlers.append(handler)
        logger.addHandler(handler)
        return handler

    yield add
    for handler in handlers:
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(before)


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []
        self.addFilter(TaskFields())
        self.setFormatter(JsonLines())

    def emit(self, record):
        self.lines.append(json.loads(self.format(record)))


def test_records_say_which_task_they_belong_to(app):
    heard = app(Lines())
    backend = InMemoryBackend()
    client = WorkflowClient(backend)
    with Worker("w-1", backend).start([WORKFLOW]):
        client.submit(WORKFLOW, "a", 1)
        client.wait("a", 20)
    logging.getLogger("app").warning("outside")
    first, second, outside = heard.lines
    ids = {"workflow_id": "order", "instance_id": "a", "attempt": 1, "worker_id": "w-1"}
    assert first | ids == first
    assert (first["task_id"], first["message"], first["level"], first["logger"]) == ("talks", "paid 1", "INFO", "app.pay")
    assert (second["task_id"], second["message"]) == ("talks_later", "later 1")
    assert "instance_id" not in outside


def test_json_on_stderr(monkeypatch, capsys):
    monkeypatch.setenv("SAYIIR_LOG_FORMAT", "json")
    init_tracing()
    try:
        logging.getLogger("sayiir").warning("said %s", "ü")
        (line,) = capsys.readouterr().err.splitlines()
        assert json.loads(line)["message"] == "said ü"
        monkeypatch.setenv("SAYIIR_LOG_FORMAT", "xml")
        with pytest.raises(ValueError, match="SAYIIR_LOG_FORMAT must be one of text, json"):
            init_tracing()
    finally:
        shutdown_tracing()


def test_lines_of_tasks_are_kept_with_their_instance(app):
    backend = InMemoryBackend()
    kept = []
    keeper = app(Keeper(backend, kept.extend))
    client = WorkflowClient(backend)
    with Worker("w-1", backend).start([WORKFLOW]):
        client.submit(WORKFLOW, "a", "x" * 2 * LONGEST_LINE)
        client.wait("a", 20)
    logging.getLogger("app").info("outside")
    run_workflow(WORKFLOW, 1)
    keeper.close()
    assert [(line.instance_id, line.task_id, line.attempt, line.level) for line in kept] == [
        ("a", "talks", 1, "INFO"), ("a", "talks_later", 1, "INFO"),
    ]  # fmt: skip
    assert {len(line.message) for line in kept} == {LONGEST_LINE}


def test_lines_that_cannot_be_stored_are_counted(app):
    tried = threading.Event()

    def refuse(lines):
        tried.set()
        raise OSError("the disk is full")

    backend = InMemoryBackend()
    keeper = app(Keeper(backend, refuse))
    client = WorkflowClient(backend)
    with Worker("w-1", backend).start([WORKFLOW]):
        client.submit(WORKFLOW, "a", 1)
        client.wait("a", 20)
    assert tried.wait(20)
    keeper.close()
    assert keeper.dropped == 2
