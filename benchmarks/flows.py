"""The workflows that are measured: their tasks do next to nothing, so that what is left is the engine."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

from sayiir import Flow, Workflow

IDS = itertools.count()


def add_one(value: int) -> int:
    """Do next to nothing."""
    return value + 1


async def add_one_later(value: int) -> int:
    """Do next to nothing, as a coroutine."""
    return value + 1


def add_up(parts: dict[str, int]) -> int:
    """Join the branches."""
    return sum(parts.values())


@cache
def chain(steps: int, *, coroutines: bool = False) -> Workflow[Any, Any]:
    """Return a workflow of so many steps."""
    flow: Any = Flow("chain")
    for number in range(steps):
        flow = flow.then(add_one_later if coroutines else add_one, name=f"step_{number}")
    built: Workflow[Any, Any] = flow.build()
    return built


@cache
def fork(branches: int) -> Workflow[Any, Any]:
    """Return a workflow of one fork with so many branches of one task each, and its join."""
    forked: Any = Flow("fork").fork()
    for number in range(branches):
        forked = forked.branch(add_one, name=f"branch_{number}")
    built: Workflow[Any, Any] = forked.join(add_up).build()
    return built


@cache
def approval() -> Workflow[Any, Any]:
    """Return a workflow that waits for a signal and then runs a task."""
    built: Workflow[Any, Any] = Flow("approval").wait_for_signal("approve").then(add_one).build()
    return built


def new_id() -> str:
    """Return an instance id that was not used yet."""
    return f"i{next(IDS)}"
