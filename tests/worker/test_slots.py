"""The slots of a worker: of each kind, and together."""

from types import SimpleNamespace
from typing import Any

import pytest

from sayiir.clock import SYSTEM_CLOCK
from sayiir.runtime.slots import Limits, Slots


def job() -> Any:
    return SimpleNamespace(is_async=None, begun=True)


@pytest.mark.parametrize(("sync", "coroutines", "together"), [(3, 5, None), (1, 1, 1), (4, 4, 4), (2, 1000, None)])
def test_no_more_are_given_than_there_are(sync: int, coroutines: int, together: int | None) -> None:
    slots = Slots(Limits(sync, coroutines, together), SYSTEM_CLOCK)
    given = {False: 0, True: 0}
    for is_async in (False, True):
        while slots.free(is_async):
            assert slots.take(job(), is_async)
            given[is_async] += 1
        assert not slots.take(job(), is_async)
    total = sync + coroutines if together is None else together
    assert given[False] == sync
    assert given[True] == min(coroutines, total - sync)


def test_what_is_given_back_is_free_again_and_only_once() -> None:
    slots = Slots(Limits(1, 1), SYSTEM_CLOCK)
    first = job()
    assert slots.take(first, False)
    assert not slots.take(job(), False)
    slots.give(first)
    slots.give(first)
    assert slots.free(False) == 1
    assert slots.take(job(), False)
    assert not slots.free(False)


def test_a_slot_is_changed_for_one_of_the_other_kind_that_is_free() -> None:
    slots = Slots(Limits(1, 1, 1), SYSTEM_CLOCK)
    mover = job()
    assert slots.take(mover, False)
    assert not slots.free(True)
    assert slots.change(mover, True)
    assert (mover.is_async, slots.free(False), slots.free(True)) == (True, 0, 0)
    apart = Slots(Limits(1, 1), SYSTEM_CLOCK)
    mover, other = job(), job()
    assert apart.take(mover, False)
    assert apart.take(other, True)
    assert not apart.change(mover, True)
    assert mover.is_async is False
