"""Many threads, each running instances of its own, on one SqliteBackend: what group commit is worth."""

from __future__ import annotations

import threading
from collections.abc import Callable

from benchmarks.flows import chain, new_id
from benchmarks.measure import Budget, Case, Group, timed
from benchmarks.setting import Setting
from sayiir import SqliteBackend, run_durable_workflow


def _group(setting: Setting) -> Group:
    folder, scale = setting.fresh(), setting.scale
    backend = SqliteBackend(folder / "ours.db")
    cases = []
    for length in (length for length in scale.chains if length <= scale.each):
        one = f"one {length}"
        cases += [
            Case(one, f"one thread, chains of {length:,}", _rate(backend, length, 1, scale.synced), "rate"),
            Case(f"many {length}", f"{scale.threads} threads, chains of {length:,}",
                 _rate(backend, length, scale.threads, scale.each), "rate", one,
                 (Budget(3.0, 5.0, to=one, at_least=True),)),
        ]  # fmt: skip
    return Group(
        "threads",
        "Many threads on one SqliteBackend, synchronous=FULL",
        "Steps per second over all threads; each thread runs durable instances of its own, one after the other.",
        cases,
        backend.close,
    )


def _rate(backend: SqliteBackend, length: int, threads: int, steps: int) -> Callable[[], float]:
    workflow, runs = chain(length), max(1, steps // length)

    def one() -> None:
        for _ in range(runs):
            run_durable_workflow(workflow, new_id(), 0, backend)

    def work() -> None:
        workers = [threading.Thread(target=one) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return lambda: threads * runs * length / timed(work)


GROUPS: dict[str, Callable[[Setting], Group]] = {
    "threads": _group,
}
