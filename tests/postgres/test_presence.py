"""Who is there: killed, stopped and cut-off processes, and what is heard across them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from sayiir.store.postgres.presence import LATE_SECS, Presence
from sayiir.store.postgres.rows import MOMENT_SECS
from tests.postgres.common import Beside, ask, begin, claims, kill_owner, lanes, new, opened, works
from tests.servers.ground import until

ROOT = Path(__file__).parents[2]


@contextmanager
def holder(url, ttl=300.0, listen="listen"):
    """Run a process that holds the claim of instance "a"."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.postgres.child", url, str(ttl), listen],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
    )  # fmt: skip
    with process:
        assert process.stdout.readline().strip() == "holds"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def store(pg_url):
    with opened(pg_url) as store:
        yield store


def test_a_killed_process_is_taken_over_at_once(store, pg_url):
    with holder(pg_url) as process:
        assert claims(store) == []
        process.kill()
        process.wait()
        found = []
        until(lambda: bool(found.extend(claims(store)) or found), "the end of the killed process's session")
        assert found[0].run().kind == "continue"
        assert [record.status for record in store.history(found[0].fence.instance)] == ["crashed", "completed"]


def test_a_killed_process_is_swept_up_after(store, pg_url):
    with holder(pg_url) as process:
        lanes(store)
        assert store.sweep() == 0
        process.kill()
        process.wait()
        until(lambda: store.sweep() == 1, "the sweep of a killed process's claim")
        (hand,) = works(store)
        assert hand.position.crashes == 1
        assert len(ask(pg_url, "SELECT owner FROM sayiir.owners")) == 1


def alarmed(store, seen, url, beats):
    """Return whether a store has heard an alarm by the time it has beaten so often."""
    for _ in range(beats):
        statement = "SELECT beat_at FROM sayiir.owners WHERE owner = %s"
        before = ask(url, statement, store._shared.owner)
        until(lambda before=before: ask(url, statement, store._shared.owner) != before, "a beat")
    return store.hints.wait_alarmed(seen, 0.0) != seen


def test_the_beats_of_the_living_tell_of_a_death(store, pg_url):
    with holder(pg_url) as process:
        lanes(store)
        store.sweep()
        seen = store.hints.wait_alarmed(0, 0.0)
        process.kill()
        process.wait()
        assert store.hints.wait_alarmed(seen, 30.0) != seen
        assert store.sweep() == 1
        seen = store.hints.wait_alarmed(0, 0.0)
        assert not alarmed(store, seen, pg_url, 3)


def test_who_is_only_silent_alarms_nobody_before_his_claims_run_out(store, pg_url):
    with holder(pg_url) as process:
        lanes(store)
        store.sweep()
        process.send_signal(signal.SIGSTOP)
        ask(pg_url, "UPDATE sayiir.owners SET beat_at = beat_at - 10000000 WHERE owner <> %s", store._shared.owner)
        seen = store.hints.wait_alarmed(0, 0.0)
        assert not alarmed(store, seen, pg_url, 3)
        ask(pg_url, "UPDATE sayiir.owners SET beat_at = beat_at - 300000000 WHERE owner <> %s", store._shared.owner)
        assert store.hints.wait_alarmed(seen, 30.0) != seen
        process.send_signal(signal.SIGCONT)


def test_a_signal_that_was_sent_early_alarms_those_who_sweep(store, pg_url):
    lanes(store)
    store.sweep()
    seen = store.hints.wait_alarmed(0, 0.0)
    store.send_signal("nobody", "go", b"1")
    assert store.hints.wait_alarmed(seen, 30.0) != seen
    store.sweep()
    seen = store.hints.wait_alarmed(0, 0.0)
    assert not alarmed(store, seen, pg_url, 2)


def test_who_has_just_come_back_calls_nobody_dead(store, pg_url):
    """The server may have been away: all have lost their sessions then."""
    with opened(pg_url) as other:
        begin(other)
        with psycopg.connect(pg_url, autocommit=True) as beside:
            kill_owner(beside, other)
    lanes(store)
    store._presence._return().close()
    store._presence._settled_at += 3600.0
    assert store.sweep() == 0
    store._presence._settled_at -= 3600.0
    until(lambda: store.sweep() == 1, "the end of the moment that all are given")


