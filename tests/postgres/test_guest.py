"""Writing in the caller's own transaction: both or nothing."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg.rows import dict_row

from sayiir import BackendError, Flow, InstanceAlreadyExistsError, WorkflowClient
from tests.postgres.common import ask, opened


def double(x: int) -> int:
    return x * 2


DOUBLE = Flow("double").then(double).build()
GATE = Flow("gate").wait_for_signal("go").then(double).build()


@pytest.fixture
def store(emptied_url):
    with opened(emptied_url) as store:
        ask(emptied_url, "CREATE TABLE orders (id int PRIMARY KEY)")
        yield store


@pytest.fixture
def client(store):
    return WorkflowClient(store)


@pytest.fixture(params=["plain", "dict rows", "pipeline"])
def connection(request, emptied_url):
    options = {"row_factory": dict_row} if request.param == "dict rows" else {}
    with psycopg.connect(emptied_url, **options) as connection:
        if request.param == "pipeline":
            with connection.pipeline():
                yield connection
                connection.rollback()
        else:
            yield connection
            connection.rollback()


def state(url):
    """Return how many orders, instances and signals are committed."""
    return ask(
        url, "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM sayiir.instances), "
        "(SELECT count(*) FROM sayiir.signals)"
    )[0]  # fmt: skip


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_transaction_that_begins_with_it_is_the_callers_to_end(client, connection, emptied_url, end):
    client.send_signal("b", "go", 1, connection=connection)
    assert state(emptied_url) == (0, 0, 0)
    getattr(connection, end)()
    assert state(emptied_url) == (0, 0, int(end == "commit"))


def test_both(client, connection, emptied_url):
    connection.execute("INSERT INTO orders VALUES (1)")
    client.submit(DOUBLE, "a", 1, connection=connection)
    client.send_signal("b", "go", 1, connection=connection)
    assert state(emptied_url) == (0, 0, 0)
    connection.commit()
    assert state(emptied_url) == (1, 1, 1)


def test_nothing(client, connection, emptied_url):
    connection.execute("INSERT INTO orders VALUES (1)")
    client.submit(DOUBLE, "a", 1, connection=connection)
    client.send_signal("b", "go", 1, connection=connection)
    connection.rollback()
    assert state(emptied_url) == (0, 0, 0)


def test_a_savepoint_taken_back(client, connection, emptied_url):
    connection.execute("INSERT INTO orders VALUES (1)")
    with connection.transaction(force_rollback=True):
        client.submit(DOUBLE, "a", 1, connection=connection)
    client.submit(DOUBLE, "b", 1, connection=connection)
    connection.commit()
    assert ask(emptied_url, "SELECT instance_id FROM sayiir.instances") == [("b",)]


def test_a_refusal_leaves_the_transaction_usable(store, connection, emptied_url):
    client = WorkflowClient(store, conflict_policy="fail")
    client.submit(DOUBLE, "a", 1)
    connection.execute("INSERT INTO orders VALUES (1)")
    with pytest.raises(InstanceAlreadyExistsError):
        client.submit(DOUBLE, "a", 1, connection=connection)
    connection.execute("INSERT INTO orders VALUES (2)")
    connection.commit()
    assert state(emptied_url)[:2] == (2, 1)


def test_a_transaction_block_of_an_autocommit_connection(client, emptied_url):
    with psycopg.connect(emptied_url, autocommit=True) as connection:
        with connection.transaction():
            connection.execute("INSERT INTO orders VALUES (1)")
            client.submit(DOUBLE, "a", 1, connection=connection)
            assert state(emptied_url) == (0, 0, 0)
        assert state(emptied_url) == (1, 1, 0)


def test_autocommit_is_refused(client, emptied_url):
    with psycopg.connect(emptied_url, autocommit=True) as connection, pytest.raises(BackendError, match="no open transaction"):
        client.submit(DOUBLE, "a", 1, connection=connection)
    assert state(emptied_url) == (0, 0, 0)


def test_an_async_connection_is_refused(client, emptied_url):
    async def attempt():
        async with await psycopg.AsyncConnection.connect(emptied_url) as connection:
            with pytest.raises(TypeError, match="not an async one"):
                client.submit(DOUBLE, "a", 1, connection=connection)

    asyncio.run(attempt())


def test_another_database_is_refused(client, postgres, emptied_url):
    with (
        postgres.database() as other, opened(other), psycopg.connect(other) as connection,
        pytest.raises(BackendError, match="another database"),
    ):  # fmt: skip
        client.submit(DOUBLE, "a", 1, connection=connection)
    with postgres.database() as empty, psycopg.connect(empty) as connection:
        with pytest.raises(BackendError, match="another database"):
            client.send_signal("a", "go", 1, connection=connection)
        connection.execute("SELECT 1")


def test_a_failed_transaction_is_refused(client, emptied_url):
    with psycopg.connect(emptied_url) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
        with pytest.raises(BackendError):
            client.submit(DOUBLE, "a", 1, connection=connection)
        connection.rollback()


def test_a_closed_connection_is_refused(client, emptied_url):
    connection = psycopg.connect(emptied_url)
    connection.close()
    with pytest.raises(BackendError):
        client.submit(DOUBLE, "a", 1, connection=connection)


def test_a_connection_of_a_subclass_and_of_a_pool(client, emptied_url):
    from psycopg_pool import ConnectionPool

    with ConnectionPool(emptied_url, min_size=1, max_size=1) as pool, pool.connection() as connection:
        client.submit(DOUBLE, "a", 1, connection=connection)
    assert state(emptied_url)[1] == 1
