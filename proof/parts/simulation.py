"""Deterministic simulation: as many seeds as there is time for, in a process for each processor.

The first half are the seeds that everybody plays, from 0 on; the others are from a place of their own each time.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ProcessPoolExecutor

from proof.part import Budget, Figures
from sayiir.testing.simulation import Summary, simulate_many

_SLICE = 250
"""So many seeds are played before it is asked again whether there is time."""
_ELSEWHERE = 1_000_000_000


def run(budget: Budget) -> Figures:
    """Play seeds: slices of the first ones and of others in turn, until the time is used up."""
    total, next_slice, workers = Summary(), 0, min(4, os.cpu_count() or 1)
    with ProcessPoolExecutor(workers) as pool:
        running = set[Future[Summary]]()
        while budget.left() > 0 or running:
            while budget.left() > 0 and len(running) < workers:
                half, number = next_slice % 2, next_slice // 2
                first = (_ELSEWHERE + budget.seed if half else 0) + number * _SLICE
                running.add(pool.submit(simulate_many, range(first, first + _SLICE), minutes=max(0.0, budget.left() / 60)))
                next_slice += 1
            done = {future for future in running if future.done()} or {next(iter(running))}
            for future in done:
                total.merge(future.result())
            running -= done
    return {
        "seeds": total.seeds,
        "simulated_days": round(total.simulated_days, 2),
        "instances": total.instances,
        "executions": total.steps,
        "max_replay_secs": round(total.slowest_secs, 2),
        "faults": dict(sorted(total.faults.items())),
        "violations": [
            f"seed {seed} (python -m sayiir.testing.simulation --seed {seed}): {texts[0]}"
            for seed, texts in total.violations.items()
        ],
    }
