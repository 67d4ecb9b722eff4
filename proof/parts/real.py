"""Six cases on real `sayiir` 1.0.0, where its API allows them, and the same script on ours; what happened, side by side.

Ours must go well in all of them; what the other does is told, not judged. Both interpreters run `proof/twins/actor.py`, each
case in a database of its own. BENCH_SAYIIR_REAL may name an interpreter that has the real one.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.environments import interpreter
from benchmarks.server import Server
from proof.part import Budget, Figures, NotRunError
from proof.twins.cases import CASES, Told, play
from proof.twins.crew import Crew, Engine

OURS = Engine("ours", sys.executable, is_ours=True)


def run(budget: Budget) -> Figures:
    """Play each case on both engines, one case at a time on each."""
    python = interpreter("sayiir_real", None)
    if python is None:
        raise NotRunError("no environment with real sayiir 1.0.0 could be made here (no network?)")
    engines = (OURS, Engine("real", python))
    told: dict[str, dict[str, str]] = {name: {} for name in CASES}
    titles = {name: title for name, (title, _) in CASES.items()}
    figures: Figures = {"cases_played": 0, "told": told, "titles": titles, "violations": []}
    with Server(budget.folder) as server, ThreadPoolExecutor(len(engines)) as pool:
        databases = {(engine.name, name): server.database() for engine in engines for name in CASES}

        def all_of(engine: Engine) -> dict[str, Told]:
            folder = budget.folder / engine.name
            folder.mkdir()
            urls = {name: databases[engine.name, name] for name in CASES}
            return {name: _guarded(engine, urls[name], folder, name) for name in CASES}

        for engine, results in zip(engines, pool.map(all_of, engines), strict=True):
            for name, (good, text) in results.items():
                told[name][engine.name] = text
                figures["cases_played"] += good is not None
                budget.say(f"  {engine.name:5} {name:11} {text}")
                if engine.is_ours and good is False:
                    figures["violations"].append(f"{name}: {text}")
    return figures


def _guarded(engine: Engine, url: str, folder: Path, name: str) -> Told:
    try:
        return play(lambda ledger: Crew(engine, url, ledger), folder, name)
    except Exception as error:  # noqa: BLE001 -- the other cases are played all the same
        return False, f"{type(error).__name__}: {error}"[:300]
