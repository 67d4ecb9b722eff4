"""Keeps the claims of in-process runs alive and brings cancels to what is running. One thread for each store.

It starts with the first run and ends when there has been none for a while. Its view may be late: the fence at the next
checkpoint is what protects, this only makes things quick.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

from sayiir.core.lifecycle import TERMINAL, State
from sayiir.errors import BackendError
from sayiir.runtime.log import log

if TYPE_CHECKING:
    from sayiir.runtime.run import Run

_IDLE_SECS = 5.0
_LOOK_SECS = 0.5
_KEEPERS: weakref.WeakKeyDictionary[Any, Keeper] = weakref.WeakKeyDictionary()
_MUTEX = threading.Lock()


class Keeper:
    """The keeper of one store's runs."""

    def __init__(self, store: Any) -> None:
        self._store = weakref.ref(store)
        self._runs: dict[int, Run] = {}
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._needed = threading.Event()

    @classmethod
    def of(cls, store: Any) -> Keeper:
        """Return the store's keeper."""
        keeper = _KEEPERS.get(store)
        if keeper is None:
            with _MUTEX:
                keeper = _KEEPERS.setdefault(store, cls(store))
        return keeper

    def add(self, run: Run) -> None:
        """Watch over a run."""
        with self._mutex:
            self._runs[id(run)] = run
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._keep, name="sayiir-keeper", daemon=True)
                self._thread.start()
        if not self._needed.is_set():
            self._needed.set()

    def remove(self, run: Run) -> None:
        """Leave a run alone."""
        with self._mutex:
            self._runs.pop(id(run), None)

    def _keep(self) -> None:
        seen = 0
        beaten = None
        while True:
            if not self._runs:
                self._needed.clear()
                if not self._runs and not self._needed.wait(_IDLE_SECS):
                    with self._mutex:
                        if not self._runs:
                            self._thread = None
                            return
            store = self._store()
            if store is None:
                return
            try:
                steered = store.wait_for_steering(seen, _LOOK_SECS)
                if steered != seen:
                    seen = steered
                    self.look(store)
                now = store.clock.monotonic()
                if beaten is None or now - beaten > store.claim_ttl / 3:
                    beaten = now
                    self.beat(store)
            except BackendError as error:
                # Closed, or its disk is in trouble: the runs themselves will meet it.
                log().debug("the keeper of %r could not look: %s", store, error)
                threading.Event().wait(_LOOK_SECS)
            except Exception:  # noqa: BLE001 -- whatever it is, the runs of this store need their keeper
                # Without its keeper no run of this store would be kept alive or cancelled: it must go on.
                log().exception("the keeper of %r met an error", store)
                threading.Event().wait(_LOOK_SECS)
            del store

    def look(self, store: Any) -> None:
        """Bring cancels, pauses and replacements to the runs they concern."""
        for run in list(self._runs.values()):
            status, request = store.inspect(run.number)
            if status is None or status in TERMINAL or status is State.PAUSED or request == "cancel":
                run.call_off()

    def beat(self, store: Any) -> None:
        """Extend the claims of all runs."""
        fences = [fence for run in list(self._runs.values()) for fence in run.fences()]
        if fences:
            store.heartbeat(fences)
