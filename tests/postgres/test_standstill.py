"""A process that stands still in the middle of a transaction keeps its locks for a while, and not for ever.

Threads stand for processes: what the server sees is the same.
"""

from __future__ import annotations

import threading

import pytest

from sayiir import Flow, run_durable_workflow
from sayiir.store.postgres import arrivals
from tests.postgres.common import Beside, ask, opened
from tests.servers.ground import PATIENCE, until

HELD = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND xact_start < now() AND pid <> pg_backend_pid()"


def double(value: int) -> int:
    return 2 * value


def both(values: dict[str, int]) -> int:
    return sum(values.values())


FORK = Flow("both").fork().branch(double, name="one").branch(double, name="two").join(both).build()


@pytest.fixture
def store(pg_url):
    with opened(pg_url, idle_in_transaction_session_timeout_secs=0.5, statement_timeout_secs=5.0) as store:
        yield store


class Still:
    """A function before which who calls it first stands still."""

    def __init__(self, function):
        self._function = function
        self._first = threading.Lock()
        self.stands, self.goes_on = threading.Event(), threading.Event()

    def __call__(self, *values):
        if self._first.acquire(blocking=False):
            self.stands.set()
            assert self.goes_on.wait(PATIENCE)
        return self._function(*values)


def stand_still(url, still):
    assert still.stands.wait(PATIENCE)
    until(lambda: ask(url, HELD) == [], "the end of a transaction that nobody goes on with")
    still.goes_on.set()


def test_between_a_fork_and_its_commit(store, pg_url, monkeypatch):
    still = Still(store._links.commit)
    monkeypatch.setattr(store._links, "commit", still)
    ending = Beside(lambda: run_durable_workflow(FORK, "a", 1, store))
    stand_still(pg_url, still)
    assert ending.result().output == 4


def test_between_arriving_at_a_join_and_its_commit(store, pg_url, monkeypatch):
    still = Still(arrivals._answers)
    monkeypatch.setattr(arrivals, "_answers", still)
    ending = Beside(lambda: run_durable_workflow(FORK, "a", 1, store))
    stand_still(pg_url, still)
    assert ending.result().output == 4


def test_between_a_signal_and_its_commit(store, pg_url, monkeypatch):
    store.send_signal("a", "other", b"1")
    still = Still(store._links.commit)
    monkeypatch.setattr(store._links, "commit", still)
    sending = Beside(lambda: store.send_signal("a", "go", b"1"))
    stand_still(pg_url, still)
    assert sending.result()
    assert ask(pg_url, "SELECT name FROM sayiir.signals ORDER BY name") == [("go",), ("other",)]


def test_in_the_middle_of_a_message(store, pg_url):
    """Only what the server says of a transaction as a whole ends it then, which is so since PostgreSQL 17."""
    if (version := int(ask(pg_url, "SHOW server_version_num")[0][0])) < 170_000:
        pytest.skip(f"PostgreSQL {version // 10_000} has no transaction_timeout")
    with opened(pg_url, idle_in_transaction_session_timeout_secs=0.2, statement_timeout_secs=0.2) as hasty:
        connection = hasty._links.connect()
        try:
            pgconn = connection.pgconn
            pgconn.enter_pipeline_mode()
            pgconn.send_query_params(b"BEGIN", None)
            pgconn.send_query_params(b"LOCK TABLE sayiir.owners", None)
            pgconn.send_flush_request()
            pgconn.flush()
            locked = "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
            until(lambda: ask(pg_url, locked) != [], "the lock")
            until(lambda: ask(pg_url, locked) == [], "the end of a transaction that nobody goes on with")
        finally:
            connection.close()


def test_a_host_that_is_gone_is_noticed(proxy, pg_url):
    with opened(proxy.through(pg_url)) as store:
        connection = store._links.connect()
        try:
            names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
            shown = [connection.execute(f"SHOW {name}").fetchone()[0] for name in names]
        finally:
            connection.close()
    assert shown == ["5", "2", "3", "15000"]
