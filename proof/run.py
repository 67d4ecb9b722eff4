"""`python -m proof.run`, or `make prove`: run every part of the proof and write the card of reliability.

It takes about an hour, or `--minutes`. Interrupted, it goes on where it was: what has ended is kept in `.prove/`. With
all parts done it writes docs/reliability.json and, made from it, docs/reliability.md.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from proof.aims import aims
from proof.card import write
from proof.machine import facts
from proof.part import ROOT, Budget, Figures, NotRunError, Part
from proof.parts import PARTS

_HOUR = 60.0


def main(arguments: list[str] | None = None) -> int:
    """Run the proof and return the exit code: 1 when a part found a violation."""
    options = _options(arguments)
    state = _State(options.state, fresh=options.fresh)
    chosen = [part for part in PARTS if not options.only or part.name in options.only]
    share = sum(part.minutes for part in chosen)
    for part in chosen:
        if part.name in state.done and not options.only:
            print(f"{part.name}: done before")
            continue
        seconds = options.minutes * 60 * part.minutes / share
        print(f"{part.name}: {part.title}, about {seconds / 60:.1f} minutes", flush=True)
        state.note(part, _run(part, seconds, options.dir, options.seed))
    if not options.only or options.docs:
        kept = write(state.results(PARTS), options.docs or ROOT / "docs")
        for aim in aims(kept["parts"]):
            print(f"{aim.title}: {aim.found} ({aim.wanted}){'' if aim.reached else ', NOT REACHED'}")
    wrong = {name: result["violations"] for name, result in state.done.items() if result.get("violations")}
    for name, violations in wrong.items():
        print(f"{name} found violations:", *violations, sep="\n  ")
    if not wrong and len(state.done) == len(PARTS):
        state.forget()
    return 1 if wrong else 0


def _run(part: Part, seconds: float, parent: Path, seed: int | None) -> Figures:
    folder = Path(tempfile.mkdtemp(prefix=f"{part.name}-", dir=parent))
    began, made = time.monotonic(), {} if seed is None else {"seed": seed}
    budget = Budget(seconds, folder, say=print, **made)
    figures: Figures
    try:
        figures = part.run(budget)
    except NotRunError as why:
        figures = {"not_run": str(why)}
    except Exception as error:  # noqa: BLE001 -- the other parts go on; the card says what happened
        traceback.print_exc()
        figures = {"violations": [f"{type(error).__name__}: {error}"]}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    took = round(time.monotonic() - began, 1)
    figures = {**figures, "seconds": took, "seed": budget.seed, "date": _today(), "version": _version()}
    shown = {name: value for name, value in figures.items() if not isinstance(value, list | dict)}
    print(f"{part.name}: {json.dumps(shown)}", flush=True)
    return figures


class _State:
    """What was proved so far, kept over interruptions."""

    def __init__(self, folder: Path, *, fresh: bool) -> None:
        folder.mkdir(exist_ok=True)
        self._file = folder / "state.json"
        if fresh:
            self.forget()
        self.done: dict[str, Figures] = json.loads(self._file.read_text("utf-8")) if self._file.exists() else {}

    def note(self, part: Part, figures: Figures) -> None:
        self.done[part.name] = figures
        whole = self._file.with_suffix(".new")
        whole.write_text(json.dumps(self.done), "utf-8")
        whole.replace(self._file)

    def results(self, parts: tuple[Part, ...]) -> dict[str, Any]:
        return {
            "date": _today(),
            "version": _version(),
            "machine": facts(),
            "parts": {part.name: self.done.get(part.name, {"not_run": "left out of this run"}) for part in parts},
        }

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)


def _today() -> str:
    return dt.datetime.now(tz=dt.UTC).date().isoformat()


def _version() -> str:
    from sayiir import __version__

    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return f"{__version__} ({found.stdout.strip()})" if found.returncode == 0 else __version__


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="proof.run", description="Prove the promises, and write the card.")
    parser.add_argument("--minutes", type=float, default=_HOUR, help="how long, about, all parts together (60)")
    parser.add_argument("--only", action="append", choices=[part.name for part in PARTS],
                        help="only this part (may be repeated); the card is only written where --docs says")  # fmt: skip
    parser.add_argument("--fresh", action="store_true", help="begin anew rather than go on where it was interrupted")
    parser.add_argument("--seed", type=int, help="of parts that are given one; drawn when not given")
    parser.add_argument("--docs", type=Path, help="folder for reliability.md and reliability.json (docs)")
    parser.add_argument("--state", type=Path, default=ROOT / ".prove", help="folder of what was proved so far (.prove)")
    parser.add_argument("--dir", type=Path, help="folder on the disk to use; the system's for temporary files")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
