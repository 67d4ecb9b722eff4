"""From a URL to a backend; the only importer of concrete stores, each on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sayiir.store.base import ScriptedStore


def connect(url: str, **options: Any) -> ScriptedStore:
    """Open the backend that a URL names.

    Args:
        url: "memory://", "sqlite:///relative.db", "sqlite:////absolute.db", or "sqlite://" (in memory).
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
    raise ValueError(
        f'cannot connect to {url!r}: expected "memory://", "sqlite:///relative.db" or "sqlite:////absolute.db"'
    )


def throw_away(*, history: bool = True) -> ScriptedStore:
    """Open a store that only one run knows and that ends with it.

    Args:
        history: whether it keeps what happened, for those who ask later.
    """
    from sayiir.store.memory import InMemoryBackend

    return InMemoryBackend(history=history, private=True)
