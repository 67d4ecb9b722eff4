"""One SQLite file and several processes: who is alive, what a kill leaves behind, forks, and a log that stays short."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from sayiir import SqliteBackend
from sayiir.core.lifecycle import State
from sayiir.store.sqlite import owners
from sayiir.store.sqlite.wal import LIMIT
from sayiir.testing import FakeClock

sys.path.insert(0, str(Path(__file__).parent))

from common import begin, child, is_sound, raw

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def test_two_processes_share_a_file(path: Path) -> None:
    with SqliteBackend(path) as store, child("hold", path) as other:
        worker = other.hear()
        assert worker.endswith(f":{other.process.pid}")
        assert store.claim("a", "hash", "flow").busy
        view = store.load("a")
        assert view is not None
        assert store.owner_name(view.tokens[0].owner or 0) == worker
        other.tell()
        assert other.hear() == "done"
        assert store.load("a").instance.status is State.COMPLETED


def test_a_killed_owners_claim_is_free_at_once(path: Path) -> None:
    with SqliteBackend(path) as store, child("hold", path) as other:
        worker = other.hear()
        assert store.claim("a", "hash", "flow").busy
        other.kill()
        claimed = store.claim("a", "hash", "flow")
        assert not claimed.busy
        assert claimed.claims[0].position.crashes == 1
        assert [(record.status, record.worker) for record in store.history(claimed.instance.number)] == [("crashed", worker)]
    assert is_sound(path)


def test_an_owner_that_ended_well_leaves_its_claim_free_too(path: Path) -> None:
    with child("write", path, "a", 1) as other:
        while other.hear():
            pass
        assert other.end() == 0
    with SqliteBackend(path) as store:
        assert store.claim("a", "hash", "flow").claims


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the platform has no SIGSTOP")
def test_an_owner_that_hangs_is_not_dead(path: Path) -> None:
    with SqliteBackend(path) as store, child("hold", path) as other:
        other.hear()
        other.process.send_signal(signal.SIGSTOP)
        assert store.claim("a", "hash", "flow").busy
        other.process.send_signal(signal.SIGCONT)
        other.tell()
        assert other.hear() == "done"


def test_kills_while_writing_lose_nothing_that_was_said_to_be_durable(path: Path) -> None:
    for turn in range(8):
        name = f"turn-{turn}"
        with child("write", path, name, 1_000_000) as other:
            for _ in range(1 + 37 * turn):
                last = int(other.hear())
            other.kill()
            said = [int(line) for line in other.process.stdout.read().split("\n")[:-1]]  # type: ignore[union-attr]
        last = max([last, *said])
        with SqliteBackend(path) as store:
            steps = [record.ref for record in store.history(store.load(name).instance.number)]
            claimed = store.claim(name, "hash", "flow")
        assert steps[:last] == list(range(1, last + 1))
        assert len(steps) in (last, last + 1), "at most the step that was under way is there unsaid"
        assert claimed.claims[0].position.ref == steps[-1]
        assert is_sound(path)


def test_another_processes_write_is_found_by_looking(path: Path) -> None:
    with SqliteBackend(path) as store, child("submit", path, "b") as other:
        assert other.hear() == "ready"
        mark = store.wait_for_hint(0, None)
        woken: list[int] = []
        looked = threading.Event()

        def wait() -> None:
            seen = mark
            while store.load("b") is None:
                looked.set()
                seen = store.wait_for_hint(seen, None)
            woken.append(seen)

        thread = threading.Thread(target=wait)
        thread.start()
        assert looked.wait(30)
        other.tell()
        assert other.hear() == "done"
        thread.join()
        assert woken != [mark]


def test_a_write_between_two_waits_is_not_overlooked(path: Path) -> None:
    clock = FakeClock()
    with SqliteBackend(path, clock=clock) as store, child("submit", path, "b") as other:
        other.hear()
        thread = threading.Thread(target=store.wait_for_hint, args=(store.wait_for_hint(0, None), None))
        thread.start()  # the first look is a baseline
        clock.until_waiting()
        clock.advance(0.05)
        thread.join()
        mark = store.wait_for_hint(0, None)
        other.tell()
        other.hear()
        thread = threading.Thread(target=store.wait_for_hint, args=(mark, None))
        thread.start()
        clock.until_waiting()
        clock.advance(0.05)
        thread.join()


# --- forks --------------------------------------------------------------------------------------------------------


@needs_fork
def test_a_fork_may_not_use_what_it_inherited_and_breaks_nothing(path: Path) -> None:
    with child("fork", path) as other:
        assert other.hear() == "0", "the forked child was refused, and has a file of its own"
        assert other.hear() == "parent writes"
        with SqliteBackend(path) as store:
            assert store.claim("a", "hash", "flow").busy, "the parent's claim is still alive"
            assert store.load("b") is None, "nothing of the child came through"
            assert store.load("after the fork") is not None
        other.tell()
        assert other.end() == 0
    assert is_sound(path)


@needs_fork
def test_a_fork_may_open_what_was_closed(path: Path) -> None:
    with child("fork_after_closing", path) as other:
        assert other.hear() == "0"


@needs_fork
def test_a_fork_beside_a_busy_thread_is_not_stuck(path: Path) -> None:
    with child("fork_beside_a_thread", path) as other:
        assert other.hear() == "0"


# --- owners -------------------------------------------------------------------------------------------------------


def test_two_backends_of_one_process_are_two_owners(path: Path) -> None:
    with SqliteBackend(path) as one:
        with SqliteBackend(path) as two:
            begin(one, "a"), begin(two, "b")
            assert two.claim("a", "hash", "flow").busy
        assert one.claim("b", "hash", "flow").claims, "the closed one's claims are free"
        with child("write", path, "c", 1) as other:
            assert other.hear() == "1"
        with SqliteBackend(path) as three:
            assert three.claim("a", "hash", "flow").busy, "closing the second did not let go of the first's lock"


def test_closing_one_backend_keeps_the_others_lock(path: Path) -> None:
    """POSIX drops a process's locks on a file when any descriptor of it is closed."""
    with SqliteBackend(path) as one:
        begin(one, "a")
        SqliteBackend(path).close()
        with child("claim", path, "a") as other:
            assert other.hear() == "busy"


def test_without_record_locks_a_claim_runs_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "fcntl", None)
    clock = FakeClock()
    one = SqliteBackend(path, clock=clock)
    begin(one)
    one.abandon()
    with SqliteBackend(path, clock=clock) as two:
        assert two.claim("a", "hash", "flow").busy
        clock.advance(300)
        assert two.claim("a", "hash", "flow").claims


# --- the log ------------------------------------------------------------------------------------------------------


def test_processes_that_write_together_keep_the_file_sound_and_the_log_short(path: Path) -> None:
    SqliteBackend(path).close()
    with child("fill", path, "a", 4000) as one, child("fill", path, "b", 4000) as two:
        assert (one.hear(), two.hear()) == ("ready", "ready")
        one.tell(), two.tell()
        reports = [[int(word) for word in other.hear().split()] for other in (one, two)]
        assert [other.end() for other in (one, two)] == [0, 0]
    assert sum(checkpoints for _, checkpoints in reports) > 5
    assert max(longest for longest, _ in reports) < 16 * LIMIT
    assert is_sound(path)
    assert raw(path, "SELECT count(*), count(DISTINCT ref) FROM sayiir_results GROUP BY instance") == [(4000, 4000)] * 2
