"""The store in memory."""

from sayiir.store.memory.store import InMemoryBackend

__all__ = ["InMemoryBackend"]
