"""Log records that say which task they belong to, and records as JSON.

Only the standard library's logging. A record made while a task runs gets `workflow_id`, `instance_id`, `task_id`,
`attempt` and `worker_id`, by a filter on the handler that wants them, so nobody else's logging is changed.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from sayiir.runtime.context import FRAME

FIELDS = ("workflow_id", "instance_id", "task_id", "attempt", "worker_id")


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
