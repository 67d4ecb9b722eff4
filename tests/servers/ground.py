"""What a server stands on: a folder, an account that is not root, a port, and a watchdog that clears all of it away.

Rules:
- A server never outlives the process that started it, not even one that was killed: the watchdog reads a pipe whose other
  end only that process (and its forks) holds. When the pipe ends, it stops the server and removes the folder. Nothing hangs
  on `atexit`, nor on the thread that happened to start the server.
- Servers and watchdogs have sessions of their own, so that Ctrl-C reaches the tests and not the server under them.
- As root, servers run as `nobody` (PostgreSQL and PgBouncer refuse to be root); otherwise as oneself.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlencode, urlsplit, urlunsplit

PATIENCE = 60.0
"""Seconds that a server may take to start or to stop, on a very busy machine."""

# $0 is the folder. Each line names the process to stop (an empty one: none); `end` or the pipe's end is the word to clear up.
_WATCHDOG = """
pid=
while read -r line && [ "$line" != end ]; do pid=$line; done
if [ -n "$pid" ] && kill -QUIT "$pid"; then
    tries=0
    while kill -0 "$pid" && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
    kill -KILL "$pid"
fi
rm -rf "$0"
"""


class ServerError(Exception):
    """A server did not start, or did not stop; the message ends with its log."""


class Account(TypedDict, total=False):
    """The keyword arguments of `subprocess` that say who runs a program; empty: oneself."""

    user: int
    group: int
    extra_groups: list[int]


def account() -> Account:
    """Return who runs the servers: somebody without root's rights."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def free_port() -> int:
    """Return a free port of loopback, below those that the system gives to outgoing connections.

    A server keeps its port over restarts, and in between nobody may be given it. Not from `random`: tests seed that.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def until(ready: Callable[[], bool], what: str) -> None:
    """Ask again and again till `ready()`; raise ServerError when that takes longer than `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            raise ServerError(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.005)


def at(url: str, port: int, **parameters: str) -> str:
    """Return `url` with the same user and database, on another port of loopback.

    >>> at("postgresql://postgres@/orders?host=%2Fsockets&port=1", 5433)
    'postgresql://postgres@127.0.0.1:5433/orders'
    """
    parts = urlsplit(url)
    user, found, _ = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, f"{user}{found}127.0.0.1:{port}", parts.path, urlencode(parameters), ""))


class Ground:
    """One server's folder, account and watchdog.

    Args:
        base: The folder in which the server's folder is made; the system's for temporary files unless given. As root it must
            be one that everybody may enter.
    """

    def __init__(self, base: Path | None = None) -> None:
        # A short name: the path of a unix socket in it has about 100 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="sayiir-", dir=base))
        self.log = self.folder / "log"
        self.own(self.folder)
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            start_new_session=True,
            **account(),
        )

    def own(self, *paths: Path) -> None:
        """Give `paths` to the account of the server."""
        owner = account()
        if "user" in owner and "group" in owner:
            for path in paths:
                shutil.chown(path, owner["user"], owner["group"])

    def write(self, name: str, text: str) -> Path:
        """Write a file that the server may read, and return its path."""
        path = self.folder / name
        path.write_text(text, "utf-8")
        self.own(path)
        return path

    def spawn(self, argv: Sequence[str | Path], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a program in the server's account; what it prints goes to the log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
                **account(),
            )

    def guard(self, process: subprocess.Popen[bytes] | None) -> None:
        """Tell the watchdog which process to stop at the end; None: none."""
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.write(b"%d\n" % process.pid if process else b"\n")

    def problem(self, what: str) -> ServerError:
        """Return the error that says `what`, with the end of the log."""
        tail = self.log.read_text("utf-8", "replace")[-2_000:] if self.log.exists() else ""
        return ServerError(f"{what}\n{tail}")

    def close(self) -> None:
        """Stop what the watchdog guards, remove the folder, and wait for that. It may be called again."""
        dog = self._watchdog
        if dog.stdin is not None and not dog.stdin.closed:
            # The word, because a fork of this process may hold the pipe open.
            dog.stdin.write(b"end\n")
            dog.stdin.close()
        dog.wait(PATIENCE)