def test_the_server_notices_soon_that_a_host_is_gone(store):
    connection = store._links.connect(lambda new: store._presence._show(new, 0))
    try:
        shown = [connection.execute(f"SHOW {name}").fetchone()[0]
                 for name in ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")]  # fmt: skip
        over_tcp = connection.info.host and not connection.info.host.startswith("/")
        assert shown == (["2", "1", "3"] if over_tcp else ["0", "0", "0"])
    finally:
        connection.close()


def test_a_stopped_process_keeps_its_claim_until_it_runs_out(store, pg_url):
    with holder(pg_url, ttl=3.0) as process:
        process.send_signal(signal.SIGSTOP)
        beat = ask(pg_url, "SELECT max(beat_at) FROM sayiir.owners")
        assert claims(store) == []
        store.use_claim_ttl(3.0)
        found = []
        until(lambda: bool(found.extend(claims(store)) or found), "the end of a silent claim")
        assert ask(pg_url, "SELECT sayiir.clock_micros() >= %s + 2500000", beat[0][0]) == [(True,)]
        process.send_signal(signal.SIGCONT)
        assert found[0].run().kind == "continue"


def test_a_lost_session_is_opened_again_and_keeps_its_claims(store, pg_url):
    hand = begin(store)
    with opened(pg_url) as other:
        lanes(other)
        for _ in range(3):
            locker = """SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND database =
                (SELECT oid FROM pg_database WHERE datname = current_database())"""
            ((pid,),) = ask(pg_url, locker, store._shared.owner)
            ask(pg_url, "SELECT pg_terminate_backend(%s)", pid)
            assert other.sweep() == 0
            until(lambda pid=pid: [row for row in ask(pg_url, locker, store._shared.owner) if row != (pid,)] != [],
                  "another session")  # fmt: skip
            assert other.sweep() == 0
            assert claims(other) == []
        assert not hand.beat().lost
    assert hand.complete().kind == "finished"


def test_a_restart_of_the_server_takes_nothing_from_the_living(durable_postgres):
    with durable_postgres.database() as url, opened(url) as one, opened(url) as two:
        hand = begin(one)
        lanes(two)
        assert two.sweep() == 0
        durable_postgres.stop("immediate")
        # As if it had been away for long: nobody has beaten, and nobody holds a lock yet.
        durable_postgres.start()
        ask(url, "UPDATE sayiir.owners SET beat_at = beat_at - 60000000 WHERE owner = %s", one._shared.owner)
        assert two.sweep() == 0
        until(lambda: len(ask(url, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")) >= 2, "both owners' return")
        assert not hand.beat().lost
        assert hand.run().kind == "continue"


def test_who_does_not_know_yet_that_all_sessions_are_gone_calls_nobody_dead(pg_url, monkeypatch):
    """As after a restart of a server that had so much to recover that its start is long past."""
    with opened(pg_url) as one, opened(pg_url) as two:
        hand = begin(one)
        lanes(two)
        assert two.sweep() == 0
        noticed, left = threading.Event(), type(two._presence)._lost
        for store in (one, two):
            monkeypatch.setattr(
                store._presence, "_lost", lambda *known, own=store._presence: (noticed.wait(60.0), left(own, *known))
            )
        locks = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        until(lambda: ask(pg_url, locks) == [], "the end of both sessions")
        ask(pg_url, "UPDATE sayiir.owners SET beat_at = beat_at - 60000000")
        assert two.sweep() == 0
        noticed.set()
        held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
        until(lambda: len(ask(pg_url, held)) == 2, "both owners' return")
        assert hand.run().kind == "continue"


def test_who_was_kept_up_on_the_way_calls_nobody_dead_at_once():
    """Behind a pooler a beat may wait for the server's return, with everybody else's."""
    now = [100.0]
    links = SimpleNamespace(pooled=True, clock=SimpleNamespace(monotonic=lambda: now[0]))
    shared = SimpleNamespace(name="one", sql=None)
    presence = Presence(links, None, "channel", shared, listen=False, on_beat=lambda: None)
    presence._note_beat()
    assert presence.is_settled()
    now[0] += LATE_SECS + 1.0
    assert not presence.is_settled()
    presence._note_beat()
    assert not presence.is_settled()
    now[0] += MOMENT_SECS
    assert presence.is_settled()
    presence.leave()


def test_who_was_called_dead_wrongly_comes_back(store, pg_url):
    hand = begin(store)
    ask(pg_url, "DELETE FROM sayiir.owners")
    until(lambda: ask(pg_url, "SELECT owner FROM sayiir.owners") == [(store._shared.owner,)], "the owner's return")
    assert hand.run().kind == "continue"


def test_who_was_called_dead_wrongly_claims_nothing_that_nobody_would_sweep_up(store, pg_url):
    """Killed before its next beat, it would not be there to be found dead."""
    with opened(pg_url) as other:
        other.create(new("b"), "fail", claim=False)
    known = lanes(store)
    store.sweep()
    store._presence.leave()
    ask(pg_url, "DELETE FROM sayiir.owners WHERE owner = %s", store._shared.owner)
    due = store.claim_due(known, 10, aging=300.0)
    assert due.works == ()
    assert ask(pg_url, "SELECT owner FROM sayiir.tokens") == [(None,)]
    assert store._creation.one(new("a"), claim=True, definition=known[0].definition) is None
    assert begin(store).fence.token == 0  # by itself it comes back, with its claim
    (hand,) = works(store)
    ask(pg_url, "DELETE FROM sayiir.owners WHERE owner = %s", store._shared.owner)
    hand.release()
    assert len(claims(store, "b")) == 1
    assert ask(pg_url, "SELECT owner FROM sayiir.owners WHERE owner = %s", store._shared.owner) != []


def test_a_claim_that_nobody_has_in_hand_is_free_when_it_has_run_out(store, pg_url):
    """Of an owner that lives, or of none that is known: nobody else looks for it."""
    with opened(pg_url) as other:
        for name in ("lost", "orphan", "kept"):
            begin(other, name)
        begin(store, "own")
        store.sweep()
        ask(pg_url, "UPDATE sayiir.tokens SET until = until - 301000000 WHERE instance NOT IN "
            "(SELECT number FROM sayiir.instances WHERE instance_id = 'kept')")  # fmt: skip
        ask(pg_url, "UPDATE sayiir.tokens SET owner = 999999 WHERE instance = "
            "(SELECT number FROM sayiir.instances WHERE instance_id = 'orphan')")  # fmt: skip
        store._claims._tidy_at = 0.0
        store.sweep()
        free = "SELECT instance_id FROM sayiir.tokens JOIN sayiir.instances i ON i.number = instance WHERE owner IS NULL"
        assert set(ask(pg_url, free)) == {("lost",), ("orphan",)}
        store._claims._tidy_at = 0.0
        store.sweep()  # its own is the same as the last time: nobody extends it
        assert set(ask(pg_url, free)) == {("lost",), ("orphan",), ("own",)}
        assert len(works(other)) == 3


def heard(store, act):
    """Return whether a store hears of what another one does, without its own polling."""
    seen = store.wait_for_hint(0, 0.01)
    waiting = Beside(lambda: store.wait_for_hint(seen, 30))
    until(lambda: store.hints._waiting > 0, "the wait for a hint")
    act()
    return waiting.result() != seen


def test_a_hint_of_another_process_wakes(store, pg_url):
    with opened(pg_url) as other:
        assert heard(store, lambda: other.create(new(), "fail", claim=False))
        assert heard(store, lambda: other.send_signal("a", "go", b"1"))


def test_steering_is_heard(store, pg_url):
    begin(store)
    store.wait_for_hint(0, 0.01)
    with opened(pg_url) as other:
        seen = store.wait_for_steering(0, 0.01)
        waiting = Beside(lambda: store.wait_for_steering(seen, 30))
        other.request_cancel("a", None, None)
        assert waiting.result() != seen


def test_hints_are_heard_after_the_ear_was_cut_off(store, postgres, pg_url):
    store.wait_for_hint(0, 0.01)
    with opened(pg_url) as other:
        postgres.terminate_connections("sayiir", psycopg.conninfo.conninfo_to_dict(pg_url)["dbname"])
        assert heard(store, lambda: other.create(new(), "fail", claim=False))


def test_without_notices_all_is_found_by_looking(pg_url):
    with opened(pg_url, listen=False) as one, opened(pg_url, listen=False) as two:
        assert one.hints.teller is None
        one.create(new(), "fail", claim=False)
        (hand,) = works(two)
        hand.await_signal("go")
        one.send_signal("a", "go", b"1")
        (again,) = works(two)
        assert again.claim.signal is not None
        assert ask(pg_url, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'") == [(0,)]


def test_no_threads_and_no_sessions_are_left(pg_url):
    before = threading.active_count()
    for _ in range(3):
        with opened(pg_url) as store:
            begin(store, f"i{threading.get_ident()}{_}")
    until(lambda: threading.active_count() <= before, "the end of the threads")
    until(lambda: ask(pg_url, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sayiir'") == [(0,)],
          "the end of the sessions")  # fmt: skip


def test_a_notice_that_comes_with_the_answer_to_a_beat_is_heard(store, pg_url):
    """It is taken off the connection by that answer, and so waited until the next notice."""
    presence = store._presence
    connection = store._links.connect(lambda new: presence._show(new, 0))
    try:
        with psycopg.connect(pg_url, autocommit=True) as other:
            other.execute("NOTIFY sayiir_sayiir")
        before = store.hints.mark
        presence._beat(connection)
        assert store.hints.mark > before
    finally:
        connection.close()
