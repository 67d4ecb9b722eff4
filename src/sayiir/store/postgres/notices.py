"""Hints that go to other processes too, as notices of PostgreSQL.

A notice wakes and carries no fact. It is never part of a transaction that writes work, since a notifying commit takes a
lock of the whole database: a thread of its own sends it, the first at once, those that come close behind together.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import psycopg

from sayiir.store.hints import Hints
from sayiir.store.postgres.links import Connected, Links

_HUSH_SECS = 0.01
"""The shortest time between two notices of one process."""
_IDLE_SECS = 10.0


class RemoteHints(Hints):
    """Hints that other processes hear, once there is a `teller`."""

    teller: Teller | None = None

    def notify(self) -> None:
        """Say that something changed, here and to other processes."""
        super().notify()
        if self.teller is not None:
            self.teller.tell(steering=False)

    def steer(self) -> None:
        """Say that runners must look, here and in other processes."""
        if self.teller is not None:
            self.teller.tell(steering=True)
        super().steer()

    def heard(self, *, steering: bool) -> None:
        """Pass on what another process said."""
        if steering:
            self._steer_here()
        super().notify()


class Teller:
    """Sends notices.

    Args:
        links: where its connection comes from.
        channel: where they are heard.
    """

    def __init__(self, links: Links, channel: str) -> None:
        self._links = links
        self._channel = channel
        self._pending = threading.Event()
        self._steering = False
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended = False
        self.process = 0
        """The server's process that sends them, for who must know its own voice."""

    def tell(self, *, steering: bool) -> None:
        """Ask for a notice."""
        if steering:
            self._steering = True
        if self._pending.is_set():
            return
        self._pending.set()
        if self._thread is None or not self._thread.is_alive():
            with self._mutex:
                if not self._ended and (self._thread is None or not self._thread.is_alive()):
                    self._thread = threading.Thread(target=self._work, name="sayiir-notices", daemon=True)
                    self._thread.start()

    def _work(self) -> None:
        connection: Connected | None = None
        hush = threading.Event()
        try:
            while self._pending.wait(_IDLE_SECS) or not self._ended:
                if self._ended and not self._pending.is_set():
                    return
                if not self._pending.is_set():
                    continue
                steering, self._steering = self._steering, False
                self._pending.clear()
                try:
                    connection = connection or self._links.connect(self._ready)
                    connection.execute("SELECT pg_notify(%s, %s)", (self._channel, "steer" if steering else ""))
                except (psycopg.Error, OSError) as error:
                    logging.getLogger("sayiir").debug("a hint was lost: %s", self._links.explain(error))
                    if connection is not None:
                        connection.close()
                    connection = None
                if self._ended:
                    return
                hush.wait(_HUSH_SECS)
        finally:
            if connection is not None:
                connection.close()

    def _ready(self, connection: Connected) -> None:
        # A notice need not wait for the disk.
        connection.execute("SET synchronous_commit = off", prepare=False)
        self.process = int((connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone() or (0,))[0])

    def close(self) -> None:
        """Send what is still to be sent, and end."""
        with self._mutex:
            self._ended = True
            thread = self._thread
        self._pending.set()
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(2.0)


def notices(connection: Connected) -> list[Any]:
    """Return the notices that have come, without waiting."""
    return list(connection.notifies(timeout=0))
