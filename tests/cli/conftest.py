"""A shop's database on SQLite (a real file) and on PostgreSQL, with an instance in every state, and the command over it."""

import json
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import uvicorn
from click.testing import CliRunner

from sayiir import NonRetryableError, TaskError, WorkflowClient, connect, resume_workflow, run_durable_workflow
from sayiir.cli.app import sayiir
from sayiir.cli.serving import listen, url_of
from sayiir.server import create_app
from tests.cli.shop import Order, everything, lately, orders, quick

TOKEN = "a token for the tests"

STATES = {
    "done-1": "completed", "failed-1": "failed", "cancelled-1": "cancelled", "paused-1": "paused", "new-1": "in_progress",
    "waits-1": "awaiting_signal", "naps-1": "waiting",
}  # fmt: skip


def fill(url):
    """One instance in each state; the newest is naps-1."""
    with connect(url) as backend:
        client = WorkflowClient(backend)
        run_durable_workflow(orders, "done-1", Order(12), backend)
        client.send_signal("done-1", "approval", {"approved": True})
        resume_workflow(orders, "done-1", backend)
        try:
            run_durable_workflow(orders, "failed-1", Order(-1), backend)
        except (TaskError, NonRetryableError):
            pass
        for name in ("cancelled-1", "paused-1", "new-1"):
            client.submit(quick, name, {"secret": name, "n": 1})
        client.cancel("cancelled-1", reason="the customer called", cancelled_by="ann")
        client.pause("paused-1", reason="stock-taking", paused_by="bob")
        run_durable_workflow(orders, "waits-1", Order(7), backend)
        run_durable_workflow(lately, "naps-1", None, backend)
        assert {row.instance_id: row.status for row in client.find_all()} == STATES


class Shop:
    """The command over one database."""

    def __init__(self, url, *more, database=None):
        self.url = url
        self.database = database or url
        self.more = more

    def __call__(self, *words, input=None, code=0, url=True, env=None):
        """Run a command; return its exit code's result with parsed forms at hand."""
        runner = CliRunner()
        where = ["--url", self.url, *self.more] if url else []
        kept = {"SAYIIR_URL": None, "SAYIIR_TOKEN": None, "SAYIIR_SCHEMA": None, **(env or {})}
        done = runner.invoke(sayiir, [*words, *where], input=input, env=kept, prog_name="sayiir")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, (done.exit_code, done.stdout, done.stderr)
        return SimpleNamespace(out=done.stdout, err=done.stderr, lines=done.stdout.splitlines())

    def json(self, *words, **more):
        return json.loads(self(*words, "-o", "json", **more).out)

    def jsonl(self, *words, **more):
        return [json.loads(line) for line in self(*words, "-o", "jsonl", **more).lines]

    def ids(self, *words, **more):
        return self(*words, "-o", "ids", **more).lines


@pytest.fixture
def sqlite_url(tmp_path):
    url = f"sqlite:///{tmp_path}/shop.db"
    fill(url)
    return url


@pytest.fixture
def shop(sqlite_url):
    """The command over a file."""
    return Shop(sqlite_url)


@contextmanager
def serving(database, **options):
    """A real server on a port of its own, in a thread."""
    with connect(database) as backend, listen("127.0.0.1", 0) as listening:
        app = create_app(backend, everything(), **options)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield url_of(listening, "")
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(params=["sqlite", "postgres", "server"])
def place(request, tmp_path):
    """The command over a database of either kind, and over a server."""
    url = request.getfixturevalue("emptied_url") if request.param == "postgres" else f"sqlite:///{tmp_path}/shop.db"
    fill(url)
    if request.param != "server":
        yield Shop(url)
        return
    with serving(url, auth=TOKEN) as address:
        yield Shop(address, "--token", TOKEN, database=url)


@pytest.fixture(params=["sqlite", "postgres"])
def stored(request, tmp_path):
    """The command over a database of either kind."""
    url = request.getfixturevalue("emptied_url") if request.param == "postgres" else f"sqlite:///{tmp_path}/shop.db"
    fill(url)
    return Shop(url)
