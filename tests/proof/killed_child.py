"""The process that test_kill.py kills: it takes one instance up and moves it to its end.

Arguments: the database, the ledger, the instance. Every execution of a task is one line, written by one `os.write`, in
the ledger, which is a plain file beside the database. A byte on standard output goes with each, and with each look at
what the instance waits for, so that the parent can wait for them. Exit codes: 0 the instance completed, 3 it was busy,
4 it ended otherwise.
"""

import hashlib
import json
import os
import sys
import threading
from typing import Any

from sayiir import (
    Flow,
    InstanceBusyError,
    LoopResult,
    RetryPolicy,
    get_task_context,
    resume_workflow,
    run_durable_workflow,
    task,
)
from sayiir.store.sqlite import SqliteBackend

_LEDGER = -1
_GATE: threading.Event | None = None
_POLL_SECS = 0.05
SIGNAL = "approve"


def digest(value: Any) -> str:
    """Return the hash of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def note(value: Any) -> str:
    """Write the execution down, then work for a while, so that many kills fall into tasks."""
    context = get_task_context()
    assert context is not None
    gate = _GATE
    line = {
        "instance": context.instance_id,
        "node": context.task_id,
        "iteration": context.iteration,
        "attempt": context.attempt,
        "input": digest(value),
        "key": context.idempotency_key,
        "pid": os.getpid(),
        "held": gate is not None,
    }
    os.write(_LEDGER, (json.dumps(line) + "\n").encode())
    os.write(1, b".")
    if gate is not None:
        gate.wait()
    hashlib.pbkdf2_hmac("sha256", b"work", b"salt", 500)
    return digest([context.task_id, context.iteration, value])


@task
def start(value: Any) -> Any:
    return {"from": value, "by": note(value)}


@task
def left(value: Any) -> Any:
    return note(value)


@task
def left_again(value: Any) -> Any:
    return [value, note(value)]


@task
async def right(value: Any) -> Any:
    return note(value)


@task
def rested(value: Any) -> Any:
    return note(value)


@task
def tired(value: Any) -> Any:
    return note(value)


@task
def meet(parts: dict[str, Any]) -> Any:
    return {"parts": parts, "by": note(parts)}


@task
def turn(value: Any) -> Any:
    done = [*value["turns"], note(value)] if "turns" in value else [note(value)]
    following = {"turns": done}
    return LoopResult.again(following) if len(done) < 4 else LoopResult.done(following)


@task
def choose(value: Any) -> str:
    note(value)
    return "long"


@task
async def along(value: Any) -> Any:
    return note(value)


@task(retries=RetryPolicy(1, 0.01))
def flaky(value: Any) -> Any:
    made = note(value)
    context = get_task_context()
    assert context is not None
    if context.attempt == 1:
        raise ConnectionError("the first attempt always fails")
    return made


@task
def approved(value: Any) -> Any:
    return [value, note(value)]


@task
def last(value: Any) -> Any:
    return {"end": value, "by": note(value)}


def workflow() -> Any:
    """A fork with a sync, an async and a resting branch, a loop, a route, a retry, a signal and a delay."""
    resting: Any = Flow("resting").then(tired).delay("rest", 0.02).then(rested)
    flow: Any = Flow("killed").then(start)
    flow = flow.fork().branch(left, left_again).branch(right).branch(resting.build(), name="resting").join(meet)
    flow = flow.loop(turn).route(choose, keys=["long", "short"]).branch("long", along, flaky).branch("short", tired).done()
    return flow.wait_for_signal(SIGNAL).then(approved).delay("pause", 0.01).then(last).build()


def open_ledger(path: str) -> None:
    """Note executions in this file from now on."""
    global _LEDGER
    _LEDGER = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def hold() -> None:
    """Keep whatever begins from now on inside its task, right after its line is written."""
    global _GATE
    _GATE = threading.Event()


def go_on() -> None:
    """Let what is held go on, and hold nothing more."""
    global _GATE
    gate, _GATE = _GATE, None
    if gate is not None:
        gate.set()


def main(database: str, ledger: str, instance_id: str) -> int:
    """Move the instance to its end."""
    open_ledger(ledger)
    os.write(1, b"!")
    flow, backend = workflow(), SqliteBackend(database)
    try:
        status = run_durable_workflow(flow, instance_id, 1, backend, "use_existing")
        while not (status.is_completed() or status.is_failed() or status.is_cancelled()):
            status = resume_workflow(flow, instance_id, backend)
            if status.parked:
                os.write(1, b"?")
                backend.wait_for_hint(backend.hints.mark, _POLL_SECS)
    except InstanceBusyError:
        return 3
    return 0 if status.is_completed() else 4


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
