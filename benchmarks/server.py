"""A PostgreSQL server on the measured disk, durable as in production, started when a subject first asks for a database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from tests.servers.ground import ServerError
from tests.servers.postgres import PostgresServer

_BUFFERS = "256MB"
# The wheel's server has no pgcrypto, of which real sayiir 1.0.0 takes one function; the server has the same under another
# name. Every database is made with this stand-in.
_HAS_PGCRYPTO = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pgcrypto'"
_PGCRYPTO = (
    """CREATE FUNCTION public.digest(text, text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT
        AS $$ SELECT sha256(convert_to($1, 'UTF8')) $$""",
    """INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
        VALUES (16000, 'pgcrypto', 10, 'public'::regnamespace, true, '1.3')""",
)


class Server:
    """The server of a run; it is gone at the end of `with`.

    Args:
        folder: where its files lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: PostgresServer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

    def database(self) -> str:
        """Return the URL of a new, empty database.

        Loopback and not a socket's path: that is how engines and databases meet, and all engines can speak it.

        Raises:
            ServerError: the server cannot be started.
        """
        if self._server is None:
            self._server = self._started()
        return self._server.create_database(host="tcp")

    def facts(self) -> dict[str, str]:
        """Return what the figures depend on; nothing when nobody asked for a database."""
        if self._server is None:
            return {}
        with self._server.connect() as connection:
            words = ["SHOW server_version", "SHOW fsync", "SHOW synchronous_commit"]
            version, fsync, commit = (str((connection.execute(word.encode()).fetchone() or [""])[0]) for word in words)
        return {
            "postgresql": f"{version}, fsync {fsync}, synchronous_commit {commit}, shared_buffers {_BUFFERS}, over loopback"
        }

    def _started(self) -> PostgresServer:
        if os.geteuid() == 0:
            self._folder.chmod(0o711)
            shut = next((parent for parent in self._folder.parents if not parent.stat().st_mode & 0o001), None)
            if shut is not None:
                raise ServerError(f"PostgreSQL does not run as root, and nobody else may enter {shut}: give another --dir")
        server = PostgresServer(settings={"shared_buffers": _BUFFERS}, base=self._folder)
        server.start()
        with server.connect("template1") as template:
            if template.execute(_HAS_PGCRYPTO).fetchone() == (0,):
                for statement in _PGCRYPTO:
                    template.execute(statement)
        return server
