"""Races inside of one statement: it has begun, waits for a row's lock, and another version of the row is there then.

A statement of the hot path looks, locks and writes at once. Here another transaction holds the row that it wants, gives
it another version, and commits.
"""

from __future__ import annotations

import psycopg
import pytest

from sayiir.core.lifecycle import State
from tests.postgres.common import Beside, ask, begin, blocked_by, claims, new, opened, transaction, works


@pytest.fixture
def store(pg_url):
    with opened(pg_url) as store:
        yield store


def touch_token(connection: psycopg.Connection) -> None:
    """Give every token another version, as a heartbeat does."""
    connection.execute("UPDATE sayiir.tokens SET until = until + 1")


def test_an_end_during_a_heartbeat(store, pg_url):
    hand = begin(store)
    with transaction(pg_url) as other:
        touch_token(other)
        ending = Beside(lambda: hand.complete(b"1"))
        if not ending.ended.wait(0.2):  # it may wait for the row or go round it
            blocked_by(pg_url, other)
    assert ending.result().kind == "finished"
    assert store.load("a").instance.status is State.COMPLETED
    assert ask(pg_url, "SELECT * FROM sayiir.tokens") == []


def test_an_end_during_a_write_of_its_instance(store, pg_url):
    hand = begin(store)
    with transaction(pg_url) as other:
        other.execute("UPDATE sayiir.instances SET updated_at = updated_at + 1")
        ending = Beside(lambda: hand.complete(b"1"))
        if not ending.ended.wait(0.2):
            blocked_by(pg_url, other)
    assert ending.result().kind == "finished"
    assert store.load("a").instance.status is State.COMPLETED
    assert ask(pg_url, "SELECT * FROM sayiir.tokens") == []


def test_ends_of_many_during_a_heartbeat(store, pg_url):
    hands = [begin(store, name) for name in "abc"]
    with transaction(pg_url) as other:
        touch_token(other)
        ending = [Beside(lambda hand=hand: hand.complete(b"1")) for hand in hands]
        blocked_by(pg_url, other)
    assert [one.result().kind for one in ending] == ["finished"] * 3
    assert ask(pg_url, "SELECT * FROM sayiir.tokens") == []
    assert ask(pg_url, "SELECT count(*) FROM sayiir.results") == [(3,)]


def test_a_step_during_a_heartbeat(store, pg_url):
    hand = begin(store)
    with transaction(pg_url) as other:
        touch_token(other)
        stepping = Beside(lambda: hand.run("two", b"1"))
        blocked_by(pg_url, other)
    assert stepping.result().kind == "continue"
    assert ask(pg_url, "SELECT next FROM sayiir.results") == [("two",)]


def test_a_heartbeat_during_a_heartbeat(store, pg_url):
    hand = begin(store)
    with transaction(pg_url) as other:
        touch_token(other)
        beating = Beside(hand.beat)
        blocked_by(pg_url, other)
    assert not beating.result().lost


def test_a_claim_of_what_was_given_back_since_it_looked(store, pg_url):
    """The claim has begun: what it sees is claimed and given back before it locks it."""
    store.create(new(), "fail", claim=False)
    lanes_known = works(store)  # the statement's plan is made, and the definition known
    for hand in lanes_known:
        hand.release()
    ask(
        pg_url,
        "CREATE OR REPLACE FUNCTION sayiir.clock_micros() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN "
        "PERFORM pg_advisory_xact_lock_shared(4711); "
        "RETURN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint; END $$",
    )
    with psycopg.connect(pg_url) as gate:
        lanes_now = store.register([new().definition])
        gate.execute("SELECT pg_advisory_xact_lock(4711)")
        claiming = Beside(lambda: store.claim_due(lanes_now, 10, aging=300.0))
        blocked_by(pg_url, gate)
        ask(pg_url, "UPDATE sayiir.tokens SET epoch = epoch + 1")
        gate.commit()
    found = claiming.result().works
    assert len(found) <= 1
    # Whoever did not get it this time gets it the next time.
    assert len(found) + len(works(store)) == 1
    assert claims(store) == []
