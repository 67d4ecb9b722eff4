"""The racing pairs of the PostgreSQL tests on SQLite, with a fault after each statement.

SQLite lets one write at a time, so two verbs meet in two orders; what lies between them is where a process dies. A crash:
the files as they are after a statement, opened by somebody else, as after SIGKILL. A doubt: the COMMIT is done and the disk
reports an error; who asked asks again. Whatever the moment, the rows agree and everything can be led to its end.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sayiir import BackendError, SqliteBackend
from sayiir.core.lifecycle import TERMINAL, State
from sayiir.errors import ClaimLostError
from sayiir.testing.conformance.stage import HASH, STRUCTURE, Hand
from tests.postgres.test_interleavings import PAIRS, Scene, dead, presumed, refused, sound

MOST = 80
# Owners of a file are not presumed dead: they hold a lock of the operating system, or they do not.
NAMES = [name for name, pair in PAIRS.items() if pair.stage is not presumed]
FIRST = (0, 1) if os.environ.get("SAYIIR_ALL_ORDERS") == "1" else (0,)


class SqliteScene(Scene):
    """A scene in one file."""

    def __init__(self, path: Path, stores: list[Any]) -> None:
        self.path = path
        super().__init__("", stores, None)  # type: ignore[arg-type]

    def ask(self, statement: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(statement.replace("sayiir.", "sayiir_").replace("%s", "?"), values).fetchall()


def dead_there(scene: Scene) -> None:
    """Let the token be an owner's who holds no lock."""
    scene.started().run("two")
    scene.ask("INSERT INTO sayiir.owners (owner, name, started_at, beat_at) VALUES (1000, 'dead', 0, 0)")
    scene.ask("UPDATE sayiir.tokens SET owner = 1000")


