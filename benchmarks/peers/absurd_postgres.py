"""Runs Absurd on PostgreSQL for the benchmark, in its own environment.

    python absurd_postgres.py URL

Its workers poll: at its best, four threads of them, 20 tasks at once each, every 10 ms. Beside the words of serve.py:
`chain STEPS RUNS`, in this thread, which is its way to run something at once.
"""

# mypy: ignore-errors
# What is imported here is installed in the environment that runs it, not in ours.

from __future__ import annotations

import sys
import threading
import time
from functools import cache
from typing import Any

import psycopg
from absurd_sdk import Absurd
from absurdctl import BUNDLED_SCHEMA_SQL
from serve import finished, reactions, ring, serve

URL, QUEUE = sys.argv[1], "bench"


def install() -> None:
    """Make its schema where there is none."""
    with psycopg.connect(URL, autocommit=True) as connection:
        if connection.execute("SELECT to_regnamespace('absurd') IS NULL").fetchone()[0]:
            connection.execute(BUNDLED_SCHEMA_SQL)
            Absurd(connection, queue_name=QUEUE).create_queue()


def engine() -> Absurd:
    """Return an engine with a connection of its own."""
    app = Absurd(URL, queue_name=QUEUE)

    @app.register_task(name="chain")
    def chain(params: Any, context: Any) -> int:
        value = 0
        for number in range(params["steps"]):
            value = context.step(f"step_{number}", lambda value=value: value + 1)
        finished()
        return value

    @app.register_task(name="ping")
    def ping(params: Any, context: Any) -> None:
        return context.step("bell", lambda: ring(params["number"]))

    return app


def main() -> None:
    """Answer until the input ends."""
    app = cache(engine)

    def run(steps: int, runs: int) -> float:
        began = time.perf_counter()
        for _ in range(runs):
            app().spawn("chain", {"steps": steps})
            app().work_batch()
        return (time.perf_counter() - began) * 1e6 / runs / steps

    def submit(count: int) -> None:
        for _ in range(count):
            app().spawn("chain", {"steps": 4})

    def work() -> None:
        for number in range(4):
            options = {"worker_id": f"w{number}", "batch_size": 20, "poll_interval": 0.01}
            threading.Thread(target=engine().start_worker, kwargs=options, daemon=True).start()

    serve(
        ready=install, chain=run, submit=submit, work=work,
        pick_up=lambda count: reactions(count, lambda number: app().spawn("ping", {"number": number})),
    )  # fmt: skip


if __name__ == "__main__":
    main()
