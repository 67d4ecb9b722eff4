"""Hints that go to other processes too, as notices of PostgreSQL.

A notice wakes and carries no fact. It is never part of a transaction that writes work, since a notifying commit takes a
lock of the whole database: a thread of its own sends it, the first at once, those that come close behind together.
"""

from __future__ import annotations

import logging
import select
import threading
from typing import Any

import psycopg
from psycopg.pq import ExecStatus

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
        self.nudge()


class Teller:
    """Sends notices.

    When the last one is some time ago, whoever has something to tell sends it, without waiting for the answer: a thread
    would first have to be woken. All else is left to a thread.

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
        self._line = threading.Lock()
        """Held by who uses the connection."""
        self._connection: Connected | None = None
        self._sent_at = -_HUSH_SECS
        self._thread: threading.Thread | None = None
        self._ended = False
        self.process = 0
        """The server's process that sends them, for who must know its own voice."""

    def tell(self, *, steering: bool) -> None:
        """Ask for a notice."""
        if steering:
            self._steering = True
        if self._pending.is_set() or self._tell_at_once():
            return
        self._pending.set()
        if self._thread is None or not self._thread.is_alive():
            with self._mutex:
                if not self._ended and (self._thread is None or not self._thread.is_alive()):
                    self._thread = threading.Thread(target=self._work, name="sayiir-notices", daemon=True)
                    self._thread.start()

    def _tell_at_once(self) -> bool:
        """Send a notice unless one was sent a moment ago; False when that is the thread's matter."""
        if self._left() > 0 or not self._line.acquire(blocking=False):
            return False
        try:
            if self._connection is None or self._left() > 0:
                return False
            pgconn = self._connection.pgconn
            pgconn.consume_input()
            if pgconn.is_busy():
                return False  # the last one is not answered yet
            self._finish(pgconn)
            self._send(pgconn)
        except (psycopg.Error, OSError):
            return False  # the thread opens another connection
        finally:
            self._line.release()
        return True

    def _left(self) -> float:
        """Return the seconds until another notice may be sent."""
        return self._sent_at + _HUSH_SECS - self._links.clock.monotonic()

    def _send(self, pgconn: Any) -> None:
        steering, self._steering = self._steering, False
        self._sent_at = self._links.clock.monotonic()
        pgconn.send_query_params(b"SELECT pg_notify($1, $2)", [self._channel.encode(), b"steer" if steering else b""])
        pgconn.flush()

    @staticmethod
    def _finish(pgconn: Any) -> None:
        """Take the answer to the last notice."""
        while True:
            while pgconn.is_busy():  # the driver's own wait for an answer would keep all other threads waiting
                select.select([pgconn.socket], [], [])
                pgconn.consume_input()
            answer = pgconn.get_result()
            if answer is None:
                return
            if answer.status == ExecStatus.FATAL_ERROR:
                raise psycopg.OperationalError(answer.error_message.decode(errors="replace"))

    def _work(self) -> None:
        hush = threading.Event()
        try:
            while self._pending.wait(_IDLE_SECS) or not self._ended:
                if self._ended and not self._pending.is_set():
                    return
                if not self._pending.is_set():
                    continue
                if not self._ended:
                    hush.wait(max(0.0, self._left()))
                self._pending.clear()
                with self._line:
                    self._tell_now()
                if self._ended:
                    return
        finally:
            with self._line:
                if self._connection is not None:
                    self._connection.close()

    def _tell_now(self) -> None:
        try:
            self._connection = self._connection or self._links.connect(self._ready)
            pgconn = self._connection.pgconn
            self._finish(pgconn)
            self._send(pgconn)
            self._finish(pgconn)
        except (psycopg.Error, OSError) as error:
            logging.getLogger("sayiir").debug("a hint was lost: %s", self._links.explain(error))
            if self._connection is not None:
                self._connection.close()
            self._connection = None

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


def notices(connection: Connected) -> list[tuple[int, bytes]]:
    """Return the notices that have come, without waiting: who sent them, and what they say."""
    # Not the driver's own iterator: it does not go together with a handler for those that come while it does not run.
    connection.pgconn.consume_input()
    found = []
    while (notice := connection.pgconn.notifies()) is not None:
        found.append((notice.be_pid, notice.extra))
    return found
