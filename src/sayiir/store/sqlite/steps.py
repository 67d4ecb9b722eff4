"""Plain steps as work for the group commit: those that come together are written by one statement.

Most of what many threads write at the same time are steps that only add a line of history. Each statement of its own
would let go of the interpreter's lock, and every other thread would take it in between; so the lines of many go into
one statement, and are made ready by the threads that ask, not by the one that writes for all.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from itertools import chain
from typing import Any

from sayiir.core.records import Move, Run
from sayiir.store import scripts
from sayiir.store.columns import is_plain, keys_text, record_values
from sayiir.store.port import CONTINUE, Fence, Moved
from sayiir.store.sqlite import sql
from sayiir.store.sqlite.rows import SqliteRows

TOGETHER = 4
"""Fewer are not worth another statement."""
_SIZES = (16, TOGETHER)


def is_step(move: Move) -> bool:
    """Return whether a move does nothing but go on to the next task."""
    return type(move.decision) is Run and is_plain(move)


class Step:
    """A checkpoint that `is_step`.

    Args:
        fence: the right to move the token.
        move: what happened.
    """

    __slots__ = ("_fence", "_move", "values")

    def __init__(self, fence: Fence, move: Move) -> None:
        self._fence = fence
        self._move = move
        self.values: tuple[Any, ...] = (
            *record_values(fence.instance, move.records[0], move.position.node),
            fence.instance, fence.token, fence.epoch, keys_text(move.position.keys),
        )  # fmt: skip

    def __call__(self, rows: SqliteRows) -> Moved:
        """Find out why it could not be written as a step; it may be another move."""
        return scripts.checkpoint(rows, self._fence, self._move, None, hold=False)


def write_alone(connection: sqlite3.Connection, step: Step) -> Moved | None:
    """Write a step; None, and nothing written, if its fence or its token is not as expected."""
    try:
        return CONTINUE if connection.execute(sql.STEP, step.values).rowcount == 1 else None
    except sqlite3.IntegrityError:  # the line is there already: the general way finds out whose it is
        return None


def write_together(connection: sqlite3.Connection, steps: list[Step]) -> list[Moved | None]:
    """Write steps; None for those that must be written alone: too few are left, or a fence or token is not as expected."""
    answers = list[Moved | None]()
    for size in _SIZES:
        while len(steps) - len(answers) >= size:
            answers += _write(connection, steps[len(answers) : len(answers) + size])
    return answers + [None] * (len(steps) - len(answers))


def _write(connection: sqlite3.Connection, steps: list[Step]) -> list[Moved | None]:
    values = list(chain.from_iterable([step.values for step in steps]))
    # What this statement wrote, not what is there: the line of a late step may be its new owner's.
    written = set(connection.execute(_statement(len(steps)), values).fetchall())
    return [CONTINUE if step.values[:2] in written else None for step in steps]


@cache
def _statement(count: int) -> str:
    return sql.steps(count)
