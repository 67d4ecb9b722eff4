"""A server that refuses: it has no connection left, or ends a transaction and asks for it to be made again.

What was refused is made later, once; what cannot be made in time says what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sayiir import BackendError, WorkflowClient, run_durable_workflow
from sayiir.core.lifecycle import State
from sayiir.store.postgres import PostgresBackend
from tests.postgres.common import Beside, ask, begin, claims, lanes, new, opened
from tests.postgres.test_faults import STEPS, Chain, count
from tests.servers.ground import until
from tests.servers.postgres import PostgresServer
from tests.worker.support import ended, working

SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sayiir'"


class Crowd:
    """Others, who take every connection that a server has."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self._url = make_conninfo(url, application_name="crowd")
        self._stack = ExitStack()
        self._admin = self._stack.enter_context(server.connect())

    def come(self) -> None:
        """Take all connections, and those of stores as well."""
        until(self._is_full, "a server without a free connection")

    def _is_full(self) -> bool:
        try:
            while True:
                self._stack.enter_context(psycopg.connect(self._url, autocommit=True))
        except psycopg.OperationalError as error:
            assert "too many clients" in str(error)  # noqa: PT017 -- nothing else may refuse
        return self._admin.execute(SESSIONS).fetchall() == []

    def go(self) -> None:
        """Let the connections go."""
        self._stack.close()


@pytest.fixture(scope="module")
def small() -> Iterator[PostgresServer]:
    """A server for few."""
    with PostgresServer(fast=True, settings={"max_connections": "20"}) as server:
        yield server


@pytest.fixture
def crowd(small: PostgresServer, small_url: str) -> Iterator[Crowd]:
    crowd = Crowd(small, small_url)
    yield crowd
    crowd.go()


@pytest.fixture
def small_url(small: PostgresServer) -> Iterator[str]:
    with small.database() as url:
        yield url


# --- no free connection -----------------------------------------------------------------------------------------------

ADVICE = "raise max_connections of the server or lower max_connections= here"


def test_verbs_say_that_the_server_is_full(small_url, crowd):
    with opened(small_url, acquire_timeout_secs=1) as store:
        hand, places = begin(store), lanes(store)
        store.create(new("free"), "fail", claim=False)
        crowd.come()
        verbs = {
            "a signal": lambda: store.send_signal("a", "go", b"1"),
            "a step": lambda: hand.run("two"),
            "a submit": lambda: store.create(new("late"), "fail", claim=False),
            "work": lambda: store.claim_due(places, 10, aging=300.0),
            "a claim": lambda: claims(store, "free"),
            "a look": lambda: store.load("a"),
            "a beat": hand.beat,
        }
        for name, verb in verbs.items():
            with pytest.raises(BackendError) as caught:
                verb()
            assert ADVICE in str(caught.value), name
        with pytest.raises(BackendError, match=ADVICE):
            PostgresBackend(small_url)
        crowd.go()
        assert [count(small_url, table) for table in ("signals", "results", "instances")] == [0, 0, 2]
        for name, verb in verbs.items():
            if name not in ("work", "a claim"):
                verb()
        assert [count(small_url, table) for table in ("signals", "results", "instances")] == [1, 1, 3]
        assert hand.complete(b"2").kind == "finished"
        assert store.load("a").instance.status is State.COMPLETED
        works = store.claim_due(places, 10, aging=300.0).works
        assert {work.instance.instance_id for work in works} == {"free", "late"}


def test_no_connection_left_for_a_role_or_for_a_database(small, small_url):
    """The server names them then, as it does when they do not exist."""
    with small.connect() as admin:
        admin.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 0")
        admin.execute("CREATE ROLE many LOGIN")
        database = conninfo_to_dict(small_url)["dbname"]
        admin.execute(f"ALTER DATABASE {database} CONNECTION LIMIT 0")
    for user in ("few", "many"):
        with pytest.raises(BackendError, match=ADVICE):
            PostgresBackend(make_conninfo(small_url, user=user))


def test_a_call_hears_soon_that_there_is_a_free_connection(small_url, crowd, caplog):
    """The pool itself would look after 1, 2, 4, … seconds, and so for the last time as patience ends."""
    with opened(small_url, acquire_timeout_secs=6) as store:
        crowd.come()
        sending = Beside(lambda: store.send_signal("a", "go", b"1"))
        until(lambda: caplog.text.count("error connecting") >= 9, "the third try of three connections")
        crowd.go()
        assert sending.result()
        assert count(small_url, "signals") == 1


def test_a_chain_waits_for_a_free_connection(small_url, crowd):
    chain = Chain()
    chain.go[3].clear()
    with opened(small_url, acquire_timeout_secs=60) as store:
        running = Beside(lambda: run_durable_workflow(chain.workflow, "a", 0, store))
        assert chain.reached[3].wait(20)
        crowd.come()
        chain.go[3].set()
        assert not chain.reached[4].wait(0.3)
        crowd.go()
        assert running.result().output == STEPS
        assert chain.calls == list(range(STEPS))
        assert count(small_url, "results") == STEPS


