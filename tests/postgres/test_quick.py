"""Statements past the driver's cursors: the same rows and errors as through them."""

from __future__ import annotations

import threading

import psycopg
import pytest
from psycopg import errors

from sayiir import Flow, PostgresBackend, WorkflowClient, resume_workflow, run_durable_workflow
from sayiir.store.postgres import quick
from tests.servers.ground import until


@pytest.fixture(params=[True, False], ids=["prepared", "behind a pooler"])
def connection(emptied_url, request):
    with psycopg.connect(emptied_url, autocommit=True, prepare_threshold=0 if request.param else None) as connection:
        yield connection


def among_others(connection, statement, values):
    return quick.ask_all(connection, [(b"SELECT 1", ()), (statement, values), (b"SELECT $1::text", ("after",))])[1]


@pytest.fixture(params=[quick.ask, among_others], ids=["alone", "among others"])
def asking(request):
    return request.param


ROWS = b"""SELECT n, $1::text || n, $2::bigint, NULLIF($3::boolean, n = 2), '{"a": 1}'::jsonb, ARRAY[n, 7], 1.5::numeric
    FROM generate_series(1, $4::integer) AS n ORDER BY n"""


@pytest.mark.parametrize("count", [0, 1, 3, 1000])
def test_the_rows_are_those_of_a_cursor(connection, asking, count):
    values = "ü'\"\\", -(1 << 60), True, count
    for _ in range(3):
        assert asking(connection, ROWS, values) == psycopg.RawCursor(connection).execute(ROWS, values).fetchall()


def test_nothing_is_nothing_and_empty_is_empty(connection, asking):
    assert asking(connection, b"SELECT $1::text, $2::text, $3::bigint", (None, "", None)) == [(None, "", None)]


def test_what_gives_no_rows_gives_none(connection, asking):
    assert asking(connection, b"SET application_name = 'quick'", ()) == []


def test_statements_are_prepared_once_for_each_connection(connection):
    for _ in range(3):
        quick.ask(connection, b"SELECT $1::text", ("a",))
        quick.ask(connection, b"SELECT $1::bigint", (1,))
    (count,) = connection.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'sayiir%'").fetchone()
    assert count == (0 if connection.prepare_threshold is None else 2)


