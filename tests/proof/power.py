"""Power cuts for SQLite: a store whose every write to its files is written down, and the files as a cut leaves them.

The store's own statements run through APSW, whose file layer can be written in Python. What was synced is on the disk.
Of what came after a file's last sync any part may be there, in any order, and the end of a write may be missing; what
lay beside it is unharmed (SQLite counts on that, and disks promise it).
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from sayiir import SqliteBackend
from sayiir.clock import Clock

SECTOR = 512


class Event(NamedTuple):
    """Something that happened to a file; with kind "ack" something that was promised."""

    kind: str
    file: str = ""
    offset: int = 0
    data: bytes = b""
    fact: Any = None


class Tape:
    """All that was written, synced and promised, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[Event] = []
        self.name = f"tape-{id(self)}"
        self._vfs = _Vfs(self)

    def note(self, kind: str, file: Any, offset: int = 0, data: bytes = b"") -> None:
        self.events.append(Event(kind, Path(file).name, offset, data))

    def promise(self, *fact: Any) -> None:
        self.events.append(Event("ack", fact=fact))


class _Vfs(apsw.VFS):
    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        super().__init__(tape.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self._tape, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:
        self._tape.note("delete", name)
        super().xDelete(name, sync)


class _File(apsw.VFSFile):
    def __init__(self, tape: Tape, name: Any, flags: list[int]) -> None:
        self._tape = tape
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else name or "temporary"
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._tape.note("write", self._name, offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._tape.note("truncate", self._name, size)
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self._tape.note("sync", self._name)
        super().xSync(flags)


# --- a store on it ------------------------------------------------------------------------------------------------


class _Answer:
    """What the driver of the standard library would give."""

    def __init__(self, connection: apsw.Connection, rows: list[Any]) -> None:
        self._rows = iter(rows)
        self.rowcount = connection.changes()
        self.lastrowid = connection.last_insert_rowid()

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Any:
        return self._rows


class _Connection:
    """An APSW connection that looks like one of the standard library, as far as the store looks."""

    def __init__(self, path: str, vfs: str, timeout: float) -> None:
        self._it = apsw.Connection(path, vfs=vfs)
        self._it.set_busy_timeout(int(timeout * 1000))

    in_transaction = property(lambda self: self._it.in_transaction)
    total_changes = property(lambda self: self._it.total_changes())

    def set_progress_handler(self, handler: Any, steps: int) -> None:
        self._it.set_progress_handler(handler, steps or 100)

    def execute(self, statement: str, values: Iterable[Any] = ()) -> _Answer:
        try:
            return _Answer(self._it, self._it.execute(statement, tuple(values)).fetchall())
        except apsw.ConstraintError as error:
            raise sqlite3.IntegrityError(str(error)) from error
        except apsw.Error as error:
            raise sqlite3.OperationalError(str(error)) from error

    def executemany(self, statement: str, rows: Iterable[Any]) -> None:
        for values in rows:
            self.execute(statement, values)

    def close(self) -> None:
        self._it.close()


class TapedBackend(SqliteBackend):
    """The store, with its files on a tape, and what it promised."""

    def __init__(self, tape: Tape, durability: Any, clock: Clock) -> None:
        self._tape = tape
        super().__init__(tape.path, durability=durability, clock=clock)

    def _connect(self) -> Any:
        connection = _Connection(self.path, self._tape.name, self._lock_timeout)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA synchronous = {'FULL' if self.durability == 'full' else 'NORMAL'}")
        return connection

    def create(self, new: Any, policy: Any, *, claim: bool) -> Any:
        created = super().create(new, policy, claim=claim)
        self._tape.promise("instance", new.instance_id)
        return created

    def checkpoint(self, fence: Any, move: Any, **options: Any) -> Any:
        moved = super().checkpoint(fence, move, **options)
        for record in move.records:
            self._tape.promise("record", fence.instance, record.ref, record.status, record.output)
        if moved.kind == "finished":
            self._tape.promise("finished", fence.instance)
        return moved

    def send_signal(self, instance_id: str, name: str, payload: bytes, dedup_key: str | None = None) -> bool:
        sent = super().send_signal(instance_id, name, payload, dedup_key)
        self._tape.promise("signal", instance_id, name, dedup_key)
        return sent

    def carry_over(self) -> None:
        """Checkpoint now: the log goes into the database."""
        assert self._log is not None
        assert self._log.checkpoint()


# --- what a cut leaves --------------------------------------------------------------------------------------------


class Disk:
    """The files as they are on the disk for sure, and what is still on its way."""

    def __init__(self) -> None:
        self.sure: dict[str, bytearray] = {}
        self.pending: dict[str, list[Event]] = {}

    def play(self, event: Event) -> None:
        """Let an event happen."""
        if event.kind == "sync":
            content = self.sure.setdefault(event.file, bytearray())
            for write in self.pending.pop(event.file, []):
                _apply(content, write)
        elif event.kind == "delete":
            self.pending.pop(event.file, None)
            self.sure.pop(event.file, None)
        elif event.kind != "ack":
            self.pending.setdefault(event.file, []).append(event)

    def cut(self, chance: random.Random, mode: str) -> dict[str, bytes]:
        """Return the files as a cut leaves them: of what is on its way "none", "all", or "some" of it, perhaps torn."""
        files = {name: bytearray(content) for name, content in self.sure.items()}
        for name, writes in self.pending.items():
            content = files.setdefault(name, bytearray())
            for write in writes:
                if mode == "all" or (mode == "some" and chance.random() < 0.6):
                    torn = mode == "some" and write.kind == "write" and chance.random() < 0.3
                    whole = len(write.data) // SECTOR
                    kept = chance.randint(0, whole) * SECTOR if torn else len(write.data)
                    _apply(content, write._replace(data=write.data[:kept]))
        return {name: bytes(content) for name, content in files.items()}


def _apply(content: bytearray, event: Event) -> None:
    if event.kind == "truncate":
        del content[event.offset :]
        return
    end = event.offset + len(event.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[event.offset : end] = event.data


def lay_out(files: dict[str, bytes], folder: Path) -> None:
    """Write the files of a cut into a folder, in the place of those of the cut before."""
    for old in folder.iterdir():
        with suppress(FileNotFoundError):
            old.unlink()
    for name, content in files.items():
        if name != "temporary":
            (folder / name).write_bytes(content)
