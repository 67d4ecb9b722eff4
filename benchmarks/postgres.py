"""Durable runs on PostgreSQL in this process, submits, forks and bytes, beside plain statements and other engines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Self

import psycopg

from benchmarks.chains import chains, run
from benchmarks.environments import ENGINES, Peer
from benchmarks.flows import chain, fork, new_id
from benchmarks.measure import Budget, Case, Group, timed
from benchmarks.setting import Setting
from sayiir import PostgresBackend, WorkflowClient, run_durable_workflow

_BARE = "INSERT INTO bare (value) VALUES (%s)"
_BATCH = "INSERT INTO bare (value) SELECT unnest(%s::text[])"
_WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
_TABLES = """SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = to_regnamespace('sayiir')"""
_MANY = 1_000
_FORKS = {10: Budget(15.0), 100: Budget(60.0)}


class Floor:
    """Plain statements on a connection of their own, each a transaction: what nobody who commits can go below."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, prepare_threshold=0)
        self._connection.execute("CREATE TABLE bare (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value text)")

    def bare(self, commits: int) -> float:
        """Return the microseconds of inserting one small row."""

        def work() -> None:
            for _ in range(commits):
                self._connection.execute(_BARE, ("12",))

        return timed(work) / commits * 1e6

    def batches(self, count: int) -> float:
        """Return the rows a second of inserting 1,000 small rows in one statement."""
        rows = ["12"] * _MANY

        def work() -> None:
            for _ in range(count):
                self._connection.execute(_BATCH, (rows,))

        return count * _MANY / timed(work)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Scales:
    """Weighs a database: what is written ahead, and what lies in the engine's tables."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def wal(self) -> float:
        """Return the bytes that the server has ever written ahead."""
        return self._number(_WAL)

    def tables(self) -> float:
        """Return the bytes of the engine's tables with their indexes."""
        return self._number(_TABLES)

    def _number(self, query: str) -> float:
        row = self._connection.execute(query.encode()).fetchone()
        assert row is not None
        return float(row[0])


def _chains(setting: Setting) -> Group:
    scale, url = setting.scale, setting.database()
    floor, backend = Floor(url), PostgresBackend(url)
    cases = [
        Case("bare", "one bare INSERT (one small row)", partial(floor.bare, scale.synced)),
        *chains(backend, scale.synced, scale.chains, Budget(1.5, 1.2, to="bare")),
    ]
    peers: list[Peer] = []
    for engine in ENGINES:
        python = setting.peers.get(engine.environment)
        if python is None or not engine.runs_here:
            continue
        peers.append(peer := Peer(python, engine.script, setting.database()))
        peer.ask("ready")
        cases += [
            Case(f"{engine.key} {length}", f"{engine.label}, chain of {length:,}",
                 partial(peer.ask, f"chain {length} {max(1, scale.foreign // length)}"), "micros", "bare")
            for length in scale.chains[:2]
        ]  # fmt: skip

    def close() -> None:
        for peer in peers:
            peer.close()
        backend.close()
        floor.close()

    return Group(
        "postgres",
        "Durable on PostgreSQL, in the calling process",
        "Time of `run_durable_workflow` divided by the steps; creating the instance and reading its status are in it. "
        "The floor inserts one small row with a prepared statement, committed by itself.",
        cases,
        close,
    )


def _submits(setting: Setting) -> Group:
    scale, url = setting.scale, setting.database()
    floor, backend = Floor(url), PostgresBackend(url)
    client, submits = WorkflowClient(backend), max(5, scale.synced // 2)

    def submit() -> float:
        def work() -> None:
            for _ in range(submits):
                client.submit(chain(10), new_id(), 0)

        return submits / timed(work)

    def submit_many() -> float:
        batches = [[(new_id(), 0) for _ in range(_MANY)] for _ in range(scale.batches)]

        def work() -> None:
            for batch in batches:
                client.submit_many(chain(10), batch)

        return scale.batches * _MANY / timed(work)

    def close() -> None:
        backend.close()
        floor.close()

    must = (Budget(0.8, to="bare", at_least=True),)
    return Group(
        "postgres-submit",
        "Submitting to PostgreSQL",
        "Instances accepted for workers, by one client; each `submit` is a commit, as is each `submit_many`.",
        [
            Case("bare", "bare INSERTs, one by one", lambda: 1e6 / floor.bare(submits), "rate"),
            Case("submit", "`client.submit`, one by one", submit, "rate", "bare", must),
            Case("bare many", "bare INSERTs of 1,000 rows", partial(floor.batches, scale.batches), "rate"),
            Case("submit many", "`client.submit_many`, 1,000 at once", submit_many, "rate", "bare many",
                 (Budget(30_000, at_least=True),)),
        ],
        close,
    )  # fmt: skip


def _forks(setting: Setting) -> Group:
    scale, url = setting.scale, setting.database()
    floor, backend = Floor(url), PostgresBackend(url)

    def close() -> None:
        backend.close()
        floor.close()

    return Group(
        "postgres-forks",
        "Forks on PostgreSQL, in the calling process",
        "A whole run with one fork and its join; each branch is one task.",
        [
            Case("bare", "one bare INSERT", lambda: floor.bare(scale.synced // 4) / 1e3, "millis"),
            *(
                Case(f"fork {branches}", f"fork of {branches} branches and join", partial(_fork, backend, branches),
                     "millis", "bare", tuple(_FORKS[branches] for _ in range(branches in _FORKS)))
                for branches in scale.forks
            ),
        ],
        close,
    )  # fmt: skip


def _fork(backend: PostgresBackend, branches: int) -> float:
    workflow = fork(branches)
    return timed(lambda: run_durable_workflow(workflow, new_id(), 0, backend)) * 1e3


def _bytes(setting: Setting) -> Group:
    scale, url = setting.scale, setting.database()
    floor, backend, scales = Floor(url), PostgresBackend(url), Scales(url)

    def wal(steps: int, work: Callable[[], object]) -> float:
        before = scales.wal()
        work()
        return (scales.wal() - before) / steps

    def tables(steps: int, work: Callable[[], object]) -> float:
        before = scales.tables()
        work()
        # A vacuum may have given pages back meanwhile.
        return max(0.0, scales.tables() - before) / steps

    def chained(length: int, weigh: Callable[[int, Callable[[], object]], float]) -> float:
        runs = max(1, scale.synced // length)
        return weigh(runs * length, partial(run, backend, chain(length), length, runs))

    def close() -> None:
        scales.__exit__()
        backend.close()
        floor.close()

    must = (Budget(1_000, 700),)
    return Group(
        "postgres-bytes",
        "Bytes a step on PostgreSQL, in the calling process",
        "What was written ahead, and by how much the tables with their indexes have grown, divided by the steps; creating "
        "and ending the instances is in it.",
        [
            Case("bare", "WAL of one bare INSERT", lambda: wal(scale.synced, lambda: floor.bare(scale.synced)), "bytes"),
            *(
                Case(f"wal {length}", f"WAL, chains of {length:,}", partial(chained, length, wal), "bytes", "bare", must)
                for length in scale.chains[:2]
            ),
            *(
                Case(f"tables {length}", f"tables, chains of {length:,}", partial(chained, length, tables), "bytes")
                for length in scale.chains[:2]
            ),
        ],
        close,
    )


GROUPS: dict[str, Callable[[Setting], Group]] = {
    "postgres": _chains, "postgres-submit": _submits, "postgres-forks": _forks, "postgres-bytes": _bytes,
}
