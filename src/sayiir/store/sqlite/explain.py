"""SQLite's errors as ours: what it says, and what to do about it."""

from __future__ import annotations

from sayiir.errors import BackendError


def explained(error: Exception, path: str, lock_secs: float, statement_secs: float) -> BackendError:
    """Return what to raise for an error of the driver.

    Args:
        error: what the driver raised.
        path: the file.
        lock_secs: how long was waited for a lock.
        statement_secs: how long a read may take.
    """
    text = str(error)
    fixes = (
        ("locked", f"another process kept writing for {lock_secs:g}s; try again or raise lock_timeout"),
        ("interrupted", f"it took longer than {statement_secs:g}s; ask for less, or raise statement_timeout_secs"),
        ("not a database", "the file is something else; give another path"),
        ("codec can't decode", "the file is damaged; restore it from a backup"),
        ("malformed", "the file is damaged; restore it from a backup"),
        ("readonly", "make the file and its folder writable"),
        ("closed database", "it was closed meanwhile; open another SqliteBackend"),
        ("unable to open", "check the path and its permissions"),
        ("full", "the disk is full; free some space, nothing was lost"),
    )
    fix = next((fix for word, fix in fixes if word in text), "see the cause")
    found = BackendError(f"SQLite on {path!r}: {text}; {fix}")
    found.__cause__ = error
    return found
