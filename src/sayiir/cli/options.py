"""What `sayiir worker` was asked for.

Plain data: a parent sends it to its children as JSON, so a URL with its password never stands on another command line.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
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
    metrics_port: int | None = None

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
        port = None if self.metrics_port is None else self.metrics_port + number - 1
        return msgspec.structs.replace(
            self, worker_id=f"{self.worker_id}-{number}", alive_file=alive_file, metrics_port=port
        )

    @contextmanager
    def measured(self, backend: ScriptedStore) -> Generator[None]:
        """Serve metrics of this process while a worker works, if they are wanted.

        Raises:
            RefusedError: what it takes is not installed, or the port is taken.
        """
        if self.metrics_port is None:
            yield
            return
        try:
            from sayiir.telemetry.metrics import Exposed, Metrics, backlog_of
        except ModuleNotFoundError as error:
            raise RefusedError("--metrics-port needs prometheus-client: pip install 'sayiir[metrics]'", ERROR) from error
        with Metrics(partial(backlog_of, backend)) as metrics:
            try:
                exposed = Exposed(metrics, self.metrics_port)
            except OSError as error:
                raise RefusedError(f"--metrics-port {self.metrics_port}: {error}; choose another", ERROR) from error
            try:
                yield
            finally:
                exposed.close()

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

