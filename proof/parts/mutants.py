"""Faults made by hand in our own code: all of them, or as many as there is time for, each time others."""

from __future__ import annotations

import random

from proof.mutants.bench import Trial, run_all
from proof.mutants.catalogue import MUTANTS
from proof.part import Budget, Figures

_EACH_SECS = 8.0
"""What one takes on average, two at a time."""


def run(budget: Budget) -> Figures:
    """Run the mutants."""
    count = min(len(MUTANTS), max(25, int(budget.seconds / _EACH_SECS)))
    chosen = list(MUTANTS) if count == len(MUTANTS) else random.Random(budget.seed).sample(MUTANTS, count)
    trials = run_all(chosen, tell=lambda trial: budget.say(f"  {trial.verdict:9} {trial.name}"), sound=False)
    alive = [trial for trial in trials if trial.verdict != "killed"]
    return {
        "mutants": len(trials),
        "of": len(MUTANTS),
        "killed": len(trials) - len(alive),
        "violations": [_shown(trial) for trial in alive],
    }


def _shown(trial: Trial) -> str:
    return f"mutant {trial.verdict}: {trial.name} {trial.by}".strip()
