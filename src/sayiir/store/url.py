"""From a URL to a backend; the only importer of concrete stores, each on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sayiir.errors import BackendError

if TYPE_CHECKING:
    from sayiir.store.base import ScriptedStore
    from sayiir.store.port import Pending


def connect(url: str, **options: Any) -> ScriptedStore:
    """Open the backend that a URL names.

    Args:
        url: "memory://", "sqlite:///relative.db", "sqlite:////absolute.db", "sqlite://" (in memory), or
            "postgresql://user@host:5432/database".
        options: the backend's own keyword arguments.

    Raises:
        ValueError: the URL is not one of these.
        BackendError: the backend cannot be opened.

    >>> connect("memory://")
    InMemoryBackend()
    """
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is not None and parts.scheme == "memory" and not parts.netloc and parts.path in ("", "/"):
        from sayiir.store.memory import InMemoryBackend

        return InMemoryBackend(**options)
    if parts is not None and parts.scheme == "sqlite" and not parts.netloc:
        from sayiir.store.sqlite import SqliteBackend

        return SqliteBackend(unquote(parts.path[1:]) or ":memory:", **options)
    if parts is not None and parts.scheme in ("postgresql", "postgres"):
        try:
            from sayiir.store.postgres import PostgresBackend
        except ModuleNotFoundError as error:
            raise BackendError("PostgreSQL needs its driver: pip install 'sayiir[postgres]'") from error
        return PostgresBackend(url, **options)
    # A URL of another kind may hold a password.
    shown = f"{parts.scheme}://…" if parts is not None and parts.scheme and parts.password else repr(url)
    raise ValueError(
        f'cannot connect to {shown}: expected "memory://", "sqlite:///relative.db" or "sqlite:////absolute.db", '
        '"postgresql://user@host/database"'
    )


def throw_away(*, history: bool = True) -> ScriptedStore:
    """Open a store that only one run knows and that ends with it.

    Args:
        history: whether it keeps what happened, for those who ask later.
    """
    from sayiir.store.memory import InMemoryBackend

    return InMemoryBackend(history=history, private=True)


def pending_migrations(url: str, schema: str | None = None) -> Pending:
    """Return what would bring a database to this release's schema, without doing it.

    Args:
        url: of SQLite or PostgreSQL, as `connect` takes it.
        schema: of PostgreSQL; "sayiir" when None.

    Raises:
        ValueError: the URL names no database that keeps anything.
        BackendError: the database cannot be read.
    """
    if (path := sqlite_path(url)) is not None:
        from sayiir.store.sqlite.upkeep import pending

        return pending(path)
    if url.startswith(("postgresql:", "postgres:")):
        try:
            from sayiir.store.postgres.upkeep import pending as pending_there
        except ModuleNotFoundError as error:
            raise BackendError("PostgreSQL needs its driver: pip install 'sayiir[postgres]'") from error
        return pending_there(url, schema or "sayiir")
    raise ValueError("this needs a database that is kept: sqlite:///file.db or postgresql://user@host/database")


def backup(url: str, target: str) -> None:
    """Copy a SQLite database to a new file, as it stands at one moment, while it is in use.

    Args:
        url: of a SQLite file.
        target: the new file.

    Raises:
        ValueError: the URL names no file.
        BackendError: it cannot be read, or the copy cannot be written.
    """
    path = sqlite_path(url)
    if path is None:
        raise ValueError("only a SQLite file is copied by this; for PostgreSQL use pg_dump, or your provider's backups")
    from sayiir.store.sqlite.upkeep import backup as copy

    copy(path, target)


def sqlite_path(url: str) -> str | None:
    """Return the file that a URL names; None for anything else.

    >>> sqlite_path("sqlite:///orders.db"), sqlite_path("memory://")
    ('orders.db', None)
    """
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url)
    path = unquote(parts.path[1:])
    return path if parts.scheme == "sqlite" and not parts.netloc and path not in ("", ":memory:") else None
