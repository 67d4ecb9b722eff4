"""What the tests of the PostgreSQL store share: hands that move tokens, threads beside, and looks past the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import psycopg
from psycopg.rows import tuple_row

from sayiir.core.records import Definition, Position
from sayiir.store.port import Lane, NewInstance
from sayiir.store.postgres import PostgresBackend
from sayiir.testing.conformance.stage import HASH, ROUTING, STRUCTURE, Hand
from tests.servers.ground import PATIENCE, until

T = TypeVar("T")
DEFINITION = Definition("w", HASH, STRUCTURE, ROUTING)


def new(instance_id: str = "a", *, is_task: bool = True) -> NewInstance:
    """Return what `create` is given."""
    return NewInstance(instance_id, DEFINITION, b'{"n":1}', Position("one"), is_task)


def begin(store: PostgresBackend, instance_id: str = "a") -> Hand:
    """Create an instance and claim it."""
    claim = store.create(new(instance_id), "fail", claim=True).claim
    assert claim is not None
    return Hand(store, claim)


def claims(store: PostgresBackend, instance_id: str = "a") -> list[Hand]:
    """Claim what can move of an instance."""
    return [Hand(store, claim) for claim in store.claim(instance_id, HASH, STRUCTURE).claims]


def lanes(store: PostgresBackend) -> list[Lane]:
    """Return where the work of these tests stands."""
    return store.register([DEFINITION])


def works(store: PostgresBackend, limit: int = 100) -> list[Hand]:
    """Take work as a worker does."""
    return [Hand(store, work.claim) for work in store.claim_due(lanes(store), limit, aging=300.0).works]


def ask(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask the database itself, with nothing of ours in between."""
    with psycopg.connect(url, autocommit=True, row_factory=tuple_row) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def deadlocks(url: str) -> int:
    """Return how many deadlocks the server has found in this database."""
    return int(ask(url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0][0])


class Beside(Generic[T]):
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._value: list[T] = []
        self._error: BaseException | None = None
        self.ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._value.append(self._call())
        except BaseException as error:  # noqa: BLE001 -- handed to who asks
            self._error = error
        self.ended.set()

    def result(self) -> T:
        """Return what it came to, once it has ended."""
        assert self.ended.wait(PATIENCE), "the call did not end"
        if self._error is not None:
            raise self._error
        return self._value[0]


def blocked_by(url: str, connection: psycopg.Connection[Any]) -> None:
    """Wait until somebody waits for what a connection has locked."""
    statement = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid)))"
    until(lambda: bool(ask(url, statement, connection.info.backend_pid)[0][0]), "somebody waiting for a lock")


@contextmanager
def transaction(url: str) -> Generator[psycopg.Connection[Any]]:
    """Give a connection in a transaction, which is committed at the end of the block."""
    with psycopg.connect(url) as connection:
        yield connection


@contextmanager
def opened(url: str, **options: Any) -> Iterator[PostgresBackend]:
    """Open a store for a block."""
    with PostgresBackend(url, **options) as store:
        yield store


def kill_owner(beside: psycopg.Connection[Any], store: PostgresBackend) -> None:
    """Let a store look dead, and be so for longer than the moment that a lost connection is given.

    Args:
        beside: a connection in autocommit mode.
        store: its session is gone for the server, too, when this returns.
    """
    key = store._shared.lock_class, store._presence.owner
    store.abandon()
    gone = "SELECT pg_try_advisory_xact_lock_shared(%s, %s)"
    until(lambda: beside.execute(gone, key).fetchone() == (True,), "the end of a session")
    beside.execute("UPDATE sayiir.owners SET beat_at = beat_at - 10000000")
