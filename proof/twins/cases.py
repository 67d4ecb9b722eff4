"""The six cases, each of which returns what happened in a few words and whether it went well.

It went well when every instance came to its right end and nothing was executed that need not have been.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from proof.twins.crew import Crew, await_, wrong_clock

Told: TypeAlias = tuple[bool | None, str]
"""Whether it went well (None: not played), and what happened."""
_LIVES = 6
_SKEW_SECS = "-60"


def _ends(found: list[dict[str, Any]]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(Counter(one["state"] for one in found).items()))


def long_task(crew: Crew) -> Told:
    """Give two healthy workers with claims of 1 s tasks of 3 s."""
    ids = [f"i{number}" for number in range(4)]
    for _ in range(2):
        crew.hire(ttl=1)
    crew.submit("long", *ids)
    found = crew.settled(40, *ids)
    runs = len(crew.lines())
    good = runs == len(ids) and all(one["state"] == "completed" for one in found)
    return good, f"{len(ids)} instances, {runs} executions; {_ends(found)}"


def zombie(crew: Crew) -> Told:
    """Let a worker stand still within a task for longer than its claim, another take over, and the first wake."""
    first = crew.hire(ttl=8)
    crew.submit("zombie", "i")
    if not await_(lambda: bool(crew.lines("held")), 20):
        return False, "the task did not begin"
    os.kill(first.pid, signal.SIGSTOP)
    crew.hire(ttl=8)
    # The other one's result is stored, since the task behind it has begun with it.
    taken = await_(lambda: bool(crew.lines("after")), 30)
    before = crew.result("i", "held")
    os.kill(first.pid, signal.SIGCONT)
    await_(lambda: crew.result("i", "held") != before, 3)  # it must not: a committed result is final
    late = crew.result("i", "held")
    (found,) = crew.settled(15, "i")
    inputs = [line["by"] for line in crew.lines("after")]
    good = taken and found["state"] == "completed" and before == late and len(inputs) == 1
    became = "stayed as it was" if before == late else "was replaced by the late one"
    text = f"{'taken over' if taken else 'not taken over'}; the committed result {became}; the task behind it ran"
    return good, f"{text} {len(inputs)} ×, with {len(set(inputs))} different inputs; {found['state']}"


def skew(crew: Crew) -> Told:
    """Give two workers with claims of 30 s, of which one has its clock 60 s behind, 20 instances of a short task."""
    library = wrong_clock(crew.ledger.parent)
    if library is None:
        return None, "not played: no C compiler here to make a wrong clock with"
    ids = [f"i{number}" for number in range(20)]
    crew.hire(ttl=30)
    crew.hire(ttl=30, more={"LD_PRELOAD": str(library), "SKEW_SECS": _SKEW_SECS})
    crew.submit("skew", *ids)
    found = crew.settled(30, *ids)
    runs = Counter(line["instance"] for line in crew.lines())
    twice = sum(count > 1 for count in runs.values())
    good = twice == 0 and all(one["state"] == "completed" for one in found)
    return good, f"{twice} of {len(ids)} instances executed more than once ({runs.total()} executions); {_ends(found)}"


def poison(crew: Crew) -> Told:
    """Let a task kill its process; start another worker as a supervisor would, six in all at most."""
    crew.submit("poison", "i")
    for life in range(1, _LIVES + 1):
        worker = crew.hire(ttl=1)
        await_(lambda life=life: len(crew.lines()) >= life, 15)  # type: ignore[misc]
        died = await_(lambda worker=worker: worker.poll() is not None, 5)  # type: ignore[misc]
        if not died:
            break
    (found,) = crew.settled(1, "i")
    runs = len(crew.lines())
    return found["state"] == "failed" and runs <= 3, f"{runs} workers killed; {found['state']}"


def timeout(crew: Crew) -> Told:
    """Let a sync task with a timeout of 1 s take 4 s."""
    crew.hire(ttl=30)
    crew.submit("timeout", "i")
    await_(lambda: bool(crew.lines()), 20)
    (found,) = crew.settled(12, "i")
    good = found["state"] == "failed" and "time" in found["error"].lower()
    return good, f"{found['state']}{': ' + found['error'][:80] if found['error'] else ''}"


def unstorable(crew: Crew) -> Told:
    """Let a task with three retries return what cannot be stored."""
    crew.hire(ttl=30)
    crew.submit("unstorable", "i")
    await_(lambda: bool(crew.lines()), 20)
    (found,) = crew.settled(25, "i")
    runs = len(crew.lines())
    return found["state"] == "failed" and runs == 1, f"executed {runs} ×; {found['state']}"


CASES: dict[str, tuple[str, Callable[[Crew], Told]]] = {
    "long": ("a task of 3 s under claims of 1 s, two healthy workers", long_task),
    "zombie": ("a worker stopped beyond its claim, then awake again", zombie),
    "skew": ("one of two workers has its clock 60 s behind", skew),
    "poison": ("a task that kills its process, up to six workers", poison),
    "timeout": ("a sync task of 4 s with a timeout of 1 s", timeout),
    "unstorable": ("a result that cannot be stored, three retries allowed", unstorable),
}


def play(crew_of: Callable[[Path], Crew], folder: Path, name: str) -> Told:
    """Play one case with a crew of its own."""
    with crew_of(folder / f"{name}.ledger") as crew:
        return CASES[name][1](crew)
