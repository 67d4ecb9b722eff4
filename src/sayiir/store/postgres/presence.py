"""A store's presence: the number under which it holds claims, the lock that shows it alive, and its ear for notices.

One connection and one thread, apart from everything that users' tasks can keep busy. The lock is the session's, so a
killed process is known dead as soon as its connection ends. A connection that breaks while the process lives is opened
again at once; whoever sweeps gives it a moment before calling it dead. Each beat also tells whether somebody else seems to
have died, so that nobody has to ask. Behind a pooler there are neither session locks nor notices: its beats show that it
lives, and it polls. Only the thread touches the connection.
"""

from __future__ import annotations

import logging
import math
import os
import select
import threading
from collections.abc import Callable
from typing import Any

import psycopg

from sayiir.store.postgres.links import Connected, Links, Patience
from sayiir.store.postgres.notices import RemoteHints, notices
from sayiir.store.postgres.rows import MOMENT, MOMENT_SECS, SILENT_SECS, Shared
from sayiir.store.scripts.basis import MICROS

BEAT_SECS = 0.35
LATE_SECS = 5.0
"""A beat that takes longer was kept up on the way, and others' were too: well before they count as silent."""
# The server's side, which else would hold the lock of a host that is gone for two hours.
_SESSION = """SET synchronous_commit = off; SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1;
    SET tcp_keepalives_count = 3; SET tcp_user_timeout = 5000"""
"""A beat need not wait for the disk."""


class Presence:
    """The owner behind a store's claims.

    Args:
        links: where connections come from.
        hints: told what other processes say.
        channel: the channel of notices.
        shared: what the store knows.
        listen: whether notices are wanted.
        on_beat: called after each beat that the database took.
    """

    def __init__(
        self, links: Links, hints: RemoteHints, channel: str, shared: Shared, *, listen: bool,
        on_beat: Callable[[], None],
    ) -> None:  # fmt: skip
        self._on_beat = on_beat
        self._links = links
        self._hints = hints
        self._name = shared.name
        self._sql = shared.sql
        self._shared = shared
        shared.locked = not links.pooled
        self._channel = channel
        self._settled_at = self._beaten_at = 0.0
        self.listening = listen and not links.pooled
        self._mutex = threading.Lock()
        self._ended = False
        self._locked = links.pooled
        self._thread: threading.Thread | None = None
        self._ear, self._mouth = os.pipe()
        self.owner = 0

    def ensure(self) -> int:
        """Be present from now on; return the owner's number.

        Raises:
            BackendError: the database is away.
        """
        if self.owner:
            return self.owner
        with self._mutex:
            if not self.owner:
                connection, owner = self._arrive()
                self._thread = threading.Thread(
                    target=self._keep, args=(connection,), name="sayiir-presence", daemon=True
                )
                self.owner = owner  # before the thread beats for it
                try:
                    self._thread.start()
                except BaseException:
                    connection.close()
                    self._thread, self.owner = None, 0
                    raise
        return self.owner

    def _arrive(self) -> tuple[Connected, int]:
        patience = Patience(self._links.clock, self._links.patience)
        owner = 0

        def show(connection: Connected) -> None:
            nonlocal owner
            row = connection.execute(self._sql.ADD_OWNER, (self._name, not self._links.pooled)).fetchone()
            owner = int(row[0]) if row is not None else 0
            self._show(connection, owner)

        while True:
            try:
                return self._links.connect(show), owner
            except psycopg.Error as error:
                patience.wait(self._links.explain(error))

    def _show(self, connection: Connected, owner: int) -> None:
        """Take the lock and listen."""
        if not self._links.pooled:
            connection.execute(_SESSION, prepare=False)
            key = self._shared.lock_class, owner
            row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", key, prepare=False).fetchone()
            # False: the server has not noticed yet that our last session is gone. It shows us alive meanwhile.
            self._locked = bool(row and row[0])
        if self.listening:
            # For those that come with the answer to a beat.
            connection.add_notify_handler(lambda notice: self._note(notice.pid, notice.payload))
            connection.execute(f'LISTEN "{self._channel}"'.encode(), prepare=False)

    def _keep(self, connection: Connected | None) -> None:
        try:
            while not self._ended:
                try:
                    if connection is None:
                        connection = self._return()
                    self._beat(connection)
                    self._note_beat()
                    self._on_beat()
                    self._hear(connection)
                except (psycopg.Error, OSError) as error:
                    self._lost(connection, error)
                    connection = None
        finally:
            if connection is not None:
                connection.close()

    def _beat(self, connection: Connected) -> None:
        if not self._locked:
            self._show(connection, self.owner)
        values = {
            "owner": self.owner, "moment": MOMENT, "silence": int(SILENT_SECS * MICROS),
            "length": int(self._shared.claim_ttl * MICROS), "lock_class": self._shared.lock_class,
        }  # fmt: skip
        told = connection.execute(self._sql.KEEP_OWNER, values).fetchone()
        if told is None:
            # Called dead, wrongly: its claims are others' now, but it may make new ones.
            connection.execute(self._sql.ADD_OWNER_AGAIN, (self.owner, self._name, not self._links.pooled))
        elif told[0]:
            self._hints.alarm()

    def _note_beat(self) -> None:
        now = self._links.clock.monotonic()
        if self._is_late(now):
            self._settled_at = now + MOMENT_SECS
        self._beaten_at = now

    def _is_late(self, now: float) -> bool:
        return bool(self._beaten_at) and now > self._beaten_at + LATE_SECS

    def is_settled(self) -> bool:
        """Return whether this owner has been there for long enough to call others dead.

        They may all have been away, as this one was: their sessions lost, or their beats kept up on the way. Whether its
        own lock is held the database says (`OWNERS`), for it may not know yet that its session is gone.
        """
        now = self._links.clock.monotonic()
        return now >= self._settled_at and not self._is_late(now)

    def _hear(self, connection: Connected) -> None:
        """Listen until it is time for the next beat."""
        clock = self._links.clock
        until = clock.monotonic() + BEAT_SECS * (0.9 + clock.chance() / 5)
        while not self._ended and (left := until - clock.monotonic()) > 0:
            select.select([connection.fileno(), self._ear], [], [], left)
            for process, payload in notices(connection):
                self._note(process, payload)

    def _note(self, process: int, payload: Any) -> None:
        teller = self._hints.teller
        if teller is None or process != teller.process:
            self._hints.heard(steering=bool(payload))

    def _return(self) -> Connected:
        connection = self._links.connect(lambda new: self._show(new, self.owner))
        self._settled_at = self._links.clock.monotonic() + MOMENT_SECS
        self._beaten_at = 0.0
        self._hints.heard(steering=True)  # whatever was said meanwhile was not heard
        return connection

    def _lost(self, connection: Connected | None, error: Exception) -> None:
        self._settled_at = math.inf
        if connection is not None:
            connection.close()
        if self._ended:
            return
        log = logging.getLogger("sayiir")
        log.info("%s lost its connection and opens another: %s", self._name, self._links.explain(error))
        if connection is None:  # it could not be opened: not at once again
            select.select([self._ear], [], [], 0.05 + self._links.clock.chance() / 5)

    def leave(self) -> None:
        """End; the lock is let go with the connection, and whatever is still claimed is free for others."""
        if self._ended:
            return
        self._ended = True
        os.write(self._mouth, b".")
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)
        if self._thread is None or not self._thread.is_alive():
            os.close(self._ear)
            os.close(self._mouth)
