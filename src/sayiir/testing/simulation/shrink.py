"""Makes a failing plan small: leaves out faults, commands, parts of flows and circumstances as long as it still fails.

What counts as the same failure is the invariant that is broken first. Lists are halved before single items are tried
(delta debugging), so a plan of dozens of faults is small after some dozens of plays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from sayiir.testing.simulation.plan import Plan
from sayiir.testing.simulation.world import Report, World

T = TypeVar("T")
_replace = msgspec.structs.replace


def shrink(plan: Plan, *, play: Callable[[Plan], Report] | None = None, plays: int = 400) -> Plan:
    """Return a smaller plan that breaks the same invariant first.

    Args:
        plan: a plan that fails.
        play: how it is played.
        plays: how many plays it may take.

    Raises:
        ValueError: the plan does not fail.
    """
    judge = _Judge(play or (lambda one: World(one).play()), plays)
    judge.wanted = judge.code(plan)
    if not judge.wanted:
        raise ValueError(f"the plan of seed {plan.seed} breaks nothing")
    before = None
    while plan != before and judge.left > 0:
        before = plan
        plan = _replace(plan, faults=_fewer(plan.faults, lambda some, plan=plan: judge(_replace(plan, faults=some))))  # type: ignore[misc]
        plan = _replace(plan, commands=_fewer(plan.commands, lambda some, plan=plan: judge(_replace(plan, commands=some))))  # type: ignore[misc]
        for simpler in _simpler(plan):
            if judge(simpler):
                plan = simpler
                break
    return plan


def invariant(violation: str) -> str:
    """Return what a violation broke: the invariant's number, or the first words where it has none.

    >>> invariant("at 1.500000s: I8: signal 2 was consumed after 3")
    'I8'
    """
    return violation.partition(": ")[2].partition(":")[0]


@dataclasses.dataclass
class _Judge:
    """Says whether a plan still fails in the wanted way."""

    play: Callable[[Plan], Report]
    left: int
    wanted: str = ""

    def code(self, plan: Plan) -> str:
        """Return the invariant that is broken first, "" for none."""
        self.left -= 1
        violations = self.play(plan).violations
        return invariant(violations[0]) if violations else ""

    def __call__(self, plan: Plan) -> bool:
        return self.left > 0 and self.code(plan) == self.wanted


def _fewer(items: tuple[T, ...], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """Return a part of a list that still fails and of which nothing can be left out."""
    size = len(items)
    while size:
        start = 0
        while start < len(items):
            some = items[:start] + items[start + size :]
            if fails(some):
                items = some
            else:
                start += size
        size //= 2
    return items


def _simpler(plan: Plan) -> Iterator[Plan]:
    """Yield the plan in simpler circumstances, and with parts of its flows left out."""
    settings = plan.settings
    plain: dict[str, Any] = {
        "store": "memory", "hints": "sound", "latency": 0.0, "skews": (0,) * settings.workers, "retention": None,
        "tags": (), "ahead": False, "task_secs": 0.0, "moment": 0.001, "max_crashes": 50,
    }  # fmt: skip
    for name, value in plain.items():
        if getattr(settings, name) != value:
            yield _replace(plan, settings=_replace(settings, **{name: value}))
    if settings.workers > 1 and not settings.tags:
        yield _replace(plan, settings=_replace(settings, workers=settings.workers - 1))
    for index, flow in enumerate(plan.flows):
        for line in _shorter(flow["line"]):
            yield _replace(plan, flows=(*plan.flows[:index], {"line": line}, *plan.flows[index + 1 :]))


def _shorter(line: list[Any]) -> Iterator[list[Any]]:
    """Yield a line with one part of it, or inside of it, left out."""
    for index, part in enumerate(line):
        if len(line) > 1:
            yield line[:index] + line[index + 1 :]
        ((name, facts),) = part.items()
        inner = {"branches": facts.get("branches", []), "line": [facts["line"]] if "line" in facts else []}
        for key, lines in inner.items():
            for place, one in enumerate(lines):
                for shorter in _shorter(one):
                    changed = [*lines[:place], shorter, *lines[place + 1 :]]
                    value = changed if key == "branches" else changed[0]
                    yield [*line[:index], {name: {**facts, key: value}}, *line[index + 1 :]]
