"""Behind a pooler in transaction mode, where sessions are not ours: no prepared statements, no listening, no session locks."""

from __future__ import annotations

import threading

import pytest

from sayiir import Flow, resume_workflow, run_durable_workflow, send_signal
from sayiir.core.lifecycle import State
from sayiir.store.postgres.rows import SILENT_SECS
from tests.postgres.common import Beside, ask, begin, claims, lanes, new, opened, works
from tests.servers.ground import until


@pytest.fixture
def url(bouncer, pg_url):
    return bouncer.through(pg_url)


@pytest.fixture
def store(url):
    with opened(url) as store:
        yield store


def double(x: int) -> int:
    return 2 * x


def test_a_pooler_is_noticed(store, pg_url):
    assert store._links.pooled
    assert not store._links.prepare
    assert store.hints.teller is None
    assert not store._presence.listening
    with opened(pg_url) as direct:
        assert not direct._links.pooled


def test_a_chain(store):
    flow = Flow("chain")
    for number in range(8):
        flow = flow.then(double, name=f"d{number}")
    assert run_durable_workflow(flow.build(), "a", 1, store).output == 256
    assert len(store.history(store.load("a").instance.number)) == 8


def test_a_fork(store):
    left, right = begin(store).fork("l", "r")
    assert left.arrive("l", "r").kind == "arrived"
    assert right.arrive("l", "r").kind == "joined"


def test_a_signal_and_a_delay(store):
    flow = Flow("gate").delay("d", "10ms").wait_for_signal("go").then(double).build()
    run_durable_workflow(flow, "a", 1, store)
    until(lambda: resume_workflow(flow, "a", store).is_awaiting_signal(), "the end of the delay")
    send_signal("a", "go", 21, store)
    assert resume_workflow(flow, "a", store).output == 42


def test_steering(store):
    hand = begin(store)
    assert store.request_pause("a", None, None) is State.IN_PROGRESS
    assert hand.run().kind == "stopped"
    store.unpause("a")
    (hand,) = works(store)
    store.request_cancel("a", None, None)
    assert hand.run().kind == "stopped"
    assert store.load("a").instance.status is State.CANCELLED


def test_many_threads_share_the_work(store, url):
    for number in range(40):
        store.create(new(f"i{number}"), "fail", claim=False)
    got, mutex = [], threading.Lock()

    def work(of):
        while hands := works(of, 3):
            for hand in hands:
                hand.run()
                hand.complete()
            with mutex:
                got.extend(hand.fence.instance for hand in hands)

    with opened(url) as other:
        for one in [Beside(lambda of=of: work(of)) for of in (store, store, other, other)]:
            one.result()
    assert len(got) == len(set(got)) == 40


def test_a_silent_owner_is_dead_after_a_while(store, url, pg_url):
    """There is no lock that would show it at once."""
    other = opened(url)
    with other as holder:
        begin(holder)
        holder._presence.leave()
        lanes(store)
        assert claims(store) == []
        assert store.sweep() == 0
        ask(pg_url, "UPDATE sayiir.owners SET beat_at = beat_at - %s WHERE owner = %s",
            int((SILENT_SECS + 1) * 1e6), holder._shared.owner)  # fmt: skip
        (hand,) = claims(store)
        assert hand.position.crashes == 1


def test_a_restart_of_the_pooler(store, bouncer):
    hand = begin(store)
    bouncer.restart()
    assert hand.run("two").kind == "continue"
    assert hand.wait(60).kind == "parked"
    assert not works(store)


def test_nothing_is_left_behind_in_the_servers_sessions(store, pg_url, url):
    begin(store).complete()
    with opened(url) as other:
        lanes(other)
    import psycopg

    with psycopg.connect(url, autocommit=True) as shared:
        for setting in ("statement_timeout", "enable_seqscan", "search_path"):
            with psycopg.connect(pg_url) as direct:
                expected = direct.execute(f"SHOW {setting}").fetchone()
            assert shared.execute(f"SHOW {setting}", prepare=False).fetchone() == expected
        assert shared.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        assert shared.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)
