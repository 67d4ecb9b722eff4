"""Keeps what failed: a failing seed's plan is made small and stays as a regression case, a file that can be played.

The plan that was drawn is written first, and what is left of it over it once it is small: whoever interrupts the shrinking
has a case, too. What is kept is data, so it plays the same when seeds are drawn otherwise one day.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from sayiir.testing.simulation.plan import Plan, write
from sayiir.testing.simulation.shrink import invariant, shrink
from sayiir.testing.simulation.world import Report

PLAYS = 200
"""So many plays a failing plan may take to become small: seconds, mostly."""


class Kept(msgspec.Struct, frozen=True):
    """A failing seed and its regression case."""

    seed: int
    broken: str
    """The violation that was seen first."""
    plan: Plan
    """What is left of the seed's plan."""
    file: Path
    """Where that is."""

    @property
    def again(self) -> str:
        """The command that plays the case and shows every moment."""
        return f"python -m sayiir.testing.simulation --plan {shlex.quote(str(self.file))} --trace"


def keep(report: Report, folder: Path, *, plays: int = PLAYS) -> Kept:
    """Make the plan of a failed simulation small, and write it as a regression case.

    Args:
        report: what was seen; it has violations.
        folder: where cases are; it is made when it is not there.
        plays: how many plays the shrinking may take.

    Returns:
        What was broken, what is left of the plan, and the file, named after the seed and the invariant. A plan that
        does not fail when it is played again is kept as it is: it hangs on something that the seed does not decide.

    >>> import tempfile
    >>> from sayiir.testing.simulation import simulate
    >>> keep(simulate(1), Path(tempfile.gettempdir()))
    Traceback (most recent call last):
        ...
    ValueError: seed 1 broke nothing
    """
    seed = report.plan.seed
    if not report.violations:
        raise ValueError(f"seed {seed} broke nothing")
    broken = report.violations[0]
    number = invariant(broken)
    name = f"seed-{seed}-{number}" if number.isalnum() else f"seed-{seed}"
    kept = Kept(seed, broken, report.plan, folder.resolve() / f"{name}.json")
    folder.mkdir(parents=True, exist_ok=True)
    _write(kept)
    try:
        kept = msgspec.structs.replace(kept, plan=shrink(report.plan, plays=plays))
    except ValueError:
        return kept
    _write(kept)
    return kept


def _write(kept: Kept) -> None:
    kept.file.write_text(write(kept.plan) + "\n", "utf-8")


def keeper(folder: Path, most: int = 3) -> Callable[[Report], None]:
    """Return what tells of each failing seed and keeps the first few, as `simulate_many` takes it for `failed`.

    Args:
        folder: where cases are.
        most: how many are kept; when our code is broken for many seeds, the others would say the same.
    """
    kept = list[Kept]()

    def failed(report: Report) -> None:
        tell(report)
        if len(kept) < most:
            kept.append(keep(report, folder))
            tell_kept(kept[-1], report.plan)

    return failed


def tell(report: Report) -> None:
    """Say what failed and how to play it again."""
    seed = report.plan.seed
    sys.stdout.write(f"seed {seed} failed:\n")
    for violation in report.violations:
        sys.stdout.write(f"  {violation}\n")
    sys.stdout.write(f"play it again:  python -m sayiir.testing.simulation --seed {seed} --trace\n")
    sys.stdout.write(f"make it small:  python -m sayiir.testing.simulation --seed {seed} --shrink plan.json\n")


def tell_kept(kept: Kept, drawn: Plan) -> None:
    """Say where the regression case is, and how small it has become."""
    before, after = (f"{len(plan.faults)} faults and {len(plan.commands)} commands" for plan in (drawn, kept.plan))
    sys.stdout.write(f"made small:     {before} became {after}\n" if kept.plan != drawn else "made small:     no\n")
    sys.stdout.write(f"kept as a case: {kept.file}\n")
    sys.stdout.write(f"play the case:  {kept.again}\n")
