"""How long a read of a SQLite file may take."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from sayiir import BackendError, SqliteBackend
from sayiir.store.sqlite.rows import SqliteRows

sys.path.insert(0, str(Path(__file__).parent))

from common import begin


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.mark.parametrize("seconds", [-1, 0, float("nan"), float("inf"), True])
def test_statement_timeout_is_a_length_of_time(path: Path, seconds: Any) -> None:
    with pytest.raises(ValueError, match="statement_timeout_secs must be a positive"):
        SqliteBackend(path, statement_timeout_secs=seconds)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_a_read_that_takes_too_long_is_given_up_and_the_next_one_answers(path: Path) -> None:
    with SqliteBackend(path, statement_timeout_secs=0.05) as store:
        begin(store)
        with pytest.raises(BackendError, match=r"interrupted; it took longer than 0\.05s; .* raise statement_timeout_secs"):
            store._read(lambda rows: rows.ask(ENDLESS))
        assert store.load("a") is not None
        assert store._reader is not None
        assert not store._reader[0].in_transaction


def test_a_store_in_memory_gives_a_long_read_up_too_and_goes_on() -> None:
    with SqliteBackend(":memory:", statement_timeout_secs=0.05) as store:
        begin(store)
        with pytest.raises(BackendError, match=r"interrupted; it took longer than 0\.05s; .* raise statement_timeout_secs"):
            store._read(lambda rows: rows.ask(ENDLESS))
        assert store.load("a") is not None
        begin(store, "b")
        assert store._write(lambda rows: rows.ask(ENDLESS.replace("FROM n)", "FROM n LIMIT 500000)"))) == [(500000,)]


@pytest.mark.parametrize("place", ["file", "memory"])
def test_a_check_of_the_data_may_take_as_long_as_it_takes(
    path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = ENDLESS.replace("FROM n)", "FROM n LIMIT 200000)")
    monkeypatch.setattr(SqliteRows, "engine_faults", lambda rows: [str(rows.ask(long)[0][0])])
    with SqliteBackend(path if place == "file" else ":memory:", statement_timeout_secs=1e-9) as store:
        with pytest.raises(BackendError, match="statement_timeout_secs"):
            store._read(lambda rows: rows.ask(long))
        assert store.faults() == ["200000"]
