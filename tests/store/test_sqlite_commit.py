"""Group commit: who shares a transaction, who is disturbed by whom, and what an interruption leaves."""

from __future__ import annotations

import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sayiir import BackendError, SqliteBackend
from sayiir.errors import InvalidStateError
from sayiir.store.sqlite.commit import GroupCommit

sys.path.insert(0, str(Path(__file__).parent))

from common import begin, is_sound, step


class Connection:
    """A connection that a test can make fail or be interrupted at a commit."""

    def __init__(self, path: Path) -> None:
        self.real = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.real.execute("CREATE TABLE seen (name TEXT PRIMARY KEY)")
        self.before: list[BaseException] = []
        self.after: list[BaseException] = []

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if sql == "COMMIT" and self.before:
            raise self.before.pop()
        cursor = self.real.execute(sql, parameters)
        if sql == "COMMIT" and self.after:
            raise self.after.pop()
        return cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class Queue(list[Any]):
    """A queue of the group that tells when somebody has come."""

    def __init__(self, come: threading.Semaphore) -> None:
        super().__init__()
        self.come = come

    def append(self, entry: Any) -> None:
        super().append(entry)
        self.come.release()


class Stage:
    """A group whose leader stays in its script until everybody else has queued."""

    def __init__(self, path: Path) -> None:
        self.connection = Connection(path)
        self.group = GroupCommit(self.connection, self.connection, lambda error: BackendError(str(error)))  # type: ignore[arg-type]
        self.outcomes: dict[str, Any] = {}

    def call(self, name: str, script: Callable[[Any], Any]) -> threading.Thread:
        def run() -> None:
            try:
                self.outcomes[name] = self.group.run(script)
            except BaseException as error:
                self.outcomes[name] = error

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def together(self, scripts: dict[str, Callable[[Any], Any]], leader: Callable[[Any], Any] | None = None) -> None:
        """Let a leader run; while it is in its script all others queue, and then they share a batch."""
        entered, go, come = threading.Event(), threading.Event(), threading.Semaphore(0)

        def hold(rows: Any) -> Any:
            entered.set()
            go.wait()
            return add("leader")(rows) if leader is None else leader(rows)

        threads = [self.call("leader", hold)]
        entered.wait()
        self.group._queue = Queue(come)
        for name, script in scripts.items():
            threads.append(self.call(name, script))
            come.acquire()
        go.set()
        for thread in threads:
            thread.join()

    def names(self) -> set[str]:
        return {name for (name,) in self.connection.real.execute("SELECT name FROM seen")}


def add(name: str) -> Callable[[Any], str]:
    def script(rows: Any) -> str:
        rows.execute("INSERT INTO seen VALUES (?)", (name,))
        return name.upper()

    return script


def refuse(rows: Any) -> None:
    raise InvalidStateError("no")


def refuse_late(rows: Any) -> None:
    add("written before the refusal")(rows)
    raise InvalidStateError("too late")


def fail_in_sql(rows: Any) -> None:
    add("written before the failure")(rows)
    rows.execute("INSERT INTO nowhere VALUES (1)")


def fail_in_python(rows: Any) -> None:
    add("written before the failure")(rows)
    raise ValueError("bad design")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path / "group.db")
    yield stage
    stage.group.close()


def test_who_waits_together_is_committed_together(stage: Stage) -> None:
    names = [f"f{number}" for number in range(20)]
    stage.together({name: add(name) for name in names})
    assert stage.names() == {"leader", *names}
    assert stage.outcomes == {"leader": "LEADER", **{name: name.upper() for name in names}}
    assert (stage.group.commits, stage.group.scripts) == (2, 21)


def test_a_refusal_disturbs_nobody(stage: Stage) -> None:
    stage.together({"a": add("a"), "b": refuse, "c": add("c")})
    assert stage.names() == {"leader", "a", "c"}
    assert isinstance(stage.outcomes["b"], InvalidStateError)
    assert (stage.outcomes["a"], stage.outcomes["c"]) == ("A", "C")
    assert stage.group.commits == 2


