"""Tasks that child processes import by name."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sayiir import LoopResult, NonRetryableError, RetryPolicy, get_task_context, task


@dataclass
class Point:
    """A typed value that crosses the pipe."""

    x: int


@task(isolation="process")
def move(point: Point) -> Point:
    return Point(point.x + 1)


@task(isolation="process")
def pid(parent: int) -> bool:
    return os.getpid() != parent


@task(isolation="process", timeout=0.5)
def for_ever(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    threading.Event().wait()


@task(isolation="process")
def until_cancelled(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    threading.Event().wait()


@task(isolation="process")
def kill_self(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@task(isolation="process")
def leave(_: Any) -> None:
    os._exit(3)


@task(isolation="process", retries=RetryPolicy(2, 0.0))
def die_once(path: str) -> str:
    if not Path(path).exists():
        Path(path).write_text("died")
        os.kill(os.getpid(), signal.SIGKILL)
    return Path(path).read_text()


@task(isolation="process", retries=RetryPolicy(3, 0.0), no_retry_on=KeyError)
def choosy(_: Any) -> None:
    raise KeyError("final")


@task(isolation="process", retries=RetryPolicy(3, 0.0))
def stubborn(_: Any) -> None:
    raise NonRetryableError("never")


@task(isolation="process", retries=RetryPolicy(1, 0.0))
def broken(_: Any) -> None:
    raise ValueError("as it was")


@task(isolation="process")
def unstorable(_: Any) -> Any:
    return {1, object()}


@task(isolation="process", tags=["here"])
async def context(_: Any) -> list[Any]:
    found = get_task_context()
    assert found is not None
    return [found.workflow_id, found.instance_id, found.task_id, found.attempt, found.metadata.tags, found.idempotency_key]


@task(isolation="process")
def count_down(x: int) -> LoopResult[int]:
    return LoopResult.again(x - 1) if x > 1 else LoopResult.done(0)


@task(isolation="process")
def choose(x: int) -> str:
    return "even" if x % 2 == 0 else "odd"
