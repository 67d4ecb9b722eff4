"""The fixtures of PostgreSQL: a server for each process of pytest (it starts in a second), a database for each test.

A missing PgBouncer skips the tests that need it, and one line at the end of the run says how to get it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.servers.bouncer import HOW, Bouncer
from tests.servers.ground import until
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy

_ROWS = """DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'sayiir' AND tablename <> 'migrations' LOOP
        EXECUTE format('DELETE FROM sayiir.%I', name);
    END LOOP; END $$"""
_OTHERS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that forces nothing to the disk, for everything but durability."""
    with PostgresServer(fast=True) as server:
        yield server


@pytest.fixture(scope="session")
def durable_postgres() -> Iterator[PostgresServer]:
    """A server that commits as in production."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def pg_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database, dropped after the test."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def kept_database(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database for many tests."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def emptied_url(kept_database: str) -> str:
    """The URL of a database that was emptied, for tests that leave our tables as they are; nobody is connected to it.

    Our tables may be there already: to make them, and a database, takes a third of a second.
    """
    with psycopg.connect(kept_database, autocommit=True) as connection:
        empty(connection)
    return kept_database


def empty(connection: psycopg.Connection[Any]) -> None:
    """Delete what the last test has left: its sessions, all rows of ours, and what it made beside our schema."""
    until(lambda: connection.execute(_OTHERS).fetchall() == [], "the sessions of the last test being gone")
    connection.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
    connection.execute(_ROWS)


@pytest.fixture(scope="session")
def bouncer(postgres: PostgresServer) -> Iterator[Bouncer]:
    """A PgBouncer before `postgres`; `bouncer.through(pg_url)` is the test's database through it."""
    if not Bouncer.available():
        pytest.skip(HOW)
    with Bouncer(postgres) as bouncer:
        yield bouncer


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[Proxy]:
    """A proxy before `postgres`; `proxy.through(pg_url)` is the test's database through it."""
    with Proxy("127.0.0.1", postgres.port) as proxy:
        yield proxy


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was left out."""
    left_out = sum(HOW in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    if left_out:
        terminalreporter.write_line(f"NOT TESTED, {left_out} tests: {HOW}", red=True, bold=True)
