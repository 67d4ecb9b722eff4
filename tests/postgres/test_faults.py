"""Faults of the network and of the server: what was acknowledged is there, once; what was refused says so in time."""

from __future__ import annotations

import threading

import psycopg
import pytest

from sayiir import BackendError, Flow, InstanceAlreadyExistsError, resume_workflow, run_durable_workflow
from sayiir.core.lifecycle import State
from tests.postgres.common import Beside, ask, begin, blocked_by, claims, deadlocks, lanes, new, opened, transaction, works
from tests.servers.ground import until

INSERT_STEP = b'INSERT INTO "sayiir".results'
CREATE = b'INSERT INTO "sayiir".instances'
CLAIM = b"FOR UPDATE SKIP LOCKED"


@pytest.fixture
def store(proxy, pg_url):
    with opened(proxy.through(pg_url), acquire_timeout_secs=20, prepare=False) as store:
        lanes(store)
        yield store


@pytest.fixture(params=["answer", "request"])
def lose(request, proxy):
    return proxy.lose_next_answer if request.param == "answer" else proxy.lose_next_request


def count(url, table):
    return ask(url, f"SELECT count(*) FROM sayiir.{table}")[0][0]


# --- lost answers and requests --------------------------------------------------------------------------------------


def test_a_lost_commit_of_a_signal(store, pg_url, lose):
    happened = lose(b"COMMIT")
    assert store.send_signal("a", "go", b"1")
    assert happened.is_set()
    assert count(pg_url, "signals") == 1


def test_a_lost_commit_of_a_wait(store, lose):
    hand = begin(store)
    happened = lose(b"COMMIT")
    assert hand.wait(60).kind == "parked"
    assert happened.is_set()
    view = store.load("a")
    assert (view.instance.status, [token.state for token in view.tokens]) == (State.WAITING, ["waiting"])
    assert len(store.history(view.instance.number)) == 1


def test_a_lost_step(store, pg_url, lose):
    hand = begin(store)
    hand.run("two")
    happened = lose(INSERT_STEP)
    assert hand.run("three", b"3").kind == "continue"
    assert happened.is_set()
    assert count(pg_url, "results") == 2
    assert hand.complete(b"4").kind == "finished"
    assert store.load("a").output == b"4"


def test_a_lost_end(store, pg_url, lose):
    hand = begin(store)
    hand.run("two")
    happened = lose(b"'completed'")
    assert hand.complete(b"2").kind == "finished"
    assert happened.is_set()
    assert (count(pg_url, "results"), count(pg_url, "tokens")) == (2, 0)
    assert store.load("a").instance.status is State.COMPLETED


def test_a_lost_creation(store, pg_url, lose):
    begin(store, "first")
    happened = lose(CREATE)
    hand = begin(store)
    assert happened.is_set()
    assert count(pg_url, "instances") == 2
    assert hand.run().kind == "continue"
    with pytest.raises(InstanceAlreadyExistsError):
        begin(store)


def test_a_lost_creation_of_many(store, pg_url, lose):
    begin(store, "first")
    happened = lose(b"COMMIT")
    made = store.create_many([new(f"n{number}") for number in range(20)], "fail")
    assert happened.is_set()
    assert [created.instance.instance_id for created in made] == [f"n{number}" for number in range(20)]
    assert count(pg_url, "instances") == 21


def test_a_lost_claim_leaves_no_orphan(store, pg_url, lose):
    for number in range(5):
        store.create(new(f"n{number}"), "fail", claim=False)
    for hand in works(store):
        hand.release()
    happened = lose(CLAIM)
    got = works(store)
    assert happened.is_set()
    got += works(store)
    assert sorted(hand.fence.instance for hand in got) == sorted({hand.fence.instance for hand in got})
    assert len(got) == 5
    assert all(hand.run().kind == "continue" for hand in got)


def test_a_claim_whose_answer_is_lost_before_the_server_is_away_is_given_back(postgres, proxy, pg_url):
    """It fails, and what the server gave out is free as soon as the server is back."""
    with opened(proxy.through(pg_url), acquire_timeout_secs=0.5, prepare=False) as store:
        store.create(new(), "fail", claim=False)
        (hand,) = works(store)
        hand.release()
        lanes_known = lanes(store)
        happened = proxy.lose_next_answer(CLAIM)
        claiming = Beside(lambda: store.claim_due(lanes_known, 10, aging=300.0))
        assert happened.wait(20)
        proxy.stall()
        proxy.cut()
        with pytest.raises(BackendError):
            claiming.result()
        proxy.resume()
        assert ask(pg_url, "SELECT count(owner) FROM sayiir.tokens") in ([(0,)], [(1,)])
        until(lambda: bool(tolerant(lambda: works(store))), "the work that was given out in a lost answer")


