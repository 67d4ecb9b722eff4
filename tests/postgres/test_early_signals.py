"""Signals that are sent in a transaction during which their instance is created, and parks: nobody sleeps over them."""

from __future__ import annotations

import json

import psycopg
import pytest

from sayiir import Flow, WorkflowClient
from sayiir.core.records import Await, Move
from sayiir.store import scripts
from tests.postgres.common import Beside, ask, begin, blocked_by, new, opened, works
from tests.worker.support import ended, reached, working

GATE = Flow("gate").wait_for_signal("go").build()


@pytest.fixture
def store(pg_url):
    with opened(pg_url) as store:
        yield store


@pytest.fixture
def connection(pg_url):
    with psycopg.connect(pg_url) as connection:
        yield connection


def send(store, connection, instance_id="a", payload=b"1"):
    """Send a signal in a transaction that is still to be committed."""
    return store.within(connection, lambda rows: scripts.send_signal(rows, instance_id, "go", payload, None))


def early(url):
    return ask(url, "SELECT count(*) FROM sayiir.signals WHERE early")[0][0]


def test_who_parked_before_the_sender_committed_is_woken_by_the_next_sweep(store, connection, pg_url):
    send(store, connection)
    hand = begin(store)
    assert hand.await_signal("go").kind == "parked"
    connection.commit()
    store.sweep()
    (woken,) = works(store)
    assert (woken.claim.wake, woken.claim.signal.payload) == ("signal", b"1")
    assert woken.consume(woken.claim.signal).kind == "continue"
    assert early(pg_url) == 0
    store.sweep()
    assert works(store) == []


def test_a_park_that_is_not_committed_either_is_waited_for(store, connection, pg_url):
    hand = begin(store)
    hand.run("two")
    store.release([hand.fence])
    ask(pg_url, "UPDATE sayiir.instances SET instance_id = 'b'")  # so that the sender does not meet it
    send(store, connection)
    ask(pg_url, "UPDATE sayiir.instances SET instance_id = 'a'")
    (hand,) = works(store)
    move = Move((), hand.position, Await("go", None))
    with psycopg.connect(pg_url) as parking:
        parked = store.within(parking, lambda rows: scripts.checkpoint(rows, hand.fence, move, None, False))
        assert parked.kind == "parked"
        connection.commit()
        sweeping = Beside(store.sweep)
        blocked_by(pg_url, parking)
        parking.commit()
    sweeping.result()
    (woken,) = works(store)
    assert woken.claim.wake == "signal"


def test_of_a_signal_whose_instance_is_not_there_the_sweep_has_no_more_to_do(store, connection, pg_url):
    send(store, connection)
    connection.commit()
    assert early(pg_url) == 1
    store.sweep()
    assert early(pg_url) == 0
    assert begin(store).await_signal("go").kind == "signal"


def test_a_signal_to_an_instance_that_is_there_is_none_of_them(store, connection, pg_url):
    hand = begin(store)
    send(store, connection)
    connection.commit()
    assert early(pg_url) == 0
    assert hand.await_signal("go").kind == "signal"


def test_one_that_is_sent_by_itself_is_marked_by_the_same_rule(store, pg_url):
    assert store.send_signal("a", "go", b"1")
    assert early(pg_url) == 1
    begin(store)
    assert store.send_signal("a", "go", b"2")
    assert early(pg_url) == 1
    store.sweep()
    assert early(pg_url) == 0


def test_a_paused_instance_is_not_woken(store, connection):
    send(store, connection)
    begin(store).await_signal("go")
    store.request_pause("a", None, None)
    connection.commit()
    store.sweep()
    assert works(store) == []
    store.unpause("a")
    assert len(works(store)) == 1


def test_a_worker_goes_on_with_who_parked_before_the_sender_committed(store, connection):
    client = WorkflowClient(store)
    with working(store, [GATE]):
        client.send_signal("a", "go", 7, connection=connection)
        client.submit(GATE, "a", 1)
        reached(store, "a", "awaiting_signal")
        connection.commit()
        assert ended(store, "a").output == 7


def test_many_are_swept_up_in_pieces(store, connection, pg_url):
    for name in ("a", "b"):
        send(store, connection, name)
    for name in ("a", "b"):
        begin(store, name).await_signal("go")
    connection.commit()
    ask(
        pg_url,
        "INSERT INTO sayiir.signals (instance_id, name, payload, sent_at, early) "
        "SELECT 'x' || n, 'go', '1', 0, true FROM generate_series(1, 2500) n",
    )
    store.sweep()
    assert early(pg_url) == 1502
    assert len(works(store)) == 2
    for _ in range(2):
        store.sweep()
    assert early(pg_url) == 0


def test_the_sweep_looks_at_no_other_signal_and_at_none_that_is_parked(store, pg_url):
    store.create(new(), "fail", claim=False)
    ask(
        pg_url,
        "INSERT INTO sayiir.signals (instance_id, name, payload, sent_at) "
        "SELECT 'x' || n, 'go', '1', 0 FROM generate_series(1, 20000) n",
    )
    ask(pg_url, "ANALYZE sayiir.signals")
    statements = (store._shared.sql.LEFT_BEHIND, (0, 0.0)), (store._shared.sql.EARLY, ())
    with psycopg.connect(pg_url) as connection:
        for statement, values in statements:
            (plan,) = connection.execute(b"EXPLAIN (FORMAT JSON) " + statement, values).fetchone()
            text = json.dumps(plan)
            assert "signals_early" in text
            assert '"Relation Name": "tokens"' not in text


def test_the_signals_of_instances_are_found_along_indexes(store, pg_url):
    ask(
        pg_url,
        "INSERT INTO sayiir.signals (instance_id, name, payload, sent_at, dedup_key, consumed_at) "
        "SELECT 'x' || n, 'go', '1', 0, CASE WHEN n % 2 = 0 THEN 'key' END, CASE WHEN n % 4 = 0 THEN 1 END "
        "FROM generate_series(1, 20000) n",
    )
    ask(pg_url, "ANALYZE sayiir.signals")
    ids = ["x1", "x2", "x4", "nobody"]
    with psycopg.connect(pg_url) as connection:
        for asked in (ids[:1], ids):
            (plan,) = connection.execute(b"EXPLAIN (FORMAT JSON) " + store._shared.sql.DROP_SIGNALS, (asked, asked)).fetchone()
            text = json.dumps(plan)
            assert "signals_waiting" in text
            assert "signals_dedup" in text
            assert "Seq Scan" not in text
        assert connection.execute(store._shared.sql.DROP_SIGNALS, (ids, ids)).rowcount == 3
