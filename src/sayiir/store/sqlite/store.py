"""`SqliteBackend`: connections, durability, owners and hints around the shared scripts."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import warnings
import weakref
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, TypeVar

from sayiir.clock import SYSTEM_CLOCK, Clock
from sayiir.core.records import Move
from sayiir.core.values import MAX_BYTES
from sayiir.errors import BackendError
from sayiir.store import scripts
from sayiir.store.base import ScriptedStore
from sayiir.store.numbers import Numbers
from sayiir.store.port import Fence, Moved, Order, Signal
from sayiir.store.sqlite.commit import DRIVER_ERRORS, GroupCommit
from sayiir.store.sqlite.deadline import in_time, viewed
from sayiir.store.sqlite.explain import explained
from sayiir.store.sqlite.filesystem import file_system, is_network
from sayiir.store.sqlite.guest import visit
from sayiir.store.sqlite.migrate import migrate
from sayiir.store.sqlite.owners import Owners
from sayiir.store.sqlite.rows import SqliteRows
from sayiir.store.sqlite.steps import Step, is_step
from sayiir.store.sqlite.wal import Log, prepare

T = TypeVar("T")
_POLL_SECS = 0.05
_INHERITED: list[object] = []


class SqliteBackend(ScriptedStore):
    """A backend on one SQLite file, shared by threads and processes of one host.

    Args:
        path: the file; it and its tables are made when missing. ":memory:" lives as long as the object.
        durability: "full" survives a power cut; "normal" survives a crash of the process, and may lose the last moments
            at a power cut, but never breaks.
        lock_timeout: seconds to wait for other processes' writes before BackendError.
        statement_timeout_secs: after which a read is given up, of which a backend does one at a time.
        max_value_bytes: the longest input, result or payload, as JSON; 64 MiB when not given.

    Raises:
        ValueError: an argument is out of range.
        BackendError: the file cannot be opened, or is not a SQLite database.
        SchemaVersionError: the file was made by a newer release.

    >>> import tempfile, pathlib
    >>> from sayiir import Flow, SqliteBackend, run_durable_workflow
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "runs.db"
    >>> with SqliteBackend(path) as backend:
    ...     run_durable_workflow(Flow("w").then(lambda x: x + 1).build(), "a", 1, backend).output
    2
    """

    name = "sqlite"

    def __init__(
        self,
        path: str | os.PathLike[str] = ":memory:",
        *,
        durability: Literal["full", "normal"] = "full",
        lock_timeout: float = 10.0,
        statement_timeout_secs: float = 30.0,
        max_value_bytes: int = MAX_BYTES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if durability not in ("full", "normal"):
            raise ValueError(f'durability must be "full" or "normal", not {durability!r}')
        if isinstance(lock_timeout, bool) or not 0 <= lock_timeout <= 86_400:
            raise ValueError(f"lock_timeout must be from 0 to 86400 seconds, not {lock_timeout!r}")
        if isinstance(statement_timeout_secs, bool) or not 0 < statement_timeout_secs <= 86_400 * 365:
            raise ValueError(f"statement_timeout_secs must be a positive number of seconds, not {statement_timeout_secs!r}")
        super().__init__(clock, max_value_bytes)
        self.path = os.fspath(path)
        self.durability = durability
        self._lock_timeout = lock_timeout
        self._statement_timeout = statement_timeout_secs
        self._in_memory = self.path == ":memory:"
        self._pid = os.getpid()
        self._closed = False
        self._reader: tuple[sqlite3.Connection, SqliteRows] | None = None
        self._reader_lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._group: GroupCommit | None = None
        self._log: Log | None = None
        self._owners: Owners | None = None
        self._version = 0
        self._numbers = Numbers(clock)
        try:
            self._open()
        except DRIVER_ERRORS as error:
            self._shut()
            raise self._explain(error) from error
        except OSError as error:
            self._shut()
            raise BackendError(f"cannot open {self.path!r}: {error}; check the path and its permissions") from error
        except BaseException:
            self._shut()
            raise
        self._identity = None if self._in_memory else _identity(self.path)
        _OPEN.add(self)
        if self._owners is not None:
            weakref.finalize(self, _close_all, self._owners, self._pid).atexit = False

    def _open(self) -> None:
        if not self._in_memory:
            self._check_place()
            self._check_not_inherited()
        self._writer = self._connect()
        migrate(self._writer, self.path, self.clock.now())
        self._owners = Owners(None if self._in_memory else self.path + "-owners")
        self.worker_name = f"{socket.gethostname()}:{self._pid}"
        self._rows = SqliteRows(self._writer, 0, self.clock.now, self._owners.alive, self._numbers)
        self._register()
        if not self._in_memory:
            self._log = Log(self.path, self._writer, self._connect)
        self._group = GroupCommit(self._writer, self._rows, self._explain, self._log, self._rows.forget)

    def _register(self) -> None:
        """Become an owner of claims, shown as alive from now on."""
        assert self._writer is not None  # noqa: S101 -- it is being opened
        assert self._owners is not None  # noqa: S101 -- likewise
        while True:
            cursor = self._writer.execute(
                "INSERT INTO sayiir_owners (name, started_at, beat_at) VALUES (?, ?, ?)",
                (self.worker_name, self.clock.now(), self.clock.now()),
            )
            self._owner = self._rows.owner = cursor.lastrowid or 0
            if self._owners.hold(self._owner):
                return

    def _check_not_inherited(self) -> None:
        """Refuse a file that the parent had open when this process was forked from it.

        SQLite's own table of locks was copied with the memory: it would believe to hold locks that are the parent's, and
        commits of both would be lost without an error.
        """
        if _identity(self.path) in _INHERITED_FILES:
            raise BackendError(
                f"{self.path!r} was open when this process was forked, so SQLite cannot be used on it here: start the "
                'process with "spawn" or "forkserver", or open the backend only after the fork'
            )

    def _check_place(self) -> None:
        folder = Path(self.path).resolve().parent
        if not folder.is_dir():
            raise BackendError(f"cannot open {self.path!r}: folder {str(folder)!r} does not exist; create it first")
        kind = file_system(folder)
        if is_network(kind):
            raise BackendError(
                f"{self.path!r} lies on a network file system ({kind}), where SQLite's locks and write-ahead log are "
                "not safe; use a local disk, or PostgreSQL for several hosts"
            )
        if kind is not None and kind.startswith(("fuse", "9p")):
            warnings.warn(
                f"{self.path!r} lies on {kind}; SQLite is only safe there when the file is used from one host",
                stacklevel=4,
            )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._lock_timeout, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            mode = self._write_ahead(connection)
            if mode != ("memory" if self._in_memory else "wal"):
                raise BackendError(  # noqa: TRY301 -- the connection is closed below
                    f"{self.path!r} cannot have a write-ahead log where it lies (journal mode {mode}); use a local disk"
                )
            prepare(connection)
            connection.execute(f"PRAGMA synchronous = {'FULL' if self.durability == 'full' else 'NORMAL'}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _write_ahead(self, connection: sqlite3.Connection) -> str:
        """Ask for the write-ahead log; while another process brings a new file to it, SQLite refuses without waiting."""
        patience = threading.Condition()
        deadline = self.clock.monotonic() + self._lock_timeout
        while True:
            try:
                return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or self.clock.monotonic() >= deadline:
                    raise
            with patience:
                self.clock.wait(patience, 0.01)

    # --- transactions ---------------------------------------------------------------------------------------------

    def use_claim_ttl(self, seconds: float) -> None:
        """Let claims be void after so many seconds of silence (see the base)."""
        super().use_claim_ttl(seconds)
        self._rows.claim_ttl = seconds

    def _write(self, script: Callable[[Any], T]) -> T:
        self._check_usable()
        assert self._group is not None  # noqa: S101 -- it is open
        result: T = self._group.run(script)
        return result

    def _write_many(self, work: list[Callable[[Any], T]]) -> list[T | Exception]:
        self._check_usable()
        assert self._group is not None  # noqa: S101 -- it is open
        return self._group.run_many(work)

    def checkpoint(
        self, fence: Fence, move: Move, *, consume: Signal | None = None, hold: bool = False, share: bool = False
    ) -> Moved:
        """Write what happened and move the token (see the port)."""
        if consume is None and is_step(move):
            return self._write(Step(fence, move))
        return super().checkpoint(fence, move, consume=consume, hold=hold, share=share)

    def checkpoint_many(self, orders: list[Order]) -> list[Moved | Exception]:
        """Write many checkpoints (see the port)."""
        return self._told_together([self._work_of(order) for order in orders])

    def _work_of(self, order: Order) -> Callable[[Any], Moved]:
        fence, move, consume = order.fence, order.move, order.consume
        if consume is None and is_step(move):
            return Step(fence, move)
        return lambda rows: scripts.checkpoint(rows, fence, move, consume, hold=False, share=True)

    def _read(self, script: Callable[[Any], T]) -> T:
        self._check_usable()
        if self._in_memory:
            assert self._writer is not None  # noqa: S101 -- it is open, and its one connection
            writer, seconds = self._writer, self._statement_timeout
            return self._write(lambda rows: in_time(writer, rows, script, seconds))
        with self._reader_lock:
            self._check_usable()  # it may have been closed while this thread waited
            try:
                if self._reader is None:
                    self._reader = self._new_reader()
                return viewed(*self._reader, script, self._statement_timeout)
            except DRIVER_ERRORS as error:
                raise self._explain(error) from error

    def _new_reader(self) -> tuple[sqlite3.Connection, SqliteRows]:
        connection = self._connect()
        return connection, SqliteRows(connection, self._owner, self.clock.now, self._rows.alive, self._numbers)

    def faults(self) -> list[str]:
        """Return what is wrong with the stored data (see the base), through a connection of its own: it may take long."""
        if self._in_memory:
            return self._write(lambda rows: rows.faults())
        self._check_usable()
        try:
            connection, rows = self._new_reader()
            with closing(connection):
                return viewed(connection, rows, lambda seen: seen.faults(), None)
        except DRIVER_ERRORS as error:
            raise self._explain(error) from error

    def within(self, connection: Any, script: Callable[[Any], T]) -> T:
        """Run a script in the open transaction of a caller's own sqlite3 connection (see the base)."""
        self._check_usable()
        if self._in_memory:
            raise BackendError(f"{self!r} is seen by no other connection; connection= needs a SqliteBackend on a file")
        alive = self._rows.alive

        def run(guest: Any) -> T:
            # Rows of its own: what they learn may be rolled back with the caller's transaction.
            return script(SqliteRows(guest, self._owner, self.clock.now, alive, self._numbers))

        try:
            return visit(connection, self.path, run)
        except DRIVER_ERRORS as error:
            raise self._explain(error) from error

    def _check_usable(self) -> None:
        if self._closed:
            raise BackendError(f"the backend of {self.path!r} is closed; open another SqliteBackend")
        if self._pid != os.getpid():
            raise BackendError(
                f"the backend of {self.path!r} was opened before a fork, which SQLite does not survive: start the child "
                'process with "spawn" or "forkserver", or open the backend only after the fork'
            )

    def _explain(self, error: Exception) -> BackendError:
        return explained(error, self.path, self._lock_timeout, self._statement_timeout)

    # --- hints ----------------------------------------------------------------------------------------------------

    def wait_for_hint(self, seen: int, timeout: float | None) -> int:
        """Block until something may have changed (see the port); other processes' writes are found by polling."""
        return self._watch(self.hints.wait, seen, timeout)

    def wait_for_steering(self, seen: int, timeout: float | None) -> int:
        """Block until runners must look (see the base)."""
        return self._watch(self.hints.wait_steered, seen, timeout)

    def _watch(self, wait: Callable[[int, float], int], seen: int, timeout: float | None) -> int:
        deadline = None if timeout is None else self.clock.monotonic() + timeout
        while True:
            left = _POLL_SECS if deadline is None else min(_POLL_SECS, deadline - self.clock.monotonic())
            if left <= 0:
                return wait(seen, 0)
            mark = wait(seen, left)
            if mark != seen:
                return mark
            # Kept from call to call: what another process wrote between two of them must not be overlooked.
            if (version := self._data_version()) != self._version:
                self._version = version
                self.hints.steer()

    def _data_version(self) -> int:
        if self._in_memory:
            return 0
        if self._reader is None:
            self._read(lambda rows: None)
        with self._reader_lock:
            self._check_usable()
            assert self._reader is not None  # noqa: S101 -- just made
            try:
                return int(self._reader[0].execute("PRAGMA data_version").fetchone()[0])
            except DRIVER_ERRORS as error:
                raise self._explain(error) from error

    # --- ends -----------------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Let this owner look dead without giving its claims back, as a crash would; for tests.

        The backend of a file is closed by it; one in memory lives on as another owner.
        """
        assert self._owners is not None  # noqa: S101 -- made with the writer
        self._owners.drop(self._owner)
        if self._in_memory:
            self._register()
        else:
            self.close()

    def close(self) -> None:
        """Close the connections; idempotent. Claims still held are free for others at once."""
        if not self._closed and self._pid == os.getpid():
            self._shut()

    def _shut(self) -> None:
        self._closed = True
        _OPEN.discard(self)
        with self._reader_lock:
            if self._reader is not None:
                self._reader[0].close()
                self._reader = None
        if self._group is not None:
            self._group.close()
        elif self._writer is not None:
            self._writer.close()
        if self._owners is not None:
            self._owners.close()

    def __repr__(self) -> str:
        return f"SqliteBackend({self.path!r}, durability={self.durability!r})"


_OPEN: weakref.WeakSet[SqliteBackend] = weakref.WeakSet()
_INHERITED_FILES: set[tuple[int, int]] = set()


def _identity(path: str) -> tuple[int, int] | None:
    """Return what names a file however its path is written; None for one that does not exist."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- a path may be bytes or text
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _close_all(owners: Owners, pid: int) -> None:
    # A backend that nobody refers to any more; its connections close with it, its lock must be dropped by hand.
    if os.getpid() == pid:
        owners.close()


def _keep_inherited() -> None:
    # A forked child must not even close the parent's connections: that would drop the parent's file locks.
    _INHERITED.extend(_OPEN)
    _INHERITED_FILES.update(found for backend in _OPEN if (found := backend._identity) is not None)
    _OPEN.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_inherited)
