"""Conformance: what the dead have left is found, blamed rightly, and given to others one suspect at a time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sayiir.core.lifecycle import State
from sayiir.store.port import CLAIM_TTL
from sayiir.testing.conformance.situations import Begin, running
from sayiir.testing.conformance.stage import Hand, StoreSuite


class SweepingSuite(StoreSuite):
    """What `sweep` frees, and the quarantine of tasks that kill."""

    # --- who is swept up after ------------------------------------------------------------------------------------

    def test_nobody_leaves_nothing(self) -> None:
        assert self.store.sweep() == 0

    def test_the_dead_ones_tokens_are_free(self) -> None:
        hand = self.start()
        hand.run("two", b"5")
        worker = self.store.owner_name(self.token().owner or 0)
        self.crash()
        self.pass_time(3)
        assert self.works() == []
        assert self.store.sweep() == 1
        assert self.store.sweep() == 0
        taken = self.work()
        assert (taken.position.node, taken.position.attempt, taken.position.crashes) == ("two", 2, 1)
        assert taken.claim.value == b"5"
        crash = self.history()[-1]
        assert (crash.node, crash.status, crash.attempt, crash.worker) == ("two", "crashed", 1, worker)
        assert self.is_now(crash.started_at, -3)
        assert self.is_now(crash.finished_at)
        self.is_void(hand)

    def test_all_of_a_dead_ones_instances_are_freed(self) -> None:
        names = [f"i{number}" for number in range(5)]
        for name in names:
            self.start(name).fork("l", "r")
        self.crash()
        assert self.store.sweep() == 10
        given = set[str]()
        while works := self.due().works:
            given |= {work.instance.instance_id for work in works}
        assert given == set(names)

    def test_a_live_one_keeps_its_own(self) -> None:
        hand = self.start()
        other = self.second()
        for store in (self.store, other):
            assert store.sweep() == 0
        for _ in range(3):
            self.pass_time(CLAIM_TTL * 0.9)
            hand.beat()
            assert other.sweep() == 0
        assert self.works() == []
        assert hand.complete().kind == "finished"

    def test_a_claim_made_after_a_long_silence_is_kept(self) -> None:
        other = self.second()
        self.pass_time(CLAIM_TTL * 2)
        hand = self.start()
        assert other.sweep() == 0
        assert hand.complete().kind == "finished"

    def test_a_silent_one_loses_its_claims_to_others(self) -> None:
        hand = self.start()
        other = self.second()
        self.pass_time(CLAIM_TTL - self.instant)
        assert other.sweep() == 0
        self.pass_time(self.instant)
        assert self.store.sweep() == 0, "nobody is dead to himself"
        alone = other is self.store
        assert other.sweep() == (0 if alone else 1)
        if not alone:
            taken = Hand(other, self.due().works[0].claim)
            assert taken.position.crashes == 1
            self.is_void(hand)

    def test_a_sweep_does_not_blame_who_stood_or_slept(self) -> None:
        self.start("stands", is_task=False)
        self.start("sleeps").fail_once(60, hold=True)
        gate = self.start("awaits")
        self.store.send_signal("awaits", "go", b"1")
        assert gate.await_signal("go").kind == "signal"
        self.crash()
        assert self.store.sweep() == 3
        self.pass_time(60)
        works = {work.instance.instance_id: work.claim for work in self.due().works}
        wakes = {"stands": "standing", "sleeps": "backoff", "awaits": "signal"}
        assert {name: claim.wake for name, claim in works.items()} == wakes
        assert {claim.position.crashes for claim in works.values()} == {0}
        assert all(record.status != "crashed" for name in wakes for record in self.history(name))

    def test_the_status_shows_what_is_waited_for(self) -> None:
        self.start("sleeps").wait(1)
        self.start("awaits").await_signal("go")
        self.pass_time(1)
        self.store.send_signal("awaits", "go", b"1")
        assert len(self.works()) == 2
        self.crash()
        self.store.sweep()
        assert (self.status("sleeps"), self.status("awaits")) == (State.WAITING, State.AWAITING_SIGNAL)

    @pytest.mark.parametrize("request_name", ["cancel", "pause"])
    @running
    def test_a_request_takes_effect_when_its_runner_is_swept_away(self, begin: Begin, request_name: str) -> None:
        hands = begin(self)
        getattr(self.store, f"request_{request_name}")("a", "why", "who")
        self.crash()
        assert self.store.sweep() >= 1
        status = State.CANCELLED if request_name == "cancel" else State.PAUSED
        assert (self.status(), self.instance().reason) == (status, "why")
        crashed = [record.node for record in self.history() if record.status == "crashed"]
        assert len(crashed) == sum(hand.claim.wake == "ready" for hand in hands)
        assert self.works() == []
        for hand in hands:
            self.is_void(hand)
        assert self.store.sweep() == 0

    # --- suspects -------------------------------------------------------------------------------------------------

    def die(self, *names: str) -> None:
        """Start instances under one owner and let it die."""
        for name in names:
            self.start(name)
        self.crash()
        self.store.sweep()

    def test_suspects_are_given_one_at_a_time(self) -> None:
        self.die("s1", "s2", "s3")
        self.submit("innocent")
        given: list[str] = []
        while works := self.due().works:
            assert sum(work.claim.position.crashes > 0 for work in works) <= 1
            given += [work.instance.instance_id for work in works]
        assert sorted(given) == ["innocent", "s1", "s2", "s3"]

    def test_no_suspect_for_who_asks_for_none(self) -> None:
        self.die("s1", "s2")
        self.submit("innocent")
        for limit in (1, 100):
            assert self.taken(limit, suspects=False) == (["innocent"] if limit == 1 else [])
        assert len(self.taken()) == 1

    def test_a_task_that_ended_is_no_suspect(self) -> None:
        self.die("s1")
        hand = self.work()
        hand.run("two")
        hand.release()
        assert self.taken(suspects=False) == ["s1"]

    # --- quarantine -----------------------------------------------------------------------------------------------

    def kill(self, times: int, **more: Any) -> None:
        """Let the process of each worker that takes the token die."""
        for _ in range(times):
            assert len(self.works(**more)) == 1
            self.crash()
            assert self.store.sweep(**more) == 1

    def error(self, name: str = "a") -> dict[str, Any]:
        """Return why an instance failed."""
        error: dict[str, Any] = msgspec.json.decode(self.instance(name).error or b"null")
        return error

    def test_a_task_that_kills_is_not_tried_for_ever(self) -> None:
        self.submit()
        self.kill(2)
        assert self.status() is State.IN_PROGRESS
        self.kill(1)
        assert self.status() is State.FAILED
        assert self.view().tokens == ()
        error = self.error()
        assert (error["error_type"], error["code"], error["node_id"]) == ("WorkerCrashError", "worker_crash", "one")
        assert error["details"] == {"crashes": 3}
        assert "died 3 times" in error["message"]
        assert [(record.status, record.attempt) for record in self.history()] == [("crashed", n) for n in (1, 2, 3)]
        assert self.works() == []

    def test_how_often_is_the_callers_to_say(self) -> None:
        self.submit()
        self.kill(1, max_crashes=1)
        assert self.status() is State.FAILED

    def test_a_quarantined_one_can_be_retried(self) -> None:
        self.submit()
        self.kill(3)
        self.retry()
        assert self.work().complete().kind == "finished"

    def test_crashes_that_a_run_counted_count_too(self) -> None:
        self.submit("innocent")
        hand = self.start()
        for _ in range(3):
            self.crash()
            hand = self.claimed()
        hand.release()
        assert self.taken() == ["innocent"]
        assert (self.status(), self.error()["code"]) == (State.FAILED, "worker_crash")

    def test_a_quarantine_takes_the_other_branches_along(self) -> None:
        left, right = self.start().fork("l", "r")
        right.release()
        for _ in range(3):
            self.crash()
            left, *_rest = sorted(self.claims(), key=lambda hand: hand.fence.token)
            for hand in _rest:
                hand.release()
        left.release()
        self.submit("innocent")
        given = self.taken()
        assert self.status() is State.FAILED
        assert "innocent" in given
        assert self.view().tokens == ()
        assert self.works() == []

    def test_a_sweep_that_quarantines_one_branch_sweeps_on(self) -> None:
        self.start().fork("l", "r")
        self.start("b")
        self.crash()
        assert self.store.sweep(max_crashes=1) >= 2
        assert (self.status("a"), self.status("b")) == (State.FAILED, State.FAILED)
        assert self.store.sweep(max_crashes=1) == 0
