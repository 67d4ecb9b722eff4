"""The store on PostgreSQL."""

from sayiir.store.postgres.store import PostgresBackend

__all__ = ["PostgresBackend"]
