"""Geometry for the pages: attempts as bars on an axis of time, figures as a small line.

Rules of this file: pure; only numbers and percentages for SVG attributes come out, never markup or styles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sayiir.picture.timeline import axis, percent
from sayiir.picture.words import duration
from sayiir.server.pages.words import exact
from sayiir.service.model import Attempt, Wait

MOST_BARS = 1000
"""Attempts that a timeline draws; of more, the newest."""
_QUIET = ("input", "fork_branch", "branch", "fork", "child_workflow", "loop")
_PARKED = ("delay", "await_signal")
_MICRO = 1_000_000
_FOREIGN = ("site-packages/", "/lib/python", "/Lib/", "/sayiir/runtime/", "/sayiir/core/", "<frozen ")
"""Parts of paths of code that is not the user's."""


@dataclass(frozen=True, slots=True)
class Bar:
    """An attempt, where it is drawn, and what is said of it."""

    node_id: str
    kind: str
    status: str
    at: str
    wide: str
    took: str
    about: str
    said: str
    open: bool
    parked: bool
    superseded: bool


@dataclass(frozen=True, slots=True)
class Gantt:
    """Bars and the ticks of their axis: (place, text, anchor)."""

    bars: tuple[Bar, ...]
    ticks: tuple[tuple[str, str, str], ...]
    left_out: int = 0


def gantt_of(attempts: Sequence[Attempt], now: datetime, waits: Sequence[Wait] = ()) -> Gantt:
    """Return the timeline of an instance; what is not over, its waits too, reaches to now."""
    timed = [(one, one.started_at) for one in attempts if one.started_at is not None and one.kind not in _QUIET]
    timed += [(_standing(wait), wait.since) for wait in waits if wait.kind != "retry"]
    shown = sorted(timed, key=lambda pair: pair[1])[-MOST_BARS:]
    if not shown:
        return Gantt((), ())
    first = min(start for _, start in shown)
    last = max(one.finished_at or max(start, now) for one, start in shown)
    span = max(1, round((last - first).total_seconds() * _MICRO))
    bars = tuple(_bar(one, start, one.finished_at or max(start, now), first, span) for one, start in shown)
    return Gantt(bars, tuple(axis(span)), len(timed) - len(shown))


def _standing(wait: Wait) -> Attempt:
    """Return a wait as the attempt that it will be told as once it is over."""
    kind, status = ("await_signal", "awaiting_signal") if wait.kind == "signal" else ("delay", "waiting")
    return Attempt(0, wait.node_id, kind, 1, 1, status, wait.since, None, None)


def _bar(one: Attempt, start: datetime, end: datetime, first: datetime, span: int) -> Bar:
    offset, length = ((b - a).total_seconds() for a, b in ((first, start), (start, end)))
    facts = [f"round {one.iteration}" if one.iteration > 1 else "", f"attempt {one.attempt}" if one.attempt > 1 else ""]
    if one.error:
        facts.append(one.error.error_type)
    is_open = one.finished_at is None
    return Bar(
        one.node_id,
        one.kind,
        one.status,
        percent(round(offset * _MICRO), span),
        percent(max(0, round(length * _MICRO)), span),
        duration(max(0.0, length)),
        ", ".join(filter(None, facts)),
        f"{exact(start)} to {'now' if is_open else exact(end)}",
        is_open,
        one.kind in _PARKED,
        one.superseded,
    )


def line(values: Sequence[float]) -> str:
    """Return the points of a line in a box of 100 by 24; "" for fewer than two values.

    >>> line([1.0, 3.0, 2.0])
    '0,17.33 50,2 100,9.667'
    """
    if len(values) < 2:
        return ""
    top = max(values) or 1.0
    step = 100 / (len(values) - 1)
    return " ".join(f"{index * step:.4g},{25 - 23 * value / top:.4g}" for index, value in enumerate(values))


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of a traceback that are of the user's own code."""

    own: tuple[str, ...]


def frames(traceback: str) -> Frames:
    r"""Return the frames outside of installed packages and of Python itself, at most the last three.

    >>> text = 'Traceback:\n  File "/app/flow.py", line 3, in pay\n    charge()\nValueError: no\n'
    >>> frames(text).own
    ('…/app/flow.py, line 3, in pay\n  charge()',)
    """
    found: list[list[str]] = []
    for row in traceback.splitlines():
        if row.startswith('  File "'):
            found.append([row.strip()])
        elif row.startswith("    ") and found:
            found[-1].append(f"  {row.strip()}")
    own = [rows for rows in found if not any(part in rows[0].replace("\\", "/") for part in _FOREIGN)]
    return Frames(tuple("\n".join([_place(rows[0]), *rows[1:2]]) for rows in own[-3:]))


def _place(row: str) -> str:
    """Return a frame's file, line and function, of the file's path the end only."""
    file, quote, rest = row.removeprefix('File "').partition('"')
    parts = file.replace("\\", "/").split("/")
    return f"{'…/' if len(parts) > 2 else ''}{'/'.join(parts[-2:])}{rest}" if quote else row