def test_a_worker_waits_for_a_free_connection(small_url, crowd):
    chain = Chain()
    chain.go[3].clear()
    names = [f"n{number}" for number in range(3)]
    with opened(small_url, acquire_timeout_secs=1) as store:
        for name in names:
            WorkflowClient(store).submit(chain.workflow, name, 0)
        with working(store, [chain.workflow]):
            assert chain.reached[3].wait(20)
            crowd.come()
            chain.go[3].set()
            assert not chain.reached[4].wait(1.5)
            crowd.go()
            assert [status.output for status in ended(store, *names)] == [STEPS] * 3
        assert count(small_url, "results") == STEPS * 3
        # A claim may have been lost with its session; what was finished was not made again.
        assert len(chain.calls) <= STEPS * 3 + len(names)


# --- a transaction that must be made again ----------------------------------------------------------------------------

INSERT = "INSERT INTO sayiir.signals (instance_id, name, payload, sent_at) VALUES ('a', 'go', '1', 1)"
STATES = {"a serialization failure": "40001", "a deadlock": "40P01"}


@pytest.fixture(params=STATES.values(), ids=STATES)
def state(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_script_is_run_again(pg_url, state):
    with opened(pg_url) as store:
        tries = []

        def script(connection, _):
            connection.execute(INSERT)
            tries.append(connection)
            if len(tries) < 3:
                connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '{state}'; END $$")
            return "made"

        assert store._links.transact(script) == "made"
        assert (len(tries), count(pg_url, "signals")) == (3, 1)


def test_a_script_that_never_succeeds_says_why(pg_url, state):
    with opened(pg_url, acquire_timeout_secs=0.2) as store:

        def script(connection, _):
            connection.execute(INSERT)
            connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '{state}'; END $$")

        with pytest.raises(BackendError, match="again"):
            store._links.transact(script)
        assert count(pg_url, "signals") == 0
        assert store.load("a") is None


def trip(url: str, table: str, event: str, state: str, *, at_commit: bool) -> None:
    """Let the next two changes of a table fail, at once or as they are committed; the sequence outlives the rollback."""
    when = "AFTER" if at_commit else "BEFORE"
    kind, deferred = ("CONSTRAINT ", "DEFERRABLE INITIALLY DEFERRED") if at_commit else ("", "")
    ask(
        url,
        f"""CREATE SEQUENCE tries; CREATE FUNCTION trip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('tries') <= 2 THEN RAISE EXCEPTION 'again' USING ERRCODE = '{state}'; END IF; RETURN NEW; END $$;
        CREATE {kind}TRIGGER trip {when} {event} ON sayiir.{table} {deferred} FOR EACH ROW EXECUTE FUNCTION trip()""",
    )


def untrip(url: str, table: str) -> None:
    """Let everything succeed again; the failures must have happened."""
    assert ask(url, "SELECT last_value > 2 FROM tries") == [(True,)]
    ask(url, f"DROP TRIGGER trip ON sayiir.{table}; DROP FUNCTION trip(); DROP SEQUENCE tries")


@pytest.mark.parametrize("at_commit", [False, True], ids=["at once", "at commit"])
class TestHot:
    """Statements that are refused twice are made once."""

    def test_a_step(self, pg_url, state, at_commit):
        with opened(pg_url) as store:
            hand = begin(store)
            trip(pg_url, "results", "INSERT", state, at_commit=at_commit)
            assert hand.run("two").kind == "continue"
            untrip(pg_url, "results")
            assert count(pg_url, "results") == 1
            assert hand.complete(b"2").kind == "finished"

    def test_an_end(self, pg_url, state, at_commit):
        with opened(pg_url) as store:
            hand = begin(store)
            trip(pg_url, "results", "INSERT", state, at_commit=at_commit)
            assert hand.complete(b"2").kind == "finished"
            untrip(pg_url, "results")
            assert (count(pg_url, "results"), count(pg_url, "tokens")) == (1, 0)
            assert store.load("a").output == b"2"

    def test_a_submit(self, pg_url, state, at_commit):
        with opened(pg_url) as store:
            lanes(store)
            trip(pg_url, "instances", "INSERT", state, at_commit=at_commit)
            assert store.create(new(), "fail", claim=False).is_new
            untrip(pg_url, "instances")
            assert (count(pg_url, "instances"), count(pg_url, "tokens")) == (1, 1)
            (hand,) = claims(store)
            assert hand.complete(b"2").kind == "finished"

    def test_a_claim(self, pg_url, state, at_commit):
        with opened(pg_url) as store:
            places = lanes(store)
            store.create(new(), "fail", claim=False)
            trip(pg_url, "tokens", "UPDATE", state, at_commit=at_commit)
            (work,) = store.claim_due(places, 10, aging=300.0).works
            untrip(pg_url, "tokens")
            assert work.claim.position.crashes == 0
            assert store.claim_due(places, 10, aging=300.0).works == ()

    def test_a_signal(self, pg_url, state, at_commit):
        with opened(pg_url) as store:
            lanes(store)
            trip(pg_url, "signals", "INSERT", state, at_commit=at_commit)
            assert store.send_signal("a", "go", b"1")
            untrip(pg_url, "signals")
            assert count(pg_url, "signals") == 1

    def test_a_join(self, pg_url, state, at_commit):
        with opened(pg_url) as store:
            left, right = begin(store).fork("l", "r")
            assert left.arrive("l", "r", output=b"1").kind == "arrived"
            trip(pg_url, "results", "INSERT", state, at_commit=at_commit)
            moved = right.arrive("l", "r", output=b"2")
            assert (moved.kind, [claim.value for claim in moved.claims]) == ("joined", [b'{"l":1,"r":2}'])
            untrip(pg_url, "results")
            assert count(pg_url, "results") == 4
