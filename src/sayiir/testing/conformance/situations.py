"""What an instance may be doing when somebody steers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from sayiir.testing.conformance.stage import Hand, StoreSuite

Rest: TypeAlias = Callable[[StoreSuite], None]
"""Brings instance "a" where no task of it runs."""
Begin: TypeAlias = Callable[[StoreSuite], list[Hand]]
"""Starts instance "a"; returns the hands of what runs."""


def _submitted(suite: StoreSuite) -> None:
    suite.submit()


def _released(suite: StoreSuite) -> None:
    suite.start().release()


def _dead(suite: StoreSuite) -> None:
    suite.start()
    suite.crash()


def _silent(suite: StoreSuite) -> None:
    suite.start()
    suite.pass_time(10_000)


def _backoff_held(suite: StoreSuite) -> None:
    suite.start().fail_once(60, hold=True)


def _backoff_free(suite: StoreSuite) -> None:
    suite.start().fail_once(60)


def _waiting(suite: StoreSuite) -> None:
    suite.start().wait(60)


def _awaiting(suite: StoreSuite) -> None:
    suite.start().await_signal("go", 60)


def _signal_found(suite: StoreSuite) -> None:
    suite.store.send_signal("a", "go", b"1")
    suite.start().await_signal("go", 60)


def _timer_claimed_by_the_dead(suite: StoreSuite) -> None:
    suite.start().wait(1)
    suite.pass_time(1)
    suite.claimed()
    suite.crash()


def _branches_parked(suite: StoreSuite) -> None:
    left, right = suite.start().fork("l", "r")
    left.wait(60)
    right.await_signal("go")


def _branch_done(suite: StoreSuite) -> None:
    left, right = suite.start().fork("l", "r")
    left.arrive("l", "r")
    right.release()


AT_REST: list[Rest] = [
    _submitted, _released, _dead, _silent, _backoff_held, _backoff_free, _waiting, _awaiting, _signal_found,
    _timer_claimed_by_the_dead, _branches_parked, _branch_done,
]  # fmt: skip
at_rest = pytest.mark.parametrize("rest", AT_REST, ids=lambda rest: rest.__name__.strip("_"))


def _one(suite: StoreSuite) -> list[Hand]:
    return [suite.start()]


def _standing(suite: StoreSuite) -> list[Hand]:
    return [suite.start(is_task=False)]


def _both_branches(suite: StoreSuite) -> list[Hand]:
    return suite.start().fork("l", "r")


def _one_branch(suite: StoreSuite) -> list[Hand]:
    left, right = suite.start().fork("l", "r")
    right.wait(60)
    return [left]


RUNNING: list[Begin] = [_one, _standing, _both_branches, _one_branch]
running = pytest.mark.parametrize("begin", RUNNING, ids=lambda begin: begin.__name__.strip("_"))
