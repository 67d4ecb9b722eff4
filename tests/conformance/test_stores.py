"""The conformance suite on every store of this package."""

from __future__ import annotations

from collections import Counter

from sayiir import InMemoryBackend, SqliteBackend
from sayiir.testing.conformance import StoreConformance


class TestMemory(StoreConformance):
    """In memory, where one object is all there is."""

    store: InMemoryBackend

    def open_store(self) -> InMemoryBackend:
        return InMemoryBackend(clock=self.clock)

    def reopen(self) -> InMemoryBackend:
        return self.store

    def abandon(self) -> InMemoryBackend:
        self.store.abandon()
        return self.store


class TestSqliteFile(StoreConformance):
    """On a file with full durability."""

    store: SqliteBackend

    def open_store(self) -> SqliteBackend:
        return SqliteBackend(self.folder / "runs.db", clock=self.clock)

    def reopen(self) -> SqliteBackend:
        return self.open_store()

    def abandon(self) -> SqliteBackend:
        self.store.abandon()
        return self.open_store()


class TestSqliteInMemory(StoreConformance):
    """SQLite without a file: one connection for everything."""

    store: SqliteBackend

    def open_store(self) -> SqliteBackend:
        return SqliteBackend(":memory:", clock=self.clock)

    def reopen(self) -> SqliteBackend:
        return self.store

    def abandon(self) -> SqliteBackend:
        self.store.abandon()
        return self.store


def test_no_test_of_the_suite_hides_another() -> None:
    names = Counter(name for part in StoreConformance.__mro__ for name in vars(part) if name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []
