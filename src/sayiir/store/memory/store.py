"""The store in memory: a real store with everything but durability.

One lock makes a verb a transaction. Scripts look before they write, so there is nothing to roll back.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from sayiir.clock import SYSTEM_CLOCK, Clock
from sayiir.core.records import Move
from sayiir.core.values import MAX_BYTES
from sayiir.store import scripts
from sayiir.store.base import ScriptedStore
from sayiir.store.hints import Hints
from sayiir.store.memory.rows import WORKER, MemoryRows, TransientRows
from sayiir.store.port import Fence, Moved, Signal
from sayiir.store.uninterrupted import uninterrupted

T = TypeVar("T")
_ALL: weakref.WeakSet[InMemoryBackend] = weakref.WeakSet()


def _renew_locks() -> None:
    # A forked child has a copy of its own; the thread that may have held a lock does not exist in it.
    for backend in _ALL:
        backend._lock = threading.Lock()
        backend.hints = Hints(backend.clock)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class InMemoryBackend(ScriptedStore):
    """A backend that lives as long as the object: for tests and for runs that need no durability.

    Args:
        max_value_bytes: the longest input, result or payload, as JSON; 64 MiB when not given.
        clock: where its time comes from.
        history: False forgets each value once it was used.
        private: True says that one run alone uses it, so that nothing watches for others.

    >>> from sayiir import Flow, InMemoryBackend, run_durable_workflow
    >>> with InMemoryBackend() as backend:
    ...     run_durable_workflow(Flow("w").then(lambda x: x + 1).build(), "a", 1, backend).output
    2
    """

    name = "memory"
    worker_name = WORKER

    def __init__(
        self,
        *,
        max_value_bytes: int = MAX_BYTES,
        clock: Clock = SYSTEM_CLOCK,
        history: bool = True,
        private: bool = False,
    ) -> None:
        super().__init__(clock, max_value_bytes)
        self.private = private
        self._rows = MemoryRows(clock) if history else TransientRows(clock)
        self._lock = threading.Lock()
        _ALL.add(self)

    def checkpoint(
        self, fence: Fence, move: Move, *, consume: Signal | None = None, hold: bool = False, share: bool = False
    ) -> Moved:
        """Write what happened and move the token (see the port); the hot verb, without the detours."""
        if self.private:  # an interrupted run takes its store with it, so nothing can be left half done
            with self._lock:
                moved = scripts.checkpoint(self._rows, fence, move, consume, hold, share)
        else:
            with uninterrupted, self._lock:
                moved = scripts.checkpoint(self._rows, fence, move, consume, hold, share)
        if moved.kind != "continue":
            self._tell([moved])
        return moved

    def use_claim_ttl(self, seconds: float) -> None:
        """Let claims be void after so many seconds of silence (see the base)."""
        super().use_claim_ttl(seconds)
        self._rows.claim_ttl = seconds

    def _write(self, script: Callable[[Any], T]) -> T:
        # Nothing rolls back here, so a change must not be interrupted half way.
        with uninterrupted, self._lock:
            return script(self._rows)

    def _read(self, script: Callable[[Any], T]) -> T:
        with self._lock:
            return script(self._rows)

    def abandon(self) -> None:
        """Make every claim of the past look like a dead process's, as a crash would; for tests."""
        with self._lock:
            self._rows.owner += 1

    def close(self) -> None:
        """Nothing is held; kept for symmetry."""

    def __repr__(self) -> str:
        return "InMemoryBackend()"
