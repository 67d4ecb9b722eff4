"""Runs the real `sayiir` 1.0.0 for the benchmark, in its own environment.

Reads a request a line from standard input, `chain <how> <steps> <runs>`, and answers with the microseconds per step.
Imports nothing of this project, whose package has the same name.
"""

# mypy: ignore-errors
# What is imported here is installed in the environment that runs it, not in ours.

from __future__ import annotations

import itertools
import sys
import time
from functools import cache
from typing import Any

import sayiir


def add_one(value: int) -> int:
    """Do next to nothing."""
    return value + 1


@cache
def chain(steps: int) -> Any:
    """Return a workflow of so many steps."""
    flow: Any = sayiir.Flow("chain")
    for number in range(steps):
        flow = flow.then(add_one, name=f"step_{number}")
    return flow.build()


def main() -> None:
    """Answer until the input ends."""
    backend, ids = sayiir.InMemoryBackend(), itertools.count()
    for line in sys.stdin:
        _, how, steps, runs = line.split()
        workflow = chain(int(steps))
        began = time.perf_counter()
        for _ in range(int(runs)):
            if how == "memory":
                sayiir.run_workflow(workflow, 0)
            else:
                sayiir.run_durable_workflow(workflow, f"i{next(ids)}", 0, backend)
        micros = (time.perf_counter() - began) * 1e6
        print(micros / int(runs) / int(steps), flush=True)


if __name__ == "__main__":
    main()