@pytest.mark.parametrize("size", [1 << 16, 20 << 20])
def test_much_goes_both_ways(connection, asking, size):
    text = "0123456789abcdef" * (size // 16)
    assert asking(connection, b"SELECT $1::text, length($1::text)", (text,)) == [(text, size)]


@pytest.mark.parametrize(
    ("statement", "values", "error"),
    [
        (b"SELECT 1 / $1::integer", (0,), errors.DivisionByZero),
        (b"SELECT $1::integer", ("x",), errors.InvalidTextRepresentation),
        (b"SELECT nothing($1::integer)", (1,), errors.UndefinedFunction),
        (b"SELEC $1::integer", (1,), errors.SyntaxError),
        (b"SELECT $1::text", ("a\0b",), psycopg.DataError),
    ],
)
def test_errors_are_typed_and_leave_the_connection_usable(connection, asking, statement, values, error):
    for _ in range(2):
        with pytest.raises(error):
            asking(connection, statement, values)
        assert asking(connection, b"SELECT $1::integer", (7,)) == [(7,)]


def test_an_error_after_rows_is_an_error(connection, asking):
    with pytest.raises(errors.DivisionByZero):
        asking(connection, b"SELECT 1 / (3 - n) FROM generate_series(1, $1::integer) AS n", (3,))


def test_what_comes_after_an_error_is_not_executed(connection):
    connection.execute("CREATE TEMP TABLE kept (n integer)")
    insert = b"INSERT INTO kept VALUES ($1::integer) RETURNING n"
    for begin in ([], [(b"BEGIN", ())]):
        with pytest.raises(errors.DivisionByZero):
            quick.ask_all(connection, [*begin, (insert, (1,)), (b"SELECT 1 / $1::integer", (0,)), (insert, (2,))])
        quick.command(connection, b"ROLLBACK")
        assert quick.ask_all(connection, [(insert, (3,)), (b"SELECT count(*) FROM kept", ())]) == [[(3,)], [(1,)]]
        quick.command(connection, b"TRUNCATE kept")


def test_a_rollback_leaves_what_is_prepared(connection):
    for _ in range(2):
        quick.ask_all(connection, [(b"BEGIN", ()), (b"SELECT $1::integer", (1,))])
        connection.execute("SELECT 'the driver''s'")
        quick.command(connection, b"ROLLBACK")
    (count,) = connection.execute("SELECT count(*) FROM pg_prepared_statements", prepare=False).fetchone()
    assert count == (0 if connection.prepare_threshold is None else 3)


def test_a_session_that_ends_meanwhile_is_an_operational_error(connection, asking, emptied_url):
    found = []

    def sleep():
        try:
            asking(connection, b"SELECT pg_sleep($1::integer)", (60,))
        except psycopg.Error as error:
            found.append(error)

    thread = threading.Thread(target=sleep)
    thread.start()
    pid = connection.info.backend_pid
    with psycopg.connect(emptied_url, autocommit=True) as other:
        asleep = "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s"
        until(lambda: other.execute(asleep, (pid,)).fetchone() == (True,), "the session sleeping")
        other.execute("SELECT pg_terminate_backend(%s)", (pid,))
    thread.join(20)
    assert [type(error) for error in found] == [errors.AdminShutdown]
    with pytest.raises(psycopg.OperationalError):
        asking(connection, b"SELECT $1::integer", (1,))


class Interruption(BaseException):  # noqa: N818 -- as KeyboardInterrupt
    """What Ctrl-C raises, without a signal."""


def test_an_interruption_cancels_the_statement(connection, asking, emptied_url, monkeypatch):
    statement = b"SELECT pg_advisory_lock($1::bigint), pg_sleep(0)"
    asking(connection, statement, (8,))
    with psycopg.connect(emptied_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(7)")
        state = "SELECT state, wait_event_type FROM pg_stat_activity WHERE pid = %s"
        pid = connection.info.backend_pid

        def interrupted(*_, **__):
            until(lambda: other.execute(state, (pid,)).fetchone() == ("active", "Lock"), "the statement waiting")
            raise Interruption

        monkeypatch.setattr(quick, "_wait", interrupted)
        with pytest.raises(Interruption):
            asking(connection, statement, (7,))
        until(lambda: other.execute(state, (pid,)).fetchone()[0] != "active", "the statement being cancelled")
    connection.close()  # as its callers do


def test_a_write_that_was_interrupted_is_found_out_about_and_its_connection_closed(emptied_url, monkeypatch):
    flow = Flow("chain").then(lambda value: value + 1, name="one").then(lambda value: value + 1, name="two").build()
    asked, steps = quick.ask, []

    def interrupted(connection, statement, values):
        rows = asked(connection, statement, values)
        if b"INSERT INTO" in statement and b"results" in statement and not steps:
            steps.append(connection)
            raise Interruption
        return rows

    with PostgresBackend(emptied_url) as backend:
        monkeypatch.setattr(quick, "ask", interrupted)
        with pytest.raises(Interruption):
            run_durable_workflow(flow, "a", 1, backend)
        monkeypatch.undo()
        assert steps[0].closed
        status = resume_workflow(flow, "a", backend)
        assert status.output == 3
        assert [entry.node_id for entry in WorkflowClient(backend).timeline("a")] == ["one", "two"]


def test_a_closed_connection_is_an_operational_error(connection):
    connection.close()
    with pytest.raises(psycopg.OperationalError):
        quick.ask(connection, b"SELECT $1::integer", (1,))


def test_other_threads_go_on_while_one_waits(connection, emptied_url):
    with psycopg.connect(emptied_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(7)")
        thread = threading.Thread(target=quick.ask, args=(connection, b"SELECT pg_advisory_lock($1::bigint)", (7,)))
        thread.start()
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: other.execute(waits).fetchone() == (1,), "the other thread waiting")
        other.execute("SELECT pg_advisory_unlock(7)")
        thread.join(20)
        assert not thread.is_alive()
