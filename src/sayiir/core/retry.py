"""Retry policies and the delay they ask for. Chance is an argument."""

from __future__ import annotations

import math

import msgspec


class _Growth(msgspec.Struct, frozen=True):
    """The fields that are also positional arguments."""

    max_retries: int = 2
    initial_delay_secs: float = 1.0
    backoff_multiplier: float = 2.0


class RetryPolicy(_Growth, frozen=True, kw_only=True):
    """How often and how slowly a failed task is tried again.

    The delay before retry k (0, 1, …) is `initial_delay_secs * backoff_multiplier ** k`, capped by
    `max_delay_secs`, then multiplied by a uniform factor from `1 - jitter` to `1 + jitter`.

    Args:
        max_retries: retries after the first attempt, 0 or more.
        initial_delay_secs: seconds before the first retry.
        backoff_multiplier: growth from one delay to the next, at least 0.
        max_delay_secs: upper bound of a delay in seconds; None for no bound.
        jitter: spread of the delay, 0 (none) to 1.

    Raises:
        ValueError: a number is out of its range.

    >>> RetryPolicy(3).delay_secs(2)
    4.0
    """

    max_delay_secs: float | None = None
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.max_retries, bool) or not isinstance(self.max_retries, int) or self.max_retries < 0:
            raise ValueError(f"max_retries must be an int of 0 or more, not {self.max_retries!r}")
        for name in ("initial_delay_secs", "backoff_multiplier", "max_delay_secs", "jitter"):
            number = getattr(self, name)
            if number is None and name == "max_delay_secs":
                continue
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise ValueError(f"{name} must be a number, not {number!r}")  # noqa: TRY004 -- documented as ValueError
            if not math.isfinite(number) or number < 0:
                raise ValueError(f"{name} must be finite and not negative, not {number!r}")
        if self.jitter > 1:
            raise ValueError(f"jitter must be between 0 and 1, not {self.jitter!r}")

    def delay_secs(self, retry: int, chance: float = 0.5) -> float:
        """Return the seconds to wait before retry number `retry` (from 0); `chance` in [0, 1) decides the jitter."""
        try:
            delay = self.initial_delay_secs * self.backoff_multiplier**retry
        except OverflowError:
            delay = math.inf if self.initial_delay_secs else 0.0
        cap = self.max_delay_secs if self.max_delay_secs is not None else MAX_DELAY_SECS
        return min(delay, cap) * (1 + self.jitter * (2 * chance - 1))


MAX_DELAY_SECS = 10 * 365 * 86_400.0
"""Ten years: a delay grown beyond it would overflow the stored time."""
