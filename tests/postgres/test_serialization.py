"""A server whose transactions are not READ COMMITTED asks for some of them again: each is, and is done once."""

import psycopg
import pytest
from psycopg import errors

from sayiir.core.lifecycle import State
from tests.postgres.common import Beside, ask, begin, blocked_by, lanes, opened, transaction


@pytest.fixture
def store(pg_url):
    with psycopg.connect(pg_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET default_transaction_isolation = 'serializable'")
    with opened(pg_url) as store:
        lanes(store)
        yield store


@pytest.fixture
def failures(store, monkeypatch):
    """The serialization failures that the server answers with, wherever the store meets them."""
    seen, links = [], store._links
    explain, drop = links.explain, links.drop

    def note(error):
        if isinstance(error, errors.SerializationFailure):
            seen.append(error)

    monkeypatch.setattr(links, "explain", lambda error: note(error) or explain(error))
    monkeypatch.setattr(links, "drop", lambda connection, error: note(error) or drop(connection, error))
    return seen


def during(url, statement, call):
    """Return what a call comes to that waits for a row which another transaction changes meanwhile."""
    with transaction(url) as other:
        other.execute(statement)
        calling = Beside(call)
        blocked_by(url, other)
    return calling.result()


TOKENS = "UPDATE sayiir.tokens SET until = until + 1"
INSTANCES = "UPDATE sayiir.instances SET updated_at = updated_at + 1"


def test_a_step(store, pg_url, failures):
    hand = begin(store)
    assert during(pg_url, TOKENS, lambda: hand.run("two", b"1")).kind == "continue"
    assert ask(pg_url, "SELECT next FROM sayiir.results") == [("two",)]
    assert failures


def test_an_end(store, pg_url, failures):
    hand = begin(store)
    assert during(pg_url, INSTANCES, lambda: hand.complete(b"1")).kind == "finished"
    assert store.load("a").instance.status is State.COMPLETED
    assert ask(pg_url, "SELECT count(*) FROM sayiir.results") == [(1,)]
    assert failures


def test_a_heartbeat(store, pg_url, failures):
    hand = begin(store)
    assert not during(pg_url, TOKENS, hand.beat).lost
    assert failures


def test_a_signal(store, pg_url, failures):
    begin(store)
    during(pg_url, INSTANCES, lambda: store.send_signal("a", "go", b"1", None))
    assert ask(pg_url, "SELECT count(*) FROM sayiir.signals") == [(1,)]
    assert failures


def test_a_cancel(store, pg_url, failures):
    begin(store)
    assert during(pg_url, INSTANCES, lambda: store.request_cancel("a", None, None)) is State.IN_PROGRESS
    assert failures
