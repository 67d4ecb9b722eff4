"""Chains run durably in this process, on any backend."""

from __future__ import annotations

from functools import partial

from benchmarks.flows import chain, new_id
from benchmarks.measure import Budget, Case, timed
from sayiir import PostgresBackend, SqliteBackend, Workflow, run_durable_workflow

Backend = SqliteBackend | PostgresBackend


def chains(backend: Backend, steps: int, lengths: tuple[int, ...], must: Budget) -> list[Case]:
    """Return a case for each length; the floor is the case "bare".

    Args:
        backend: where they run.
        steps: how many steps one measurement takes, at least one chain.
        lengths: steps of a chain.
        must: what a step may cost.
    """
    return [
        Case(f"ours {length}", f"`run_durable_workflow`, chain of {length:,}",
             partial(run, backend, chain(length), length, max(1, steps // length)), "micros", "bare", (must,))
        for length in lengths
    ]  # fmt: skip


def run(backend: Backend, workflow: Workflow[int, int], length: int, runs: int) -> float:
    """Return the microseconds of a step."""

    def work() -> None:
        for _ in range(runs):
            run_durable_workflow(workflow, new_id(), 0, backend)

    return timed(work) / runs / length * 1e6
