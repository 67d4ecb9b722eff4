"""Conformance: what the dead have left is found, blamed rightly, and given to others, each by itself in the end."""

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

    def die_again(self, **more: Any) -> None:
        """Let whoever takes what is there die with it."""
        assert self.works(**more)
        self.crash()
        self.store.sweep(**more)

    def test_after_a_crash_all_go_on_together(self) -> None:
        self.die("s1", "s2", "s3")
        self.submit("innocent")
        assert sorted(self.taken()) == ["innocent", "s1", "s2", "s3"]

    def test_before_the_last_crash_they_are_given_one_at_a_time(self) -> None:
        self.die("s1", "s2", "s3")
        self.die_again()
        self.submit("innocent")
        given = [self.taken() for _ in range(4)]
        assert sorted(name for names in given for name in names) == ["innocent", "s1", "s2", "s3"]
        assert sorted(map(len, given)) == [0, 1, 1, 2]

    @pytest.mark.parametrize("most", [2, 3, 5])
    def test_which_crash_is_the_last_is_the_callers_to_say(self, most: int) -> None:
        self.die("s1", "s2")
        for crash in range(1, most - 1):
            assert (crash, self.store.sweep(max_crashes=most)) == (crash, 0)
            self.die_again(max_crashes=most)
        assert [len(self.taken(max_crashes=most)) for _ in range(3)] == [1, 1, 0]

    def test_who_is_at_the_last_waits_for_all_that_are_suspect(self) -> None:
        self.die("last")
        self.die_again()
        self.start("marked")
        self.crash()
        self.store.sweep()
        self.submit("innocent")
        assert sorted(self.taken()) == ["innocent", "marked"]
        self.submit("another")
        assert self.taken(beside=1) == ["another"]
        assert self.taken() == ["last"]

    def test_beside_one_at_the_last_are_those_only_with_whom_nobody_died(self) -> None:
        self.die("s1", "s2")
        self.submit("innocent")
        assert self.taken(beside=2) == ["innocent"]
        assert self.taken(1, beside=7) == []
        assert sorted(self.taken(beside=1)) == ["s1", "s2"]

    def test_one_crash_at_most_leaves_nobody_to_be_kept_apart(self) -> None:
        for name in ("a", "b", "c"):
            self.submit(name)
        assert sorted(self.taken(max_crashes=1)) == ["a", "b", "c"]
        self.crash()
        assert self.store.sweep(max_crashes=1) == 3
        assert {self.status(name) for name in "abc"} == {State.FAILED}

    @pytest.mark.parametrize("most", [2, 3, 4])
    def test_the_innocent_survive_whoever_kills_beside_them(self, most: int) -> None:
        names = ["i1", "i2", "killer", "i3"]
        for name in names:
            self.submit(name)
        deaths = 0
        while works := self.due(max_crashes=most).works:
            # As a worker: all that it has in hand runs at once, and it asks for more beside that.
            works += self.due(max_crashes=most, beside=max(work.claim.position.crashes for work in works)).works
            if any(work.instance.instance_id == "killer" for work in works):
                self.crash()
                deaths += 1
                self.store.sweep(max_crashes=most)
            else:
                for work in works:
                    Hand(self.store, work.claim).complete()
        assert deaths == most
        assert [self.status(name) for name in names] == [
            State.COMPLETED, State.COMPLETED, State.FAILED, State.COMPLETED,
        ]  # fmt: skip

    def test_a_task_that_ended_is_no_suspect(self) -> None:
        self.die("s1")
        hand = self.work()
        hand.run("two")
        hand.release()
        assert self.taken(beside=2) == ["s1"]

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
        assert (error["attempts"], error["details"]) == (3, {"crashes": 3})
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
