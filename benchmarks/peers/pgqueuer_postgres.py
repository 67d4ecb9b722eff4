"""Runs PgQueuer for the benchmark, in its own environment.

    python pgqueuer_postgres.py URL

It is a queue of jobs: a chain of four steps is four jobs, of which each enqueues the next. At its best it takes 100 jobs at
once. It wakes by notices.
"""

# mypy: ignore-errors
# What is imported here is installed in the environment that runs it, not in ours.

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries
from serve import finished, reactions, ring, serve

URL = sys.argv[1]


async def connected() -> Queries:
    """Return access to the queue, which is made where there is none."""
    queries = Queries(AsyncpgDriver(await asyncpg.connect(URL)))
    if not await queries.schema_is_installed():
        await queries.install()
    return queries


async def consume() -> None:
    """Work until the process ends."""
    queries = await connected()
    worker = PgQueuer(AsyncpgDriver(await asyncpg.connect(URL)))

    @worker.entrypoint("step")
    async def step(job: Any) -> None:
        number = int(job.payload)
        if number == 4:
            finished()
        else:
            await queries.enqueue("step", str(number + 1).encode())

    @worker.entrypoint("ping")
    async def ping(job: Any) -> None:
        ring(int(job.payload))

    await worker.run(batch_size=100)


def main() -> None:
    """Answer until the input ends."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def wait(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    @cache
    def queries() -> Queries:
        return wait(connected())

    def submit(count: int) -> None:
        wait(queries().enqueue(["step"] * count, [b"1"] * count, [0] * count))

    def work() -> None:
        asyncio.run_coroutine_threadsafe(consume(), loop)

    serve(
        ready=lambda: queries() and 0, submit=submit, work=work,
        pick_up=lambda count: reactions(count, lambda number: wait(queries().enqueue("ping", str(number).encode()))),
    )  # fmt: skip


if __name__ == "__main__":
    main()
