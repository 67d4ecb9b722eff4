"""From a URL to a backend; the only importer of concrete stores, each on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sayiir.errors import BackendError

if TYPE_CHECKING:
    from sayiir.store.base import ScriptedStore


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
