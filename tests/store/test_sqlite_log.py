"""The write-ahead log of a SQLite store: who shortens it, when, and beside whom not."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from sayiir import SqliteBackend
from sayiir.store.sqlite.wal import LIMIT

sys.path.insert(0, str(Path(__file__).parent))

from common import begin, is_sound, raw, step


def test_no_connection_checkpoints_by_itself(tmp_path: Path) -> None:
    with SqliteBackend(tmp_path / "runs.db") as store:
        store._read(lambda rows: None)
        log = store._log
        assert log is not None
        assert log.checkpoint()
        for connection in (store._writer, store._reader[0], log._guard):  # type: ignore[index]
            assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)  # type: ignore[union-attr]
            assert connection.execute("PRAGMA journal_size_limit").fetchone() == (LIMIT,)  # type: ignore[union-attr]


def test_the_log_stays_short_and_reaches_the_database(tmp_path: Path) -> None:
    path, wal = tmp_path / "runs.db", tmp_path / "runs.db-wal"
    with SqliteBackend(path, durability="normal") as store:
        claim = begin(store)
        longest = 0
        for number in range(1, 5001):
            step(store, claim, number, b'"%s"' % (b"x" * 1000))
            longest = max(longest, wal.stat().st_size)
        log = store._log
        assert log is not None
        assert log.checkpoints > 5
        assert longest < 2 * LIMIT
        assert path.stat().st_size > 4_000_000
    assert raw(path, "SELECT count(*) FROM sayiir_results") == [(5000,)]
    assert is_sound(path)


def test_one_large_value_is_carried_over_at_once(tmp_path: Path) -> None:
    with SqliteBackend(tmp_path / "runs.db") as store:
        claim = begin(store)
        step(store, claim, 1, b'"%s"' % (b"x" * 2 * LIMIT))
        assert store._log.checkpoints == 1  # type: ignore[union-attr]
        step(store, claim, 2)
        assert (tmp_path / "runs.db-wal").stat().st_size == LIMIT, "started over, and cut back"


def test_no_checkpoint_beside_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with SqliteBackend(path) as store, closing(sqlite3.connect(path, isolation_level=None)) as writer:
        log = store._log
        assert log is not None
        writer.execute("BEGIN IMMEDIATE")
        assert not log.checkpoint()
        assert log.checkpoints == 0
        writer.execute("ROLLBACK")
        assert log.checkpoint()


def test_no_writer_beside_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with SqliteBackend(path) as store, closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as writer:
        begin(store)
        refused: list[str] = []

        class Watched:
            """The writer's connection, with somebody who tries to write during its checkpoint."""

            def execute(self, sql: str) -> sqlite3.Cursor:
                try:
                    writer.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError as error:
                    refused.append(str(error))
                return store._writer.execute(sql)  # type: ignore[union-attr]

        log = store._log
        assert log is not None
        log._writer = Watched()  # type: ignore[assignment]
        assert log.checkpoint()
        assert refused == ["database is locked"]
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("ROLLBACK")


def test_a_reader_delays_the_log_but_not_the_writers(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with SqliteBackend(path, durability="normal") as store, closing(sqlite3.connect(path, isolation_level=None)) as reader:
        claim = begin(store)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM sayiir_results").fetchone() == (0,)
        for number in range(1, 3001):
            step(store, claim, number, b'"%s"' % (b"x" * 1000))
        log = store._log
        assert log is not None
        tries = log.checkpoints
        assert 0 < tries < 100, "it does not come back at each commit"
        assert reader.execute("SELECT count(*) FROM sayiir_results").fetchone() == (0,), "the reader sees one moment"
        reader.execute("ROLLBACK")
        for number in range(3001, 4001):
            step(store, claim, number, b'"%s"' % (b"x" * 1000))
        assert (tmp_path / "runs.db-wal").stat().st_size < 2 * LIMIT, "cut back once the reader has gone"
    assert is_sound(path)
