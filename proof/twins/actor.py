"""Runs in the interpreter of either engine, and imports nothing but `sayiir`, by the API that both document.

    actor.py work URL NAME TTL LEDGER      a worker, until its input ends
    actor.py submit URL FLOW ID...         leave instances to the workers
    actor.py status URL ID...              one line of JSON for each: its state, output and error
    actor.py result URL ID TASK            the result that is stored for a task

What tasks do is a line of JSON each in the ledger, a file that knows what really happened.
"""

# mypy: ignore-errors
# What is imported here is that of the interpreter which runs it.

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

from sayiir import Flow, PostgresBackend, Worker, WorkflowClient, task

_STATES = ("completed", "failed", "cancelled", "paused")
_ledger: list[int] = []


def note(name: str, instance: Any, **more: Any) -> None:
    """Write a line, whole or not at all."""
    line = {"task": name, "instance": instance, "pid": os.getpid(), "at": time.monotonic(), **more}
    os.write(_ledger[0], (json.dumps(line) + "\n").encode())


@task("long")
def long(instance: str) -> str:
    """Take three times as long as a claim lasts, in good health."""
    note("long", instance)
    time.sleep(3.0)
    return instance


@task("held")
def held(instance: str) -> dict[str, Any]:
    """Return who did it; the first one is stopped in the middle."""
    note("held", instance)
    time.sleep(1.0)
    return {"instance": instance, "by": os.getpid()}


@task("after")
def after(value: dict[str, Any]) -> Any:
    """Note what came in; take a while, in which the one that was stopped comes back."""
    note("after", value["instance"], by=value["by"])
    time.sleep(6.0)
    return value["by"]


@task("brief")
def brief(instance: str) -> str:
    """Take a moment."""
    note("brief", instance)
    time.sleep(0.1)
    return instance


@task("poison")
def poison(instance: str) -> None:
    """Kill the process."""
    note("poison", instance)
    os.kill(os.getpid(), signal.SIGKILL)


@task("late", timeout="1s")
def late(instance: str) -> str:
    """Take longer than it may."""
    note("late", instance)
    time.sleep(4.0)
    return instance


@task("odd", retries=3)
def odd(instance: str) -> Any:
    """Return what no format of values can hold."""
    note("odd", instance)
    return {object()}


FLOWS = {
    flow: builder.build()
    for flow, builder in {
        "long": Flow("long").then(long),
        "zombie": Flow("zombie").then(held).then(after),
        "skew": Flow("skew").then(brief),
        "poison": Flow("poison").then(poison),
        "timeout": Flow("timeout").then(late),
        "unstorable": Flow("unstorable").then(odd),
    }.items()
}


def work(url: str, name: str, ttl: str, ledger: str) -> None:
    """Work until the input ends, and then be gone, whatever is under way."""
    _ledger.append(os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
    handle = Worker(name, PostgresBackend(url), poll_interval=0.2, claim_ttl=float(ttl)).start(list(FLOWS.values()))
    print("working", flush=True)
    sys.stdin.read()
    handle.shutdown()
    os._exit(0)


def submit(url: str, flow: str, *ids: str) -> None:
    """Submit instances, each with its id for its input."""
    client = WorkflowClient(PostgresBackend(url))
    for instance in ids:
        client.submit(FLOWS[flow], instance, instance)


def status(url: str, *ids: str) -> None:
    """Say how instances stand."""
    client = WorkflowClient(PostgresBackend(url))
    for instance in ids:
        found = client.status(instance)
        state = next((state for state in _STATES if getattr(found, f"is_{state}")()), "in progress")
        print(json.dumps({"state": state, "output": found.output, "error": str(found.error or "")}))


def result(url: str, instance: str, name: str) -> None:
    """Say what is stored for a task."""
    print(json.dumps(WorkflowClient(PostgresBackend(url)).get_task_result(instance, name)))


if __name__ == "__main__":
    {"work": work, "submit": submit, "status": status, "result": result}[sys.argv[1]](*sys.argv[2:])
