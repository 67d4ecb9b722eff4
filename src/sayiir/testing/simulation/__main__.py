"""`python -m sayiir.testing.simulation`: play seeds or a plan, show what failed and how to play it again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sayiir.testing.simulation.keep import keeper, tell
from sayiir.testing.simulation.many import simulate_many
from sayiir.testing.simulation.plan import Plan, draw, read, write
from sayiir.testing.simulation.shrink import shrink
from sayiir.testing.simulation.world import World


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return 1 when an invariant was broken."""
    parser = argparse.ArgumentParser("python -m sayiir.testing.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one")
    parser.add_argument("--seeds", default="0:1000", help="play from:to (default %(default)s)")
    parser.add_argument("--plan", type=Path, help="play a plan from a JSON file")
    parser.add_argument("--minutes", type=float, help="stop when so much real time has passed")
    parser.add_argument("--trace", action="store_true", help="with --seed or --plan: print every moment")
    parser.add_argument("--shrink", type=Path, metavar="FILE", help="make what fails small, and keep it in FILE")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="with --seeds: keep what fails there, made small")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    options = parser.parse_args(arguments)
    if options.seed is not None or options.plan is not None:
        plan = draw(options.seed or 0) if options.plan is None else read(options.plan.read_text("utf-8"))
        return _one(plan, trace=options.trace, smaller=options.shrink)
    first, last = map(int, options.seeds.split(":"))
    failed = tell if options.keep is None else keeper(options.keep)
    summary = simulate_many(range(first, last), minutes=options.minutes, failed=failed)
    if options.json is not None:
        options.json.write_bytes(summary.to_json())
    sys.stdout.write(
        f"{summary.seeds} seeds, {summary.simulated_days:.2f} simulated days, {sum(summary.faults.values())} faults, "
        f"{summary.instances} instances, {summary.steps} tasks, {len(summary.violations)} seeds failed\n"
    )
    return 1 if summary.violations else 0


def _one(plan: Plan, *, trace: bool, smaller: Path | None) -> int:
    report = World(plan, print if trace else None).play()
    sys.stdout.write(f"{report.seconds:.3f} simulated seconds, {report.steps} steps, digest {report.digest:08x}\n")
    if not report.violations:
        return 0
    tell(report)
    if smaller is not None:
        smaller.write_text(write(shrink(plan)) + "\n", "utf-8")
        sys.stdout.write(f"a smaller plan that fails alike is in {smaller}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
