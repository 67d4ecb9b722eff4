"""`python -m proof.mutants`: make each fault, run its tests, and tell which survived; exit code 1 if one did."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from proof.mutants.bench import Trial, run_all
from proof.mutants.catalogue import MUTANTS


def main(arguments: list[str] | None = None) -> int:
    """Run the mutants and return the exit code."""
    parser = argparse.ArgumentParser(prog="proof.mutants", description="Make faults in a copy; the tests must see them.")
    parser.add_argument("words", nargs="*", help="only mutants whose name or file has one of these words")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (2)")
    parser.add_argument("--trust", action="store_true", help="do not first run the tests without a fault")
    parser.add_argument("--json", type=Path, help="write the trials to this file")
    options = parser.parse_args(arguments)
    chosen = [m for m in MUTANTS if not options.words or any(word in f"{m.name} {m.file}" for word in options.words)]
    trials = run_all(chosen, jobs=options.jobs, tell=_tell, sound=not options.trust)
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(trial) for trial in trials], indent=1), "utf-8")
    alive = [trial for trial in trials if trial.verdict != "killed"]
    print(f"{len(trials) - len(alive)} of {len(trials)} mutants killed")
    for trial in alive:
        print(f"  {trial.verdict}: {trial.name} {trial.by}")
    return 1 if alive else 0


def _tell(trial: Trial) -> None:
    print(f"{trial.verdict:9}{trial.seconds:6.1f} s  {trial.name}  {trial.by}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
