"""Group commit: threads that write at the same time share one transaction.

The first to come leads: it writes its own work and that of everybody who waits, commits once, and hands out the
results. Nobody waits longer than for the commit that is under way; no artificial delay. Leadership goes to the first
that queued meanwhile. Work that cannot be written together with the rest is written again alone, and answers for itself.

An interruption (Ctrl-C) may come between any two lines. The rules that survive it: an entry is `settled` as soon as its
outcome stands, before anybody is woken; who leads passes the lead on, whatever happens; nothing settled runs again.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any


class Entry:
    """Work that waits for a leader, or to lead."""

    __slots__ = ("error", "leads", "queued", "result", "settled", "woken", "work")

    def __init__(self, work: Any) -> None:
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None
        self.queued = False
        self.leads = False
        self.settled = False

    def enter(self, queue: list[Entry]) -> None:
        """Wait in a queue from now on. Who leads at once needs no lock to be woken by."""
        self.woken = threading.Lock()
        self.woken.acquire()
        queue.append(self)
        self.queued = True  # last: who is interrupted before it has not been seen by anybody, or stands in the queue

    def outcome(self) -> Any:
        """Return the result or raise the error."""
        if self.error is not None:
            raise self.error
        return self.result


class Group(ABC):
    """Lets one of many threads write for all; a subclass writes."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        # Held while the connection is in use, so that it is not closed under a transaction.
        self._seat = threading.RLock()
        self._leading = False
        self._queue: list[Entry] = []

    @abstractmethod
    def _commit(self, batch: list[Entry]) -> None:
        """Write a batch and settle its entries; those that must be written alone are left unsettled.

        A batch of one is always settled.
        """

    def _afterwards(self) -> None:  # noqa: B027 -- most have nothing to do
        """Do what may wait until the followers have their results."""

    def run(self, work: Any) -> Any:
        """Write this and return its result once that is committed.

        Raises:
            BackendError: the database refused; nothing of this was written.
        """
        entry = Entry(work)
        try:
            self._enter(entry)
            while not (entry.settled or entry.leads):
                entry.woken.acquire()
            if entry.leads:
                self._lead(entry)
        except BaseException:
            self._leave(entry)
            raise
        finally:
            if entry.leads:
                self._pass_on(entry)
        return entry.outcome()

    def run_many(self, works: list[Any]) -> list[Any]:
        """Write all of these and return what each came to, a result or an error, once that is committed."""
        entries = [Entry(work) for work in works]
        with self._mutex:
            queued = entries
            if entries and not self._leading:
                entries[0].leads = self._leading = True
                queued = entries[1:]
            for entry in queued:
                entry.enter(self._queue)
        for entry in entries:
            try:
                while not (entry.settled or entry.leads):
                    entry.woken.acquire()
                if entry.leads:
                    self._lead(entry)
            finally:
                if entry.leads:
                    self._pass_on(entry)
        return [entry.result if entry.error is None else entry.error for entry in entries]

    def _enter(self, entry: Entry) -> None:
        with self._mutex:
            if self._leading:
                entry.enter(self._queue)
            else:
                entry.leads = self._leading = True

    def _leave(self, entry: Entry) -> None:
        """After an interruption: take the script back, or see the write through that can no longer be called off."""
        while not (entry.settled or entry.leads):
            try:
                with self._mutex:
                    if entry in self._queue:
                        self._queue.remove(entry)
                        return
                if not entry.queued:
                    return
                entry.woken.acquire()
            except KeyboardInterrupt:  # pressed again: the first one is on its way already
                continue

    def _lead(self, own: Entry) -> None:
        followers: list[Entry] = []
        try:
            if self._queue:
                with self._mutex:
                    followers, self._queue = self._queue, []
            batch = [own, *followers]
            with self._seat:
                self._commit(batch)
                for entry in batch:
                    if not entry.settled:
                        self._commit([entry])
        finally:
            if followers:
                self._wake(followers)
        self._afterwards()

    def _wake(self, followers: list[Entry]) -> None:
        unsettled = [entry for entry in followers if not entry.settled]
        if unsettled:  # the leader was interrupted: somebody else must lead them
            with self._mutex:
                self._queue[:0] = unsettled
        for entry in followers:
            if entry.settled:
                entry.woken.release()

    def _pass_on(self, entry: Entry) -> None:
        with self._mutex:
            entry.leads = False
            following = self._queue.pop(0) if self._queue else None
            if following is None:
                self._leading = False
                return
            following.leads = True
        following.woken.release()
