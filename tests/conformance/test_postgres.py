"""The conformance suite on PostgreSQL, whose clock the tests hold still."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sayiir.store.postgres import PostgresBackend
from sayiir.testing.conformance import StoreConformance
from tests.pg_fixtures import empty
from tests.postgres.common import kill_owner
from tests.servers.ground import until
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="module")
def held(postgres: PostgresServer) -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    """A database whose clock is the test's, which makes it unfit for others, and a connection to it."""
    with postgres.database() as url, psycopg.connect(url, autocommit=True) as connection:
        PostgresBackend(url).close()
        connection.execute("CREATE SCHEMA held; CREATE TABLE held.clock AS SELECT 0::bigint AS now")
        connection.execute(
            "CREATE OR REPLACE FUNCTION sayiir.clock_micros() RETURNS bigint LANGUAGE sql VOLATILE "
            "AS 'SELECT now FROM held.clock'"
        )
        # Nobody is called dead in the first moments of a server.
        uptime = "SELECT clock_timestamp() - pg_postmaster_start_time() > interval '2 seconds'"
        until(lambda: connection.execute(uptime).fetchone() == (True,), "the first moments of the server")
        yield url, connection


class TestPostgres(StoreConformance):
    """On a real server."""

    store: PostgresBackend
    instant = 1.0  # the claims of two statements differ in length, so that each can be found again

    @pytest.fixture(autouse=True)
    def _database(self, held: tuple[str, psycopg.Connection[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
        self.url, self.beside = held
        empty(self.beside)
        # A beat by the test's clock, between its step and what is asked then, would make who is silent be there again.
        monkeypatch.setattr("sayiir.store.postgres.presence.BEAT_SECS", 3600.0)

    def hold_clock(self) -> None:
        """Let the database's clock show the test's time."""
        self.beside.execute("UPDATE held.clock SET now = %s", (self.clock.now(),))

    def open_store(self) -> PostgresBackend:
        self.hold_clock()
        store = PostgresBackend(self.url, clock=self.clock)
        self.opened(store)
        return store

    def reopen(self) -> PostgresBackend:
        return PostgresBackend(self.url, clock=self.clock)

    def abandon(self) -> PostgresBackend:
        kill_owner(self.beside, self.store)
        return self.reopen()

    def pass_time(self, seconds: float) -> None:
        super().pass_time(seconds)
        self.hold_clock()
