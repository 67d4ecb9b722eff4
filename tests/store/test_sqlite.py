"""What only the SQLite store has: its file, what may be wrong with it, its schema, its SQL, its end."""

from __future__ import annotations

import hashlib
import os
import random
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
from sayiir.errors import SchemaVersionError, WorkflowError
from sayiir.store.port import Fence, Query, Restart, Token
from sayiir.store.sqlite import filesystem, migrate
from sayiir.store.sqlite import store as store_module
from sayiir.store.sqlite.filesystem import file_system, is_network
from sayiir.testing.clock import FakeClock

sys.path.insert(0, str(Path(__file__).parent))

from common import begin, child, is_sound, new, raw, step


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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


# --- what may be wrong with the file ------------------------------------------------------------------------------


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="folder '.*nowhere' does not exist; create it"):
        SqliteBackend(tmp_path / "nowhere" / "runs.db")
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_is_not_a_database(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="check the path"):
        SqliteBackend(tmp_path)


def test_something_else_is_not_a_database_and_is_left_as_it_is(path: Path) -> None:
    path.write_text("# Groceries\n\n- milk\n" * 500)
    before = digest(path)
    with pytest.raises(BackendError, match="not a database; the file is something else"):
        SqliteBackend(path)
    assert digest(path) == before


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_file_is_reported_or_read_but_never_believed_silently(path: Path, seed: int) -> None:
    with SqliteBackend(path) as store:
        claim = begin(store)
        for number in range(1, 60):
            step(store, claim, number, b'"%s"' % (b"x" * 3000))
    chance = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(400):
        content[chance.randrange(100, len(content))] ^= chance.randrange(1, 256)
    path.write_bytes(content)
    try:
        with SqliteBackend(path) as store:
            view = store.load("a")
            if view is not None:
                for record in store.history(view.instance.number):
                    store.value(view.instance.number, record.ref)
            store.create(new("b"), "fail", claim=False)
    except WorkflowError as error:
        assert str(error)
    # Whatever else: an error of the store is ours, never a bare one of the driver.


def test_a_torn_page_is_a_backend_error(path: Path) -> None:
    with SqliteBackend(path) as store:
        claim = begin(store)
        for number in range(1, 200):
            step(store, claim, number)
    content = bytearray(path.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 2048] = b"\xff" * 2048
    path.write_bytes(content)
    with pytest.raises(BackendError, match="malformed; the file is damaged"):
        SqliteBackend(path)


def test_a_newer_schema_is_refused_and_nothing_is_lost(path: Path) -> None:
    with SqliteBackend(path) as store:
        begin(store)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO sayiir_migrations VALUES (99, 'from the future', 0)")
        connection.commit()
    with pytest.raises(SchemaVersionError, match=f"schema version 99, this release knows up to {LATER[0] - 1}; install a newer"):
        SqliteBackend(path)
    assert raw(path, "SELECT max(number) FROM sayiir_migrations") == [(99,)]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM sayiir_migrations WHERE number = 99")
        connection.commit()
    with SqliteBackend(path) as store:
        assert store.load("a") is not None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="the platform has no such permissions")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_may_not_be_written_is_said_so(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    path = folder / "runs.db"
    with SqliteBackend(path) as store:
        begin(store)
    before = digest(path)
    for parent in [folder, *folder.parents]:
        if parent.stat().st_uid == os.geteuid() and parent.stat().st_mode & 0o005 != 0o005:
            parent.chmod(parent.stat().st_mode | 0o005)
    path.chmod(0o444)
    if what == "folder":
        folder.chmod(0o555)
    else:
        (folder / "runs.db-owners").chmod(0o444)
    try:
        with child("unprivileged", path) as other:
            answer = other.hear()
    finally:
        folder.chmod(0o755)
    assert answer.startswith(("SQLite on", "cannot open")), answer
    assert "writable" in answer or "permissions" in answer
    assert digest(path) == before


def test_a_lock_file_that_cannot_be_opened_is_a_backend_error(path: Path) -> None:
    Path(f"{path}-owners").mkdir()
    with pytest.raises(BackendError, match="cannot open .*check the path and its permissions"):
        SqliteBackend(path)


def test_where_no_log_can_be_there_is_no_store() -> None:
    with pytest.raises(BackendError, match="cannot have a write-ahead log"):
        SqliteBackend("")


def test_a_writer_that_does_not_let_go_is_an_error_after_the_timeout(path: Path) -> None:
    with SqliteBackend(path, lock_timeout=0) as store, closing(sqlite3.connect(path)) as other:
        claim = begin(store)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendError, match="locked; another process kept writing for 0s"):
            step(store, claim, 1)
        assert store.history(claim.fence.instance) == [], "reading goes on"
        other.execute("ROLLBACK")
        step(store, claim, 1)


# --- network file systems -----------------------------------------------------------------------------------------

MOUNTS = """\
proc /proc proc rw 0 0
/dev/sda1 / ext4 rw,relatime 0 0
server:/export /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/local xfs rw 0 0
//nas/share /mnt/my\\040share cifs rw 0 0
sshfs /mnt/ssh fuse.sshfs rw 0 0
overlay / overlay rw 0 0
short
"""


@pytest.mark.parametrize(
    ("folder", "kind", "network"),
    [
        ("/", "overlay", False),
        ("/var/lib", "overlay", False),
        ("/home/ann", "nfs4", True),
        ("/homeless", "overlay", False),
        ("/home/local/ann", "xfs", False),
        ("/mnt/my share/x", "cifs", True),
        ("/mnt/ssh", "fuse.sshfs", False),
    ],
)
def test_the_mount_table_tells_where_a_folder_lies(folder: str, kind: str, network: bool) -> None:
    assert file_system(Path(folder), MOUNTS) == kind
    assert is_network(kind) is network


def test_an_unreadable_mount_table_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(filesystem.Path, "read_text", missing)
    assert file_system(Path("/")) is None
    assert not is_network(None)


def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "file_system", lambda folder: "nfs4")
    with pytest.raises(BackendError, match=r"network file system \(nfs4\).*local disk, or PostgreSQL"):
        SqliteBackend(path)
    assert not path.exists()


@pytest.mark.parametrize("kind", ["fuse.sshfs", "9p"])
def test_a_doubtful_file_system_is_warned_of(path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(store_module, "file_system", lambda folder: kind)
    with pytest.warns(UserWarning, match=f"lies on {kind}") as warned:
        SqliteBackend(path).close()
    assert warned[0].filename == __file__, "the warning points at who opened the store"


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
