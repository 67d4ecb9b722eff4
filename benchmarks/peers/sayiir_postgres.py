"""Runs the real `sayiir` 1.0.0 on PostgreSQL for the benchmark, in its own environment.

    python sayiir_postgres.py URL

Its workers poll: at its best, four of them in a process, every 2 ms. Beside the words of serve.py: `chain STEPS RUNS`.
"""

# mypy: ignore-errors
# What is imported here is installed in the environment that runs it, not in ours.

from __future__ import annotations

import itertools
import os
import sys
import time
from functools import cache
from typing import Any

from serve import finished, reactions, ring, serve

import sayiir

IDS = (f"{os.getpid()}-{time.time_ns()}-{number}" for number in itertools.count())


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


@cache
def chain(steps: int, last: Any = add_one) -> Any:
    """Return a workflow of so many steps."""
    flow: Any = sayiir.Flow(f"chain-{last.__name__}")
    for number in range(steps):
        # Names of one workflow must not be those of another: its workers find tasks by name alone.
        flow = flow.then(last if number == steps - 1 else add_one, name=f"{last.__name__}_{number}")
    return flow.build()


def main() -> None:
    """Answer until the input ends."""
    url = sys.argv[1]
    backend, at_work = cache(sayiir.PostgresBackend), []
    four, ping = chain(4, end), chain(1, bell)

    @cache
    def client() -> Any:
        return sayiir.WorkflowClient(backend(url))

    def run(steps: int, runs: int) -> float:
        began = time.perf_counter()
        for _ in range(runs):
            sayiir.run_durable_workflow(chain(steps), next(IDS), 0, backend(url))
        return (time.perf_counter() - began) * 1e6 / runs / steps

    def submit(count: int) -> None:
        for _ in range(count):
            client().submit(four, next(IDS), 0)

    def work() -> None:
        for number in range(4):
            worker = sayiir.Worker(f"w{os.getpid()}-{number}", sayiir.PostgresBackend(url), poll_interval=0.002)
            at_work.append(worker.start([four, ping]))

    serve(
        ready=lambda: client() and 0, chain=run, submit=submit, work=work,
        pick_up=lambda count: reactions(count, lambda number: client().submit(ping, next(IDS), number)),
    )  # fmt: skip


if __name__ == "__main__":
    main()
