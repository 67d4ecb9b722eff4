"""The store on one SQLite file: many threads and processes of one host, nothing to install."""

from sayiir.store.sqlite.store import SqliteBackend

__all__ = ["SqliteBackend"]
