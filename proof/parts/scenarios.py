"""The five public scenarios, by the names that other engines' figures carry: throughput under a fault and after it.

Each offers half of what the workers can do, steadily, in three windows of one length: undisturbed, under the fault, and
after it. The recovery ratio is the rate of completions after the fault against the rate before it; what the fault held up is
made up for, so that it may be above 100 %.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from proof.load import Load
from proof.part import Budget, Figures
from proof.rounds import add
from tests.servers.postgres import PostgresServer

_OVERHEAD_SECS = 20.0
"""Of one scenario beside its windows: the server's start, the workers', the checks."""
_IDLE_CONNECTIONS = 300
_CONNECTIONS = 330
_REPEATED_KILLS = 4
Fault = Callable[[Load, PostgresServer, float, Figures], None]


def run(budget: Budget) -> Figures:
    """Play every scenario."""
    window = min(30.0, max(10.0, (budget.seconds / len(SCENARIOS) - _OVERHEAD_SECS) / 3))
    figures: Figures = {"recovery": {}, "during": {}, "max_window_secs": round(window, 1), "violations": []}
    for name, fault in SCENARIOS.items():
        folder = budget.folder / name
        folder.mkdir()
        ratio, during, seen = _play(fault, folder, window, budget.seed)
        figures["recovery"][name], figures["during"][name] = ratio, during
        for word, value in seen.items():
            add(figures, word, value)
        budget.say(f"  {name}: recovery {ratio:.0%}, under the fault {during:.0%}")
    return figures


def _play(fault: Fault, folder: Path, window: float, seed: int) -> tuple[float, float, Figures]:
    seen: Figures = {}
    pause = threading.Event()
    settings = {"max_connections": str(_CONNECTIONS)}
    with PostgresServer(settings=settings) as server, Load(server.create_database(), folder, 2, seed) as load:
        load.begin(load.capacity() / 2)
        pause.wait(2.0)
        began = time.time()
        pause.wait(window)
        fault(load, server, window, seen)
        pause.wait(max(0.0, began + 2 * window - time.time()))
        middle = time.time()
        pause.wait(window)
        ended = time.time()
        seen |= load.settle()
        baseline = load.completed_between(began, began + window) / window
        during = load.completed_between(began + window, middle) / (middle - began - window)
        after = load.completed_between(middle, ended) / (ended - middle)
    return round(after / baseline, 3), round(during / baseline, 3), seen


def _postgres_restart(load: Load, server: PostgresServer, _: float, seen: Figures) -> None:
    load.crew.broken += 1
    server.restart("immediate")
    add(seen, "restarts", 1)


def _pg_backend_kill(load: Load, server: PostgresServer, window: float, seen: Figures) -> None:
    """End one of the workers' connections, two times a second."""
    until, pause = time.monotonic() + window, threading.Event()
    with server.connect() as admin:
        while time.monotonic() < until:
            row = admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                " AND application_name = 'sayiir' ORDER BY random() LIMIT 1"
            ).fetchone()
            load.crew.broken += 1
            add(seen, "terminated", int(row is not None))
            pause.wait(0.5)


def _pool_exhaustion(load: Load, server: PostgresServer, window: float, seen: Figures) -> None:
    """Take the server's connections away: 300 idle sessions, or as many as it still gives."""
    load.crew.broken += 1  # no connection is ended, but who must open one cannot, and may lose its claims
    with contextlib.ExitStack() as idle:
        for _number in range(_IDLE_CONNECTIONS):
            try:
                idle.enter_context(psycopg.connect(server.url(), autocommit=True))
            except psycopg.OperationalError:
                break
            add(seen, "idle_connections", 1)
        # A worker that loses one of its connections must do without until there is room again.
        threading.Event().wait(window)


def _crash_recovery(load: Load, _: PostgresServer, __: float, seen: Figures) -> None:
    """Kill one of the two workers; another is started, as a supervisor would."""
    load.crew.kill(load.chance)
    add(seen, "kills", 1)


def _repeated_kills(load: Load, _: PostgresServer, window: float, seen: Figures) -> None:
    """Kill one worker after the other, four times, evenly over the window."""
    began, pause = time.monotonic(), threading.Event()
    for number in range(1, _REPEATED_KILLS + 1):
        load.crew.kill(load.chance)
        add(seen, "kills", 1)
        pause.wait(max(0.0, began + number * window / _REPEATED_KILLS - time.monotonic()))


SCENARIOS: dict[str, Fault] = {
    "postgres_restart": _postgres_restart,
    "pg_backend_kill": _pg_backend_kill,
    "pool_exhaustion": _pool_exhaustion,
    "crash_recovery": _crash_recovery,
    "repeated_kills": _repeated_kills,
}


