"""Which processes are alive: each owner holds a lock on its own byte of the file "<database>-owners".

The operating system drops the lock when the process dies, however it dies, so a dead owner's claims are free at once.
POSIX record locks belong to the process and vanish when *any* descriptor of the file is closed in it, hence one
descriptor for each file and process, shared and counted here. They are not inherited by fork.
Where the platform has no record locks, owners of other processes count as alive until their claims run out.
"""

from __future__ import annotations

import os
import threading

try:
    import fcntl
except ImportError:  # pragma: no cover -- Windows
    fcntl = None  # type: ignore[assignment]

_FIRST = 1024
"""The byte of owner 0; those before it are kept free."""


class _LockFile:
    """The process's one descriptor of a lock file."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.pid = os.getpid()
        self.users = 0
        self.owners: set[int] = set()
        assert fcntl is not None  # noqa: S101 -- nobody makes one where there are no record locks
        self._fcntl = fcntl

    def lock(self, owner: int) -> bool:
        """Take an owner's byte; False when another process has it."""
        try:
            self._fcntl.lockf(self.fd, self._fcntl.LOCK_EX | self._fcntl.LOCK_NB, 1, _FIRST + owner)
        except OSError:
            return False
        return True

    def unlock(self, owner: int) -> None:
        """Let go of an owner's byte."""
        self._fcntl.lockf(self.fd, self._fcntl.LOCK_UN, 1, _FIRST + owner)


_FILES: dict[str, _LockFile] = {}
_MUTEX = threading.Lock()


def _renew_mutex() -> None:
    # Another thread of the parent may have held it at the fork, and will never let go here.
    global _MUTEX  # noqa: PLW0603
    _MUTEX = threading.Lock()  # pyright: ignore[reportConstantRedefinition]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_mutex)


class Owners:
    """One backend's view of the lock file; `path` None means a database that no other process can see.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else os.path.realpath(path)
        self._local: set[int] = set()
        self._file: _LockFile | None = None
        if self._path is None or fcntl is None:
            return
        with _MUTEX:
            file = _FILES.get(self._path)
            if file is None or file.pid != os.getpid():
                # After a fork the parent's locks are not ours; its descriptor is left alone.
                file = _FILES[self._path] = _LockFile(self._path)
            file.users += 1
            self._file = file

    def hold(self, owner: int) -> bool:
        """Show this owner as alive until `drop`, or the end of the process.

        False when somebody else holds its byte: the database was removed and made anew while a process lived on.
        """
        if self._file is not None:
            with _MUTEX:
                if not self._file.lock(owner):
                    return False
                self._file.owners.add(owner)
        self._local.add(owner)
        return True

    def drop(self, owner: int) -> None:
        """Show this owner as dead."""
        self._local.discard(owner)
        if self._file is not None:
            with _MUTEX:
                self._file.owners.discard(owner)
                self._file.unlock(owner)

    def alive(self, owner: int) -> bool:
        """Return whether the owner's process lives. Asked inside a write transaction, so two never ask at once."""
        if self._path is None:
            return owner in self._local
        if self._file is None:
            return True  # no record locks here: the claim must run out
        with _MUTEX:
            if owner in self._file.owners:
                return True
            if not self._file.lock(owner):
                return True
            self._file.unlock(owner)
            return False

    def close(self) -> None:
        """Drop what is held; the descriptor is closed with its last user."""
        for owner in list(self._local):
            self.drop(owner)
        file, self._file = self._file, None
        if file is None or self._path is None:
            return
        with _MUTEX:
            file.users -= 1
            if file.users == 0 and file.pid == os.getpid():
                os.close(file.fd)
                del _FILES[self._path]
