"""A server's stream of changes, heard in a thread of its own: "something may have changed", never what.

Rules of this file: standard library only; the stream is a hint, so whoever waits looks by itself now and then, and every
second while there is no stream. A stream that ends is opened again with the last id that was heard, and the server says
at once whether something has changed since. `close` ends thread and connection.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

LOOK_SECS = 1.0
"""How often whoever waits looks while there is no stream."""
_CONNECT_SECS = 5.0
_SILENCE_SECS = 60.0
"""The server says something every 15 s; after this it is taken for dead."""


class Stream:
    """Counts what is heard.

    Args:
        url: of the stream.
        headers: that the server wants.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._parts = urlsplit(url)
        self._headers = {**headers, "Accept": "text/event-stream", "Cache-Control": "no-store"}
        self._changed = threading.Condition()
        self._heard = 0
        self._last_id = ""
        self._socket: socket.socket | None = None
        self._listening = self._closed = False
        self.opened = 0
        """How often the stream was opened."""
        self._thread = threading.Thread(target=self._run, name="sayiir-stream", daemon=True)
        self._thread.start()

    def wait(self, seen: int, timeout: float) -> int:
        """Return another number than `seen` once something may have changed; else, after the timeout, `seen`."""
        until = time.monotonic() + timeout
        with self._changed:
            while self._heard == seen and not self._closed:
                left = until - time.monotonic()
                patience = left if self._listening else min(left, LOOK_SECS)
                if patience <= 0 or not self._changed.wait(patience):
                    return seen
            return self._heard

    def close(self) -> None:
        """End; idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            with suppress(OSError, http.client.HTTPException, ValueError):  # the last: closed while it was read
                self._listen()
            with self._changed:
                self._listening, self._socket = False, None
                if not self._closed:
                    self._changed.wait_for(lambda: self._closed, LOOK_SECS)

    def _listen(self) -> None:
        """Hear one stream to its end."""
        parts = self._parts
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=_CONNECT_SECS)
        try:
            connection.connect()
            connection.sock.settimeout(_SILENCE_SECS)
            with self._changed:
                if self._closed:
                    return
                self._socket = connection.sock
            headers = {**self._headers, **({"Last-Event-ID": self._last_id} if self._last_id else {})}
            connection.request("GET", parts.path, headers=headers)
            with connection.getresponse() as answer:
                if answer.status == http.client.OK:
                    self._hear(answer)
        finally:
            connection.close()

    def _hear(self, answer: http.client.HTTPResponse) -> None:
        with self._changed:
            self._listening = True
            self.opened += 1
            self._changed.notify_all()
        told = False
        for line in answer:
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            name, _, value = text.partition(":")
            if name == "id":
                self._last_id = value.strip()
            elif name == "event":
                told = value.strip() == "changed"
            elif not text and told:
                told = False
                with self._changed:
                    self._heard += 1
                    self._changed.notify_all()
            if self._closed:
                return
