"""`connection=`: writing in a caller's own open transaction, both or nothing."""

import contextlib
import sqlite3
import sys

import pytest

from sayiir import (
    BackendError,
    DefinitionMismatchError,
    DeserializationError,
    Flow,
    InMemoryBackend,
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    InvalidStateError,
    SqliteBackend,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
)
from tests.runtime.support import in_thread, open_store


def double(x):
    return x * 2


def take(x: int) -> int:
    return x


DOUBLE = Flow("double").then(double).build()
OTHER = Flow("double").then(double).then(double, name="more").build()
TAKE = Flow("take").then(take).build()
GATE = Flow("gate").then(double).wait_for_signal("go").build()


def beside_sqlite(backend):
    return sqlite3.connect(backend.path, timeout=5)


BESIDE = {"sqlite": beside_sqlite}
"""Store → a function that opens a connection of the caller's own beside it, in the driver's usual mode."""


@pytest.fixture(params=BESIDE)
def backend(request, tmp_path):
    with open_store(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def connection(backend):
    with contextlib.closing(BESIDE[backend.name](backend)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
        connection.commit()
        yield connection


@pytest.fixture
def client(backend):
    return WorkflowClient(backend)


def orders(connection):
    return [row[0] for row in connection.execute("SELECT id FROM orders ORDER BY id")]


def is_there(client, name):
    try:
        client.status(name)
    except InstanceNotFoundError:
        return False
    return True


# --- every store --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["order", "submit"])
def test_both(backend, client, connection, first):
    if first == "order":
        connection.execute("INSERT INTO orders VALUES (1)")
    status = client.submit(DOUBLE, "a", 21, connection=connection, priority=2)
    assert (status.is_in_progress(), status.instance_id) == (True, "a")
    if first == "submit":
        connection.execute("INSERT INTO orders VALUES (1)")
    assert not is_there(client, "a"), "before the commit nobody else sees it"
    connection.commit()
    assert client.status("a") == status
    assert backend.load("a").instance.priority == 2
    assert orders(connection) == [1]
    assert resume_workflow(DOUBLE, "a", backend).output == 42


@pytest.mark.parametrize("first", ["order", "submit"])
def test_or_nothing(backend, client, connection, first):
    if first == "order":
        connection.execute("INSERT INTO orders VALUES (1)")
    client.submit(DOUBLE, "a", 21, connection=connection)
    if first == "submit":
        connection.execute("INSERT INTO orders VALUES (1)")
    connection.rollback()
    assert not is_there(client, "a")
    assert orders(connection) == []
    connection.rollback()
    assert client.submit(DOUBLE, "a", 1).is_in_progress(), "the definition that went with it is stored anew"
    assert resume_workflow(DOUBLE, "a", backend).output == 2


def test_several_in_one_transaction(backend, client, connection):
    run_durable_workflow(GATE, "gate", 1, backend)
    for name in "abc":
        client.submit(DOUBLE, name, 1, connection=connection)
    client.send_signal("gate", "go", "payload", connection=connection)
    client.send_signal("a", "go", 1, connection=connection)
    connection.commit()
    assert [resume_workflow(DOUBLE, name, backend).output for name in "abc"] == [2, 2, 2]
    assert resume_workflow(GATE, "gate", backend).output == "payload"


def test_a_signal_of_a_transaction(backend, client, connection):
    run_durable_workflow(GATE, "a", 1, backend)
    connection.execute("INSERT INTO orders VALUES (1)")
    client.send_signal("a", "go", 1, dedup_key="k", connection=connection)
    connection.rollback()
    assert resume_workflow(GATE, "a", backend).is_awaiting_signal()
    client.send_signal("a", "go", 2, dedup_key="k", connection=connection)
    client.send_signal("a", "go", 3, dedup_key="k", connection=connection)
    connection.commit()
    assert resume_workflow(GATE, "a", backend).output == 2


def test_workers_find_what_was_submitted_and_signalled(backend, client, connection):
    run_durable_workflow(GATE, "gate", 1, backend)
    client.submit(DOUBLE, "a", 1, connection=connection)
    client.send_signal("gate", "go", 1, connection=connection)
    connection.commit()
    lanes = backend.register([DOUBLE.program.definition, GATE.program.definition])
    works = backend.claim_due(lanes, 10, aging=300.0).works
    assert {(work.instance.instance_id, work.claim.wake) for work in works} == {("a", "ready"), ("gate", "signal")}


def test_a_refusal_leaves_the_callers_transaction_as_it_was(backend, client, connection):
    run_durable_workflow(DOUBLE, "taken", 1, backend)
    connection.execute("INSERT INTO orders VALUES (1)")
    with pytest.raises(InstanceAlreadyExistsError, match="'taken' already exists and is completed"):
        client.submit(DOUBLE, "taken", 2, connection=connection)
    with pytest.raises(DefinitionMismatchError, match='[+]  task "more"'):
        client.submit(OTHER, "taken", 2, connection=connection)
    with pytest.raises(DeserializationError):
        client.submit(TAKE, "x", "text", connection=connection)
    with pytest.raises(InvalidStateError, match="it is completed"):
        client.send_signal("taken", "go", 1, connection=connection)
    client.submit(DOUBLE, "b", 2, connection=connection)
    connection.commit()
    assert orders(connection) == [1]
    assert (is_there(client, "b"), is_there(client, "x")) == (True, False)
    assert client.status("taken").output == 2


def test_policies(backend, client, connection):
    run_durable_workflow(DOUBLE, "taken", 1, backend)
    status = client.with_conflict_policy("use_existing").submit(DOUBLE, "taken", 5, connection=connection)
    assert (status.is_completed(), status.output) == (True, 2)
    connection.commit()
    client.with_conflict_policy("terminate_existing").submit(DOUBLE, "taken", 5, connection=connection)
    connection.rollback()
    assert client.status("taken").output == 2
    client.with_conflict_policy("terminate_existing").submit(DOUBLE, "taken", 5, connection=connection)
    connection.commit()
    assert resume_workflow(DOUBLE, "taken", backend).output == 10


def test_use_existing_sees_the_callers_own_transaction(client, connection):
    client.submit(DOUBLE, "a", 1, connection=connection)
    assert client.with_conflict_policy("use_existing").submit(DOUBLE, "a", 5, connection=connection).is_in_progress()
    with pytest.raises(InstanceAlreadyExistsError):
        client.submit(DOUBLE, "a", 5, connection=connection)
    connection.rollback()
    assert not is_there(client, "a")


def test_who_waits_is_woken_by_the_commit(backend, client, connection):
    run_durable_workflow(GATE, "a", 1, backend)
    seen = 0
    while (mark := backend.wait_for_hint(seen, 0.2)) != seen:
        seen = mark  # what was told before
    with in_thread(backend.wait_for_hint, seen, 20) as waiting:
        client.send_signal("a", "go", 1, connection=connection)
        connection.commit()
        assert waiting.result() != seen
    assert resume_workflow(GATE, "a", backend).is_completed()


@pytest.mark.parametrize("other", [object(), "text", 5])
def test_something_else(client, other):
    with pytest.raises(TypeError, match="connection must be a"):
        client.submit(DOUBLE, "a", 1, connection=other)
    with pytest.raises(TypeError, match="connection must be a"):
        client.send_signal("a", "go", 1, connection=other)
    assert not is_there(client, "a")


def test_a_closed_backend(backend, client, connection):
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        client.submit(DOUBLE, "a", 1, connection=connection)


def test_memory_has_no_transactions_of_others(tmp_path):
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for backend in (InMemoryBackend(), SqliteBackend(":memory:")):
            client = WorkflowClient(backend)
            with pytest.raises(BackendError, match="connection= needs a SqliteBackend on a file"):
                client.submit(DOUBLE, "a", 1, connection=connection)
            with pytest.raises(BackendError, match="connection= needs a SqliteBackend on a file"):
                client.send_signal("a", "go", 1, connection=connection)
            assert not is_there(client, "a")
            backend.close()


# --- SQLite -------------------------------------------------------------------------------------------------------


@pytest.fixture
def lite(tmp_path):
    with open_store("sqlite", tmp_path) as store:
        yield store


def opened(store, **options):
    return contextlib.closing(sqlite3.connect(store.path, **options))


@pytest.mark.parametrize("level", ["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"])
def test_a_transaction_begins_by_itself_where_the_driver_would_begin_it(lite, level):
    client = WorkflowClient(lite)
    with opened(lite, isolation_level=level) as connection:
        client.submit(DOUBLE, "a", 1, connection=connection)
        assert connection.in_transaction
        assert connection.isolation_level == level
        assert not is_there(client, "a")
        connection.rollback()
        assert not is_there(client, "a")


def test_a_refusal_before_anything_was_written_is_also_the_callers_to_end(lite):
    run_durable_workflow(DOUBLE, "a", 1, lite)
    with opened(lite) as connection:
        with pytest.raises(InstanceAlreadyExistsError):
            WorkflowClient(lite).submit(DOUBLE, "a", 1, connection=connection)
        connection.rollback()
    assert run_durable_workflow(DOUBLE, "b", 1, lite).output == 2


def test_without_a_transaction_it_is_refused(lite):
    client = WorkflowClient(lite)
    with opened(lite, isolation_level=None) as connection:
        with pytest.raises(BackendError, match="no open transaction .* execute BEGIN"):
            client.submit(DOUBLE, "a", 1, connection=connection)
        with pytest.raises(BackendError, match="no open transaction"):
            client.send_signal("a", "go", 1, connection=connection)
        assert not is_there(client, "a")
        connection.execute("BEGIN")
        client.submit(DOUBLE, "a", 1, connection=connection)
        connection.execute("COMMIT")
        assert is_there(client, "a")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Connection.autocommit is of Python 3.12")
@pytest.mark.parametrize("autocommit", [True, False])
def test_the_newer_way_to_say_autocommit(lite, autocommit):
    client = WorkflowClient(lite)
    with opened(lite, autocommit=autocommit) as connection:
        if autocommit:
            with pytest.raises(BackendError, match="no open transaction"):
                client.submit(DOUBLE, "a", 1, connection=connection)
            connection.execute("BEGIN")
        client.submit(DOUBLE, "a", 1, connection=connection)
        connection.execute("COMMIT") if autocommit else connection.commit()
        assert is_there(client, "a")


def as_dict(cursor, row):
    return {column[0]: value for column, value in zip(cursor.description, row)}


def refuse(*_):
    raise AssertionError("the caller's factory was used")


class Odd(sqlite3.Connection):
    """A connection with a cursor of its own."""

    def cursor(self, *_, **__):
        raise AssertionError("the caller's cursor was used")

    def execute(self, *_):
        raise AssertionError("the caller's execute was used")


@pytest.mark.parametrize("rows", [None, sqlite3.Row, as_dict, refuse])
@pytest.mark.parametrize("texts", [str, bytes, refuse, lambda raw: raw.decode(errors="ignore").upper()])
@pytest.mark.parametrize("factory", [sqlite3.Connection, Odd])
def test_the_callers_factories_are_neither_used_nor_changed(lite, rows, texts, factory):
    run_durable_workflow(DOUBLE, "taken", 1, lite)
    client = WorkflowClient(lite, conflict_policy="use_existing")
    with opened(lite, factory=factory) as connection:
        connection.row_factory, connection.text_factory = rows, texts
        assert client.submit(DOUBLE, "taken", 5, connection=connection).output == 2
        assert client.submit(DOUBLE, "new", 5, connection=connection).is_in_progress()
        client.send_signal("new", "go", 1, dedup_key="k", connection=connection)
        with pytest.raises(DefinitionMismatchError):
            client.submit(OTHER, "taken", 5, connection=connection)
        assert (connection.row_factory, connection.text_factory) == (rows, texts)
        connection.commit()
    assert resume_workflow(DOUBLE, "new", lite).output == 10


def test_another_file(lite, tmp_path):
    with open_store("sqlite", tmp_path / "..") as elsewhere, opened(elsewhere) as connection:
        with pytest.raises(
            BackendError, match="connection= leads to .*runs.db', not to .*; give a connection to the same file"
        ):
            WorkflowClient(lite).submit(DOUBLE, "a", 1, connection=connection)
        assert not connection.in_transaction
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        with pytest.raises(BackendError, match="leads to 'a database in memory'"):
            WorkflowClient(lite).submit(DOUBLE, "a", 1, connection=connection)
        connection.execute("ATTACH ? AS runs", (lite.path if isinstance(lite.path, str) else lite.path.decode(),))
        with pytest.raises(BackendError, match="leads to 'a database in memory'"):
            WorkflowClient(lite).submit(DOUBLE, "a", 1, connection=connection)


def test_the_same_file_by_another_name(lite, tmp_path):
    (tmp_path / "link.db").symlink_to(lite.path)
    with contextlib.closing(sqlite3.connect(f"file:{tmp_path}/./link.db?mode=rw", uri=True)) as connection:
        WorkflowClient(lite).submit(DOUBLE, "a", 1, connection=connection)
        connection.commit()
    assert is_there(WorkflowClient(lite), "a")


def test_a_closed_or_read_only_connection(lite):
    with contextlib.closing(sqlite3.connect(f"file:{lite.path}?mode=ro", uri=True)) as connection:
        with pytest.raises(BackendError, match="readonly"):
            WorkflowClient(lite).submit(DOUBLE, "a", 1, connection=connection)
    with pytest.raises(BackendError, match="closed database"):
        WorkflowClient(lite).submit(DOUBLE, "a", 1, connection=connection)


def test_a_transaction_that_has_read_what_others_changed_since(lite):
    client = WorkflowClient(lite)
    with opened(lite, isolation_level=None) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sayiir_instances").fetchone()
        client.submit(DOUBLE, "other", 1)
        with pytest.raises(BackendError, match="others have written since; .* BEGIN IMMEDIATE"):
            client.submit(DOUBLE, "a", 1, connection=connection)
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        client.submit(DOUBLE, "a", 1, connection=connection)
        connection.execute("COMMIT")
    assert is_there(client, "a")


def test_a_failure_half_way_leaves_nothing_of_it(lite):
    client = WorkflowClient(lite)
    with opened(lite) as connection:
        connection.execute("CREATE TEMP TRIGGER t BEFORE INSERT ON main.sayiir_tokens BEGIN SELECT RAISE(ABORT, 'no'); END")
        connection.execute("CREATE TABLE orders (id INTEGER)")
        connection.execute("INSERT INTO orders VALUES (1)")
        with pytest.raises(BackendError, match="no"):
            client.submit(DOUBLE, "a", 1, connection=connection)
        connection.execute("DROP TRIGGER temp.t")
        client.submit(DOUBLE, "b", 1, connection=connection)
        connection.commit()
        assert orders(connection) == [1]
    assert (is_there(client, "a"), is_there(client, "b")) == (False, True)
    assert resume_workflow(DOUBLE, "b", lite).output == 2


def test_writers_wait_for_the_callers_transaction(lite):
    client = WorkflowClient(lite)
    with opened(lite) as connection:
        client.submit(DOUBLE, "a", 1, connection=connection)
        with in_thread(client.submit, DOUBLE, "b", 1) as beside:
            connection.commit()
            assert beside.result().is_in_progress()
    assert is_there(client, "a")


def test_another_threads_connection(lite):
    with opened(lite) as connection, in_thread(WorkflowClient(lite).submit, DOUBLE, "a", 1, connection=connection) as beside:
        with pytest.raises(BackendError, match="thread"):
            beside.result()


def test_nobody_parks_while_a_signal_is_sent_and_not_committed(client, connection, backend):
    """So none can sleep over it, as on a database where transactions pass each other."""
    with SqliteBackend(backend.path, lock_timeout=0) as other:
        client.send_signal("a", "go", 7, connection=connection)
        with pytest.raises(BackendError, match="kept writing"):
            run_durable_workflow(GATE, "a", 1, other)
        connection.commit()
        assert run_durable_workflow(GATE, "a", 1, other).output == 7