@pytest.mark.parametrize(
    ("bad", "error"), [(fail_in_sql, BackendError), (fail_in_python, ValueError), (refuse_late, InvalidStateError)]
)
def test_a_failure_is_its_owners_alone(stage: Stage, bad: Callable[[Any], None], error: type[Exception]) -> None:
    stage.together({"a": add("a"), "bad": bad, "c": add("c"), "worse": bad})
    assert stage.names() == {"leader", "a", "c"}, "nothing of the failed ones is written"
    assert type(stage.outcomes["bad"]) is type(stage.outcomes["worse"]) is error
    assert stage.outcomes["bad"] is not stage.outcomes["worse"]
    assert (stage.outcomes["leader"], stage.outcomes["a"], stage.outcomes["c"]) == ("LEADER", "A", "C")


@pytest.mark.parametrize("bad", [fail_in_sql, fail_in_python, refuse_late, refuse])
def test_a_failure_alone_leaves_the_group_usable(stage: Stage, bad: Callable[[Any], None]) -> None:
    with pytest.raises((BackendError, ValueError)):
        stage.group.run(bad)
    assert stage.group.run(add("a")) == "A"
    assert stage.names() == {"a"}


def test_a_failed_commit_is_tried_again_one_by_one(stage: Stage) -> None:
    stage.connection.before = [sqlite3.OperationalError("disk I/O error")]
    with pytest.raises(BackendError, match="disk I/O error"):
        stage.group.run(add("alone"))
    assert stage.names() == set()

    def fail_next_commit(rows: Any) -> str:
        stage.connection.before = [sqlite3.OperationalError("disk I/O error")]
        return add("first")(rows)

    stage.together({"first": fail_next_commit, "b": add("b")})
    assert isinstance(stage.outcomes["first"], BackendError)
    assert (stage.outcomes["leader"], stage.outcomes["b"]) == ("LEADER", "B")
    assert stage.names() == {"leader", "b"}


# --- interruptions ------------------------------------------------------------------------------------------------


def interrupt(rows: Any) -> None:
    add("interrupted")(rows)
    raise KeyboardInterrupt


def test_an_interrupted_leader_strands_nobody(stage: Stage) -> None:
    stage.together({name: add(name) for name in "abc"}, leader=interrupt)
    assert isinstance(stage.outcomes["leader"], KeyboardInterrupt)
    assert [stage.outcomes[name] for name in "abc"] == ["A", "B", "C"]
    assert stage.names() == {"a", "b", "c"}


def test_an_interruption_among_followers_comes_out_of_their_leader_once(stage: Stage) -> None:
    interruptions = iter([KeyboardInterrupt()])

    def interrupt_once(rows: Any) -> str:
        for interruption in interruptions:
            raise interruption
        return add("b")(rows)

    stage.together({"a": add("a"), "b": interrupt_once, "c": add("c")})
    interrupted = [name for name, outcome in stage.outcomes.items() if isinstance(outcome, KeyboardInterrupt)]
    assert interrupted == ["a"], "a led the batch, and it was its thread"
    assert (stage.outcomes["b"], stage.outcomes["c"]) == ("B", "C")
    assert stage.names() == {"leader", "b", "c"}


def test_an_interruption_just_after_the_commit_changes_nothing_of_it(stage: Stage) -> None:
    def interrupt_commit(rows: Any) -> str:
        stage.connection.after = [KeyboardInterrupt()]
        return add("a")(rows)

    stage.together({"a": interrupt_commit, "b": add("b"), "c": add("c")})
    assert isinstance(stage.outcomes["a"], KeyboardInterrupt)
    assert (stage.outcomes["b"], stage.outcomes["c"]) == ("B", "C")
    assert stage.names() == {"leader", "a", "b", "c"}
    assert stage.group.run(add("d")) == "D"


def test_an_interruption_after_a_lone_commit_runs_nothing_twice(stage: Stage) -> None:
    def interrupt_commit(rows: Any) -> str:
        stage.connection.after = [KeyboardInterrupt()]
        return add("b")(rows)

    # The failure makes everybody run alone; then b's own commit is interrupted, in the thread of a, who leads.
    stage.together({"a": fail_in_sql, "b": interrupt_commit, "c": add("c")})
    assert isinstance(stage.outcomes["a"], KeyboardInterrupt | BackendError)
    assert (stage.outcomes["b"], stage.outcomes["c"]) == ("B", "C")
    assert stage.names() == {"leader", "b", "c"}


