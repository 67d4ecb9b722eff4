"""A child process that is started anew whenever a Python file below the current folder changes.

Rules of this file: files are looked at, not watched, for that works everywhere; the child alone imports them, so a
mistake in one ends the child with its sentence and the next change starts another. The child's stdin is the parent's life.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sayiir.cli import out
from sayiir.cli.codes import GRACEFUL, forced

_LOOK_SECS = 0.5
_END_SECS = 10.0
_PASSED_OVER = frozenset({"node_modules", "site-packages", "__pycache__", "venv"})


def stamps(folder: Path) -> dict[str, int]:
    """Return when each Python file below a folder was changed; hidden folders and installed packages are passed over."""
    found: dict[str, int] = {}
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _PASSED_OVER]
        for name in files:
            if name.endswith(".py"):
                path = os.path.join(here, name)  # noqa: PTH118 -- this is asked twice a second
                try:
                    found[path] = os.stat(path).st_mtime_ns  # noqa: PTH116 -- likewise
                except OSError:  # an editor has just taken it away
                    continue
    return found


def reloading(command: list[str], *first_only: str) -> int:
    """Run a command until Ctrl-C, anew whenever code changes; return the exit code.

    Args:
        command: what to run.
        first_only: arguments that only the first one gets.
    """
    told: queue.SimpleQueue[int] = queue.SimpleQueue()

    def note(number: int, _: object) -> None:
        told.put(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _rounds(command, first_only, told)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _rounds(command: list[str], first_only: tuple[str, ...], told: queue.SimpleQueue[int]) -> int:
    more = first_only
    while True:
        known = stamps(Path.cwd())
        child = _start([*command, *more])
        more = ()
        try:
            number, changed = _until(told, partial(_changed, known), child)
        finally:
            _end(child)
        if number:
            return GRACEFUL if told.empty() else forced(number)
        out.note(f"sayiir: {changed} has changed; starting anew")


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    # In a group of its own: Ctrl-C reaches the parent, which ends the child in good order.
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 -- ourselves


def _changed(known: dict[str, int]) -> str | None:
    now = stamps(Path.cwd())
    found = next((path for path in {**known, **now} if known.get(path) != now.get(path)), None)
    return None if found is None else os.path.relpath(found)


def _until(
    told: queue.SimpleQueue[int], changed: Callable[[], str | None], child: subprocess.Popen[bytes]
) -> tuple[int, str]:
    """Wait for a signal or a change; return the signal's number (0: none) and what has changed."""
    ended = False
    while True:
        try:
            return told.get(timeout=_LOOK_SECS), ""
        except queue.Empty:
            pass
        if (path := changed()) is not None:
            return 0, path
        if not ended and child.poll() is not None:
            ended = True
            out.note("sayiir: it has ended; save a Python file to start it anew, or press Ctrl-C")


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        child.stdin.close()
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_END_SECS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
