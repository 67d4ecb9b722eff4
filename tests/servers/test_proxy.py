"""A broken connection breaks just where it was ordered to."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import closing

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from tests.servers.ground import at, free_port, until
from tests.servers.proxy import Proxy


def one(url, query):
    with psycopg.connect(url) as conn:
        return conn.execute(query).fetchone()[0]


@pytest.fixture
def table(pg_url):
    with psycopg.connect(pg_url) as conn:
        conn.execute("CREATE TABLE kept (word text)")
    return pg_url


def words(url):
    with psycopg.connect(url) as conn:
        return [word for (word,) in conn.execute("SELECT word FROM kept ORDER BY word")]


def test_a_proxy_passes_everything(proxy, table):
    for url in (proxy.through(table), at(table, proxy.port, sslmode="prefer")):
        with psycopg.connect(url) as conn:
            assert len(conn.execute("SELECT repeat('x', 1000) FROM generate_series(1, 5000)").fetchall()) == 5000
            with conn.cursor().copy("COPY kept FROM STDIN") as copy:
                copy.write_row(("x" * 200_000,))
            assert proxy.connections == 1
    until(lambda: proxy.connections == 0, "the end of closed connections")
    assert [len(word) for word in words(table)] == [200_000] * 2


def test_a_cut_ends_every_connection_and_takes_new_ones(proxy, pg_url):
    url = proxy.through(pg_url)
    with psycopg.connect(url) as first, psycopg.connect(url) as second:
        assert proxy.cut() == 2
        for conn in (first, second):
            with pytest.raises(psycopg.OperationalError):
                conn.execute("SELECT 1")
    assert one(url, "SELECT 1") == 1


@pytest.mark.parametrize("size", [0, 1, 13, 200])
def test_a_cut_after_so_many_bytes_of_the_server(proxy, pg_url, size):
    words = b"user\0postgres\0database\0postgres\0\0"
    happened = proxy.cut_after(bytes_from_server=size)
    with socket.create_connection(("127.0.0.1", proxy.port)) as raw:
        raw.sendall((8 + len(words)).to_bytes(4, "big") + (196608).to_bytes(4, "big") + words)
        received = b"".join(iter(lambda: raw.recv(65_536), b""))
    assert len(received) == size
    assert happened.is_set()
    assert one(proxy.through(pg_url), "SELECT 1") == 1


def test_a_cut_inside_of_a_request_leaves_it_undone(proxy, table):
    with psycopg.connect(proxy.through(table), autocommit=True) as conn:
        happened = proxy.cut_after(bytes_from_client=20)
        assert not happened.is_set()
        with pytest.raises(psycopg.OperationalError):
            conn.execute("INSERT INTO kept VALUES ('cut')")
    assert happened.is_set()
    assert words(table) == []


@pytest.mark.parametrize("lost", ["answer", "request"])
def test_a_lost_commit_took_place_or_not(proxy, table, lost):
    with psycopg.connect(proxy.through(table)) as conn:
        happened = proxy.lose_next_answer(b"COMMIT") if lost == "answer" else proxy.lose_next_request(b"COMMIT")
        conn.execute("INSERT INTO kept VALUES ('ambiguous')")
        assert not happened.is_set()
        with pytest.raises(psycopg.OperationalError):
            conn.commit()
        assert happened.is_set()
        assert conn.broken
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    until(lambda: one(table, sessions) == 1, "the end of the lost session")
    assert words(table) == (["ambiguous"] if lost == "answer" else [])


def test_an_answer_is_lost_whole_and_alone(proxy, table):
    """It is longer than the server's buffer, in a pipeline, found by a parameter; the answers before it arrive."""
    insert = "INSERT INTO kept SELECT %s || n FROM generate_series(1, 2000) n RETURNING repeat(word, 20)"
    with psycopg.connect(proxy.through(table), autocommit=True) as conn, pytest.raises(psycopg.OperationalError):
        happened = proxy.lose_next_answer(b"second")
        with conn.pipeline() as pipeline:
            early = conn.execute(insert, ("first",))
            pipeline.sync()
            conn.execute(insert, ("second",))
            pipeline.sync()
            conn.execute(insert, ("third",))
    assert happened.is_set()
    assert len(early.fetchall()) == 2000
    # The third had reached the server too, or not: the connection ended while it was on its way.
    assert len([word for word in words(table) if not word.startswith("third")]) == 4000


