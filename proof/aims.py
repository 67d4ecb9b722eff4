"""The figures that the proof is to reach, and whether it has: told on the card, and by `make prove` at its end.

They say how well, not whether something is broken: that is what violations are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Parts = dict[str, dict[str, Any]]


class Aim(NamedTuple):
    """A figure, as it should be and as it is."""

    title: str
    wanted: str
    found: str
    reached: bool


def aims(parts: Parts) -> Iterator[Aim]:
    """Return the aims whose parts have run.

    Args:
        parts: the figures of each part, lists of samples already made into percentiles.
    """
    for title, wanted, name, read in _AIMS:
        try:
            found, reached = read(parts[name])
        except KeyError:
            continue  # not run
        yield Aim(title, wanted, found, reached)


def _seeds(part: dict[str, Any]) -> tuple[str, bool]:
    return f"{part['seeds']:,}", part["seeds"] >= 20_000


def _kills(part: dict[str, Any]) -> tuple[str, bool]:
    return f"{part['kills']:,}", part["kills"] >= 200


def _takeover(part: dict[str, Any]) -> tuple[str, bool]:
    late = part["takeover_ms_postgres"]["p99"] / 1000
    return f"{late:.2f} s", late <= 2.0


def _recovery(part: dict[str, Any]) -> tuple[str, bool]:
    least = min(part["recovery"].values())
    return f"{least:.0%}", least >= 0.95


def _memory(part: dict[str, Any]) -> tuple[str, bool]:
    slope = part["rss_mb_per_100k"]
    return f"{slope:+.2f} MiB", slope <= 1.0


def _parked(part: dict[str, Any]) -> tuple[str, bool]:
    return f"{part['parked']:,}", part["parked"] >= 100_000


def _mutants(part: dict[str, Any]) -> tuple[str, bool]:
    return f"{part['killed']} of {part['mutants']}", part["killed"] == part["mutants"]


_AIMS: tuple[tuple[str, str, str, Callable[[dict[str, Any]], tuple[str, bool]]], ...] = (
    ("seeds of the simulation", "20,000 or more", "simulation", _seeds),
    ("processes killed on SQLite", "200 or more", "kills", _kills),
    ("takeover after SIGKILL on PostgreSQL, p99", "2 s or less", "takeover", _takeover),
    ("recovery in the five scenarios, the least", "95 % or more", "scenarios", _recovery),
    ("memory of a worker for 100,000 instances", "1 MiB or less", "soak", _memory),
    ("instances parked", "100,000", "parked", _parked),
    ("mutants killed", "all that were made", "mutants", _mutants),
)
