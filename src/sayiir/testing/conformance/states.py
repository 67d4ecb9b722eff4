"""Conformance: every state meets every event, as the lifecycle table says.

The cases are made from `core.lifecycle.TRANSITIONS`: where it has a move, the store makes it; where it has none, the
store refuses and nothing has changed.
"""

from __future__ import annotations

import pytest

from sayiir.core.lifecycle import TRANSITIONS, Event, State
from sayiir.errors import ClaimLostError, InstanceNotFoundError, InvalidStateError
from sayiir.testing.conformance.stage import Hand, StoreSuite

_BY_RUNNER = {Event.WAIT, Event.AWAIT, Event.COMPLETE, Event.FAIL}
ALLOWED = [(state, event, after) for state, moves in TRANSITIONS.items() for event, after in moves.items()]
REFUSED = [(state, event) for state, moves in TRANSITIONS.items() for event in Event if event not in moves]


class StatesSuite(StoreSuite):
    """The life of an instance, state × event."""

    def bring(self, state: State) -> Hand:
        """Bring an instance into a state, by no way but the port's; return the hand that did it."""
        hand = self.start()
        match state:
            case State.IN_PROGRESS:
                hand.release()
            case State.WAITING:
                hand.wait(10)
            case State.AWAITING_SIGNAL:
                hand.await_signal("go", 10)
            case State.PAUSED:
                hand.release()
                self.store.request_pause("a", "first", "one")
            case State.COMPLETED:
                hand.complete()
            case State.FAILED:
                hand.fail()
            case State.CANCELLED:
                hand.release()
                self.store.request_cancel("a", "first", "one")
        assert self.status() is state
        return hand

    def cause(self, event: Event, hand: Hand) -> None:
        """Let an event happen; a runner's events by the hand given."""
        match event:
            case Event.WAKE:
                self.pass_time(10)
                assert self.claims(), "nothing wakes"
            case Event.WAIT:
                hand.wait(10)
            case Event.AWAIT:
                hand.await_signal("go")
            case Event.COMPLETE:
                hand.complete()
            case Event.FAIL:
                hand.fail()
            case Event.PAUSE:
                self.store.request_pause("a", "second", "two")
            case Event.CANCEL:
                self.store.request_cancel("a", "second", "two")
            case Event.UNPAUSE:
                self.store.unpause("a")
            case Event.RETRY:
                self.retry()

    @pytest.mark.parametrize(("state", "event", "after"), ALLOWED)
    def test_what_the_table_allows_happens(self, state: State, event: Event, after: State) -> None:
        hand = self.bring(state)
        if event in _BY_RUNNER:
            # A runner's event needs a claim, which wakes what is parked; the table knows that move too.
            self.pass_time(10)
            hand = self.claimed()
        self.cause(event, hand)
        assert self.status() is after

    @pytest.mark.parametrize(("state", "event"), REFUSED)
    def test_what_the_table_does_not_allow_changes_nothing(self, state: State, event: Event) -> None:
        hand = self.bring(state)
        before = self.facts()
        if event is Event.WAKE:
            self.pass_time(10)
            assert self.claims() == []
        elif event in _BY_RUNNER:
            with pytest.raises(ClaimLostError):
                self.cause(event, hand)
        else:
            with pytest.raises(InvalidStateError) as caught:
                self.cause(event, hand)
            assert caught.value.status == state.value
            assert caught.value.instance_id == "a"
            assert state.value in str(caught.value)
        assert self.facts() == before

    def test_the_cases_are_complete(self) -> None:
        assert len(ALLOWED) + len(REFUSED) == len(State) * len(Event)

    def test_a_repeated_pause_or_cancel_keeps_the_first_reason(self) -> None:
        for state, event in ((State.PAUSED, Event.PAUSE), (State.CANCELLED, Event.CANCEL)):
            self.store.create(self.new(), "terminate_existing", claim=False)
            getattr(self.store, f"request_{event}")("a", "first", "one")
            before = self.facts()
            self.cause(event, Hand(self.store, self.start("other", "terminate_existing").claim))
            assert self.status() is state
            assert self.facts() == before

    @pytest.mark.parametrize("event", [Event.PAUSE, Event.UNPAUSE, Event.CANCEL, Event.RETRY])
    def test_nobody_is_not_found(self, event: Event) -> None:
        hand = self.start("b")
        with pytest.raises(InstanceNotFoundError, match="'a' not found"):
            if event is Event.RETRY:
                self.store.retry("a", lambda instance, records: pytest.fail("there is nothing to design"))
            else:
                self.cause(event, hand)
