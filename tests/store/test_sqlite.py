"""What only the SQLite store has: its file, its schema, its SQL, its end."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sayiir import BackendError, Flow, SqliteBackend, WorkflowClient, connect, run_durable_workflow
from sayiir.core.lifecycle import State
from sayiir.core.plan import COMPLETE, RUN
from sayiir.core.records import Arrive, Await, Fail, Fork, Move, Position, Record, Wait
from sayiir.store.port import Fence, Query, Restart, Token
from sayiir.store.sqlite import migrate
from sayiir.testing.clock import FakeClock

sys.path.insert(0, str(Path(__file__).parent))

from common import begin, child, is_sound, new, raw, step


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


# --- opening ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["runs.db", "a b.db", "50%?#&é日.db", "'quoted\".db", "no_ending"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    with SqliteBackend(tmp_path / name) as store:
        begin(store)
        assert repr(store) == f"SqliteBackend({str(tmp_path / name)!r}, durability='full')"
    with SqliteBackend(str(tmp_path / name)) as store:
        assert store.load("a") is not None
    assert (tmp_path / name).is_file()


def test_a_relative_path_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SqliteBackend("runs.db") as store:
        begin(store)
    with connect("sqlite:///runs.db") as store:
        assert store.load("a") is not None


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()
    with SqliteBackend(path) as store:
        begin(store)
    assert is_sound(path)


def test_every_store_in_memory_is_its_own() -> None:
    with SqliteBackend() as one, SqliteBackend(":memory:") as two:
        begin(one)
        assert two.load("a") is None


def test_tables_of_others_in_the_same_file_are_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
        connection.execute("INSERT INTO orders VALUES (42)")
        connection.commit()
    with SqliteBackend(path) as store:
        begin(store)
    assert raw(path, "SELECT id FROM orders") == [(42,)]
    assert {name for (name,) in raw(path, "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'")} - {"orders"} == {
        name for (name,) in raw(path, "SELECT name FROM sqlite_master WHERE name LIKE 'sayiir%'")
    }


@pytest.mark.parametrize("durability", ["fast", "", None, True, "FULL"])
def test_durability_is_full_or_normal(path: Path, durability: Any) -> None:
    with pytest.raises(ValueError, match='"full" or "normal"'):
        SqliteBackend(path, durability=durability)
    assert not path.exists()


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 86_401, True])
def test_lock_timeout_is_a_length_of_time(path: Path, seconds: Any) -> None:
    with pytest.raises(ValueError, match="lock_timeout must be from 0"):
        SqliteBackend(path, lock_timeout=seconds)


def test_durability_is_what_sqlite_is_told(path: Path) -> None:
    for durability, synchronous in (("full", 2), ("normal", 1)):
        with SqliteBackend(path, durability=durability) as store:  # type: ignore[arg-type]
            assert store._writer.execute("PRAGMA synchronous").fetchone() == (synchronous,)  # type: ignore[union-attr]


# --- migrations ---------------------------------------------------------------------------------------------------

LATER = (len(migrate.migrations()) + 1, "later", "-- A comment; with a semicolon.\nALTER TABLE sayiir_owners ADD COLUMN note TEXT;\nCREATE INDEX x ON sayiir_owners (name);\n")  # fmt: skip


def schema(path: Path) -> list[tuple[Any, ...]]:
    return raw(path, "SELECT type, name, sql FROM sqlite_master ORDER BY type, name")


def test_a_fresh_file_is_like_a_migrated_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = migrate.migrations()
    SqliteBackend(tmp_path / "old.db").close()
    monkeypatch.setattr(migrate, "migrations", lambda: [*steps, LATER])
    for name in ("old.db", "fresh.db"):
        SqliteBackend(tmp_path / name).close()
        assert [row[:2] for row in raw(tmp_path / name, "SELECT * FROM sayiir_migrations")] == [
            *((number, name) for number, name, _ in steps),
            LATER[:2],
        ]
    assert schema(tmp_path / "old.db") == schema(tmp_path / "fresh.db")


def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SqliteBackend(path) as store:
        begin(store)
    before, steps = schema(path), migrate.migrations()
    monkeypatch.setattr(migrate, "migrations", lambda: [*steps, (LATER[0], "bad", LATER[2] + "NONSENSE;")])
    with pytest.raises(BackendError, match="syntax error"):
        SqliteBackend(path)
    monkeypatch.undo()
    assert schema(path) == before
    with SqliteBackend(path) as store:
        assert store.load("a") is not None


def test_migrations_are_numbered_without_gaps() -> None:
    assert [number for number, _, _ in migrate.migrations()] == list(range(1, len(migrate.migrations()) + 1))


def test_many_processes_may_migrate_at_once(tmp_path: Path) -> None:
    for turn in range(3):
        path = tmp_path / f"{turn}.db"
        with child("migrate", path) as a, child("migrate", path) as b, child("migrate", path) as c:
            group = [a, b, c]
            assert [other.hear() for other in group] == ["ready"] * 3
            for other in group:
                other.tell()
            assert [other.hear() for other in group] == ["opened"] * 3
        assert raw(path, "SELECT count(*) FROM sayiir_migrations") == [(len(migrate.migrations()),)]
        assert is_sound(path)


def test_a_new_file_that_another_process_is_writing_is_waited_for(path: Path) -> None:
    clock, opened = FakeClock(), []
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=lambda: opened.append(SqliteBackend(path, clock=clock)))
        thread.start()
        clock.until_waiting()  # refused once, and about to ask again
        other.execute("COMMIT")
    while thread.is_alive():
        clock.advance(0.01)
        thread.join(0.01)
    opened[0].close()


# --- plain SQL ----------------------------------------------------------------------------------------------------


def test_values_are_text_that_sql_reads(path: Path) -> None:
    flow = Flow("w", metadata={"team": "billing"}).then(lambda order: {"total": order["n"] * 2}, name="double")
    with SqliteBackend(path) as store:
        WorkflowClient(store).send_signal("later", "go", {"by": "ann"})
        run_durable_workflow(flow.build(), "order-42", {"n": 21}, store)
    read = "SELECT json_extract(input, '$.n'), json_extract(metadata, '$.team'), status FROM sayiir_instances"
    assert raw(path, read) == [(21, "billing", "completed")]
    assert raw(path, "SELECT node, json_extract(output, '$.total') FROM sayiir_results") == [("double", 42)]
    assert raw(path, "SELECT json_extract(payload, '$.by') FROM sayiir_signals") == [("ann",)]
    assert raw(path, "SELECT DISTINCT typeof(input) FROM sayiir_instances") == [("text",)]


def test_a_finished_instance_leaves_no_hot_row(path: Path) -> None:
    with SqliteBackend(path) as store:
        run_durable_workflow(Flow("w").then(lambda x: x, name="same").build(), "a", 1, store)
        assert raw(path, "SELECT count(*) FROM sayiir_tokens") == [(0,)]


def _everything(store: SqliteBackend) -> None:
    """Use every verb, so that every statement runs once."""
    end = Position("$end", 1, 1)
    claim = begin(store)
    step(store, claim, 1)
    store.send_signal("a", "go", b"1", "key"), store.send_signal("a", "go", b"2")
    moved = store.checkpoint(claim.fence, Move((), Position("gate", 1, 1), Await("go", 5.0)))
    store.peek_signal(claim.fence, "go", None), store.heartbeat([claim.fence])
    store.checkpoint(claim.fence, Move((), Position("two", 1, 1), RUN), consume=moved.signal)
    children = ((1, Position("l", 1, 1), True), (2, Position("r", 1, 1), True))
    left, right = store.checkpoint(claim.fence, Move((), Position("fork", 1, 1), Fork(children))).claims
    join = Arrive(0, "fork", "join", ((1, "l"), (2, "r")))
    store.request_pause("a", None, None), store.unpause("a")
    store.checkpoint(left.fence, Move((), Position("l", 1, 1), join))
    (joined,) = store.checkpoint(right.fence, Move((), Position("r", 1, 1), join)).claims
    number = claim.fence.instance
    store.inspect(number), store.load("a"), store.value(number, 1), store.history(number), store.structure("w", "hash")
    store.release([joined.fence])
    (again,) = store.claim("a", "hash", "flow").claims
    store.checkpoint(again.fence, Move((), Position("delay", 1, 1), Wait(0)))
    (again,) = store.claim("a", "hash", "flow").claims
    store.checkpoint(again.fence, Move((), end, Fail(b"{}")))
    store.retry("a", lambda i, r: Restart((Token(i.number, 0, "ready", "one", step=50),), (1,), Record(49, "one", "input")))
    (again,) = store.claim("a", "hash", "flow").claims
    store.checkpoint(again.fence, Move((), end, COMPLETE))
    assert store.load("a").instance.status is State.COMPLETED
    begin(store, "b"), store.request_cancel("b", None, None), store.owner_name(1)
    store.create(new("b"), "terminate_existing", claim=False)
    lanes = store.register([new("b").definition])
    assert len(store.claim_due(lanes, 5, aging=300.0).works) == 1
    assert store.claim_due(lanes, 5, aging=300.0).next_at is None
    store.create_many([new("c"), new("d")], "use_existing")
    store.find(Query(id_prefix="c")), store.purge(store.now(), 10)


def test_no_statement_looks_at_more_than_it_needs(path: Path) -> None:
    seen: set[str] = set()
    with SqliteBackend(path) as store:
        store._read(lambda rows: None)
        for connection in (store._writer, store._reader[0]):  # type: ignore[index]
            connection.set_trace_callback(seen.add)  # type: ignore[union-attr]
        _everything(store)
    plans = {}
    with closing(sqlite3.connect(path)) as connection:
        for statement in seen:
            if statement.split(" ", 1)[0] in ("SELECT", "UPDATE", "DELETE", "INSERT"):
                plans[statement] = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    assert len(plans) > 25
    scans = {statement: plan for statement, plan in plans.items() if any(line.startswith("SCAN") for line in plan)}
    assert all("ORDER BY i.number DESC LIMIT" in statement for statement in scans), "only a search may look at all"
    sorts = {statement: plan for statement, plan in plans.items() if any("TEMP B-TREE" in line for line in plan)}
    assert all("ORDER BY started_at" in statement for statement in sorts), "only the timeline is sorted"


# --- the end ------------------------------------------------------------------------------------------------------

VERBS: list[Callable[[SqliteBackend], object]] = [
    lambda store: store.create(new("b"), "fail", claim=True),
    lambda store: store.claim("a", "hash", "flow"),
    lambda store: store.checkpoint(Fence(1, 0, 1), Move((), Position("x"), RUN)),
    lambda store: store.peek_signal(Fence(1, 0, 1), "go", None),
    lambda store: store.heartbeat([Fence(1, 0, 1)]),
    lambda store: store.release([Fence(1, 0, 1)]),
    lambda store: store.inspect(1),
    lambda store: store.send_signal("a", "go", b"1"),
    lambda store: store.request_cancel("a", None, None),
    lambda store: store.request_pause("a", None, None),
    lambda store: store.unpause("a"),
    lambda store: store.retry("a", lambda i, r: Restart(())),
    lambda store: store.load("a"),
    lambda store: store.history(1),
    lambda store: store.value(1, 0),
    lambda store: store.structure("w", "hash"),
    lambda store: store.owner_name(1),
    lambda store: store.wait_for_hint(store.hints.mark, 1),
]


@pytest.mark.parametrize("place", ["runs.db", ":memory:"])
def test_after_close_every_verb_is_refused(tmp_path: Path, place: str) -> None:
    store = SqliteBackend(":memory:" if place == ":memory:" else tmp_path / place)
    begin(store)
    store.close()
    store.close()
    for verb in VERBS[: -1 if place == ":memory:" else None]:
        with pytest.raises(BackendError, match="is closed; open another"):
            verb(store)


def test_leaving_the_block_closes(path: Path) -> None:
    with pytest.raises(KeyError), SqliteBackend(path) as store:
        raise KeyError
    with pytest.raises(BackendError, match="closed"):
        store.load("a")


def test_closing_while_others_write_ends_them_with_an_error_or_a_result(path: Path) -> None:
    for turn in range(10):
        store = SqliteBackend(path, durability="normal")
        claims = [begin(store, f"{turn}-{number}") for number in range(4)]
        errors: list[BaseException] = []
        moving = threading.Barrier(5)

        def write(claim: Any) -> None:
            moving.wait()
            try:
                for number in range(1, 100_000):
                    step(store, claim, number)
                    store.load("a")
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(claim,)) for claim in claims]
        for thread in threads:
            thread.start()
        moving.wait()
        store.close()
        for thread in threads:
            thread.join()
        assert len(errors) == 4
        assert all(isinstance(error, BackendError) and "closed" in str(error) for error in errors), errors
    assert is_sound(path)
