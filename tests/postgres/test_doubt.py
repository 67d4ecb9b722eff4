"""A COMMIT whose answer is lost, with the server away for longer than patience lasts: nothing stays claimed by nobody."""

from __future__ import annotations

import threading

import msgspec
import pytest

from sayiir import BackendError, Flow, WorkflowClient
from sayiir.core.plan import COMPLETE, RUN
from sayiir.core.records import Move, Position, Record, ref_of
from sayiir.store.port import Order
from sayiir.store.postgres import PostgresBackend
from sayiir.store.postgres.hot import Step
from tests.postgres.common import ask, begin, claims, lanes, opened, works
from tests.servers.ground import PATIENCE, until
from tests.worker.support import ended, working


@pytest.fixture
def store(proxy, pg_url):
    with opened(proxy.through(pg_url), acquire_timeout_secs=0.5, prepare=False) as store:
        lanes(store)
        yield store


@pytest.fixture
def other(pg_url):
    with opened(pg_url) as other:
        yield other


@pytest.fixture
def in_doubt(store, proxy, monkeypatch):
    """Let a call's COMMIT be done and its answer be lost, and the server be away until the call has failed."""
    decided = store._links.landed

    def away(number, patience):
        proxy.stall()
        proxy.cut()
        return decided(number, patience)

    def call(what):
        happened = proxy.lose_next_answer(b"COMMIT")
        with monkeypatch.context() as patched:
            patched.setattr(store._links, "landed", away)
            with pytest.raises(BackendError):
                what()
        assert happened.is_set()
        proxy.resume()
        proxy.cut()

    return call


def given_back(other, url):
    """Return what another owner gets as soon as it may, while the first one does nothing."""
    held = "SELECT 1 FROM sayiir.tokens WHERE owner IS NOT NULL"
    until(lambda: not ask(url, held), "the claims of which nobody knows being given back")
    return claims(other)


def test_a_join_in_doubt_keeps_no_claim(store, other, pg_url, in_doubt):
    left, right = begin(store).fork("l", "r")
    assert left.arrive("l", "r", output=b"1").kind == "arrived"
    in_doubt(lambda: right.arrive("l", "r", output=b"2"))
    (main,) = given_back(other, pg_url)
    assert main.claim.value == b'{"l":1,"r":2}'
    assert main.complete().kind == "finished"


def test_a_claim_in_doubt_keeps_none(store, other, pg_url, in_doubt):
    begin(store).release()
    in_doubt(lambda: claims(store))
    (main,) = given_back(other, pg_url)
    assert main.complete().kind == "finished"


def test_a_fork_in_doubt_keeps_no_branch(store, other, pg_url, in_doubt):
    main = begin(store)
    in_doubt(lambda: main.fork("l", "r"))
    left, right = given_back(other, pg_url)
    assert left.arrive("l", "r").kind == "arrived"
    assert right.arrive("l", "r").kind == "joined"


def test_the_same_store_gets_it_back_with_its_next_claim(store, in_doubt):
    begin(store).release()
    in_doubt(lambda: claims(store))
    (main,) = claims(store)
    assert main.complete().kind == "finished"


def test_other_claims_of_the_store_are_kept(store, other, pg_url, in_doubt):
    kept = begin(store, "kept")
    begin(store).release()
    in_doubt(lambda: claims(store))
    until(lambda: works(other), "the claim of which nobody knows being given back")
    assert not kept.beat().lost
    assert kept.complete().kind == "finished"


def test_an_interrupted_commit_keeps_no_claim(store, other, pg_url, monkeypatch):
    begin(store).release()
    commit = store._links.commit

    def interrupted(connection):
        commit(connection)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store._links, "commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            claims(store)
    (main,) = given_back(other, pg_url)
    assert main.complete().kind == "finished"


@pytest.fixture
def unanswered(store, proxy, monkeypatch):
    """Let a hot statement be done and its answer be lost, and the server be away until the call has failed."""
    drop = store._hot._own.drop

    def away():
        proxy.stall()
        proxy.cut()
        drop()

    def call(statement, what):
        happened = proxy.lose_next_answer(statement)
        with monkeypatch.context() as patched:
            patched.setattr(store._hot._own, "drop", away)
            with pytest.raises(BackendError):
                what()
        assert happened.is_set()
        proxy.resume()
        proxy.cut()

    return call


