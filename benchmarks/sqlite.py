"""Durable runs on SQLite, beside what the commits alone cost, and beside DBOS on SQLite."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.chains import chains
from benchmarks.environments import Peer
from benchmarks.flows import approval, chain, fork, new_id
from benchmarks.measure import Budget, Case, Group, timed
from benchmarks.setting import Setting
from sayiir import (
    SqliteBackend,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
    send_signal,
)

_BARE = "INSERT INTO bare (value) VALUES (?)"
_RESULTS = """CREATE TABLE result (instance, ref, node, kind, status, output, source, started_at, finished_at,
    PRIMARY KEY (instance, ref)) WITHOUT ROWID"""
_RESULT = "INSERT INTO result VALUES (1, ?, 'step_1', 'task', 'completed', '12', 0, 1700000000000000, 1700000000000000)"
_TOKEN = "UPDATE token SET node = 'step_2', ref = ?, moved_at = 1700000000000000 WHERE instance = 1 AND epoch = 1"


class Floor:
    """Commits by hand in a file of its own: what nobody who writes after each step can go below."""

    def __init__(self, folder: Path, synchronous: str) -> None:
        self._connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
        self._numbers = itertools.count(1)
        for statement in (
            "PRAGMA journal_mode = WAL",
            f"PRAGMA synchronous = {synchronous}",
            "CREATE TABLE bare (number INTEGER PRIMARY KEY, value TEXT)",
            _RESULTS,
            "CREATE TABLE token (instance PRIMARY KEY, node, ref, epoch, moved_at) WITHOUT ROWID",
            "INSERT INTO token VALUES (1, 'step_1', 0, 1, 0)",
        ):
            self._connection.execute(statement)

    def bare(self, commits: int) -> float:
        """Return the microseconds of a transaction that inserts one small row."""
        execute = self._connection.execute

        def work() -> None:
            for _ in range(commits):
                execute("BEGIN IMMEDIATE")
                execute(_BARE, ("12",))
                execute("COMMIT")

        return timed(work) / commits * 1e6

    def checkpoint(self, commits: int) -> float:
        """Return the microseconds of a transaction that inserts a result and moves a token: a checkpoint by hand."""
        execute, numbers = self._connection.execute, self._numbers

        def work() -> None:
            for number in itertools.islice(numbers, commits):
                execute("BEGIN IMMEDIATE")
                execute(_TOKEN, (number,))
                execute(_RESULT, (number,))
                execute("COMMIT")

        return timed(work) / commits * 1e6

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _full(setting: Setting) -> Group:
    folder, scale = setting.fresh(), setting.scale
    floor, backend = Floor(folder, "FULL"), SqliteBackend(folder / "ours.db")
    cases = _chains(floor, backend, scale.synced, scale.chains, Budget(1.5, 1.2, to="bare"))
    peers: list[Peer] = []
    python = setting.peers.get("dbos")
    if python is not None:
        for mode, words in (("wal", "file in WAL mode"), ("delete", "as shipped")):
            peer = Peer(python, "dbos_sqlite", str(folder), mode)
            peers.append(peer)
            cases += [
                Case(f"dbos {mode} {length}", f"DBOS 3.4.0, {words}, chain of {length:,}",
                     partial(peer.ask, f"chain {length} {max(1, scale.foreign // length)}"), "micros", "bare")
                for length in scale.chains[:2]
            ]  # fmt: skip

    def close() -> None:
        for peer in peers:
            peer.close()
        backend.close()
        floor.close()

    return Group(
        "sqlite-full",
        "Durable on SQLite, synchronous=FULL (the default)",
        "Time of `run_durable_workflow` divided by the steps; creating the instance and reading its status are in it. "
        "The floor inserts one small row for each commit, in WAL mode with the same synchronous setting.",
        cases,
        close,
    )


def _normal(setting: Setting) -> Group:
    folder, scale = setting.fresh(), setting.scale
    floor, backend = Floor(folder, "NORMAL"), SqliteBackend(folder / "ours.db", durability="normal")

    def close() -> None:
        backend.close()
        floor.close()

    return Group(
        "sqlite-normal",
        'Durable on SQLite, durability="normal"',
        "The same with synchronous=NORMAL on both sides: no commit waits for the disk, so what is left is computing.",
        _chains(floor, backend, scale.buffered, scale.chains, Budget(3.0, to="bare")),
        close,
    )


def _chains(floor: Floor, backend: SqliteBackend, steps: int, lengths: tuple[int, ...], must: Budget) -> list[Case]:
    return [
        Case("bare", "one bare commit (one small row)", partial(floor.bare, steps)),
        Case("by hand", "a result and a token by hand", partial(floor.checkpoint, steps), "micros", "bare"),
        *chains(backend, steps, lengths, must),
    ]


def _more(setting: Setting) -> Group:
    folder, scale = setting.fresh(), setting.scale
    floor, backend = Floor(folder, "FULL"), SqliteBackend(folder / "ours.db")
    client, submits = WorkflowClient(backend), max(5, scale.synced // 4)

    def bare_rate() -> float:
        return 1e6 / floor.bare(submits)

    def submit() -> float:
        def work() -> None:
            for _ in range(submits):
                client.submit(chain(10), new_id(), 0)

        return submits / timed(work)

    def close() -> None:
        backend.close()
        floor.close()

    return Group(
        "sqlite-more",
        "Other things on SQLite, synchronous=FULL",
        "Each a whole operation: a run with one fork and its join; instances accepted for later; from `send_signal` "
        "until the task behind it has finished and the run has ended.",
        [
            Case("bare", "one bare commit", lambda: floor.bare(submits) / 1e3, "millis"),
            *(
                Case(f"fork {branches}", f"fork of {branches} branches and join", partial(_fork, backend, branches),
                     "millis", "bare")
                for branches in scale.forks
            ),
            Case("signal", "`send_signal`, then `resume_workflow` to the end", _signal(backend), "millis", "bare"),
            Case("bare rate", "bare commits", bare_rate, "rate"),
            Case("submit", "`client.submit`, one by one", submit, "rate", "bare rate"),
        ],
        close,
    )  # fmt: skip


def _fork(backend: SqliteBackend, branches: int) -> float:
    workflow = fork(branches)
    return timed(lambda: run_durable_workflow(workflow, new_id(), 0, backend)) * 1e3


def _signal(backend: SqliteBackend) -> Callable[[], float]:
    def measure() -> float:
        instance_id = new_id()
        run_durable_workflow(approval(), instance_id, None, backend)

        def work() -> None:
            send_signal(instance_id, "approve", 1, backend)
            resume_workflow(approval(), instance_id, backend)

        return timed(work) * 1e3

    return measure


GROUPS: dict[str, Callable[[Setting], Group]] = {
    "sqlite-full": _full, "sqlite-normal": _normal, "sqlite-more": _more,
}