@pytest.mark.parametrize("keep", [0, 1, 4, 5, 12, 17, 18, 1000])
def test_an_answer_is_lost_from_a_certain_byte_on(proxy, table, keep):
    words_of_start = b"user\0postgres\0database\0" + table.rpartition("/")[2].partition("?")[0].encode() + b"\0\0"
    query = b"INSERT INTO kept VALUES ('marked')\0"
    with socket.create_connection(("127.0.0.1", proxy.port)) as raw, raw.makefile("rb") as stream:
        raw.sendall((8 + len(words_of_start)).to_bytes(4, "big") + (196608).to_bytes(4, "big") + words_of_start)
        while stream.read(1) != b"Z":
            stream.read(int.from_bytes(stream.read(4), "big") - 4)
        stream.read(5)
        happened = proxy.lose_next_answer(b"marked", keep)
        raw.sendall(b"Q" + (4 + len(query)).to_bytes(4, "big") + query)
        received = stream.read()
    whole = b"C\0\0\0\x0fINSERT 0 1\0" + b"Z\0\0\0\x05I"
    assert happened.is_set()
    assert (happened.answer, received) == (whole, whole[:keep])
    assert words(table) == ["marked"]


def test_a_fault_happens_once_and_to_its_request_alone(proxy, table):
    happened = proxy.lose_next_answer(b"marked")
    with psycopg.connect(proxy.through(table), autocommit=True) as other:
        other.execute("INSERT INTO kept VALUES ('plain')")
        assert not happened.is_set()
        with psycopg.connect(proxy.through(table), autocommit=True) as conn, pytest.raises(psycopg.OperationalError):
            conn.execute("INSERT INTO kept VALUES ('marked')")
        other.execute("INSERT INTO kept VALUES ('marked again')")
    assert words(table) == ["marked", "marked again", "plain"]


def test_a_stalled_proxy_lets_nothing_pass_until_it_resumes(postgres, proxy, pg_url):
    with psycopg.connect(proxy.through(pg_url), autocommit=True) as conn:
        backend = conn.info.backend_pid
        proxy.stall()
        conn.pgconn.send_query(b"SELECT 1")
        conn.pgconn.flush()
        until(lambda: proxy.held == 1, "the query's arrival at the proxy")
        assert one(pg_url, f"SELECT state FROM pg_stat_activity WHERE pid = {backend}") == "idle"
        assert select.select([conn.fileno()], [], [], 0)[0] == []
        proxy.resume()

        def is_answered():
            conn.pgconn.consume_input()
            return not conn.pgconn.is_busy()

        # Not by waiting in libpq, which would keep the proxy's thread from running.
        until(is_answered, "the answer")
        assert conn.pgconn.get_result().get_value(0, 0) == b"1"
        assert conn.pgconn.get_result() is None


def test_a_stalled_connection_is_half_open(proxy, pg_url):
    conn = psycopg.connect(proxy.through(pg_url))
    backend = conn.info.backend_pid
    alive = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {backend}"
    proxy.stall()
    conn.close()
    until(lambda: proxy.held == 1, "the end's arrival at the proxy")
    assert one(pg_url, alive) == 1
    proxy.resume()
    until(lambda: one(pg_url, alive) == 0, "the end's arrival at the server")


def test_a_stalled_connection_is_cut(proxy, pg_url):
    with psycopg.connect(proxy.through(pg_url), autocommit=True) as conn:
        failed = threading.Event()

        def ask():
            with pytest.raises(psycopg.OperationalError):
                conn.execute("SELECT 1")
            failed.set()

        proxy.stall()
        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: proxy.held == 1, "the query's arrival at the proxy")
        # libpq notes that it asks after the words have left.
        until(lambda: conn.pgconn.transaction_status == TransactionStatus.ACTIVE, "the asking")
        assert proxy.cut() == 1
        asking.join()
        assert failed.is_set()


def test_a_delay_counts_each_way(proxy, pg_url):
    with psycopg.connect(proxy.through(pg_url), autocommit=True) as conn:
        proxy.delay(0.02)
        begin = time.monotonic()
        conn.execute("SELECT 1")
        assert time.monotonic() - begin >= 0.04
        proxy.delay(0)
        conn.execute("SELECT 1")


def test_a_proxy_before_nobody_refuses():
    with Proxy("127.0.0.1", free_port()) as proxy, pytest.raises(psycopg.OperationalError):
        psycopg.connect(proxy.through("postgresql://postgres@/postgres"))


def test_a_closed_proxy_ends_its_connections(postgres, pg_url):
    with Proxy("127.0.0.1", postgres.port) as proxy:
        conn = psycopg.connect(proxy.through(pg_url), autocommit=True)
        proxy.stall()
    with closing(conn), pytest.raises(psycopg.OperationalError):
        conn.execute("SELECT 1")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port))
    proxy.close()
