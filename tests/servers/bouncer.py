"""A real PgBouncer in transaction mode, before a `PostgresServer`.

Rules:
- Not part of any wheel: where the program is missing, `Bouncer.available()` is False and `HOW` says how to get it.
- Its settings are PgBouncer's own wherever a test does not need others: what is refused in production is refused here.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from typing import Self

from tests.servers.ground import PATIENCE, Ground, at, free_port, until
from tests.servers.postgres import PostgresServer

HOW = "pgbouncer is missing: `apt-get install pgbouncer`, or put the program on PATH"


def program() -> str | None:
    """Return the path of the program, also where it is not on PATH, as for Debian's plain users."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


class Bouncer:
    """A PgBouncer that gives its clients a connection of `server` for a transaction each.

    Args:
        server: The running server behind it; all its databases are reached, as the user postgres.
        settings: More settings, or other ones, by their names in the section [pgbouncer].
    """

    def __init__(self, server: PostgresServer, settings: Mapping[str, str] | None = None) -> None:
        found = program()
        assert found is not None, HOW
        self._program = found
        self._ground = Ground()
        self.port = free_port()
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            "default_pool_size": "20",
            "max_client_conn": "500",
            # A server that restarts is tried again after a second instead of fifteen.
            "server_login_retry": "1",
            **(settings or {}),
        }
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        target = f"host={server.folder} port={server.port} user=postgres"
        self._file = self._ground.write("pgbouncer.ini", f"[databases]\n* = {target}\n[pgbouncer]\n{text}")
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def available() -> bool:
        """Return whether there is a PgBouncer on this machine."""
        return program() is not None

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it and wait till it takes connections; on failure clear all away and raise ServerError."""
        assert self._process is None, "PgBouncer is running"
        self._process = self._ground.spawn([self._program, self._file], dict(os.environ))
        self._ground.guard(self._process)
        try:
            until(self._is_ready, "the start of PgBouncer")
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """End it at once, with all its connections: it has nothing to lose but those."""
        assert self._process is not None, "PgBouncer is not running"
        self._process.kill()
        self._process.wait(PATIENCE)
        self._ground.guard(None)
        self._process = None

    def restart(self) -> None:
        """Stop it, and start it on the same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it if it runs, and remove its folder. It may be called again."""
        if self._process is not None:
            self.stop()
        self._ground.close()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of the server's databases through PgBouncer."""
        return self.through(self._server.url(database))

    def through(self, url: str) -> str:
        """Return the URL of the same database through PgBouncer."""
        return at(url, self.port)

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise self._ground.problem("PgBouncer did not start")
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True
