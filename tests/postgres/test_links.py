"""No connection is lost to the pool, whatever interrupts its use; what cannot be learned raises our error."""

from __future__ import annotations

import threading

import pytest

from sayiir import BackendError, WorkflowError
from sayiir.store.postgres.links import Patience
from sayiir.store.postgres.presence import Presence
from tests.postgres.common import ask, begin, opened
from tests.servers.ground import until


@pytest.fixture
def store(pg_url):
    with opened(pg_url, max_connections=1, acquire_timeout_secs=20) as store:
        yield store


def patience(links, seconds=5.0):
    return Patience(links.clock, seconds)


def is_whole(store):
    """Return whether the pool still has its one connection to give."""
    return store.load("nobody") is None


def test_a_transaction_whose_fate_cannot_be_asked_for(store):
    links = store._links
    links.find_mark = "SELECT 1 / %s - %s"
    number = links.transact(lambda connection, _: connection.execute("SELECT pg_current_xact_id()::text").fetchone()[0])
    links._local.place = 0
    with pytest.raises(BackendError, match="division by zero"):
        links.landed(number, patience(links))
    assert is_whole(store)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_rollback(store, interruption, monkeypatch):
    links = store._links
    connection = links.take(patience(links))

    def interrupted(*_, **__):
        raise interruption

    with monkeypatch.context() as patched, pytest.raises(interruption):
        patched.setattr("sayiir.store.postgres.quick.command", interrupted)
        links.drop(connection, WorkflowError("refused"))
    assert connection.closed
    assert is_whole(store)


def test_an_interrupted_question(store, monkeypatch):
    links = store._links
    with monkeypatch.context() as patched:
        patched.setattr("sayiir.store.postgres.links._one", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            links.landed("1", patience(links))
    assert is_whole(store)


def test_a_presence_without_a_thread_leaves_no_session(store, pg_url, monkeypatch):
    """Another try may succeed; until then nobody is there."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    sessions = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            store._presence.ensure()
    until(lambda: ask(pg_url, sessions) == [(0,)], "the end of the session")
    assert begin(store).complete().kind == "finished"
    assert isinstance(store._presence, Presence)
    assert store._presence.owner


def test_a_beat_without_a_thread_to_give_back_goes_on(store, monkeypatch):
    hand = begin(store)
    store._claims.give_back_later([hand.fence])
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no more threads")))
        store._claims.give_back_beside()
    until(lambda: store.load("a").tokens[0].owner is None, "the next beat that gives it back")
