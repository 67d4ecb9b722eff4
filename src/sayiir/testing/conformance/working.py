"""Conformance: what workers are given of all instances, and that nobody gets it twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
import pytest

from sayiir.core.lifecycle import State
from sayiir.core.plan import RUN
from sayiir.store.port import CLAIM_TTL, Due
from sayiir.testing.conformance.situations import Begin, Rest, at_rest, running
from sayiir.testing.conformance.stage import HASH, STRUCTURE, Hand, StoreSuite, at_once
from sayiir.testing.conformance.standing import GIVEN, KEPT, Bring, name_of


class WorkingSuite(StoreSuite):
    """What `claim_due` gives."""

    # --- what may move --------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(("bring", "wake"), GIVEN, ids=name_of)
    def test_what_can_move_is_given_once(self, bring: Bring, wake: str) -> None:
        bring(self)
        (work,) = self.due().works
        token = self.token(work.claim.fence.token)
        assert (work.claim.wake, work.claim.signal is not None) == (wake, wake == "signal")
        assert work.claim.fence.epoch == token.epoch
        assert work.claim.position == token.position
        assert work.claim.value == self.store.value(token.instance, token.ref)
        assert work.instance == msgspec.structs.replace(self.instance(), input=b"")
        assert work.instance.status is State.IN_PROGRESS
        assert token.owner is not None
        assert self.is_now(token.until, CLAIM_TTL)
        assert self.due().works == ()
        assert self.store.claim("a", HASH, STRUCTURE).busy
        assert Hand(self.store, work.claim).beat().lost is False

    @pytest.mark.parametrize("bring", KEPT, ids=name_of)
    def test_what_cannot_move_is_given_to_nobody(self, bring: Bring) -> None:
        bring(self)
        before = self.facts()
        assert self.due().works == ()
        assert self.facts() == before

    @at_rest
    def test_workers_get_what_a_run_would_get(self, rest: Rest) -> None:
        rest(self)
        self.second().sweep()
        self.pass_time(60)
        self.store.send_signal("a", "go", b"1")
        worked = self.works()
        for hand in worked:
            hand.release()
        silent = sum(token.owner is not None for token in self.view().tokens)
        ran = self.claims()
        # A run also takes over what its own process holds and has left alone for too long; nobody sweeps himself.
        assert len(ran) - silent <= len(worked) <= len(ran)
        expected = {(hand.fence.token, hand.claim.wake) for hand in ran}
        assert {(hand.fence.token, hand.claim.wake) for hand in worked} <= expected

    @running
    def test_what_runs_is_given_to_nobody_else(self, begin: Begin) -> None:
        hands = begin(self)
        assert self.works() == []
        assert [hand.beat().lost for hand in hands] == [False] * len(hands)

    def test_a_worker_moves_what_it_was_given(self) -> None:
        self.submit()
        hand = self.work()
        assert hand.claim.value == b'{"n":1}'
        assert hand.run("two", b"5").kind == "continue"
        assert hand.wait(60).kind == "parked"
        self.pass_time(60)
        later = self.work()
        assert later.move(RUN, "three", record=False).kind == "continue"
        assert later.complete(b"6").kind == "finished"
        assert self.view().output == b"6"
        self.is_void(hand)

    def test_what_was_given_can_be_given_back(self) -> None:
        self.submit()
        first = self.work()
        first.release()
        second = self.work()
        assert (second.position.attempt, second.position.crashes) == (1, 0)
        self.is_void(first)
        assert second.complete().kind == "finished"

    def test_a_claim_tells_since_when_it_stood(self) -> None:
        self.submit()
        since = self.token().moved_at
        self.pass_time(60)
        assert self.work().claim.parked_at == since

    def test_of_many_workers_each_gets_its_own(self) -> None:
        names = [f"i{number}" for number in range(40)]
        for name in names:
            self.submit(name)
        stores, lanes = [self.store, self.second()] * 4, self.lanes()
        answers = at_once([partial(store.claim_due, lanes, 5, aging=300.0) for store in stores])
        given: list[str] = []
        for answer in answers:
            assert isinstance(answer, Due)
            given += [work.instance.instance_id for work in answer.works]
        assert sorted(given) == sorted(names)

    def test_a_run_and_a_worker_do_not_meet(self) -> None:
        for number in range(10):
            name, other, lanes = f"i{number}", self.second(), self.lanes()
            self.submit(name)
            calls: list[Callable[[], object]] = [
                partial(self.store.claim, name, HASH, STRUCTURE),
                partial(other.claim_due, lanes, 1, aging=300.0),
            ]
            ran, worked = at_once(calls)
            assert len(ran.claims) + len(worked.works) == 1  # type: ignore[attr-defined]

    def test_a_value_that_cannot_be_read_ends_its_instance_and_harms_no_other(self) -> None:
        hand = self.start()
        hand.run("two", b"\0\x63\x04json1")
        hand.release()
        self.submit("b")
        assert self.taken() == ["b"]
        assert self.status() is State.FAILED
        assert b"two" in (self.instance().error or b"")

    # --- signals --------------------------------------------------------------------------------------------------

    def test_a_signal_wakes_who_awaits_it_and_nobody_else(self) -> None:
        for name in ("a", "b"):
            left, right, third = self.start(name).fork("l", "r", "t")
            left.await_signal("go")
            right.await_signal("stop")
            third.wait(60)
        assert self.works() == []
        self.store.send_signal("a", "go", b'"here"')
        hand = self.work()
        assert (hand.fence.instance, hand.fence.token) == (self.instance("a").number, 1)
        assert hand.claim.signal is not None
        assert hand.claim.signal.payload == b'"here"'
        assert hand.consume(hand.claim.signal).kind == "continue"
        assert self.works() == []

    def test_who_was_woken_for_a_signal_that_is_gone_sleeps_on(self) -> None:
        left, right = self.start().fork("l", "r")
        left.await_signal("go")
        right.await_signal("go", 60)
        self.store.send_signal("a", "go", b"1")
        (first,) = self.works(1)
        assert first.consume(first.claim.signal).kind == "continue"
        assert self.works() == []
        assert self.token(3 - first.fence.token).owner is None
        self.store.send_signal("a", "go", b"2")
        second = self.work()
        assert second.claim.signal is not None
        assert second.claim.signal.payload == b"2"

    def test_a_deadline_outlives_a_signal_that_another_took(self) -> None:
        left, right = self.start().fork("l", "r")
        left.await_signal("go")
        right.await_signal("go", 60)
        self.store.send_signal("a", "go", b"1")
        hands = {hand.fence.token: hand for hand in self.works()}
        hands[1].consume(hands[1].claim.signal)
        assert hands[2].consume(hands[2].claim.signal).kind == "again"
        assert hands[2].await_on("go", 60).kind == "parked"
        self.pass_time(60)
        assert self.work().claim.wake == "expired"

    def test_a_signal_before_the_instance_is_found_when_it_waits(self) -> None:
        self.store.send_signal("a", "go", b"1")
        self.submit()
        assert self.work().await_signal("go").kind == "signal"

    # --- retries --------------------------------------------------------------------------------------------------

    def test_a_retry_is_left_to_others_for_a_moment(self) -> None:
        other = self.second()
        lanes, has_others = self.lanes(), other is not self.store
        other.claim_due(lanes, 1, aging=300.0)  # it is there
        for name in ("a", "b"):
            self.submit(name)
            self.work().fail_once(10)
        assert self.is_now(self.due().next_at, 10 + 0.1 * has_others)
        self.pass_time(10)
        mine = self.due()
        assert len(mine.works) == (0 if has_others else 2)
        if has_others:
            assert self.is_now(mine.next_at, 0.1)
            (work,) = other.claim_due(lanes, 1, aging=300.0).works
            assert (work.claim.wake, self.token(0, work.instance.instance_id).avoid) == ("backoff", None)
            self.pass_time(0.1)
            assert self.work().claim.wake == "backoff", "nobody else came, so it is anybody's"

    def test_a_retry_is_at_once_the_own_if_nobody_else_is_there(self) -> None:
        self.submit()
        self.work().fail_once(10)
        assert self.is_now(self.due().next_at, 10)
        self.pass_time(10)
        assert self.work().claim.wake == "backoff"

    def test_what_comes_before_a_retry_that_is_left_to_others_is_not_overlooked(self) -> None:
        other, lanes = self.second(), self.lanes()
        other.claim_due(lanes, 1, aging=300.0)
        for name in ("a", "b"):
            self.submit(name)
        first, second = self.works()
        first.fail_once(10)
        second.wait(10.05)
        assert self.is_now(self.due().next_at, 10.05 if other is not self.store else 10)

    def test_a_run_takes_a_retry_that_a_worker_would_leave_to_others(self) -> None:
        other, lanes = self.second(), self.lanes()
        other.claim_due(lanes, 1, aging=300.0)
        self.submit()
        self.work().fail_once(10)
        self.pass_time(10)
        assert self.claimed().claim.wake == "backoff"

    def test_a_retry_that_failed_for_good_and_is_brought_back_avoids_nobody(self) -> None:
        other, lanes = self.second(), self.lanes()
        other.claim_due(lanes, 1, aging=300.0)
        self.submit()
        self.work().fail_once(10)
        self.store.request_cancel("a", None, None)
        self.retry()
        assert self.token().avoid is None
        self.work()

    def test_who_gives_work_back_may_take_it_again(self) -> None:
        other, lanes = self.second(), self.lanes()
        other.claim_due(lanes, 1, aging=300.0)
        self.submit()
        self.store.release([self.work().fence])
        assert self.token().avoid is None
        self.work()

    # --- shared branches ------------------------------------------------------------------------------------------

    def test_shared_branches_are_anybodys(self) -> None:
        self.submit()
        main = self.work()
        assert main.fork("l", "r", output=b"7", share=True) == []
        assert [(token.number, token.state, token.owner) for token in self.view().tokens] == [
            (0, "joining", None), (1, "ready", None), (2, "ready", None),
        ]  # fmt: skip
        self.is_void(main)
        first, second = self.works(1), self.works(1)
        hands = {hand.fence.token: hand for hand in [*first, *second]}
        assert {number: hand.claim.value for number, hand in hands.items()} == {1: b"7", 2: b"7"}
        assert hands[2].arrive("l", "r", output=b"2").kind == "arrived"
        (joined,) = hands[1].arrive("l", "r", output=b"1").claims
        assert joined.value == b'{"l":1,"r":2}'
        assert self.works() == [], "who came last holds the main line"
        assert Hand(self.store, joined).complete().kind == "finished"

    def test_shared_branches_stand_where_nothing_runs_at_once(self) -> None:
        self.start().fork("l", "r", is_task=False, share=True)
        assert {hand.claim.wake for hand in self.works()} == {"standing"}

    def test_a_run_takes_shared_branches_too(self) -> None:
        self.start().fork("l", "r", share=True)
        (given,) = self.works(1)
        (left,) = self.claims()
        assert {given.fence.token, left.fence.token} == {1, 2}

    def test_branches_that_are_not_shared_are_the_callers(self) -> None:
        assert len(self.start().fork("l", "r")) == 2
        assert self.works() == []
