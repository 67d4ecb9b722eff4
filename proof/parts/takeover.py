"""How long a task stands still whose process was killed: from SIGKILL to the first line of its next attempt elsewhere.

With the settings of a worker as they come, claims of 300 s included.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from proof import holder
from proof.part import ROOT, Budget, Figures
from sayiir import WorkflowClient, connect
from tests.servers.postgres import PostgresServer

_HELD = 8
_MOST_ROUNDS = 60
_PATIENCE_SECS = 60.0


def run(budget: Budget) -> Figures:
    """Kill workers on PostgreSQL, then on SQLite."""
    half = Budget(budget.seconds / 2, budget.folder, budget.seed)
    with PostgresServer() as server:
        postgres = _takeovers(server.create_database(), half)
    half = Budget(budget.left(), budget.folder, budget.seed)
    sqlite = _takeovers(f"sqlite:///{budget.folder}/runs.db", half)
    return {
        "kills": (len(postgres) + len(sqlite)) // _HELD,
        "takeover_ms_postgres": [round(1000 * second, 1) for second in sorted(postgres)],
        "takeover_ms_sqlite": [round(1000 * second, 1) for second in sorted(sqlite)],
        "violations": [],
    }


def _takeovers(url: str, budget: Budget) -> list[float]:
    ledger = budget.folder / f"ledger-{url[:6]}"
    ledger.touch()
    seconds: list[float] = []
    with connect(url) as backend:
        client, flow = WorkflowClient(backend), holder.workflow()
        crew = [_hire(url, 0, ledger)]
        try:
            for number in range(_MOST_ROUNDS):
                names = [f"{number}-{index}" for index in range(_HELD)]
                for name in names:
                    client.submit(flow, name, 1)
                _lines(ledger, names, 1)
                crew.append(_hire(url, number + 1, ledger))
                killed = time.time()
                _end(crew.pop(0))
                seconds += [line["at"] - killed for line in _lines(ledger, names, 2)]
                if budget.left() <= 0:
                    break
        finally:
            for child in crew:
                _end(child)
    return seconds


def _hire(url: str, number: int, ledger: Path) -> subprocess.Popen[str]:
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    child = subprocess.Popen(
        [sys.executable, holder.__file__, url, f"w{number}", str(ledger)], stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert child.stderr is not None
    while child.stderr.readline() not in ("working\n", ""):
        pass
    return child


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.communicate()


def _lines(ledger: Path, names: list[str], attempt: int) -> list[dict[str, Any]]:
    """Wait until each of these has begun this attempt; return the lines that say so."""
    deadline, pause = time.monotonic() + _PATIENCE_SECS, threading.Event()
    while True:
        lines = [json.loads(text) for text in ledger.read_text("utf-8").splitlines()]
        found = [line for line in lines if line["instance"] in names and line["attempt"] == attempt]
        if len(found) >= len(names):
            return found
        assert time.monotonic() < deadline, f"attempt {attempt} of {len(names) - len(found)} instances did not begin"
        pause.wait(0.01)


def percentile(values: list[float], part: float) -> float:
    """Return the value that so great a part of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0
