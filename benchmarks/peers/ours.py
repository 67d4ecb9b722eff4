"""Runs this project's engine on PostgreSQL, or a SQLite file, for the benchmark, in processes of its own like all others.

    python ours.py URL

Beside the words of serve.py: `signal COUNT` (as `pick_up`, from a signal to the task behind it), `nap COUNT` (so many delays
of a second; the median of milliseconds by which they fire late), and `fill FINISHED PARKED` (so many old instances).
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import psycopg
from serve import finished, heard, keep, percentile, reactions, ring, serve  # type: ignore[import-not-found]

from sayiir import Flow, Worker, Workflow, WorkflowClient, connect, run_durable_workflow

_SCHEMA = "sayiir"
# A copy of a whole row that differs in its key, and so in its place in all indexes.
_COPY = """INSERT INTO {schema}.{table} SELECT copy.* FROM {schema}.{table} AS kept
    CROSS JOIN generate_series(1::bigint, %(count)s::bigint) AS n
    CROSS JOIN LATERAL jsonb_populate_record(kept, jsonb_build_object({changes})) AS copy
    WHERE kept.{key} = %(number)s"""
_APART = 10_000_000


def add_one(value: int) -> int:
    """Do next to nothing."""
    return value + 1


def end(value: int) -> int:
    """Be the last step."""
    finished()
    return value + 1


def bell(value: int) -> int:
    """Say that this line was reached."""
    ring(value)
    return value


def _chain() -> Workflow[Any, Any]:
    flow: Any = Flow("chain")
    for number in range(3):
        flow = flow.then(add_one, name=f"step_{number}")
    built: Workflow[Any, Any] = flow.then(end, name="step_3").build()
    return built


CHAIN = _chain()
PING = Flow("ping").then(bell).build()
APPROVAL = Flow("approval").wait_for_signal("approve").then(bell).build()
NAP = Flow("nap").delay("second", "1s").then(bell).build()
SLEEP = Flow("sleep").delay("day", "24h").then(add_one).build()


class Engine:
    """The engine: a client, and a worker once it is told to work."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ids = self._fresh()

    def ready(self) -> None:
        """Connect, and make the schema where there is none."""
        self._backend = connect(self._url)
        self._client = WorkflowClient(self._backend)

    @staticmethod
    def _fresh() -> Iterator[str]:
        prefix = f"{os.getpid()}-{time.time_ns()}"
        return (f"{prefix}-{number}" for number in itertools.count())

    def submit(self, count: int) -> None:
        """Leave so many chains to the workers."""
        for start in range(0, count, 1_000):
            self._client.submit_many(CHAIN, [(next(self._ids), 0) for _ in range(start, min(count, start + 1_000))])

    def work(self) -> None:
        """Begin to work."""
        Worker(f"bench-{os.getpid()}", self._backend).start([CHAIN, PING, APPROVAL, NAP, SLEEP])

    def pick_up(self, count: int) -> float:
        """Measure from submit to the task's first line."""
        return float(reactions(count, lambda number: self._client.submit(PING, next(self._ids), number)))

    def signal(self, count: int) -> float:
        """Measure from a signal to the first line of the task behind it."""
        waiting: dict[int, str] = {}

        def park(number: int) -> None:
            waiting[number] = next(self._ids)
            self._client.submit(APPROVAL, waiting[number], 0)
            while self._client.status(waiting[number]).status != "awaiting_signal":
                time.sleep(0.005)

        def send(number: int) -> None:
            self._client.send_signal(waiting[number], "approve", number)

        return float(reactions(count, send, park))

    def nap(self, count: int) -> float:
        """Measure how late delays of a second fire; negative would be early."""
        due: dict[int, float] = {}
        for number in range(count):
            instance_id = next(self._ids)
            self._client.submit(NAP, instance_id, number)
            while not (parked := self._client.status(instance_id).parked):
                time.sleep(0.005)
            wake_at = parked[0].wake_at
            assert wake_at is not None
            due[number] = wake_at.timestamp()
        keep([(heard(number)[1] - wake_at) * 1e3 for number, wake_at in due.items()])
        return float(percentile(50))

    def fill(self, done: int, parked: int) -> None:
        """Make old instances: real ones, copied row by row inside the database."""
        kinds = ((CHAIN, done), (APPROVAL, parked // 2), (SLEEP, parked - parked // 2))
        with psycopg.connect(self._url, autocommit=True) as connection:
            for index, (workflow, count) in enumerate(kinds, 1):
                instance_id = next(self._ids)
                run_durable_workflow(workflow, instance_id, 0, self._backend)
                _multiply(connection, instance_id, count, index * _APART)
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")


def _multiply(connection: psycopg.Connection, instance_id: str, count: int, apart: int) -> None:
    found = connection.execute(f"SELECT number FROM {_SCHEMA}.instances WHERE instance_id = %s", (instance_id,)).fetchone()
    assert found is not None
    for table, key in (("instances", "number"), ("tokens", "instance"), ("results", "instance")):
        changes = f"'{key}', kept.{key} - n - {apart}"
        if table == "instances":
            changes += ", 'instance_id', kept.instance_id || '-' || n"
        statement = _COPY.format(schema=_SCHEMA, table=table, key=key, changes=changes)
        connection.execute(statement.encode(), {"count": count, "number": found[0]})


if __name__ == "__main__":
    engine = Engine(sys.argv[1])
    serve(ready=engine.ready, submit=engine.submit, work=engine.work, pick_up=engine.pick_up, signal=engine.signal,
          nap=engine.nap, fill=engine.fill)  # fmt: skip
