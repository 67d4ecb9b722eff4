"""Extract, transform, load: a CSV file into SQLite, in batches.

Shows a fork whose branches look at the same file in two ways, and a loop over batches with a checkpoint for each: after
a crash it goes on with the batch that was under way. Loading is safe to repeat, because rows have keys.
"""

import csv
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sayiir import Flow, LoopResult, SqliteBackend, WorkflowClient, run_durable_workflow, task

BATCH = 40


@dataclass
class Job:
    source: str
    target: str


@dataclass
class Load:
    job: Job
    rows: int
    dropped: int
    offset: int = 0


@dataclass
class Checked:
    count_rows: int
    find_gaps: list[int]
    job: Job


@task
def count_rows(job: Job) -> int:
    with Path(job.source).open(newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


@task
def find_gaps(job: Job) -> list[int]:
    with Path(job.source).open(newline="") as file:
        return [number for number, row in enumerate(csv.DictReader(file)) if not row["price"]]


@task
def plan(checked: Checked) -> Load:
    print(f"{checked.count_rows} rows, {len(checked.find_gaps)} without a price")
    return Load(checked.job, checked.count_rows, len(checked.find_gaps))


@task
def load_batch(load: Load) -> LoopResult[Load]:
    with Path(load.job.source).open(newline="") as file:
        rows = list(csv.DictReader(file))[load.offset : load.offset + BATCH]
    with sqlite3.connect(load.job.target) as target:
        target.execute("CREATE TABLE IF NOT EXISTS prices (id INTEGER PRIMARY KEY, price REAL)")
        full = [(row["id"], float(row["price"])) for row in rows if row["price"]]
        target.executemany("INSERT OR REPLACE INTO prices VALUES (?, ?)", full)
    target.close()
    following = Load(load.job, load.rows, load.dropped, load.offset + len(rows))
    return LoopResult.again(following) if following.offset < load.rows else LoopResult.done(following)


@task
def summary(load: Load) -> str:
    return f"loaded {load.rows - load.dropped} of {load.rows} rows"


etl = (
    Flow("etl")
    .fork()
    .branch(count_rows)
    .branch(find_gaps)
    .branch(lambda job: job, name="job")
    .join(plan)
    .loop(load_batch, max_iterations=1000)
    .then(summary)
    .build()
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "prices.csv", Path(folder) / "prices.db"
        lines = [f"{number},{'' if number % 25 == 0 else number * 1.5}" for number in range(1, 101)]
        source.write_text("\n".join(["id,price", *lines]))

        with SqliteBackend(Path(folder) / "runs.db") as backend:
            status = run_durable_workflow(etl, "prices", Job(str(source), str(target)), backend)
            print(status.output)
            batches = [entry for entry in WorkflowClient(backend).timeline("prices") if entry.node_id == "load_batch"]
            print("checkpoints of the loop:", len(batches))

        database = sqlite3.connect(target)
        print("in the table:", database.execute("SELECT count(*), max(price) FROM prices").fetchone())
        database.close()


if __name__ == "__main__":
    main()

"""Prints:
100 rows, 4 without a price
loaded 96 of 100 rows
checkpoints of the loop: 3
in the table: (96, 148.5)
"""
