"""The conformance suite on PostgreSQL, whose clock the tests hold still."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from sayiir.store.postgres import PostgresBackend
from sayiir.testing.conformance import StoreConformance
from tests.pg_fixtures import emptied
from tests.servers.ground import until
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="module")
def held(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database whose clock is the test's; it is not fit for other tests."""
    with postgres.database() as url:
        PostgresBackend(url).close()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA held; CREATE TABLE held.clock AS SELECT 0::bigint AS now")
            connection.execute(
                "CREATE OR REPLACE FUNCTION sayiir.clock_micros() RETURNS bigint LANGUAGE sql VOLATILE "
                "AS 'SELECT now FROM held.clock'"
            )
        yield url


class TestPostgres(StoreConformance):
    """On a real server."""

    store: PostgresBackend
    instant = 1.0  # the claims of two statements differ in length, so that each can be found again

    @pytest.fixture(autouse=True)
    def _database(self, held: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = emptied(held)
        # A beat by the test's clock, between its step and what is asked then, would make who is silent be there again.
        monkeypatch.setattr("sayiir.store.postgres.presence.BEAT_SECS", 3600.0)
        # Nobody is called dead in the first moments of a server.
        uptime = "SELECT clock_timestamp() - pg_postmaster_start_time() > interval '2 seconds'"
        with psycopg.connect(held, autocommit=True) as connection:
            until(lambda: connection.execute(uptime).fetchone() == (True,), "the first moments of the server")

    def open_store(self) -> PostgresBackend:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("UPDATE held.clock SET now = %s", (self.clock.now(),))
        store = PostgresBackend(self.url, clock=self.clock)
        self.opened(store)
        return store

    def reopen(self) -> PostgresBackend:
        return PostgresBackend(self.url, clock=self.clock)

    def abandon(self) -> PostgresBackend:
        self.store.abandon()
        with psycopg.connect(self.url, autocommit=True) as connection:
            # Nobody is called dead within a moment of the last beat.
            connection.execute("UPDATE sayiir.owners SET beat_at = beat_at - 10000000")
        return self.reopen()

    def pass_time(self, seconds: float) -> None:
        super().pass_time(seconds)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("UPDATE held.clock SET now = %s", (self.clock.now(),))
