"""Runs DBOS on a SQLite file for the benchmark, in its own environment.

    python dbos_sqlite.py FOLDER delete|wal

`delete` is the journal mode it ships with; `wal` switches the file before it starts. Both sync to disk at each commit.
Reads one request a line from standard input, `chain <steps> <runs>`, and answers each with the microseconds per step.
"""

# mypy: ignore-errors
# What is imported here is installed in the environment that runs it, not in ours.

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path

from dbos import DBOS


@DBOS.step()
def add_one(value: int) -> int:
    """Do next to nothing."""
    return value + 1


@DBOS.workflow()
def chain(steps: int) -> int:
    """Take so many steps."""
    value = 0
    for _ in range(steps):
        value = add_one(value)
    return value


def main() -> None:
    """Answer until the input ends."""
    path, mode = Path(sys.argv[1]) / f"dbos-{sys.argv[2]}.db", sys.argv[2]
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.close()
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{path}", "log_level": "ERROR"})
    DBOS.launch()
    chain(1)
    for line in sys.stdin:
        _, steps, runs = line.split()
        began = time.perf_counter()
        for _ in range(int(runs)):
            chain(int(steps))
        micros = (time.perf_counter() - began) * 1e6
        print(micros / int(runs) / int(steps), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
