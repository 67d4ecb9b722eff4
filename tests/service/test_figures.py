"""The figures of a workflow, from endings that are known."""

from __future__ import annotations

import pytest

from sayiir.core.lifecycle import State
from sayiir.service.lists import _figures
from sayiir.store.observe_port import Ended

SECOND = 1_000_000


def ending(number, took, status=State.COMPLETED):
    return Ended(status, number * SECOND, number * SECOND + int(took * SECOND))


def test_100_endings_have_their_success_median_and_95th_of_100():
    endings = [ending(number, (number * 37) % 100 + 1) for number in range(100)]  # 1 to 100 s, in no order
    success, half, most, newest = _figures(endings)
    assert (success, half, most) == (1.0, 50.0, 95.0)
    assert newest == tuple(float((number * 37) % 100 + 1) for number in range(50, 100)), "the newest 50, the oldest first"


def test_those_that_failed_count_for_success_and_not_for_the_time_that_success_takes():
    endings = [ending(number, number + 1) for number in range(60)]
    endings += [ending(number, 5000, State.FAILED) for number in range(60, 80)]
    endings += [ending(number, 9000, State.CANCELLED) for number in range(80, 100)]
    assert _figures(endings)[:3] == (0.6, 30.0, 57.0)


@pytest.mark.parametrize(("took", "half", "most"), [([3], 3, 3), ([3, 1], 1, 3), ([9, 1, 5], 5, 9), ([4, 3, 2, 1], 2, 4), (range(1, 22), 11, 20)])
def test_half_and_95_of_100_take_at_most_that_and_no_less_would_do(took, half, most):
    assert _figures([ending(number, secs) for number, secs in enumerate(took)])[1:3] == (half, most)


def test_nothing_ended_and_nothing_completed():
    assert _figures([]) == (None, None, None, ())
    assert _figures([ending(1, 7, State.FAILED)]) == (0.0, None, None, (7.0,))


def test_only_the_newest_thousand_count():
    old = [ending(number, 500, State.FAILED) for number in range(500)]
    new = [ending(number, 1) for number in range(500, 1500)]
    assert _figures(old + new)[:3] == (1.0, 1.0, 1.0)
