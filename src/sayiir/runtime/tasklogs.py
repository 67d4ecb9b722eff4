"""Keeps what tasks log with their instances: records made while a task of a worker runs, stored in batches by a thread.

Log lines are worth less than anything else that is stored: they are gathered, so that they do not compete with checkpoints
for the disk, and dropped when there are too many of them or the backend is away.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from sayiir.runtime.context import FRAME, Frame
from sayiir.store.observe_port import LogEntry, LogLevel

if TYPE_CHECKING:
    from sayiir.runtime.shift import Shift

LONGEST_LINE = 4096
"""Characters of a kept line; what is longer is cut."""
_LEVELS: tuple[tuple[int, LogLevel], ...] = (
    (logging.CRITICAL, "critical"), (logging.ERROR, "error"), (logging.WARNING, "warning"), (logging.INFO, "info"),
)  # fmt: skip
_GATHER_SECS = 0.5
_WAITING = 10_000
"""Lines that wait to be stored; of more the oldest are dropped, and counted."""


def _level(number: int) -> LogLevel:
    """Return the name of a level, of one in between the lower."""
    for least, name in _LEVELS:
        if number >= least:
            return name
    return "debug"


def _who_alone_hears(record: logging.LogRecord) -> Keeper | None:
    """Return the first keeper that hears a record, when nobody else does."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    first = None
    while logger is not None:
        for handler in logger.handlers:
            if not isinstance(handler, Keeper):
                return None
            first = first or handler
        logger = logger.parent if logger.propagate else None
    return first


class Keeper(logging.Handler):
    """Keeps the log records of one worker's tasks.

    Args:
        shift: the worker at work.
        level: records below it are not kept.
    """

    def __init__(self, shift: Shift, level: int) -> None:
        super().__init__(min(level, logging.WARNING))
        self._least = level
        self._shift = shift
        self._lines: deque[tuple[int, LogEntry]] = deque(maxlen=_WAITING)
        self._wanted = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._beginning = threading.Lock()
        self._writing = threading.Lock()
        self.dropped = 0

    def start(self) -> None:
        """Listen to all loggers of the process; again, after somebody has configured logging anew."""
        logging.getLogger().addHandler(self)

    def stop(self) -> None:
        """Listen no more; what waits is stored, and the thread ends."""
        logging.getLogger().removeHandler(self)
        self._ended.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(5.0)
        self.close()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, when a task of this worker made it."""
        # Python prints warnings that no handler hears, and as far as people can see we are none.
        last = logging.lastResort
        if last is not None and record.levelno >= max(last.level, logging.WARNING) and _who_alone_hears(record) is self:
            last.handle(record)
        if record.levelno < self._least:
            return
        frame = FRAME.get()
        if not isinstance(frame, Frame) or getattr(frame.run, "shift", None) is not self._shift:
            return
        try:
            message = self.format(record)[:LONGEST_LINE]
        except Exception:  # noqa: BLE001 -- as handlers do: the program goes on
            self.handleError(record)
            return
        at = int(record.created * 1_000_000)
        entry = LogEntry(at, _level(record.levelno), frame.op.id, frame.attempt, record.name, message)
        self.dropped += len(self._lines) == _WAITING
        self._lines.append((frame.fence.instance, entry))
        if not self._wanted.is_set():
            self._wanted.set()
            self._begin()

    def _begin(self) -> None:
        # No thread for workers whose tasks say nothing. Its lock is not that of writing, for which no task may wait.
        with self._beginning:
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._work, name="sayiir-logs", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while not self._ended.is_set():
            self._wanted.wait()
            self._ended.wait(_GATHER_SECS)
            self._wanted.clear()
            self.flush()

    def flush(self) -> None:
        """Store what waits; lines that cannot be stored are dropped and counted."""
        with self._writing:
            batch: dict[int, list[LogEntry]] = {}
            while self._lines:
                number, entry = self._lines.popleft()
                batch.setdefault(number, []).append(entry)
            left = sum(map(len, batch.values()))
            try:
                for number, entries in batch.items():
                    self._shift.store.add_logs(number, entries)
                    left -= len(entries)
            except Exception as error:  # noqa: BLE001 -- log lines are not worth a worker; nor is a second wait for a server
                self.dropped += left
                logging.getLogger("sayiir").debug("%d log lines of tasks were not kept: %s", left, error)

    def close(self) -> None:
        """Store what waits. `logging` closes the handlers that it finds when it is configured anew, so this is no end."""
        self.flush()
        super().close()
