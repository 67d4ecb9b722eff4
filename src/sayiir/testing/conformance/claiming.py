"""Conformance: who may move a token, and that a write without that right changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from sayiir.core.lifecycle import State
from sayiir.core.records import Position
from sayiir.errors import ClaimLostError, DefinitionMismatchError, InstanceNotFoundError
from sayiir.store.port import CLAIM_TTL, Claimed
from sayiir.testing.conformance.stage import HASH, MICROS, STRUCTURE, Hand, StoreSuite, at_once


class ClaimingSuite(StoreSuite):
    """How tokens are claimed, taken over and given back."""

    # --- what can be claimed --------------------------------------------------------------------------------------

    def test_a_free_token_is_claimed_with_its_value(self) -> None:
        self.submit()
        answer = self.store.claim("a", HASH, STRUCTURE)
        (claim,) = answer.claims
        assert (answer.busy, answer.due_at) == (False, None)
        assert answer.instance.instance_id == "a"
        assert (claim.wake, claim.value, claim.position) == ("ready", b'{"n":1}', Position("one"))
        assert claim.fence.epoch == self.token().epoch
        assert self.is_now(self.token().until, CLAIM_TTL)

    def test_an_unknown_instance_is_not_found(self) -> None:
        with pytest.raises(InstanceNotFoundError, match="'nobody' not found") as caught:
            self.store.claim("nobody", HASH, STRUCTURE)
        assert caught.value.instance_id == "nobody"

    def test_another_definition_claims_nothing(self) -> None:
        self.submit()
        before = self.facts()
        with pytest.raises(DefinitionMismatchError, match="two"):
            self.store.claim("a", "hash-2", 'sayiir definition 1\nflow "w"\n  task "two"\n')
        assert self.facts() == before

    @pytest.mark.parametrize("end", ["complete", "fail", "cancel", "pause"])
    def test_nothing_is_claimable_at_an_end_or_in_a_pause(self, end: str) -> None:
        hand = self.start()
        if end in ("complete", "fail"):
            getattr(hand, end)()
        else:
            hand.release()
            getattr(self.store, f"request_{end}")("a", None, None)
        before = self.facts()
        answer = self.store.claim("a", HASH, STRUCTURE)
        assert (answer.claims, answer.busy) == ((), False)
        assert answer.instance == self.instance()
        assert self.facts() == before

    def test_what_a_live_runner_holds_is_busy(self) -> None:
        hand = self.start()
        before = self.facts()
        for store in (self.store, self.second()):
            answer = store.claim("a", HASH, STRUCTURE)
            assert (answer.claims, answer.busy) == ((), True)
        assert self.facts() == before
        assert hand.complete().kind == "finished"

    def test_of_many_claimers_one_wins(self) -> None:
        self.submit()
        stores = [self.store, self.second()] * 4
        answers = at_once([partial(store.claim, "a", HASH, STRUCTURE) for store in stores])
        assert all(isinstance(answer, Claimed) for answer in answers)
        assert sum(len(answer.claims) for answer in answers if isinstance(answer, Claimed)) == 1
        assert sum(answer.busy for answer in answers if isinstance(answer, Claimed)) == len(stores) - 1

    def test_free_tokens_are_claimed_beside_busy_ones(self) -> None:
        left, right = self.start().fork("l", "r")
        right.release()
        answer = self.store.claim("a", HASH, STRUCTURE)
        assert [claim.fence.token for claim in answer.claims] == [right.fence.token]
        assert answer.busy
        assert left.run().kind == "continue"

    # --- the dead and the silent ----------------------------------------------------------------------------------

    def test_a_dead_owners_claim_is_free_at_once_and_its_crash_is_recorded(self) -> None:
        hand = self.start()
        hand.run("two", b"7")
        started, worker = self.token().moved_at, self.store.owner_name(self.token().owner or 0)
        self.crash()
        self.pass_time(3)
        taken = self.claimed()
        assert taken.fence.epoch > hand.fence.epoch
        assert (taken.position.node, taken.position.attempt, taken.position.crashes) == ("two", 2, 1)
        assert taken.claim.value == b"7"
        crash = self.history()[-1]
        assert (crash.node, crash.kind, crash.status, crash.attempt) == ("two", "task", "crashed", 1)
        assert crash.started_at == started
        assert self.is_now(crash.finished_at)
        assert crash.worker == worker
        assert worker
        assert crash.output is None
        self.is_void(hand)

    def test_each_crash_counts(self) -> None:
        hand = self.start()
        for _ in range(3):
            self.crash()
            hand = self.claimed()
        assert (hand.position.attempt, hand.position.crashes) == (4, 3)
        assert [(record.status, record.attempt) for record in self.history()] == [("crashed", n) for n in (1, 2, 3)]
        assert hand.run("two").kind == "continue"
        assert (self.token().crashes, self.token().attempt) == (0, 1)

    def test_who_stood_or_slept_is_not_blamed(self) -> None:
        self.start("stands", is_task=False)
        self.start("sleeps").fail_once(60, hold=True)
        gate = self.start("awaits")
        self.store.send_signal("awaits", "go", b"1")
        assert gate.await_signal("go").kind == "signal"
        wakes = {"stands": "standing", "sleeps": "backoff", "awaits": "signal"}
        self.crash()
        for name, wake in wakes.items():
            hand = self.claimed(name)
            assert hand.claim.wake == wake
            assert hand.position.crashes == 0
            assert all(record.status != "crashed" for record in self.history(name))

    def test_a_backoff_keeps_its_time_over_a_crash(self) -> None:
        hand = self.start()
        due = hand.fail_once(60, hold=True).due_at
        self.crash()
        self.pass_time(20)
        taken = self.claimed()
        assert (taken.claim.wake, taken.claim.due_at) == ("backoff", due)
        assert taken.position.attempt == 2
        self.is_void(hand)

    def test_a_silent_owners_claim_runs_out(self) -> None:
        hand = self.start()
        self.pass_time(CLAIM_TTL - self.instant)
        assert self.store.claim("a", HASH, STRUCTURE).busy
        self.pass_time(self.instant)
        assert self.claimed().position.crashes == 1
        self.is_void(hand)

    def test_a_heartbeat_keeps_a_claim(self) -> None:
        hand = self.start()
        for _ in range(5):
            self.pass_time(CLAIM_TTL * 0.9)
            beat = hand.beat()
            assert (beat.fence, beat.lost, beat.request) == (hand.fence, False, None)
        assert self.store.claim("a", HASH, STRUCTURE).busy
        assert hand.complete().kind == "finished"

    def test_a_heartbeat_brings_requests_down(self) -> None:
        hand, other = self.start(), self.start("b")
        self.store.request_pause("a", None, None)
        assert hand.beat().request == "pause"
        self.store.request_cancel("a", None, None)
        assert hand.beat().request == "cancel"
        assert other.beat().request is None

    def test_a_heartbeat_tells_of_each_claim(self) -> None:
        kept, gone = self.start(), self.start("b")
        gone.complete()
        beats = self.store.heartbeat([kept.fence, gone.fence])
        assert [(beat.fence, beat.lost) for beat in beats] == [(kept.fence, False), (gone.fence, True)]
        assert self.store.heartbeat([]) == []

    # --- giving back ----------------------------------------------------------------------------------------------

    def test_a_released_token_is_free_at_once_and_not_blamed(self) -> None:
        hand = self.start()
        hand.release()
        taken = self.claimed()
        assert (taken.position.attempt, taken.position.crashes) == (1, 0)
        assert self.history() == []
        self.is_void(hand)

    def test_a_late_release_frees_nothing(self) -> None:
        old = self.start()
        old.release()
        taken = self.claimed()
        old.release()
        assert self.store.claim("a", HASH, STRUCTURE).busy
        assert taken.complete().kind == "finished"

    def test_releasing_nothing_is_nothing(self) -> None:
        self.store.release([])

    @pytest.mark.parametrize("wake", ["timer", "signal"])
    def test_a_released_wait_shows_what_it_waits_for(self, wake: str) -> None:
        hand = self.start()
        if wake == "timer":
            hand.wait(5)
        else:
            hand.await_signal("go")
        parked = self.status()
        self.pass_time(5)
        self.store.send_signal("a", "go", b"1")
        hand = self.claimed()
        assert hand.claim.wake == wake
        assert self.status() is State.IN_PROGRESS
        hand.release()
        assert self.status() is parked

    # --- times ----------------------------------------------------------------------------------------------------

    def test_a_parked_token_is_claimed_when_due_and_not_before(self) -> None:
        hand = self.start()
        due = hand.wait(10).due_at
        parked_at = self.token().moved_at
        assert due == parked_at + 10 * MICROS
        self.pass_time(10 - self.instant)
        answer = self.store.claim("a", HASH, STRUCTURE)
        assert (answer.claims, answer.busy, answer.due_at) == ((), False, due)
        assert self.status() is State.WAITING
        self.pass_time(self.instant)
        claim = self.claimed().claim
        assert (claim.wake, claim.due_at, claim.parked_at) == ("timer", due, parked_at)
        assert self.status() is State.IN_PROGRESS

    def test_the_earliest_time_of_several_is_told(self) -> None:
        late, early, gate = self.start().fork("l", "e", "g")
        late.wait(60)
        early.wait(30)
        gate.await_signal("go", 90)
        assert self.store.claim("a", HASH, STRUCTURE).due_at == self.token(2).due_at
        assert self.is_now(self.token(2).due_at, 30)

    def test_a_wait_without_end_has_no_time(self) -> None:
        self.start().await_signal("go")
        assert self.store.claim("a", HASH, STRUCTURE).due_at is None


def _taken_over(suite: StoreSuite, _hand: Hand) -> None:
    suite.crash()
    suite.claimed()


def _run_out(suite: StoreSuite, _hand: Hand) -> None:
    suite.pass_time(CLAIM_TTL)
    suite.claimed()


def _released(_suite: StoreSuite, hand: Hand) -> None:
    hand.release()


def _released_and_claimed(suite: StoreSuite, hand: Hand) -> None:
    hand.release()
    suite.claimed()


def _replaced(suite: StoreSuite, _hand: Hand) -> None:
    suite.start(policy="terminate_existing")


def _completed(_suite: StoreSuite, hand: Hand) -> None:
    hand.on(hand.store).complete()


def _failed(_suite: StoreSuite, hand: Hand) -> None:
    hand.on(hand.store).fail()


def _cancelled(suite: StoreSuite, hand: Hand) -> None:
    suite.store.request_cancel("a", None, None)
    assert hand.on(hand.store).run().kind == "stopped"


def _paused(suite: StoreSuite, hand: Hand) -> None:
    suite.store.request_pause("a", None, None)
    assert hand.on(hand.store).run().kind == "stopped"


def _unpaused(suite: StoreSuite, hand: Hand) -> None:
    _paused(suite, hand)
    suite.store.unpause("a")
    suite.claimed()


def _parked(_suite: StoreSuite, hand: Hand) -> None:
    hand.on(hand.store).wait(10)


def _retried(suite: StoreSuite, hand: Hand) -> None:
    _failed(suite, hand)
    suite.retry()
    suite.claimed()


def _retried_after_cancel(suite: StoreSuite, hand: Hand) -> None:
    _cancelled(suite, hand)
    suite.retry()
    suite.claimed()


LOSSES: list[Callable[[StoreSuite, Hand], None]] = [
    _taken_over, _run_out, _released, _released_and_claimed, _replaced, _completed, _failed, _cancelled, _paused,
    _unpaused, _parked, _retried, _retried_after_cancel,
]  # fmt: skip


class FencingSuite(StoreSuite):
    """Whoever lost a claim writes nothing, however it was lost and whatever would be written."""

    @pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__.strip("_"))
    def test_no_late_write_of_any_kind(self, lose: Callable[[StoreSuite, Hand], None]) -> None:
        hand = self.start()
        lose(self, hand)
        self.is_void(hand)
        self.is_void(hand)

    def test_a_late_write_consumes_no_signal(self) -> None:
        hand = self.start()
        self.store.send_signal("a", "go", b"1")
        signal = hand.await_signal("go").signal
        self.crash()
        taken = self.claimed()
        self.is_void(hand)
        with pytest.raises(ClaimLostError):
            hand.on(self.store).consume(signal)
        assert taken.claim.signal == signal
        assert taken.consume(taken.claim.signal).kind == "continue"

    def test_branches_are_fenced_apart(self) -> None:
        left, right = self.start().fork("l", "r")
        left.release()
        (taken,) = self.claims()
        assert taken.fence.token == left.fence.token
        self.is_void(left)
        assert right.run().kind == "continue"

    def test_the_forked_and_the_joined_token_get_new_fences(self) -> None:
        main = self.start()
        before = main.on(self.store)
        left, right = main.fork("l", "r")
        self.is_void(before)
        assert left.arrive("l", "r").kind == "arrived"
        self.is_void(left)
        (joined,) = right.arrive("l", "r").claims
        assert joined.fence.epoch > max(before.fence.epoch, left.fence.epoch, right.fence.epoch)
        self.is_void(before)
        self.is_void(right)

    def test_a_fork_made_again_does_not_know_its_first_branches(self) -> None:
        main = self.start()
        left, right = main.fork("l", "r")
        for _ in range(3):  # one branch's epoch runs ahead of all others
            left.release()
            (left,) = self.claims()
        left.arrive("l", "r")
        (joined,) = right.arrive("l", "r").claims
        Hand(self.store, joined).fail()
        self.retry()
        again = self.claimed().fork("l", "r")
        assert [hand.fence.token for hand in again] == [left.fence.token, right.fence.token]
        self.is_void(left)
        self.is_void(right)
        assert again[0].run().kind == "continue"
