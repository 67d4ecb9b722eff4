"""What an instance may be doing when a worker looks for work, and whether it can be had."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sayiir.testing.conformance.stage import StoreSuite

Bring: TypeAlias = Callable[[StoreSuite], object]
"""Brings instance "a" into a situation."""


def _standing(suite: StoreSuite) -> None:
    suite.submit(is_task=False)


def _ready(suite: StoreSuite) -> None:
    suite.submit()


def _backoff_over(suite: StoreSuite) -> None:
    suite.start().fail_once(60)
    suite.pass_time(60)


def _backoff(suite: StoreSuite) -> None:
    suite.start().fail_once(60)


def _waited(suite: StoreSuite) -> None:
    suite.start().wait(60)
    suite.pass_time(60)


def _waiting(suite: StoreSuite) -> None:
    suite.start().wait(60)


def _awaiting(suite: StoreSuite) -> None:
    suite.start().await_signal("go")


def _awaiting_another(suite: StoreSuite) -> None:
    suite.start().await_signal("stop")
    suite.store.send_signal("a", "go", b"1")


def _awaiting_till(suite: StoreSuite) -> None:
    suite.start().await_signal("go", 60)


def _signalled(suite: StoreSuite) -> None:
    suite.start().await_signal("go")
    suite.store.send_signal("a", "go", b"1")


def _signalled_in_time(suite: StoreSuite) -> None:
    suite.start().await_signal("go", 60)
    suite.store.send_signal("a", "go", b"1")
    suite.pass_time(60)


def _signalled_late(suite: StoreSuite) -> None:
    suite.start().await_signal("go", 60)
    suite.pass_time(60)
    suite.store.send_signal("a", "go", b"1")


def _expired(suite: StoreSuite) -> None:
    suite.start().await_signal("go", 60)
    suite.pass_time(60)


def _signalled_in_a_pause(suite: StoreSuite) -> None:
    _awaiting(suite)
    suite.store.request_pause("a", None, None)
    suite.store.send_signal("a", "go", b"1")
    suite.store.unpause("a")


def _signalled_before_a_pause(suite: StoreSuite) -> None:
    _signalled(suite)
    suite.store.request_pause("a", None, None)
    suite.store.unpause("a")


def _signal_found_under_a_pause(suite: StoreSuite) -> None:
    hand = suite.start()
    suite.store.send_signal("a", "go", b"1")
    suite.store.request_pause("a", None, None)
    hand.await_signal("go")
    suite.store.unpause("a")


def _signal_given_back(suite: StoreSuite) -> None:
    _signalled(suite)
    suite.claimed().release()


def _signal_found_and_given_back(suite: StoreSuite) -> None:
    suite.store.send_signal("a", "go", b"1")
    hand = suite.start()
    hand.await_signal("go")
    hand.release()


def _timer_given_back(suite: StoreSuite) -> None:
    _waited(suite)
    suite.claimed().release()


def _given_back(suite: StoreSuite) -> None:
    suite.start().release()


def _held_backoff_given_back(suite: StoreSuite) -> None:
    hand = suite.start()
    hand.fail_once(60, hold=True)
    hand.release()
    suite.pass_time(60)


def _pause_withdrawn(suite: StoreSuite) -> None:
    left, right = suite.start().fork("l", "r")
    suite.store.request_pause("a", None, None)
    left.run("one")
    suite.store.unpause("a")
    assert right.beat().request is None


def _unpaused(suite: StoreSuite) -> None:
    suite.submit()
    suite.store.request_pause("a", None, None)
    suite.store.unpause("a")


def _paused_at_its_end(suite: StoreSuite) -> None:
    hand = suite.start()
    suite.store.request_pause("a", None, None)
    hand.complete()
    suite.store.unpause("a")


def _paused(suite: StoreSuite) -> None:
    suite.submit()
    suite.store.request_pause("a", None, None)


def _paused_while_waiting(suite: StoreSuite) -> None:
    suite.start().wait(60)
    suite.store.request_pause("a", None, None)
    suite.pass_time(60)


def _signalled_and_paused(suite: StoreSuite) -> None:
    _signalled(suite)
    suite.store.request_pause("a", None, None)


def _paused_and_signalled(suite: StoreSuite) -> None:
    _awaiting(suite)
    suite.store.request_pause("a", None, None)
    suite.store.send_signal("a", "go", b"1")


def _one_branch_obeyed(suite: StoreSuite) -> None:
    left, _right = suite.start().fork("l", "r")
    suite.store.request_pause("a", None, None)
    left.run("two")


def _pause_requested_and_signalled(suite: StoreSuite) -> None:
    left, _right = suite.start().fork("l", "r")
    left.await_signal("go")
    suite.store.request_pause("a", None, None)
    suite.store.send_signal("a", "go", b"1")


def _cancel_requested(suite: StoreSuite) -> None:
    left, right = suite.start().fork("l", "r")
    left.wait(60)
    suite.store.request_cancel("a", None, None)
    suite.pass_time(60)
    assert right.beat().request == "cancel"


def _cancelled(suite: StoreSuite) -> None:
    suite.submit()
    suite.store.request_cancel("a", None, None)


def _completed(suite: StoreSuite) -> None:
    suite.start().complete()


def _failed(suite: StoreSuite) -> None:
    _left, right = suite.start().fork("l", "r", share=False)
    right.fail()


def _joining(suite: StoreSuite) -> None:
    left, _right = suite.start().fork("l", "r")
    left.arrive("l", "r")


def _held(suite: StoreSuite) -> None:
    suite.start()


def _held_backoff(suite: StoreSuite) -> None:
    suite.start().fail_once(60, hold=True)
    suite.pass_time(60)


def _dead(suite: StoreSuite) -> None:
    suite.start()
    suite.crash()


def _retried(suite: StoreSuite) -> None:
    suite.start().fail()
    suite.retry()


def _retried_after_cancel(suite: StoreSuite) -> None:
    _cancelled(suite)
    suite.retry()


GIVEN: list[tuple[Bring, str]] = [
    (_standing, "standing"), (_ready, "ready"), (_backoff_over, "backoff"), (_waited, "timer"), (_signalled, "signal"),
    (_signalled_in_time, "signal"), (_signalled_late, "expired"), (_expired, "expired"),
    (_signalled_in_a_pause, "signal"), (_signalled_before_a_pause, "signal"), (_signal_found_under_a_pause, "signal"),
    (_signal_given_back, "signal"), (_signal_found_and_given_back, "signal"), (_timer_given_back, "timer"),
    (_given_back, "ready"), (_held_backoff_given_back, "backoff"), (_pause_withdrawn, "ready"), (_unpaused, "ready"),
    (_paused_at_its_end, "standing"), (_retried, "ready"), (_retried_after_cancel, "ready"),
]  # fmt: skip
KEPT: list[Bring] = [
    _backoff, _waiting, _awaiting, _awaiting_another, _awaiting_till, _paused, _paused_while_waiting,
    _signalled_and_paused, _paused_and_signalled, _one_branch_obeyed, _pause_requested_and_signalled,
    _cancel_requested, _cancelled, _completed, _failed, _joining, _held, _held_backoff, _dead,
]  # fmt: skip


def name_of(bring: object) -> str:
    """Return what a case is called."""
    return getattr(bring, "__name__", str(bring)).strip("_")
