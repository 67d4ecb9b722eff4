"""Log records of tasks: their ids, JSON, and the lines that are kept."""

from __future__ import annotations

import json
import logging
import logging.config
import subprocess
import sys
import threading
import time

import pytest

from sayiir import (
    BackendError,
    Flow,
    InMemoryBackend,
    SqliteBackend,
    Worker,
    WorkflowClient,
    init_tracing,
    run_workflow,
    shutdown_tracing,
    task,
)
from sayiir.runtime.tasklogs import LONGEST_LINE, _level
from sayiir.telemetry.logs import JsonLines, TaskFields


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


@pytest.fixture(params=["memory", "sqlite"])
def backend(request, tmp_path):
    with InMemoryBackend() if request.param == "memory" else SqliteBackend(tmp_path / "a.db") as backend:
        yield backend


def until(condition):
    """Wait for a state; nobody tells of it."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def kept(backend, name):
    return backend.logs(backend.load(name).instance.number, 100)


def test_lines_of_tasks_are_kept_with_their_instance(backend, app):
    app(Lines())
    client = WorkflowClient(backend)
    with Worker("w-1", backend).start([WORKFLOW]), Worker("w-2", backend).start([WORKFLOW]):
        client.submit(WORKFLOW, "a", "x" * 2 * LONGEST_LINE)
        client.submit(WORKFLOW, "b", 2)
        client.wait("a", 20)
        client.wait("b", 20)
        logging.getLogger("app").info("outside")
        run_workflow(WORKFLOW, 1)
    first, second = kept(backend, "a")
    assert (first.task_id, first.attempt, first.level, first.logger) == ("talks", 1, "info", "app.pay")
    assert (second.task_id, len(first.message)) == ("talks_later", LONGEST_LINE)
    assert [line.message for line in kept(backend, "b")] == ["paid 2", "later 2"]


def test_lines_are_kept_though_logging_is_configured_anew_while_the_worker_works(backend, app):
    client = WorkflowClient(backend)
    app(Lines())
    before = list(logging.getLogger().handlers)
    try:
        with Worker("w", backend).start([WORKFLOW]) as handle:
            # As servers and frameworks do when they start: it closes every handler that there is.
            logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
            client.submit(WORKFLOW, "a", 1)
            client.wait("a", 20)
            logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "root": {"handlers": []}})
            until(lambda: handle._shift.keeper in logging.getLogger().handlers)
            client.submit(WORKFLOW, "b", 2)
            client.wait("b", 20)
            # While it works, not only at its end.
            until(lambda: len(kept(backend, "b")) == 2)
            assert [line.message for line in kept(backend, "a")] == ["paid 1", "later 1"]
    finally:
        logging.getLogger().handlers[:] = before


def test_nothing_is_kept_below_the_level_or_without_one(backend, app):
    app(Lines())
    client = WorkflowClient(backend)
    for name, level in ("a", logging.WARNING), ("b", None):
        with Worker("w", backend, task_logs=level).start([WORKFLOW]):
            client.submit(WORKFLOW, name, 1)
            client.wait(name, 20)
        assert kept(backend, name) == []
    with pytest.raises(ValueError, match="task_logs must be a level"):
        Worker("w", backend, task_logs="loud")


def test_lines_that_cannot_be_stored_are_dropped_and_counted(app, monkeypatch):
    def refuse(number, lines):
        raise BackendError("the disk is full")

    app(Lines())
    backend = InMemoryBackend()
    monkeypatch.setattr(backend, "add_logs", refuse)
    client = WorkflowClient(backend)
    handle = Worker("w", backend).start([WORKFLOW])
    with handle:
        client.submit(WORKFLOW, "a", 1)
        assert client.result("a", 20) == 1
    assert handle._shift.keeper.dropped == 2
    assert handle._shift.keeper not in logging.getLogger().handlers


def test_no_task_waits_while_lines_are_stored(app, monkeypatch):
    storing, go_on = threading.Event(), threading.Event()

    def slow(number, lines):
        storing.set()
        assert go_on.wait(20)

    app(Lines())
    backend = InMemoryBackend()
    monkeypatch.setattr(backend, "add_logs", slow)
    client = WorkflowClient(backend)
    with Worker("w", backend).start([WORKFLOW]):
        try:
            client.submit(WORKFLOW, "a", 1)
            assert storing.wait(20)
            client.submit(WORKFLOW, "b", 2)
            assert client.result("b", 20) == 2
        finally:
            go_on.set()


@pytest.mark.parametrize(("number", "name"), [(5, "debug"), (10, "debug"), (25, "info"), (39, "warning"), (60, "critical")])
def test_levels_of_ones_own_have_the_name_below(number, name):
    assert _level(number) == name


PROGRAM = """
import logging
from sayiir import Flow, InMemoryBackend, Worker, WorkflowClient

def warn(value):
    logging.getLogger("shop").warning("low on %s", value)
    logging.getLogger("shop").info("sold %s", value)
    return value

flow = Flow("warn").then(warn).build()
backend = InMemoryBackend()
if CONFIGURED:
    logging.basicConfig(format="%(name)s: %(message)s")
logging.getLogger("sayiir").propagate = False
with Worker("one", backend).start([flow]), Worker("two", backend).start([flow]):
    client = WorkflowClient(backend)
    client.submit(flow, "a", "milk")
    client.wait("a", 20)
    logging.getLogger("shop").warning("outside")
"""


@pytest.mark.parametrize("configured", [False, True])
def test_a_worker_takes_no_warning_from_stderr(configured):
    """Where nobody has configured logging, Python prints warnings; a handler that keeps them must not end that."""
    program = PROGRAM.replace("CONFIGURED", str(configured))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    prefix = "shop: " if configured else ""
    assert done.stderr.splitlines() == [f"{prefix}low on milk", f"{prefix}outside"]