def tolerant(call):
    """Return what a call comes to, None when the database is away."""
    try:
        return call()
    except BackendError:
        return None


def test_a_requested_pause_meets_a_forgotten_claim(store, pg_url, proxy):
    """Who asks for a pause believes that the forgotten claim's runner will obey; giving it back obeys."""
    store.create(new(), "fail", claim=False)
    number = store.load("a").instance.number
    with opened(pg_url) as other:
        # What a lost answer leaves: a claim that nobody knows of.
        (hand,) = works(store)
        store._claims.give_back_later([hand.fence])
        assert other.request_pause("a", None, None) is State.IN_PROGRESS
        store.sweep()
        assert other.load("a").instance.status is State.PAUSED
        other.unpause("a")
        (again,) = works(other)
        assert again.fence.instance == number


def test_easy_claims_are_not_kept_when_the_hard_ones_fail(postgres, pg_url):
    with opened(pg_url, acquire_timeout_secs=0.3) as store, opened(pg_url) as eye:
        store.create(new("easy"), "fail", claim=False)
        begin(store, "hard").wait(0.001)
        until(lambda: ask(pg_url, "SELECT 1 FROM sayiir.tokens WHERE wake_at < sayiir.clock_micros() AND state = 'waiting'")
              != [], "the end of a delay")  # fmt: skip
        lanes_known = lanes(store)
        with transaction(pg_url) as other:
            other.execute("SELECT 1 FROM sayiir.instances WHERE instance_id = 'hard' FOR UPDATE")
            ask(pg_url, f"ALTER DATABASE {other.info.dbname} SET lock_timeout = '100ms'")
            postgres.terminate_connections("sayiir", other.info.dbname)
            with pytest.raises(BackendError):
                store.claim_due(lanes_known, 10, aging=300.0)
        assert {hand.fence.instance for hand in works(store)} == {eye.load(name).instance.number for name in ("easy", "hard")}


# --- ambiguity ------------------------------------------------------------------------------------------------------


def test_a_step_that_arrives_while_it_is_asked_for(store, pg_url, proxy):
    """The connection is lost while the server is at it: the line comes after the question whether it is there."""
    hand = begin(store)
    hand.run("two")
    with transaction(pg_url) as other:
        other.execute("UPDATE sayiir.tokens SET until = until")
        stepping = Beside(lambda: hand.run("three", b"3"))
        blocked_by(pg_url, other)
        proxy.cut()  # its session goes on waiting for the lock, and does the step
        statement = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
        until(lambda: ask(pg_url, statement)[0][0] == 2, "the step's second try")
    assert stepping.result().kind == "continue"
    assert count(pg_url, "results") == 2


def test_a_creation_that_arrives_while_it_is_asked_for(store, pg_url, proxy):
    begin(store, "first")
    with transaction(pg_url) as other:
        other.execute("LOCK sayiir.tokens IN EXCLUSIVE MODE")
        creating = Beside(lambda: begin(store))
        blocked_by(pg_url, other)
        proxy.cut()
        statement = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
        until(lambda: ask(pg_url, statement)[0][0] == 2, "the second try")
    assert creating.result().run().kind == "continue"
    assert count(pg_url, "instances") == 2


def test_a_commit_lost_with_the_server_is_not_taken_for_another(durable_postgres):
    """A server that crashes gives the numbers of transactions again that were never written."""
    with durable_postgres.database() as url, opened(url, acquire_timeout_secs=20) as store:
        lanes(store)
        tries = []

        def script(connection, _):
            connection.execute("INSERT INTO sayiir.signals (instance_id, name, payload, sent_at) VALUES ('a', 'go', '1', 1)")
            tries.append(1)
            if len(tries) == 1:
                number = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()[0]
                durable_postgres.restart("immediate")
                while ask(url, "SELECT pg_current_xact_id()::text::bigint")[0][0] <= number:
                    pass

        store._links.transact(script)
        assert count(url, "signals") == 1


def test_a_transaction_that_was_ended_while_this_process_stood_still(pg_url):
    with opened(pg_url):
        pass  # it makes the tables, in a transaction of its own
    with opened(pg_url, idle_in_transaction_session_timeout_secs=0.3) as store:
        tries = []

        def script(connection, _):
            connection.execute("INSERT INTO sayiir.signals (instance_id, name, payload, sent_at) VALUES ('a', 'go', '1', 1)")
            tries.append(connection.info.backend_pid)
            if len(tries) == 1:
                alive = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
                until(lambda: ask(pg_url, alive, tries[0]) == [], "the end of an idle transaction")

        store._links.transact(script)
        assert (len(tries), count(pg_url, "signals")) == (2, 1)


# --- the server goes and comes ---------------------------------------------------------------------------------------


STEPS = 12


