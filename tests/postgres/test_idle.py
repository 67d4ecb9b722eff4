"""What a worker costs that has nothing to do: a few statements a second, and no memory for what is parked."""

from __future__ import annotations

import gc
import time
import tracemalloc

import pytest

from sayiir import Flow, SqliteBackend, WorkflowClient
from tests.postgres.common import ask, begin, lanes, opened
from tests.servers.ground import until
from tests.worker.support import ended, eventually, working

PARKED = 2_000
QUICK = Flow("quick").then(lambda x: x + 1, name="one").build()
GATE = Flow("gate").wait_for_signal("go").build()


@pytest.fixture
def store(proxy, pg_url):
    with opened(proxy.through(pg_url)) as store:
        yield store


def test_each_look_of_an_idle_worker_is_one_statement(store, proxy):
    """Each of these, and a beat, comes once a second at most."""
    begin(store).await_signal("go")
    known = lanes(store)
    looks = {"claim": (lambda: store.claim_due(known, 10, aging=300.0), 1), "sweep": (store.sweep, 1)}
    for look, _ in looks.values():
        look()
    store._presence.leave()
    for name, (look, most) in looks.items():
        before = proxy.statements
        look()
        assert (name, proxy.statements - before) == (name, most)


def test_an_idle_worker_sends_five_statements_a_second_at_most(store, proxy, pg_url):
    with working(store, [QUICK, GATE], retention=None):
        client = WorkflowClient(store)
        client.submit(QUICK, "a", 1)
        client.submit(GATE, "b", 1)
        ended(store, "a")
        eventually(lambda: client.status("b").is_awaiting_signal())
        (beaten,) = ask(pg_url, "SELECT beat_at FROM sayiir.owners")[0]
        before, since = proxy.statements, time.monotonic()
        until(lambda: ask(pg_url, "SELECT beat_at FROM sayiir.owners")[0][0] > beaten + 4_000_000, "four beats")
        # A slow machine makes it fewer. A look of each kind may have been under way at either end.
        assert proxy.statements - before <= 5 * (time.monotonic() - since) + 4


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request, tmp_path):
    if request.param == "postgres":
        with opened(request.getfixturevalue("pg_url")) as store:
            yield store
    else:
        with SqliteBackend(tmp_path / "runs.db", durability="normal") as store:
            yield store


def test_a_worker_keeps_nothing_of_what_is_parked(backend):
    with working(backend, [GATE]) as handle:
        client = WorkflowClient(backend)

        def park(kind, count):
            client.submit_many(GATE, ((f"{kind}{number}", number) for number in range(count)))
            eventually(lambda: len(client.find(status="in_progress", limit=1).items) == 0)
            eventually(lambda: not handle._shift.jobs)
            gc.collect()

        park("warm", 50)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            park("more", PARKED)
            # The smallest of what is known of an instance has some 200 bytes.
            assert tracemalloc.get_traced_memory()[0] - before < PARKED * 100
        finally:
            tracemalloc.stop()
