"""Log records that say which task they belong to, records as JSON, and the lines of tasks kept with their instance.

Only the standard library's logging. A record made while a task runs gets `workflow_id`, `instance_id`, `task_id`,
`attempt` and `worker_id`, by a filter on the handler that wants them, so nobody else's logging is changed.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sayiir.runtime.context import FRAME, Frame

FIELDS = ("workflow_id", "instance_id", "task_id", "attempt", "worker_id")
LONGEST_LINE = 4096
"""Characters of a kept line; what is longer is cut."""
_GATHER_SECS = 0.5
"""How long lines are gathered before they are stored: they must not compete with checkpoints for the disk."""
_WAITING = 10_000
"""Lines that wait to be stored; more are dropped, the oldest first, and counted."""


class TaskFields(logging.Filter):
    """Adds to records which task they belong to; lets all pass.

    >>> record = logging.makeLogRecord({"msg": "hello"})
    >>> TaskFields().filter(record), record.instance_id
    (True, None)
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields that the record does not have yet."""
        context = FRAME.get()
        task_id = getattr(getattr(context, "op", context), "id", None) or getattr(context, "task_id", None)
        for name in FIELDS:
            if not hasattr(record, name):
                setattr(record, name, task_id if name == "task_id" else getattr(context, name, None))
        return True


class JsonLines(logging.Formatter):
    """Formats records as JSON, one line each, with the fields of `TaskFields`.

    >>> record = logging.makeLogRecord({"name": "app", "levelname": "INFO", "msg": "paid %d", "args": (42,)})
    >>> import json
    >>> json.loads(JsonLines().format(record))["message"]
    'paid 42'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname, "logger": record.name, "message": record.getMessage(),
        }  # fmt: skip
        line.update((name, value) for name in FIELDS if (value := getattr(record, name, None)) is not None)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class Line:
    """A kept line: of which instance, and what is stored."""

    __slots__ = ("at", "attempt", "instance_id", "level", "logger", "message", "salt", "task_id")

    def __init__(self, record: logging.LogRecord, message: str, frame: Any) -> None:
        self.instance_id: str = frame.instance_id
        self.salt: int = frame.salt
        """When its instance was created, which tells it from a later one of the same id."""
        self.task_id: str = frame.op.id
        self.attempt: int = frame.attempt
        self.at = int(record.created * 1_000_000)
        self.level = record.levelname
        self.logger = record.name
        self.message = message[:LONGEST_LINE]


class Keeper(logging.Handler):
    """Keeps what tasks log: records made while a task of a stored instance runs, stored in batches by a thread.

    Args:
        backend: whose instances' lines are kept.
        store: writes lines; it is called by one thread at a time.
        level: records below it are not kept.
    """

    def __init__(self, backend: object, store: Callable[[list[Line]], None], level: int = logging.INFO) -> None:
        super().__init__(level)
        self._backend = backend
        self._store = store
        self._lines: deque[Line] = deque(maxlen=_WAITING)
        self._wanted = threading.Event()
        self._ended = threading.Event()
        self._writing = threading.Lock()
        self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="sayiir-logs", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, when a task made it."""
        frame = FRAME.get()
        if not isinstance(frame, Frame) or getattr(frame.run, "store", None) is not self._backend:
            return  # outside of a task, or in a run without storage
        try:
            message = self.format(record)
        except Exception:  # noqa: BLE001 -- as handlers do: the program goes on
            self.handleError(record)
            return
        self.dropped += len(self._lines) == _WAITING
        self._lines.append(Line(record, message, frame))
        self._wanted.set()

    def _work(self) -> None:
        while not self._ended.is_set():
            self._wanted.wait()
            self._ended.wait(_GATHER_SECS)
            self._wanted.clear()
            self.flush()

    def flush(self) -> None:
        """Store what waits; lines that cannot be stored are dropped and counted."""
        with self._writing:
            batch: list[Line] = []
            while self._lines and len(batch) < _WAITING:
                batch.append(self._lines.popleft())
            if not batch:
                return
            try:
                self._store(batch)
            except Exception as error:  # noqa: BLE001 -- log lines are not worth a run
                self.dropped += len(batch)
                logging.getLogger("sayiir").warning("%d log lines of tasks could not be kept: %s", len(batch), error)

    def close(self) -> None:
        """Store what waits, and end the thread."""
        self._ended.set()
        self._wanted.set()
        if self._thread is not threading.current_thread():
            self._thread.join(5.0)
        self.flush()
        super().close()