def test_a_signal_that_was_consumed_in_doubt_is_not_awaited_again(store, pg_url, unanswered):
    """Whoever got no answer asks again, as a worker does until it has one."""
    hand = begin(store)
    store.send_signal("a", "go", b"1")
    signal = hand.await_signal("go").signal
    orders = [Order(hand.fence, arrived(hand, signal), signal)]
    unanswered(b"going AS MATERIALIZED", lambda: raised(store.checkpoint_many(orders)))
    (moved,) = store.checkpoint_many(orders)
    assert moved.kind == "continue"
    assert ask(pg_url, "SELECT node, state FROM sayiir.tokens") == [("next", "ready")]
    assert ask(pg_url, "SELECT output FROM sayiir.results WHERE node = 'gate'") == [("1",)]


def test_a_step_in_doubt_is_made_once(store, pg_url, unanswered):
    hand = begin(store)
    order = Order(hand.fence, stepped(hand))
    unanswered(b'INTO "sayiir".results SELECT $1', lambda: raised(store.checkpoint_many([order])))
    (moved,) = store.checkpoint_many([order])
    assert moved.kind == "continue"
    assert ask(pg_url, "SELECT count(*) FROM sayiir.results") == [(1,)]


def test_a_step_in_doubt_that_its_new_owner_has_made_is_not_taken_for_ones_own(store, other, pg_url):
    late = begin(store)
    ask(pg_url, "UPDATE sayiir.tokens SET until = 0")
    (owner,) = claims(other)
    assert owner.run("two", b"3").kind == "continue"
    # The same line, but not what this one has sent.
    assert store._hot.run(Step(late.fence, stepped(late), doubt=True)) is False
    assert ask(pg_url, "SELECT output FROM sayiir.results WHERE status = 'completed'") == [("3",)]


def test_ends_in_doubt_that_were_written_together_are_known_to_have_come_through(store, proxy, pg_url):
    hands = [begin(store, name) for name in "ab"]
    happened = proxy.lose_next_answer(b"status = 'completed'")
    moves = store.checkpoint_many([Order(hand.fence, completed(hand)) for hand in hands])
    assert happened.is_set()
    assert [getattr(moved, "kind", moved) for moved in moves] == ["finished", "finished"]
    assert ask(pg_url, "SELECT DISTINCT status FROM sayiir.instances") == [("completed",)]


def completed(hand):
    return msgspec.structs.replace(stepped(hand), decision=COMPLETE)


def arrived(hand, signal):
    here = hand.position
    record = Record(
        ref_of(0, here.step + 1), here.node, "await_signal", output=signal.payload, source=here.ref, worker="me",
        started_at=1, finished_at=2,
    )  # fmt: skip
    return Move((record,), Position("next", record.ref, here.step + 1), RUN)


def stepped(hand):
    here = hand.position
    record = Record(
        ref_of(0, here.step + 1), here.node, "task", output=b"2", source=here.ref, worker="me", started_at=1, finished_at=2
    )
    return Move((record,), Position("two", record.ref, here.step + 1), RUN)


def raised(answers):
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer


def test_a_worker_goes_on_after_a_join_in_doubt(store, proxy, pg_url, monkeypatch):
    gate, away = threading.Event(), threading.Event()
    decided = store._links.landed

    def slow(x: int) -> int:
        assert gate.wait(PATIENCE)
        return x + 1

    def landed(number, patience):
        if not away.is_set():
            proxy.stall()
            proxy.cut()
            away.set()
        return decided(number, patience)

    monkeypatch.setattr(store._links, "landed", landed)
    draft = Flow("w").fork().branch(lambda x: x, name="quick").branch(slow, name="slow")
    flow = draft.join(lambda results: results["quick"] + results["slow"]).build()
    with opened(pg_url) as eye, working(store, [flow], claim_ttl=600):
        WorkflowClient(eye).submit(flow, "a", 1)
        until(lambda: ask(pg_url, "SELECT 1 FROM sayiir.tokens WHERE state = 'done'"), "the quick branch")
        happened = proxy.lose_next_answer(b"COMMIT")
        gate.set()
        assert away.wait(PATIENCE)
        assert happened.is_set()
        proxy.resume()
        proxy.cut()
        assert ended(eye, "a").output == 3


def test_what_is_closed_is_not_opened_again_by_who_comes_late(pg_url):
    store = PostgresBackend(pg_url)
    hand = begin(store)
    store.close()
    for late in (
        lambda: store._claims.beat([hand.fence]), lambda: store._claims.left_behind(), store._creation._own.get,
        store._hot._own.get,
    ):  # fmt: skip
        with pytest.raises(BackendError, match="closed meanwhile"):
            late()
    there = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'sayiir' AND datname = current_database()"
    until(lambda: not ask(pg_url, there), "the end of all connections")
