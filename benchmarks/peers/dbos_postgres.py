"""Runs DBOS on PostgreSQL for the benchmark, in its own environment.

    python dbos_postgres.py URL

Its queues are polled: every 0.1 s for throughput, every 10 ms for pick-ups, without limits. Beside the words of serve.py:
`chain STEPS RUNS`.
"""

# mypy: ignore-errors
# What is imported here is installed in the environment that runs it, not in ours.

from __future__ import annotations

import sys
import time
from functools import cache

from dbos import DBOS, DBOSClient
from serve import finished, reactions, ring, serve

URL = sys.argv[1].replace("postgresql://", "postgresql+psycopg://")


@DBOS.step()
def add_one(value: int) -> int:
    """Do next to nothing."""
    return value + 1


@DBOS.step()
def bell(value: int) -> int:
    """Say that this line was reached."""
    ring(value)
    return value


@DBOS.workflow()
def chain(steps: int) -> int:
    """Take so many steps."""
    value = 0
    for _ in range(steps):
        value = add_one(value)
    return value


@DBOS.workflow()
def four() -> int:
    """Take four steps."""
    value = 0
    for _ in range(4):
        value = add_one(value)
    finished()
    return value


@DBOS.workflow()
def ping(number: int) -> int:
    """Take one step."""
    return bell(number)


@cache
def client() -> DBOSClient:
    """Return a client, which runs nothing itself."""
    return DBOSClient(system_database_url=URL)


def launch() -> None:
    """Become a process that runs workflows, those of queues too."""
    DBOS(config={"name": "bench", "system_database_url": URL, "log_level": "ERROR"})
    DBOS.launch()


launch_once = cache(launch)


def install() -> None:
    """Make the schema and the queues; a process that is launched later finds them at once."""
    launch()
    DBOS.register_queue("fours", polling_interval_sec=0.1)
    DBOS.register_queue("pings", polling_interval_sec=0.01)
    DBOS.destroy()


def run(steps: int, runs: int) -> float:
    """Return the microseconds of a step."""
    launch_once()
    began = time.perf_counter()
    for _ in range(runs):
        chain(steps)
    return (time.perf_counter() - began) * 1e6 / runs / steps


def submit(count: int) -> None:
    """Leave so many instances to the queue."""
    for _ in range(count):
        client().enqueue({"queue_name": "fours", "workflow_name": "four"})


def pick_up(count: int) -> float:
    """Measure from an enqueue to the step's first line."""
    return reactions(count, lambda number: client().enqueue({"queue_name": "pings", "workflow_name": "ping"}, number))


if __name__ == "__main__":
    serve(ready=install, chain=run, submit=submit, work=launch, pick_up=pick_up)