class Chain:
    """A chain that counts its steps, and tells when a certain one is reached."""

    def __init__(self, steps=STEPS):
        self.calls = []
        self.reached = {number: threading.Event() for number in range(steps)}
        self.go = {number: threading.Event() for number in range(steps)}
        for event in self.go.values():
            event.set()
        flow = Flow("chain")
        for number in range(steps):
            flow = flow.then(self._step(number), name=f"s{number}")
        self.workflow = flow.build()

    def _step(self, number):
        def step(x: int) -> int:
            self.calls.append(number)
            self.reached[number].set()
            assert self.go[number].wait(60)
            return x + 1

        return step


@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_a_restart_under_a_running_chain(durable_postgres, mode):
    chain = Chain()
    chain.go[4].clear()
    with durable_postgres.database() as url, opened(url) as store:
        running = Beside(lambda: run_durable_workflow(chain.workflow, "a", 0, store))
        assert chain.reached[4].wait(20)
        durable_postgres.restart(mode)
        chain.go[4].set()
        assert running.result().output == STEPS
        assert chain.calls == list(range(STEPS))
        assert count(url, "results") == STEPS


def test_every_connection_terminated_again_and_again(postgres, pg_url):
    chain = Chain()
    with opened(pg_url) as store:
        for event in chain.go.values():
            event.clear()
        running = Beside(lambda: run_durable_workflow(chain.workflow, "a", 0, store))
        name = psycopg.conninfo.conninfo_to_dict(pg_url)["dbname"]
        killed = 0
        for number in range(STEPS):
            assert chain.reached[number].wait(20)
            killed += postgres.terminate_connections("sayiir", name)
            chain.go[number].set()
        assert running.result().output == STEPS
        assert killed >= STEPS
        assert chain.calls == list(range(STEPS))


def test_a_server_that_takes_no_writes_for_a_while(postgres, pg_url):
    chain = Chain()
    chain.go[3].clear()
    with opened(pg_url) as store:
        running = Beside(lambda: run_durable_workflow(chain.workflow, "a", 0, store))
        assert chain.reached[3].wait(20)
        postgres.read_only(True)
        try:
            chain.go[3].set()
            assert not chain.reached[5].wait(0.3)
        finally:
            postgres.read_only(False)
        assert running.result().output == STEPS
        assert chain.calls == list(range(STEPS))


def test_a_server_that_is_away_for_too_long(postgres, proxy, pg_url):
    """The run fails with what to do, and the instance can be resumed once the server is back."""
    chain = Chain()
    chain.go[3].clear()
    with opened(proxy.through(pg_url), acquire_timeout_secs=0.5, prepare=False) as store:
        running = Beside(lambda: run_durable_workflow(chain.workflow, "a", 0, store))
        assert chain.reached[3].wait(20)
        proxy.stall()
        proxy.cut()
        chain.go[3].set()
        with pytest.raises(BackendError, match="check that the server runs"):
            running.result()
        proxy.resume()
        proxy.cut()

        def resumed():
            status = tolerant(lambda: resume_workflow(chain.workflow, "a", store))
            return status is not None and status.is_completed()

        until(resumed, "the end of the instance")
        assert resume_workflow(chain.workflow, "a", store).output == STEPS
        assert [call for call in chain.calls if call != 3] == [number for number in range(STEPS) if number != 3]
        assert chain.calls.count(3) <= 2


# --- what else is held to ------------------------------------------------------------------------------------------------


def test_the_configured_length_of_claims_holds_for_every_claim(pg_url):
    with opened(pg_url) as store:
        store.use_claim_ttl(7.0)
        begin(store).release()
        (hand,) = claims(store)
        assert ask(pg_url, "SELECT until - moved_at FROM sayiir.tokens") == [(7_000_000,)]
        hand.wait(0)
        until(lambda: bool(works(store)), "the end of a delay")
        # A little more: the claims of two statements differ in length.
        ((length,),) = ask(pg_url, "SELECT until - moved_at FROM sayiir.tokens")
        assert 7_000_000 < length <= 8_000_000


def test_workers_that_make_many_definitions_known_do_not_wait_for_each_other(pg_url):
    from sayiir.core.records import Definition

    definitions = [Definition("w", f"hash-{number}", "flow", {}) for number in range(20)]
    with opened(pg_url) as one, opened(pg_url) as two:
        for _ in range(10):
            beside = Beside(lambda: one.register(definitions))
            two.register(definitions[::-1])
            beside.result()
    assert deadlocks(pg_url) == 0


@pytest.mark.parametrize("broken", ["SELECT 1 / 0", "SELECT pg_terminate_backend(pg_backend_pid())"])
def test_a_connection_that_cannot_be_made_ready_is_closed(pg_url, broken):
    made = []

    def ready(connection):
        made.append(connection)
        connection.execute(broken)

    with opened(pg_url) as store, pytest.raises(psycopg.Error):
        store._links.connect(ready)
    assert [connection.closed for connection in made] == [True]
