"""Deterministic simulation: as many seeds as there is time for, from a place of their own each time."""

from __future__ import annotations

from proof.part import Budget, Figures
from sayiir.testing.simulation import simulate_many

_MOST = 1_000_000


def run(budget: Budget) -> Figures:
    """Play seeds in two halves: the first ones, which everybody plays, and others."""
    first = simulate_many(range(_MOST), minutes=budget.seconds / 120)
    others = simulate_many(range(budget.seed, budget.seed + _MOST), minutes=max(0.0, budget.left() / 60))
    first.merge(others)
    return {
        "seeds": first.seeds,
        "simulated_days": round(first.simulated_days, 2),
        "instances": first.instances,
        "executions": first.steps,
        "faults": dict(sorted(first.faults.items())),
        "violations": [
            f"seed {seed} (python -m sayiir.testing.simulation --seed {seed}): {texts[0]}"
            for seed, texts in first.violations.items()
        ],
    }
