"""Deterministic simulation: the production workers, stores and clients in one thread, on virtual time, from a seed.

    loop.py     virtual threads and time                    fate.py      what befalls an actor
    plan.py     what happens, as data; drawn from a seed    worker.py    the production worker in virtual threads
    store.py    the shared rows and each process's handle   client.py    clients, and the one that brings all to an end
    world.py    plays a plan                                witness.py   the invariants
    shrink.py   makes a failing plan small                  keep.py      keeps it as a regression case
    many.py     many seeds, and their figures

Left out: runs in the process of who asks (`run_durable_workflow`), which wait by means of the operating system. They use
verbs that are raced with those of workers statement by statement in the tests of both databases: `create` with a claim
and `claim`.

Needs `pip install 'sayiir[simulation]'`. `python -m sayiir.testing.simulation --help` says what can be asked.
"""

from __future__ import annotations

from sayiir.testing.simulation.keep import Kept, keep, keeper
from sayiir.testing.simulation.many import Summary, simulate_many
from sayiir.testing.simulation.plan import Command, Fault, Plan, Settings, Target, draw
from sayiir.testing.simulation.shrink import shrink
from sayiir.testing.simulation.world import Report, World

__all__ = [
    "Command",
    "Fault",
    "Kept",
    "Plan",
    "Report",
    "Settings",
    "Summary",
    "Target",
    "draw",
    "keep",
    "keeper",
    "shrink",
    "simulate",
    "simulate_many",
]


def simulate(what: int | Plan) -> Report:
    """Play a seed, or a plan, to its end.

    Args:
        what: the seed, or the plan itself.

    Returns:
        What was seen; `violations` is empty when every invariant held.

    >>> report = simulate(1)
    >>> report.violations, report.digest == simulate(1).digest
    ([], True)
    """
    return World(draw(what) if isinstance(what, int) else what).play()
