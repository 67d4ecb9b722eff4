"""Deterministic simulation: as many seeds as there is time for, in a process for each processor.

The first half are the seeds that everybody plays, from 0 on; the others are from a place of their own each time. What fails
is told with how to play it again; the first few are made small, once all have been played, and kept as regression cases.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

from proof.part import ROOT, ZEROS, Budget, Figures
from sayiir.testing.simulation import Summary, keep, simulate, simulate_many
from sayiir.testing.simulation.shrink import invariant

_SLICE = 250
"""So many seeds are played before it is asked again whether there is time."""
_ELSEWHERE = 1_000_000_000
_KEPT = 3
"""So many of the seeds that fail become regression cases."""
_CASES = ROOT / "tests" / "simulation" / "regressions"
_WORDS = {"I1": "lost", "I4": "committed_twice", "I5": "inputs_diverged", "I8": "signals_lost", "I9": "joins_wrong"}
"""The card's word for each of the invariants that it has one for (see the simulation's witness.py). I5 is broken by an end
that is not what the flow says, too: some input was another on the way."""


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
    return figures(total, _CASES)


def figures(total: Summary, cases: Path) -> Figures:
    """Return the card's figures; what fails is kept in a folder.

    Args:
        total: what all seeds saw.
        cases: where regression cases are.
    """
    return {
        "seeds": total.seeds,
        "simulated_days": round(total.simulated_days, 2),
        "instances": total.instances,
        "executions": total.steps,
        "max_replay_secs": round(total.slowest_secs, 2),
        "faults": dict(sorted(total.faults.items())),
        **zeros(text for texts in total.violations.values() for text in texts),
        "violations": list(_told(total.violations, cases)),
    }


def zeros(violations: Iterable[str]) -> dict[str, int]:
    """Return how often what must be zero was seen.

    A violation of another invariant is counted under none of these words: the card then says of each that it cannot tell.
    """
    seen = Counter(_WORDS.get(invariant(text)) for text in violations)
    return {word: seen[word] for word in ZEROS}


def _told(violations: dict[int, list[str]], cases: Path) -> Iterator[str]:
    """Yield what failed and how to play it again; the file stands first, since the card cuts long texts."""
    for place, (seed, texts) in enumerate(sorted(violations.items())):
        again = f"python -m sayiir.testing.simulation --seed {seed}"
        kept = f"; {_kept(seed, cases)}" if place < _KEPT else ""
        yield f"seed {seed} ({again}{kept}): {texts[0]}"


def _kept(seed: int, cases: Path) -> str:
    """Make a failing seed a regression case, and return where it is."""
    report = simulate(seed)
    if not report.violations:
        return "it held when it was played again"
    file = keep(report, cases).file
    return f"kept as {file.relative_to(ROOT) if file.is_relative_to(ROOT) else file}"
