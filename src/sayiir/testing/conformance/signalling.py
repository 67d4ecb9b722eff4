"""Conformance: signals are buffered, found in order, and consumed exactly once."""

from __future__ import annotations

from functools import partial

import pytest

from sayiir.core.lifecycle import State
from sayiir.errors import InvalidStateError
from sayiir.testing.conformance.stage import HASH, STRUCTURE, StoreSuite, at_once


class SignallingSuite(StoreSuite):
    """Sender and waiter meet, whoever comes first."""

    def test_park_then_send(self) -> None:
        self.start().await_signal("go")
        assert self.store.claim("a", HASH, STRUCTURE).claims == ()
        assert self.store.send_signal("a", "go", b'"hello"')
        assert self.status() is State.AWAITING_SIGNAL, "until somebody looks"
        hand = self.claimed()
        signal = hand.claim.signal
        assert signal is not None
        assert (hand.claim.wake, signal.name, signal.payload) == ("signal", "go", b'"hello"')
        assert self.status() is State.IN_PROGRESS
        hand.consume(signal)
        assert self.value() == b'"hello"'

    def test_send_then_park(self) -> None:
        hand = self.start()
        self.store.send_signal("a", "go", b"1")
        assert hand.await_signal("go").kind == "signal"

    def test_sent_before_the_instance_is_there(self) -> None:
        assert self.store.send_signal("a", "go", b"1")
        assert self.store.load("a") is None
        assert self.start().await_signal("go").kind == "signal"

    def test_first_in_first_out(self) -> None:
        hand = self.start()
        for payload in (b"1", b"2", b"3"):
            self.store.send_signal("a", "go", payload)
        seen = []
        for _ in range(3):
            signal = hand.await_signal("go").signal
            assert signal is not None
            seen.append(signal.payload)
            hand.consume(signal)
        assert seen == [b"1", b"2", b"3"]
        assert hand.await_signal("go").kind == "parked"

    def test_names_and_instances_are_apart(self) -> None:
        hand, other = self.start(), self.start("b")
        self.store.send_signal("a", "stop", b"1")
        self.store.send_signal("b", "Go", b"2")
        assert hand.await_signal("go").kind == "parked"
        assert other.await_signal("go").kind == "parked"

    def test_a_signal_that_was_found_is_still_there_after_a_crash(self) -> None:
        hand = self.start()
        self.store.send_signal("a", "go", b"1")
        found = hand.await_signal("go").signal
        for _ in range(3):
            self.crash()
            hand = self.claimed()
            assert (hand.claim.wake, hand.claim.signal) == ("signal", found)
        assert hand.consume(found).kind == "continue"
        assert hand.await_signal("go").kind == "parked", "consumed once"

    def test_two_waits_for_one_signal(self) -> None:
        left, right = self.start().fork("l", "r")
        left.await_signal("go")
        right.await_signal("go", 60)
        due = self.token(2).due_at
        self.store.send_signal("a", "go", b"1")
        first, second = self.claims()
        assert first.claim.signal == second.claim.signal
        assert first.consume(first.claim.signal).kind == "continue"
        before = self.facts()
        moved = second.consume(second.claim.signal)
        assert (moved.kind, moved.due_at) == ("again", due)
        assert self.facts() == before, "who came too late has written nothing"

    def test_who_came_too_late_waits_on_with_the_same_deadline(self) -> None:
        left, right = self.start().fork("l", "r")
        left.await_signal("go")
        right.await_signal("go", 60)
        due = self.token(2).due_at
        self.store.send_signal("a", "go", b"1")
        first, second = self.claims()
        first.consume(first.claim.signal)
        self.pass_time(20)
        assert second.consume(second.claim.signal).kind == "again"
        assert self.store.peek_signal(second.fence, "go", due) is None
        moved = second.await_on("go", 60)
        assert (moved.kind, moved.due_at) == ("parked", due)
        self.store.send_signal("a", "go", b"2")
        again = self.claimed()
        assert again.claim.signal is not None
        assert again.claim.signal.payload == b"2"

    def test_many_waits_get_one_signal_each(self) -> None:
        names = [f"b{number}" for number in range(8)]
        for hand in self.start().fork(*names):
            hand.await_signal("go")
        at_once([partial(self.store.send_signal, "a", "go", str(n).encode()) for n in range(8)])
        seen = []
        for hand in self.claims():
            signal = hand.claim.signal
            while hand.consume(signal).kind == "again":
                signal = hand.await_on("go").signal
            assert signal is not None
            seen.append(signal.payload)
        assert sorted(seen) == [str(n).encode() for n in range(8)]

    def test_peek_looks_and_takes_nothing(self) -> None:
        hand = self.start()
        assert self.store.peek_signal(hand.fence, "go", None) is None
        self.store.send_signal("a", "go", b"1")
        found = self.store.peek_signal(hand.fence, "go", None)
        assert found is not None
        assert self.store.peek_signal(hand.fence, "go", None) == found
        assert hand.await_signal("go").signal == found

    @pytest.mark.parametrize("payload", [b"null", b'"\\u0000"', '"日"'.encode(), b"[]"])
    def test_payloads_come_as_they_were_sent(self, payload: bytes) -> None:
        self.store.send_signal("a", "go", payload, "key")
        signal = self.start().await_signal("go").signal
        assert signal is not None
        assert signal.payload == payload

    # --- duplicates -----------------------------------------------------------------------------------------------

    def test_a_dedup_key_counts_once(self) -> None:
        hand = self.start()
        assert self.store.send_signal("a", "go", b"1", "key")
        assert not self.store.send_signal("a", "go", b"2", "key")
        assert self.store.send_signal("a", "go", b"3", "other")
        assert self.store.send_signal("a", "stop", b"4", "key"), "keys belong to a name"
        assert self.store.send_signal("b", "go", b"5", "key"), "and to an instance"
        signal = hand.await_signal("go").signal
        assert signal is not None
        assert signal.payload == b"1"

    def test_a_dedup_key_is_remembered_when_the_signal_is_consumed(self) -> None:
        hand = self.start()
        self.store.send_signal("a", "go", b"1", "key")
        hand.consume(hand.await_signal("go").signal)
        assert not self.store.send_signal("a", "go", b"2", "key")
        assert hand.await_signal("go").kind == "parked"

    def test_a_dedup_key_is_remembered_over_a_crash(self) -> None:
        self.start()
        self.store.send_signal("a", "go", b"1", "key")
        self.crash()
        assert not self.store.send_signal("a", "go", b"2", "key")

    def test_without_a_key_every_signal_counts(self) -> None:
        assert self.store.send_signal("a", "go", b"1")
        assert self.store.send_signal("a", "go", b"1")

    def test_of_many_with_one_key_one_counts(self) -> None:
        answers = at_once([partial(self.store.send_signal, "a", "go", b"1", "key")] * 8)
        assert sorted(map(bool, answers)) == [False] * 7 + [True]

    # --- who takes signals ----------------------------------------------------------------------------------------

    @pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
    def test_a_finished_instance_takes_none(self, end: str) -> None:
        hand = self.start()
        if end == "completed":
            hand.complete()
        elif end == "failed":
            hand.fail()
        else:
            hand.release()
            self.store.request_cancel("a", None, None)
        with pytest.raises(InvalidStateError, match=f"it is {end}") as caught:
            self.store.send_signal("a", "go", b"1", "key")
        assert (caught.value.status, caught.value.signal_name, caught.value.instance_id) == (end, "go", "a")

    def test_a_paused_instance_takes_them(self) -> None:
        self.start().await_signal("go")
        self.store.request_pause("a", None, None)
        self.store.send_signal("a", "go", b"1")
        assert self.claims() == []
        self.store.unpause("a")
        assert self.claimed().claim.wake == "signal"

    # --- deadlines ------------------------------------------------------------------------------------------------

    def test_a_signal_before_the_deadline_counts_whenever_it_is_looked_at(self) -> None:
        self.start().await_signal("go", 10)
        self.pass_time(10 - self.instant)
        self.store.send_signal("a", "go", b"1")
        self.pass_time(1000)
        hand = self.claimed()
        assert hand.claim.wake == "signal"
        assert hand.consume(hand.claim.signal).kind == "continue"

    @pytest.mark.parametrize("late", [0, 1e-6, 1000])
    def test_a_signal_after_the_deadline_does_not_count(self, late: float) -> None:
        self.start().await_signal("go", 10)
        self.pass_time(10 + late)
        self.store.send_signal("a", "go", b"1")
        hand = self.claimed()
        assert (hand.claim.wake, hand.claim.signal) == ("expired", None)

    def test_a_late_signal_is_kept_for_the_next_wait(self) -> None:
        self.start().await_signal("go", 10)
        self.pass_time(11)
        self.store.send_signal("a", "go", b"1")
        hand = self.claimed()
        hand.run("after", b"null")
        assert hand.await_signal("go", node="gate_2").kind == "signal"

    def test_the_deadline_is_met_at_its_microsecond(self) -> None:
        due = self.start().await_signal("go", 10).due_at
        self.pass_time(10 - self.instant)
        assert self.claims() == []
        self.pass_time(self.instant)
        assert self.is_now(due)
        assert self.claimed().claim.wake == "expired"

    def test_until_somebody_looks_an_expired_wait_shows_its_past_time(self) -> None:
        due = self.start().await_signal("go", 10).due_at
        self.pass_time(3600)
        assert self.status() is State.AWAITING_SIGNAL
        assert self.token().due_at == due
        assert self.is_now(due, -3590)

    def test_an_expired_wait_that_dies_expires_again(self) -> None:
        self.start().await_signal("go", 10)
        self.pass_time(10)
        self.claimed()
        self.crash()
        hand = self.claimed()
        assert (hand.claim.wake, hand.position.crashes) == ("expired", 0)
