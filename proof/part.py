"""What a part of the proof is: a name, a share of the time, and a function that proves something and returns figures.

Figures add up to the card: the same word means the same in every part (see `WORDS`). A part that finds a violation says so
in `violations`, as texts; it does not stop the others.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).parents[1]
Figures: TypeAlias = dict[str, Any]

ZEROS = ("lost", "committed_twice", "inputs_diverged", "signals_lost", "joins_wrong")
"""What must be zero everywhere."""
WORDS = {
    "seeds": "seeds of simulation",
    "instances": "instances under faults",
    "executions": "task executions under faults",
    "kills": "processes killed by SIGKILL",
    "stops": "processes stopped beyond their claims (SIGSTOP)",
    "retired": "processes ended by SIGTERM with a task in hand",
    "restarts": "PostgreSQL servers crashed and restarted",
    "terminated": "database connections ended by the server",
    "cuts": "connections cut after a certain byte",
    "crashes": "crashes played inside the process",
    "schedules": "orders of statements played",
    "statement_faults": "of these with a crash, or a COMMIT in doubt, after one statement",
    "complete_pairs": "pairs of racing verbs of which every order that locks leave was played",
    "deaths": "processes killed by their own tasks",
    "examples": "generated examples",
    "steps": "verbs of stores, compared with the model",
    "prefixes": "power cuts",
    "cases": "fuzz cases",
    "repeats": "executions that were repeated",
}


class NotRunError(Exception):
    """The part cannot be run here; the card says so, and why."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a part may use."""

    seconds: float
    folder: Path
    """An empty folder on a real disk, removed afterwards."""
    seed: int = field(default_factory=lambda: random.SystemRandom().randint(1, 2**32))
    say: Callable[[str], None] = lambda _: None
    began: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Return the seconds that are left, negative when they are used up."""
        return self.seconds - (time.monotonic() - self.began)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the proof."""

    name: str
    title: str
    minutes: float
    """Its share of an hour."""
    run: Callable[[Budget], Figures]
