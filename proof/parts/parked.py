"""Very many instances that wait: what they cost while they do, how soon 1,000 of them wake at once, and a restart.

100,000 with two minutes or more, fewer with less; on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from proof.machine import processor_seconds, resident
from proof.part import ROOT, Budget, Figures
from proof.parts.takeover import percentile
from sayiir import Flow, Worker, WorkflowClient, connect
from sayiir.core.values import encode
from tests.servers.postgres import PostgresServer

MOST = 100_000
_WOKEN = 1000
_BATCH = 2000
_IDLE_SECS = 5.0
_PER_SECOND = 1700
"""How many are parked in a second of the budget, each on both stores."""


def same(value: Any) -> Any:
    """Return the value."""
    return value


def workflow() -> Any:
    """Return a flow that waits for a signal, long."""
    return Flow("parked").wait_for_signal("go", timeout="30d").then(same).build()


def run(budget: Budget) -> Figures:
    """Park on both stores."""
    count = min(MOST, max(2 * _WOKEN, int(budget.seconds / 2 * _PER_SECOND) // _BATCH * _BATCH))
    figures: Figures = {"parked": count, "violations": []}
    figures["sqlite"] = _park(f"sqlite:///{budget.folder}/runs.db", count, budget)
    with PostgresServer() as server:
        figures["postgres"] = _park(server.create_database(), count, budget)
    return figures


def _park(url: str, count: int, budget: Budget) -> Figures:
    flow = workflow()
    with connect(url) as backend:
        client = WorkflowClient(backend)
        for first in range(0, count, _BATCH):
            client.submit_many(flow, [(f"i{number}", number) for number in range(first, min(first + _BATCH, count))])
        child = _child(url)
        try:
            # Each is looked at once by the worker, and parked.
            client.wait(f"i{count - 1}", 600, until="parked")
            _until(lambda: not client.find(status="in_progress", limit=1).items)
            memory, used = resident(child.pid), processor_seconds(child.pid)
            threading.Event().wait(_IDLE_SECS)
            idle = (processor_seconds(child.pid) - used) / _IDLE_SECS
            woken = _wake(client, range(_WOKEN))
        finally:
            _end(child)
        began = time.monotonic()
        child = _child(url)
        try:
            client.send_signal(f"i{_WOKEN}", "go", 1)
            client.wait(f"i{_WOKEN}", 120)
            restart = time.monotonic() - began
        finally:
            _end(child)
    shown: Figures = {
        "rss_mb": round(memory / 2**20, 1), "idle_cpu_percent": round(100 * idle, 1),
        "wake_p50_ms": round(1000 * percentile(woken, 0.5)), "wake_p99_ms": round(1000 * percentile(woken, 0.99)),
        "restart_to_first_result_ms": round(1000 * restart),
    }  # fmt: skip
    budget.say(f"  {url.split(':', maxsplit=1)[0]}: {shown}")
    return shown


def _wake(client: WorkflowClient, numbers: range) -> list[float]:
    """Send 1,000 signals at once; return how long after its signal each had completed."""
    sent = {}
    for number in numbers:
        client.backend.send_signal(f"i{number}", "go", encode("went"))
        sent[f"i{number}"] = client.backend.now()
    for name in sent:
        client.wait(name, 120)
    ends = {name: client.status(name).updated_at.timestamp() for name in sent}
    return [max(0.0, ends[name] - moment / 1e6) for name, moment in sent.items()]


def _until(condition: Any) -> None:
    deadline, pause = time.monotonic() + 900, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "they did not park"
        pause.wait(0.2)


def _child(url: str) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    child = subprocess.Popen(
        [sys.executable, "-m", "proof.parts.parked", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == b"working\n"
    return child


def _end(child: subprocess.Popen[bytes]) -> None:
    child.communicate()


def main(url: str) -> None:
    """Be the worker until the input ends."""
    with connect(url) as backend, Worker(f"parked-{Path(url).name[:20]}-{os.getpid()}", backend).start([workflow()]):
        sys.stdout.write("working\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
