"""Conformance: what can be read, retries, hints, and the store's end."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from sayiir.core.lifecycle import State
from sayiir.core.records import Record
from sayiir.store.port import Instance, Restart, Token
from sayiir.testing.conformance.stage import HASH, STRUCTURE, StoreSuite


class ReadingSuite(StoreSuite):
    """Looking changes nothing, and shows one moment."""

    def test_nobody_is_none(self) -> None:
        assert self.store.load("nobody") is None
        assert self.store.inspect(12_345) == (None, None)
        assert self.store.history(12_345) == []
        assert self.store.owner_name(12_345_678) is None or isinstance(self.store.owner_name(12_345_678), str)

    def test_what_was_read_does_not_change_afterwards(self) -> None:
        hand = self.start()
        view, history = self.view(), self.history()
        instance, tokens = view.instance, view.tokens
        kept = (instance.status, instance.updated_at, tokens[0].position, tokens[0].state)
        self.pass_time(1)
        hand.run("two")
        hand.wait(10)
        self.store.request_cancel("a", "why", "who")
        assert (instance.status, instance.updated_at, tokens[0].position, tokens[0].state) == kept
        assert (instance.reason, history) == (None, [])

    def test_inspect_tells_status_and_request(self) -> None:
        hand = self.start()
        number = hand.fence.instance
        assert self.store.inspect(number) == (State.IN_PROGRESS, None)
        self.store.request_pause("a", None, None)
        assert self.store.inspect(number) == (State.IN_PROGRESS, "pause")
        hand.run()
        assert self.store.inspect(number) == (State.PAUSED, None)

    def test_the_owner_of_a_claim_has_a_name(self) -> None:
        self.start()
        owner = self.token().owner
        assert owner is not None
        assert self.store.owner_name(owner)

    def test_another_handle_sees_every_write(self) -> None:
        other = self.second()
        hand = self.start()
        hand.run("two", b"5")
        seen = other.load("a")
        assert seen == self.store.load("a")
        assert other.value(hand.fence.instance, 1) == b"5"
        other.send_signal("a", "go", b"1")
        assert hand.await_signal("go").kind == "signal"
        other.request_cancel("a", None, None)
        assert self.status() is State.CANCELLED

    def test_its_time_is_in_the_tests_hands(self) -> None:
        before = self.store.now()
        self.pass_time(60)
        assert self.is_now(before, -60)
        assert self.is_now(self.second().now())

    def test_all_of_it_survives_a_crash(self) -> None:
        hand = self.start()
        hand.run("two", b"5")
        left, _right = hand.fork("l", "r")
        left.await_signal("go", 60)
        self.store.send_signal("a", "go", b"1")
        before = self.facts()
        self.crash()
        assert self.facts() == before
        assert self.store.structure("w", HASH) == STRUCTURE

    def test_closing_twice_is_closing_once(self) -> None:
        self.store.close()
        self.store.close()


class RetryingSuite(StoreSuite):
    """A failed or cancelled instance comes back to life."""

    def test_the_design_sees_the_instance_and_its_history(self) -> None:
        hand = self.start()
        hand.run("two", b"5")
        hand.fail()
        before = self.view().instance
        seen: list[tuple[Instance, list[Record]]] = []

        def design(instance: Instance, records: list[Record]) -> Restart:
            seen.append((instance, list(records)))
            return Restart((Token(instance.number, 0, "ready", "two", ref=1, step=2),))

        self.store.retry("a", design)
        ((instance, records),) = seen
        assert instance.instance_id == before.instance_id
        assert [record.node for record in records] == ["one", "two"]
        assert (self.status(), self.instance().error, self.instance().halted) == (State.IN_PROGRESS, None, None)
        again = self.claimed()
        assert (again.position.node, again.claim.value, again.position.attempt) == ("two", b"5", 1)
        assert again.complete(b"6").kind == "finished"
        assert [record.status for record in self.history()] == ["completed", "failed", "completed"]

    def test_a_cancelled_one_loses_its_reason(self) -> None:
        self.start().release()
        self.store.request_cancel("a", "why", "who")
        self.retry()
        assert (self.instance().reason, self.instance().actor) == (None, None)
        assert self.claimed().complete().kind == "finished"

    def test_what_is_made_again_is_marked_and_kept(self) -> None:
        hand = self.start()
        hand.run("two", b"1")
        hand.fail()
        record = Record(101, "one", "input", output=b"9")
        read_before = self.history()
        self.retry("a", Token(hand.fence.instance, 0, "ready", "one", ref=101, step=101), superseded=(1,), record=record)
        assert self.value() == b"9"
        assert {record.ref: record.superseded for record in self.history()} == {1: True, 2: False, 101: False}
        assert not any(record.superseded for record in read_before)

    def test_parked_tokens_live_again_as_they_are(self) -> None:
        hand = self.start()
        hand.fail()
        due = self.store.now() + 60_000_000
        self.retry("a", Token(hand.fence.instance, 0, "waiting", "delay", step=50, due_at=due))
        assert self.status() is State.WAITING
        self.pass_time(60)
        assert self.claimed().claim.wake == "timer"

    def test_a_design_that_fails_changes_nothing(self) -> None:
        self.start().fail()
        before = self.facts()

        def design(_instance: Instance, _records: list[Record]) -> Restart:
            raise ValueError("task 'x' has not run")

        with pytest.raises(ValueError, match="has not run"):
            self.store.retry("a", design)
        assert self.facts() == before
        self.retry()
        assert self.status() is State.IN_PROGRESS

    def test_claims_of_the_earlier_life_do_not_come_back(self) -> None:
        hand = self.start()
        hand.fail()
        ended = Token(hand.fence.instance, 0, "ready", "one", step=100, owner=1, epoch=1, until=self.store.now() * 2)
        self.retry("a", ended)
        assert self.token().owner is None
        self.claimed()
        self.is_void(hand)


class HintSuite(StoreSuite):
    """Waiting for something to change; only a hint, but it must come for changes of the same handle."""

    def test_a_mark_that_is_old_returns_at_once(self) -> None:
        mark = self.store.wait_for_hint(0, None)
        self.submit()
        assert self.store.wait_for_hint(mark, None) != mark

    @pytest.mark.parametrize(
        "change",
        ["submit", "release", "park", "complete", "signal", "cancel", "pause", "unpause", "terminate", "retry"],
    )
    def test_a_change_wakes_who_waits(self, change: str) -> None:
        hand = self.start()
        if change == "unpause":
            self.store.request_pause("a", None, None)
            hand.run()
        elif change == "retry":
            hand.fail()
        mark = self.store.wait_for_hint(0, None)
        woken: list[int] = []
        thread = threading.Thread(target=lambda: woken.append(self.store.wait_for_hint(mark, None)))
        thread.start()
        self.clock.until_waiting()
        changes: dict[str, Callable[[], object]] = {
            "submit": lambda: self.submit("b"),
            "release": hand.release,
            "park": lambda: hand.await_signal("go"),
            "complete": hand.complete,
            "signal": lambda: self.store.send_signal("a", "go", b"1"),
            "cancel": lambda: self.store.request_cancel("a", None, None),
            "pause": lambda: self.store.request_pause("a", None, None),
            "unpause": lambda: self.store.unpause("a"),
            "terminate": lambda: self.submit(policy="terminate_existing"),
            "retry": self.retry,
        }
        changes[change]()
        thread.join()
        assert woken[0] != mark

    def test_without_a_change_it_waits_for_its_time(self) -> None:
        mark = self.store.wait_for_hint(0, None)
        woken: list[int] = []
        thread = threading.Thread(target=lambda: woken.append(self.store.wait_for_hint(mark, 5)))
        thread.start()
        self.clock.until_waiting()
        assert woken == []
        self.pass_time(5)
        thread.join()
        assert len(woken) == 1

    def test_no_time_is_no_wait(self) -> None:
        mark = self.store.wait_for_hint(0, None)
        assert self.store.wait_for_hint(mark, 0) == mark
