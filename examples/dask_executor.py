"""Sync tasks on a Dask cluster: a cluster computes, the worker here orchestrates and checkpoints.

Shows `Worker(executor=…)` with the executor of a `distributed.Client`, for the tasks of one tag only. Any
`concurrent.futures.Executor` will do: a process pool, or Ray's. Needs `pip install distributed`.
"""

import os
import tempfile

from distributed import Client, LocalCluster

from sayiir import Flow, SqliteBackend, Worker, WorkflowClient, task


@task
def plan(limit: int) -> dict[str, int]:
    return {"limit": limit, "planned_in": os.getpid()}


@task(tags=["compute"], timeout="50s")
def primes(job: dict[str, int]) -> dict[str, int]:
    count = sum(all(number % d for d in range(2, int(number**0.5) + 1)) for number in range(2, job["limit"]))
    return {**job, "primes": count, "computed_in": os.getpid()}


@task
def report(job: dict[str, int]) -> str:
    elsewhere = job["computed_in"] != job["planned_in"] == os.getpid()
    return f"{job['primes']} primes below {job['limit']}, computed {'elsewhere' if elsewhere else 'here'}"


counting = Flow("counting").then(plan).then(primes).then(report).build()


def main() -> None:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as dask,
        tempfile.TemporaryDirectory() as folder,
        SqliteBackend(f"{folder}/runs.db") as backend,
    ):
        client = WorkflowClient(backend)
        with Worker("w1", backend, executor={"compute": dask.get_executor()}).start([counting]):
            client.submit_many(counting, [("small", 100), ("large", 20_000)])
            for instance_id in ("small", "large"):
                print(instance_id, client.wait(instance_id, timeout=55).output)


if __name__ == "__main__":
    main()

"""Prints:
small 25 primes below 100, computed elsewhere
large 2262 primes below 20000, computed elsewhere
"""