class Statements:
    """Counts the statements of a store's writer, and keeps the files as they are before one of them begins."""

    def __init__(self, store: Any, at: int, copy: Path) -> None:
        self.count = 0
        self._store, self._at, self._copy = store, at, copy

    def __enter__(self) -> Statements:
        self._store._writer.set_trace_callback(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._store._writer.set_trace_callback(None)

    def _note(self, _: str) -> None:
        self.count += 1
        if self.count == self._at:
            keep(Path(self._store.path), self._copy)


def keep(path: Path, copy: Path) -> None:
    """Copy what a killed process leaves."""
    copy.mkdir(exist_ok=True)
    for name in (path.name, f"{path.name}-wal"):
        if (path.parent / name).exists():
            shutil.copy2(path.parent / name, copy / name)


class Doubtful:
    """A connection whose next commit is done and reports an error: a COMMIT, or a write outside of transactions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.struck = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        answer = self._connection.execute(statement, *values)
        ended = not self._connection.in_transaction and statement.startswith(("COMMIT", "INSERT", "UPDATE", "DELETE"))
        if ended and not self.struck:
            self.struck = True
            raise sqlite3.OperationalError("disk I/O error")
        return answer


@contextmanager
def opened(folder: Path) -> Iterator[list[Any]]:
    folder.mkdir()
    with ExitStack() as stack:
        stores = [stack.enter_context(SqliteBackend(folder / "runs.db", durability="normal")) for _ in range(3)]
        yield stores


def staged(folder: Path, stores: list[Any], name: str) -> SqliteScene:
    scene = SqliteScene(folder / "runs.db", stores)
    for table in ("instances", "tokens", "results", "signals"):
        scene.ask(f"DELETE FROM sayiir.{table}")
    (dead_there if PAIRS[name].stage is dead else PAIRS[name].stage)(scene)
    return scene


def led_to_its_end(scene: SqliteScene, eye: Any) -> None:
    for name, status in scene.ask("SELECT instance_id, status FROM sayiir.instances"):
        if State(status) in TERMINAL:
            continue
        if State(status) is State.PAUSED:
            eye.unpause(name)
        held = [Hand(eye, claim) for claim in eye.claim(name, HASH, STRUCTURE).claims]
        eye.request_cancel(name, None, None)
        for hand in held:
            try:
                assert hand.run("three").kind == "stopped"
            except ClaimLostError:
                continue  # one that slept was cancelled at once
        view = eye.load(name)
        assert (view.instance.status, view.tokens) == (State.CANCELLED, ())


def calls(scene: Scene, name: str) -> list[Callable[[], Any]]:
    pair = PAIRS[name]
    return [lambda: pair.first(scene), lambda: pair.second(scene)]


def ask(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 -- an answer like others
        return error


@pytest.mark.parametrize("name", NAMES)
def test_both_orders_of_a_pair(tmp_path: Path, name: str, record_property: Any) -> None:
    with opened(tmp_path / "live") as stores:
        for first in (0, 1):
            scene = staged(tmp_path / "live", stores, name)
            asked, results = calls(scene, name), [None, None]
            for index in (first, 1 - first):
                results[index] = ask(asked[index])
            for result in results:
                assert refused(result) or not isinstance(result, Exception), result
                scene.hands += [Hand(stores[2], claim) for claim in getattr(result, "claims", ())]
            sound(scene)
            PAIRS[name].check(scene, *results)
            sound(scene)
    record_property("schedules", 2)


@pytest.mark.parametrize("name", NAMES)
def test_the_files_after_each_statement_are_gone_on_with(tmp_path: Path, name: str, record_property: Any) -> None:
    crashes = 0
    with opened(tmp_path / "live") as stores:
        for first in FIRST:
            for who in (0, 1):
                for at in range(1, MOST):
                    scene = staged(tmp_path / "live", stores, name)
                    asked, copy = calls(scene, name), tmp_path / f"copy-{first}-{who}-{at}"
                    order = (first, 1 - first)
                    with Statements(stores[who], at, copy) as statements:
                        answers = [ask(asked[index]) for index in order]
                    assert all(refused(answer) or not isinstance(answer, Exception) for answer in answers), answers
                    if statements.count < at:
                        break
                    crashes += 1
                    look_at(copy, scene)
    assert crashes >= 2
    record_property("schedules", crashes)
    record_property("statement_faults", crashes)


def look_at(copy: Path, scene: SqliteScene) -> None:
    with SqliteBackend(copy / "runs.db", durability="normal") as eye:
        eye.sweep()
        left = SqliteScene(copy / "runs.db", [eye, eye, eye])
        left.id = scene.id
        assert left.ask("PRAGMA integrity_check") == [("ok",)]
        assert left.ask("SELECT 1 FROM sayiir.tokens WHERE owner IS NOT NULL") == [], "a claim of the dead"
        sound(left)
        led_to_its_end(left, eye)
    shutil.rmtree(copy)


@pytest.mark.parametrize("name", NAMES)
def test_a_commit_that_is_done_and_reports_an_error_may_be_asked_for_again(tmp_path: Path, name: str) -> None:
    doubts = 0
    with opened(tmp_path / "live") as stores:
        for first in (0, 1):
            for who in (0, 1):
                scene = staged(tmp_path / "live", stores, name)
                asked = calls(scene, name)
                group = stores[who]._group
                kept, group._connection = group._connection, Doubtful(group._connection)
                for index in (first, 1 - first):
                    answer = ask(asked[index])
                    if isinstance(answer, BackendError) and not refused(answer):
                        doubts += 1
                        answer = ask(asked[index])
                    assert refused(answer) or not isinstance(answer, Exception), answer
                group._connection = kept
                scene.hands = []
                if hasattr(scene, "hand"):
                    del scene.hand
                sound(scene)
                scene.ask("UPDATE sayiir.tokens SET until = 0 WHERE owner IS NOT NULL")
                led_to_its_end(scene, stores[2])
    assert doubts >= 2
