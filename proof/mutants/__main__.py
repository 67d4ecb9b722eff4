"""`python -m proof.mutants`: make each fault, run its tests, and tell which survived; exit code 1 if one did.

With `--keep FILE` each trial is kept as it ends: begun again with that file, it goes on where it was interrupted.
"""

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
    parser.add_argument("--keep", type=Path, help="a file of trials: those in it are not made again, others are added")
    options = parser.parse_args(arguments)
    chosen = [m for m in MUTANTS if not options.words or any(word in f"{m.name} {m.file}" for word in options.words)]
    before = _kept(options.keep)
    anew = [mutant for mutant in chosen if mutant.name not in before]

    def tell(trial: Trial) -> None:
        print(f"{trial.verdict:9}{trial.seconds:6.1f} s  {trial.name}  {trial.by}", flush=True)
        if options.keep is not None:
            with options.keep.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(trial)) + "\n")

    trials = [before[mutant.name] for mutant in chosen if mutant.name in before]
    trials += run_all(anew, jobs=options.jobs, tell=tell, sound=not options.trust)
    alive = [trial for trial in trials if trial.verdict != "killed"]
    print(f"{len(trials) - len(alive)} of {len(trials)} mutants killed")
    for trial in alive:
        print(f"  {trial.verdict}: {trial.name} {trial.by}")
    return 1 if alive else 0


def _kept(file: Path | None) -> dict[str, Trial]:
    if file is None or not file.exists():
        return {}
    trials = [Trial(**json.loads(line)) for line in file.read_text("utf-8").splitlines()]
    return {trial.name: trial for trial in trials}


if __name__ == "__main__":
    sys.exit(main())
