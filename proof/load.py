"""A steady load on worker processes under PostgreSQL, and what is seen of it from outside.

The workers and the workflow are those of the chaos tests (every kind of node, a ledger of executions outside the
database), so that after any fault the same invariants are checked, instance by instance.
"""

from __future__ import annotations

import json
import random
import threading
import time
from pathlib import Path
from typing import Any, Self

import psycopg

from proof.part import Figures
from sayiir import PostgresBackend, WorkflowClient
from sayiir.core.records import Record
from tests.proof.crew import Crew
from tests.proof.invariants import check, ledger_of
from tests.proof.killed_child import SIGNAL, workflow

_PATIENCE_SECS = 180.0


class Load:
    """Instances submitted at a steady rate to a crew of worker processes.

    Args:
        url: the database.
        folder: for the ledger.
        workers: how many processes.
        seed: of what is drawn.
    """

    def __init__(self, url: str, folder: Path, workers: int, seed: int) -> None:
        self.url = url
        self.chance = random.Random(seed)
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self.crew = Crew(url, self.ledger)
        self.backend = PostgresBackend(url)
        self.client = WorkflowClient(self.backend)
        self.flow: Any = workflow()
        self.names: list[str] = []
        for _ in range(workers):
            self.crew.hire()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.clean = self._undisturbed()

    def __enter__(self) -> Self:
        self.crew.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.crew.__exit__()
        self.backend.close()

    def submit(self, name: str) -> None:
        """Submit an instance and send it its signal."""
        self.client.submit(self.flow, name, 1)
        self.client.send_signal(name, SIGNAL, name, dedup_key="1")

    def _undisturbed(self) -> list[Record]:
        self.submit("undisturbed")
        self.client.wait("undisturbed", _PATIENCE_SECS)
        return self._read("undisturbed")[0]

    def capacity(self, count: int = 80) -> float:
        """Return how many instances these workers complete in a second when more than enough is there."""
        began = time.monotonic()
        names = [f"capacity-{number}" for number in range(count)]
        for name in names:
            self.submit(name)
        for name in names:
            self.client.wait(name, _PATIENCE_SECS)
        self.names += names
        return count / (time.monotonic() - began)

    def begin(self, rate: float) -> None:
        """Submit so many a second from now on, in a thread; what an outage held up is made up for."""

        def work() -> None:
            began, number = time.monotonic(), 0
            while not self._stopped.wait(max(0.0, began + number / rate - time.monotonic())):
                name = f"load-{number}"
                self.submit(name)
                self.names.append(name)
                number += 1

        self._thread = threading.Thread(target=work, name="load", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Submit no more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE_SECS)

    def settle(self) -> Figures:
        """Wait until all has ended, let the workers go, and check every instance; return what was seen."""
        self.stop()
        deadline = time.monotonic() + _PATIENCE_SECS
        statuses = {name: self.client.wait(name, max(0.0, deadline - time.monotonic())) for name in self.names}
        self.crew.dismiss()
        lines = ledger_of(self.ledger)
        figures: Figures = {
            "instances": len(self.names), "executions": sum(map(len, lines.values())), "repeats": 0,
            "lost": sum(not status.is_completed() for status in statuses.values()), "violations": [],
        }  # fmt: skip
        for name in self.names:
            records, values = self._read(name)
            try:
                figures["repeats"] += check(
                    records, values, self.clean, lines.get(name, []),
                    pids=self.crew.pids, struck=self.crew.struck, broken=self.crew.broken,
                )  # fmt: skip
            except AssertionError as error:
                figures["violations"].append(f"{name}: {error}"[:500])
        return figures

    def _read(self, name: str) -> tuple[list[Record], dict[int, Any]]:
        view = self.backend.load(name)
        assert view is not None, f"instance {name} is gone"
        number = view.instance.number
        records = self.backend.history(number)
        refs = [0, *(record.ref for record in records if record.status == "completed")]
        return records, {ref: json.loads(self.backend.value(number, ref)) for ref in refs}

    def completed_between(self, begin: float, end: float) -> int:
        """Return how many instances were completed in a time, by the database's clock (one host: the same)."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT count(*) FROM sayiir.instances WHERE status = 'completed' AND updated_at >= %s AND updated_at < %s",
                (int(begin * 1e6), int(end * 1e6)),
            ).fetchone()
        return int(row[0]) if row else 0
