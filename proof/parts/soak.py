"""Hours in minutes: a worker under a steady stream of instances, with a short retention; nothing may grow.

Most are of one task, so that there are very many; each twentieth has a fork, a coroutine, a join and a delay. The server
forces nothing to the disk: what is looked at is the worker.

Measured on the worker's own process: memory over instances (by least squares, after a third to warm up), threads and
descriptors at the end against those after the warm-up; of the database the size of its tables, and the rows that are left
when all are purged. Threads, descriptors or tables that grow are violations, and so are rows that stay.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

import psycopg

from proof.machine import descriptors, resident, threads_of
from proof.part import ROOT, Budget, Figures
from sayiir import Flow, PostgresBackend, Worker, WorkflowClient, connect
from tests.servers.postgres import PostgresServer

_BATCH = 1000
_MIXED_IN_BATCH = _BATCH // 20
_PURGED_SECS = 100.0
"""Workers purge once a minute."""
_MORE_THREADS, _MORE_DESCRIPTORS, _MORE_TABLES = 2, 4, 1.5
RETENTION_SECS = 5.0
_TABLES = ("instances", "tokens", "results", "signals", "logs")
_ROWS = "SELECT " + " + ".join(f"(SELECT count(*) FROM sayiir.{table})" for table in _TABLES)
_SIZE = "SELECT " + " + ".join(f"pg_total_relation_size('sayiir.{table}')" for table in _TABLES)


def one(value: int) -> int:
    """Return the next number."""
    return value + 1


async def two(value: int) -> int:
    """Return the next number, on the loop."""
    return value + 1


def plain() -> Any:
    """Return a flow of one task."""
    return Flow("plain").then(one).build()


def mixed() -> Any:
    """Return a flow with a fork, a coroutine and a short delay."""
    made: Any = Flow("soaked").then(one).fork().branch(one, name="l").branch(two, name="r").join(_left, name="join")
    return made.delay("rest", 0.05).then(two, name="last").build()


def _left(parts: dict[str, int]) -> int:
    return parts["l"]


def run(budget: Budget) -> Figures:
    """Submit until the time is used up, and look at the worker's process from outside."""
    with PostgresServer(fast=True) as server:
        url = server.create_database()
        with PostgresBackend(url) as backend:
            client = WorkflowClient(backend)
            child = _child(url)
            try:
                points = _submit(budget, client, child.pid, url)
                threads = threads_of(child.pid)
                files = descriptors(child.pid)
                # Retention works while nothing else does.
                rows = _rows_left(url)
            finally:
                assert child.stdin is not None
                child.stdin.close()
                child.wait(60)
    warm = points[len(points) // 3 :]
    slope = _slope([(point["done"], point["resident"]) for point in warm]) * 100_000 / 2**20
    half = len(points) // 2
    early, late = (max(point["tables"] for point in some) / 2**20 for some in (points[:half], points[half:]))
    figures: Figures = {
        "instances": points[-1]["done"],
        "rss_mb_per_100k": round(slope, 2),
        "rss_mb": round(points[-1]["resident"] / 2**20, 1),
        "threads_grown": threads - warm[0]["threads"],
        "descriptors_grown": files - warm[0]["descriptors"],
        "retention_secs": RETENTION_SECS,
        "tables_mb_early": round(early, 1),
        "tables_mb": round(late, 1),
        "rows_left": rows,
        "per_second": round(points[-1]["done"] / points[-1]["at"], 1),
    }
    return {**figures, "violations": grown(figures, is_long=points[-1]["at"] > 2 * _PURGED_SECS)}


def grown(figures: Figures, *, is_long: bool) -> list[str]:
    """Return what has grown that must not; tables are only judged when both halves have seen purges."""
    found = []
    if figures["threads_grown"] > _MORE_THREADS:
        found.append(f"{figures['threads_grown']} threads more than after the warm-up")
    if figures["descriptors_grown"] > _MORE_DESCRIPTORS:
        found.append(f"{figures['descriptors_grown']} descriptors more than after the warm-up")
    if figures["rows_left"]:
        found.append(f"{figures['rows_left']} rows are left though all instances are older than their retention")
    if is_long and figures["tables_mb"] > _MORE_TABLES * figures["tables_mb_early"]:
        found.append(f"tables grew from {figures['tables_mb_early']} to {figures['tables_mb']} MiB")
    return found


def _submit(budget: Budget, client: WorkflowClient, pid: int, url: str) -> list[dict[str, Any]]:
    """Keep a batch under way while the next one is submitted."""
    began, points, flows, under_way = time.monotonic(), list[dict[str, Any]](), (plain(), mixed()), list[str]()
    while budget.left() > 0 or len(points) < 6:
        number, lasts = len(points), list[str]()
        for flow, count in zip(flows, (_BATCH - _MIXED_IN_BATCH, _MIXED_IN_BATCH), strict=True):
            names = [f"{flow.workflow_id}-{number}-{index}" for index in range(count)]
            client.submit_many(flow, [(name, 1) for name in names])
            lasts.append(names[-1])
        for name in under_way:
            client.wait(name, 120)
        under_way = lasts
        points.append({
            "done": number * _BATCH, "resident": resident(pid), "threads": threads_of(pid),
            "descriptors": descriptors(pid), "tables": _ask(url, _SIZE), "at": time.monotonic() - began,
        })  # fmt: skip
    for name in under_way:
        client.wait(name, 120)
    return points


def _slope(points: list[tuple[int, int]]) -> float:
    """Return bytes per instance, by least squares."""
    count = len(points)
    x, y = sum(point[0] for point in points) / count, sum(point[1] for point in points) / count
    spread = sum((point[0] - x) ** 2 for point in points)
    return sum((point[0] - x) * (point[1] - y) for point in points) / spread if spread else 0.0


def _rows_left(url: str) -> int:
    """Wait until everything is purged; return how many rows never were."""
    deadline, pause = time.monotonic() + _PURGED_SECS, threading.Event()
    while (left := _ask(url, _ROWS)) and time.monotonic() < deadline:
        pause.wait(0.5)
    return left


def _ask(url: str, question: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    return int(row[0]) if row else 0


def _child(url: str) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    child = subprocess.Popen(
        [sys.executable, "-m", "proof.parts.soak", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert child.stdout is not None
    assert json.loads(child.stdout.readline()) == "working"
    return child


def main(url: str) -> None:
    """Be the worker until the input ends."""
    with connect(url) as backend, Worker("soaked", backend, retention=RETENTION_SECS).start([plain(), mixed()]):
        sys.stdout.write('"working"\n')
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