def test_an_interruption_at_the_moment_of_queueing_takes_the_script_back(stage: Stage) -> None:
    class Interrupting(list[Any]):
        def append(self, entry: Any) -> None:
            super().append(entry)
            raise KeyboardInterrupt

    entered, go = threading.Event(), threading.Event()

    def hold(rows: Any) -> str:
        entered.set()
        go.wait()
        return "held"

    leader = stage.call("leader", hold)
    entered.wait()
    stage.group._queue = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        stage.group.run(add("called off"))
    go.set()
    leader.join()
    assert stage.group.run(add("later")) == "LATER"
    assert stage.names() == {"later"}


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="the platform has no pthread_kill")
@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
def test_ctrl_c_calls_off_a_write_that_waits(stage: Stage) -> None:
    entered, go, come = threading.Event(), threading.Event(), threading.Semaphore(0)

    def hold(rows: Any) -> str:
        entered.set()
        go.wait()
        return "held"

    leader = stage.call("leader", hold)
    entered.wait()
    stage.group._queue = Queue(come)
    main = threading.main_thread().ident
    assert main is not None

    called_off = threading.Event()

    def press() -> None:
        come.acquire()  # the main thread has queued
        # A signal that comes just before the wait begins does not end it; a person would press again.
        while True:
            signal.pthread_kill(main, signal.SIGINT)
            if called_off.wait(1):
                return

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        stage.group.run(add("called off"))
    called_off.set()
    go.set()
    leader.join()
    presser.join()
    assert stage.outcomes["leader"] == "held"
    assert stage.group.run(add("later")) == "LATER"
    assert stage.names() == {"later"}


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="the platform has no pthread_kill")
def test_ctrl_c_sees_a_write_through_that_is_under_way(stage: Stage) -> None:
    entered, go, come = threading.Event(), threading.Event(), threading.Semaphore(0)
    second, press = threading.Event(), threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    def hold(rows: Any) -> str:
        entered.set()
        go.wait()
        return "held"

    def lead_second(rows: Any) -> str:
        second.set()
        signal.pthread_kill(main, signal.SIGINT)  # the main thread's script is in this batch
        press.wait()
        return add("second")(rows)

    leader = stage.call("leader", hold)
    entered.wait()
    stage.group._queue = Queue(come)
    follower = stage.call("second", lead_second)
    come.acquire()

    def let_go() -> None:
        come.acquire()  # the main thread has queued behind `second`
        go.set()
        second.wait()
        press.set()

    helper = threading.Thread(target=let_go)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        stage.group.run(add("main"))
    for thread in (leader, follower, helper):
        thread.join()
    assert stage.outcomes["second"] == "SECOND"
    assert stage.names() == {"second", "main"}, "what could not be called off stands"
    assert stage.group.run(add("later")) == "LATER"


# --- through the store --------------------------------------------------------------------------------------------


def test_threads_of_a_store_share_commits(tmp_path: Path) -> None:
    with SqliteBackend(tmp_path / "runs.db") as store:
        claims = [begin(store, f"i{number}") for number in range(16)]
        before, start = store._group.commits, threading.Barrier(16)  # type: ignore[union-attr]

        def write(claim: Any) -> None:
            start.wait()
            for number in range(1, 26):
                step(store, claim, number)

        threads = [threading.Thread(target=write, args=(claim,)) for claim in claims]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store._group.commits - before < 16 * 25  # type: ignore[union-attr]
        for claim in claims:
            assert [record.ref for record in store.history(claim.fence.instance)] == list(range(1, 26))
    assert is_sound(tmp_path / "runs.db")


def test_a_script_that_has_only_read_so_far_holds_the_write_lock(tmp_path: Path) -> None:
    """What it read must still be true when it writes."""
    path = tmp_path / "runs.db"

    def script(rows: Any) -> None:
        assert rows.instance("i") is None
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other, pytest.raises(
            sqlite3.OperationalError, match="locked"
        ):
            other.execute("BEGIN IMMEDIATE")

    with SqliteBackend(path) as store:
        store._write(script)
