"""What `sayiir worker` was asked for.

Plain data: a parent sends it to its children as JSON, so a URL with its password never stands on another command line.
"""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from pathlib import Path

import msgspec

from sayiir.cli.codes import ERROR, RefusedError, one_line
from sayiir.cli.place import PATIENCE_SECS, open_backend
from sayiir.runtime.worker import Worker
from sayiir.store.base import ScriptedStore


class Options(msgspec.Struct, frozen=True):
    """The options of one worker."""

    targets: list[str]
    url: str
    worker_id: str
    concurrency: int | None
    tags: list[str]
    poll_interval: float
    claim_ttl: float
    grace: float
    retention_days: float | None
    schema: str | None
    alive_file: str | None = None

    def backend(self, *, check: bool = False) -> ScriptedStore:
        """Open the backend; as a check it does not wait long for a server.

        Raises:
            RefusedError: the URL is wrong, or there is nothing behind it.
        """
        return open_backend(self.url, self.schema, patience_secs=PATIENCE_SECS if check else None)

    def worker(self, backend: ScriptedStore) -> Worker:
        """Make the worker.

        Raises:
            RefusedError: an option is out of range.
        """
        try:
            return Worker(
                self.worker_id,
                backend,
                poll_interval=self.poll_interval,
                claim_ttl=self.claim_ttl,
                concurrency=self.concurrency,
                tags=self.tags or None,
                shutdown_grace=self.grace,
                retention=None if self.retention_days is None else timedelta(days=self.retention_days),
            )
        except (ValueError, OverflowError) as error:
            raise RefusedError(one_line(error)) from error

    def numbered(self, number: int) -> Options:
        """Return the options of one of several worker processes."""
        alive_file = self.alive_file and f"{self.alive_file}-{number}"
        return msgspec.structs.replace(self, worker_id=f"{self.worker_id}-{number}", alive_file=alive_file)

    def show_alive(self) -> None:
        """Touch the file that shows it, if there shall be one.

        Raises:
            RefusedError: it cannot be written.
        """
        if self.alive_file is not None:
            try:
                Path(self.alive_file).touch()
            except OSError as error:
                raise RefusedError(f"--alive-file cannot be written: {error}", ERROR) from error


def default_worker_id() -> str:
    """Return a name that no other worker has at this time."""
    return f"{socket.gethostname()}-{os.getpid()}"

