"""Conformance: cancel, pause and unpause, whatever the tokens are doing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sayiir.core.lifecycle import State
from sayiir.core.plan import COMPLETE, RUN
from sayiir.core.records import Arrive, Await, Decision, Fork, Position, Wait
from sayiir.errors import InvalidStateError
from sayiir.store.port import Moved
from sayiir.testing.conformance.situations import Begin, Rest, at_rest, running
from sayiir.testing.conformance.stage import ERROR, HASH, MICROS, STRUCTURE, StoreSuite, at_once


class SteeringSuite(StoreSuite):
    """Requests take effect at once where no task runs, and at the next boundary where one does."""

    # --- cancel ---------------------------------------------------------------------------------------------------

    @at_rest
    def test_cancel_is_at_once_where_no_task_runs(self, rest: Rest) -> None:
        rest(self)
        assert self.store.request_cancel("a", "why", "who") is State.CANCELLED
        view = self.view()
        assert (view.instance.status, view.instance.reason, view.instance.actor) == (State.CANCELLED, "why", "who")
        assert (view.instance.request, view.tokens) == (None, ())
        assert self.is_now(view.instance.updated_at)
        assert self.claims() == []

    @running
    def test_cancel_of_running_tasks_waits_for_the_first_boundary(self, begin: Begin) -> None:
        hands = begin(self)
        before = self.status()
        assert self.store.request_cancel("a", "why", "who") is before
        assert self.store.inspect(hands[0].fence.instance) == (before, "cancel")
        answer = self.store.claim("a", HASH, STRUCTURE)
        assert (answer.claims, answer.busy) == ((), True), "nothing starts any more"
        assert hands[0].run("two", b"5").kind == "stopped"
        assert (self.status(), self.instance().reason, self.instance().actor) == (State.CANCELLED, "why", "who")
        assert b"5" in [record.output for record in self.history()], "what ended is kept"
        for hand in hands:
            self.is_void(hand)

    def test_a_cancelled_task_is_not_tried_again(self) -> None:
        hand = self.start()
        self.store.request_cancel("a", None, None)
        assert hand.fail_once(10, hold=True).kind == "stopped"
        assert self.status() is State.CANCELLED

    def test_a_cancel_reaches_a_runner_in_its_backoff(self) -> None:
        hand = self.start()
        hand.fail_once(60, hold=True)
        self.store.request_cancel("a", None, None)
        assert self.status() is State.CANCELLED
        self.is_void(hand)

    def test_the_first_cancel_stays(self) -> None:
        hand = self.start()
        self.store.request_cancel("a", "first", "one")
        self.store.request_cancel("a", "second", "two")
        hand.run()
        assert self.store.request_cancel("a", "third", "three") is State.CANCELLED
        assert (self.instance().reason, self.instance().actor) == ("first", "one")

    def test_a_reason_may_be_missing(self) -> None:
        self.submit()
        self.store.request_cancel("a", None, None)
        assert (self.instance().reason, self.instance().actor) == (None, None)

    def test_a_dead_runners_crash_is_recorded_by_the_cancel(self) -> None:
        self.start()
        self.crash()
        self.store.request_cancel("a", None, None)
        assert [record.status for record in self.history()] == ["crashed"]

    # --- pause and unpause ----------------------------------------------------------------------------------------

    @at_rest
    def test_pause_is_at_once_where_no_task_runs(self, rest: Rest) -> None:
        rest(self)
        assert self.store.request_pause("a", "why", "who") is State.PAUSED
        view = self.view()
        assert (view.instance.status, view.instance.reason, view.instance.actor) == (State.PAUSED, "why", "who")
        assert view.instance.request is None
        assert all(token.owner is None for token in view.tokens)
        self.pass_time(1000)
        self.store.send_signal("a", "go", b"1")
        answer = self.store.claim("a", HASH, STRUCTURE)
        assert (answer.claims, answer.busy) == ((), False)

    @at_rest
    def test_unpause_leaves_it_as_it_was(self, rest: Rest) -> None:
        rest(self)
        self.store.request_pause("a", "why", "who")
        tokens = [(token.number, token.state, token.position, token.due_at) for token in self.view().tokens]
        status = self.store.unpause("a")
        assert status is self.status()
        states = {token.state for token in self.view().tokens} - {"joining", "done"}
        waits = {State.AWAITING_SIGNAL: "awaiting", State.WAITING: "waiting"}
        expected = next((state for state, word in waits.items() if word in states), State.IN_PROGRESS)
        assert status is (expected if not states & {"ready", "standing", "backoff"} else State.IN_PROGRESS)
        assert [(t.number, t.state, t.position, t.due_at) for t in self.view().tokens] == tokens
        assert (self.instance().reason, self.instance().actor) == (None, None)
        self.pass_time(1000)
        assert self.claims()

    @running
    def test_pause_waits_for_every_running_task(self, begin: Begin) -> None:
        hands = begin(self)
        assert self.store.request_pause("a", "why", "who") is State.IN_PROGRESS
        for hand in hands:
            assert self.status() is State.IN_PROGRESS
            answer = self.store.claim("a", HASH, STRUCTURE)
            assert (answer.claims, answer.busy) == ((), True), "nothing starts any more"
            assert hand.run("two").kind == "stopped"
            self.is_void(hand)
        assert (self.status(), self.instance().reason, self.instance().actor) == (State.PAUSED, "why", "who")
        self.store.unpause("a")
        assert {hand.position.node for hand in self.claims()} == {"two"}

    def test_a_pause_reaches_a_runner_in_its_backoff(self) -> None:
        hand = self.start()
        hand.fail_once(60, hold=True)
        self.store.request_pause("a", None, None)
        self.is_void(hand)
        self.store.unpause("a")
        assert self.claimed().claim.wake == "backoff"

    def test_the_first_pause_stays(self) -> None:
        hand = self.start()
        self.store.request_pause("a", "first", "one")
        self.store.request_pause("a", "second", "two")
        hand.run()
        assert self.store.request_pause("a", "third", "three") is State.PAUSED
        assert (self.instance().reason, self.instance().actor) == ("first", "one")

    def test_unpause_withdraws_a_pause_that_has_not_taken_effect(self) -> None:
        hand = self.start()
        self.store.request_pause("a", "why", "who")
        assert self.store.unpause("a") is State.IN_PROGRESS
        assert self.store.inspect(hand.fence.instance) == (State.IN_PROGRESS, None)
        assert hand.run("two").kind == "continue"
        assert self.instance().reason is None
        with pytest.raises(InvalidStateError):
            self.store.unpause("a")

    def test_unpause_after_one_branch_has_stopped_frees_it(self) -> None:
        left, right = self.start().fork("l", "r")
        self.store.request_pause("a", None, None)
        left.run("l2")
        self.store.unpause("a")
        (again,) = self.claims()
        assert (again.fence.token, again.position.node, again.position.crashes) == (1, "l2", 0)
        assert right.run("r2").kind == "continue"

    @pytest.mark.parametrize(
        ("decision", "state", "after"),
        [
            (RUN, "ready", State.IN_PROGRESS),
            (Wait(10), "waiting", State.WAITING),
            (Wait(10, retry=True), "backoff", State.IN_PROGRESS),
            (Await("go", 10), "awaiting", State.AWAITING_SIGNAL),
            (Fork(((1, Position("b"), True),)), "standing", State.IN_PROGRESS),
            (COMPLETE, "standing", State.IN_PROGRESS),
        ],
        ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
    )
    def test_a_pause_lets_the_move_be_made(self, decision: Decision, state: str, after: State) -> None:
        hand = self.start()
        self.store.request_pause("a", None, None)
        assert hand.move(decision, "two", output=b"5").kind == "stopped"
        assert self.status() is State.PAUSED
        token = self.token()
        assert (token.state, token.node, token.owner) == (state, "two", None)
        due = token.moved_at + 10 * MICROS
        assert token.due_at == (due if state in ("waiting", "backoff", "awaiting") else None)
        assert self.value() == b"5"
        assert self.store.unpause("a") is after

    def test_a_pause_lets_the_last_branch_join(self) -> None:
        left, right = self.start().fork("l", "r")
        left.arrive("l", "r", output=b"1")
        self.store.request_pause("a", None, None)
        assert right.arrive("l", "r", output=b"2").kind == "stopped"
        assert self.status() is State.PAUSED
        self.store.unpause("a")
        hand = self.claimed()
        assert (hand.position.node, hand.claim.value) == ("join", b'{"l":1,"r":2}')

    def test_a_pause_lets_a_branch_arrive(self) -> None:
        left, right = self.start().fork("l", "r")
        self.store.request_pause("a", None, None)
        assert left.arrive("l", "r").kind == "stopped"
        assert self.status() is State.IN_PROGRESS, "the other branch still runs"
        assert right.move(Arrive(0, "fork", "join", ((1, "l"), (2, "r"))), "fork::2").kind == "stopped"
        assert self.status() is State.PAUSED

    def test_a_signal_that_is_there_waits_through_a_pause(self) -> None:
        hand = self.start()
        self.store.send_signal("a", "go", b"1")
        self.store.request_pause("a", None, None)
        assert hand.await_signal("go", 10).kind == "stopped"
        self.pass_time(1000)
        self.store.unpause("a")
        assert self.claimed().claim.wake == "signal"

    def test_a_deadline_goes_on_through_a_pause(self) -> None:
        self.start().await_signal("go", 10)
        self.store.request_pause("a", None, None)
        self.pass_time(10)
        self.store.send_signal("a", "go", b"1")
        assert self.store.unpause("a") is State.AWAITING_SIGNAL
        assert self.claimed().claim.wake == "expired"

    # --- who wins -------------------------------------------------------------------------------------------------

    def test_cancel_beats_a_pause_that_has_not_taken_effect(self) -> None:
        hand = self.start()
        self.store.request_pause("a", "pause", "p")
        self.store.request_cancel("a", "cancel", "c")
        hand.run()
        assert (self.status(), self.instance().reason, self.instance().actor) == (State.CANCELLED, "cancel", "c")

    def test_cancel_beats_a_pause(self) -> None:
        self.submit()
        self.store.request_pause("a", "pause", "p")
        assert self.store.request_cancel("a", "cancel", "c") is State.CANCELLED
        assert (self.instance().reason, self.instance().actor) == ("cancel", "c")

    def test_pause_does_not_beat_a_cancel(self) -> None:
        hand = self.start()
        self.store.request_cancel("a", "cancel", "c")
        self.store.request_pause("a", "pause", "p")
        with pytest.raises(InvalidStateError):
            self.store.unpause("a")
        hand.run()
        assert (self.status(), self.instance().reason) == (State.CANCELLED, "cancel")

    def test_a_request_before_the_completion_wins(self) -> None:
        for name, status in (("cancel", State.CANCELLED), ("pause", State.PAUSED)):
            hand = self.start(policy="terminate_existing")
            getattr(self.store, f"request_{name}")("a", None, None)
            assert hand.complete(b"5").kind == "stopped"
            assert self.status() is status
            assert self.view().output is None
        self.store.unpause("a")
        hand = self.claimed()
        assert (hand.claim.wake, hand.position.node, hand.claim.value) == ("standing", "$end", b"5")

    def test_a_request_after_the_completion_is_refused(self) -> None:
        self.start().complete()
        for request in (self.store.request_cancel, self.store.request_pause):
            with pytest.raises(InvalidStateError, match="it is completed"):
                request("a", None, None)

    def test_a_failure_beats_a_pause_and_leaves_nothing_of_it(self) -> None:
        hand = self.start()
        self.store.request_pause("a", "why", "who")
        assert hand.fail().kind == "finished"
        assert (self.status(), self.instance().error) == (State.FAILED, ERROR)
        with pytest.raises(InvalidStateError, match="it is failed"):
            self.store.unpause("a")
        self.retry()
        assert self.claimed().run().kind == "continue"

    def test_a_cancel_beats_a_failure(self) -> None:
        hand = self.start()
        self.store.request_cancel("a", None, None)
        assert hand.fail().kind == "stopped"
        assert (self.status(), self.instance().error) == (State.CANCELLED, None)

    # --- who dies or lets go before obeying -----------------------------------------------------------------------

    @pytest.mark.parametrize("request_name", ["cancel", "pause"])
    @running
    def test_a_request_takes_effect_when_its_runner_died(self, begin: Begin, request_name: str) -> None:
        hands = begin(self)
        getattr(self.store, f"request_{request_name}")("a", "why", "who")
        self.crash()
        answer = self.store.claim("a", HASH, STRUCTURE)
        assert (answer.claims, answer.busy) == ((), False)
        status = State.CANCELLED if request_name == "cancel" else State.PAUSED
        assert (self.status(), answer.instance.status, self.instance().reason) == (status, status, "why")
        for hand in hands:
            self.is_void(hand)
        crashed = [record.node for record in self.history() if record.status == "crashed"]
        assert len(crashed) == sum(hand.claim.wake == "ready" for hand in hands)

    def test_a_paused_instance_whose_runner_died_goes_on(self) -> None:
        self.start()
        self.store.request_pause("a", None, None)
        self.crash()
        self.store.claim("a", HASH, STRUCTURE)
        self.store.unpause("a")
        hand = self.claimed()
        assert (hand.position.attempt, hand.position.crashes) == (2, 1)

    @pytest.mark.parametrize("request_name", ["cancel", "pause"])
    def test_a_request_takes_effect_when_its_runner_lets_go(self, request_name: str) -> None:
        hand = self.start()
        getattr(self.store, f"request_{request_name}")("a", "why", "who")
        hand.release()
        assert self.status() is (State.CANCELLED if request_name == "cancel" else State.PAUSED)
        assert self.instance().reason == "why"
        assert all(record.status != "crashed" for record in self.history())

    def test_a_pause_waits_for_the_branch_that_did_not_let_go(self) -> None:
        left, right = self.start().fork("l", "r")
        self.store.request_pause("a", None, None)
        left.release()
        assert self.status() is State.IN_PROGRESS
        right.run("two")
        assert self.status() is State.PAUSED

    def test_requests_race_with_completions_and_one_wins(self) -> None:
        for _ in range(20):
            hand = self.start(policy="terminate_existing")
            calls: list[Callable[[], object]] = [hand.complete, lambda: self.store.request_cancel("a", None, None)]
            moved, answer = at_once(calls)
            assert isinstance(moved, Moved)
            completed = self.status() is State.COMPLETED
            assert completed or self.status() is State.CANCELLED
            assert isinstance(answer, InvalidStateError) is completed
            assert moved.kind == ("finished" if completed else "stopped")
