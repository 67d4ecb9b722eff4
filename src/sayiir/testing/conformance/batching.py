"""Many checkpoints asked for together: each is answered as if it had been asked for alone."""

from __future__ import annotations

from sayiir.core.lifecycle import State
from sayiir.core.plan import COMPLETE, RUN
from sayiir.core.records import Decision, Fork, Move, Position, Record, ref_of
from sayiir.errors import ClaimLostError
from sayiir.store.port import Moved, Order
from sayiir.testing.conformance.stage import Hand, StoreSuite

_MANY = 12


def order(hand: Hand, decision: Decision = RUN, node: str = "next") -> Order:
    """Return the checkpoint of a task that has ended, as a worker asks for it."""
    here, now = hand.position, hand.store.now()
    ref = ref_of(hand.fence.token, here.step + 1)
    record = Record(
        ref, here.node, "task", here.iteration, here.attempt, "completed", b'"made"', None, here.ref, None, "me", now, now
    )
    return Order(hand.fence, Move((record,), Position(node, ref, here.step + 1, keys=here.keys), decision))


class BatchingSuite(StoreSuite):
    """Checkpoints in batches."""

    def _hands(self, count: int = _MANY) -> list[Hand]:
        return [self.start(f"i{number:02}") for number in range(count)]

    def _kinds(self, orders: list[Order]) -> list[str]:
        answers = self.store.checkpoint_many(orders)
        return [answer.kind if isinstance(answer, Moved) else type(answer).__name__ for answer in answers]

    def test_many_of_nothing(self) -> None:
        assert self.store.checkpoint_many([]) == []

    def test_many_steps_and_ends_are_all_made(self) -> None:
        hands = self._hands()
        kinds = self._kinds([order(hand, COMPLETE if n % 2 else RUN) for n, hand in enumerate(hands)])
        assert kinds == ["continue", "finished"] * (_MANY // 2)
        for number, hand in enumerate(hands):
            name = f"i{number:02}"
            assert [(r.node, r.status) for r in self.history(name)] == [("one", "completed")]
            if number % 2:
                assert (self.status(name), self.view(name).output) == (State.COMPLETED, b'"made"')
            else:
                assert (self.token(instance_id=name).node, self.value(name)) == ("next", b'"made"')
                hand.position = self.token(instance_id=name).position
                hand.complete()

    def test_many_with_late_ones_among_them(self) -> None:
        """What others hold by now is refused and left as it is; the rest is made."""
        hands = self._hands()
        late = hands[::3]
        for number, hand in enumerate(hands):
            if hand in late:
                hand.release()
                self.claimed(f"i{number:02}")
        before = {f"i{n:02}": self.facts(f"i{n:02}") for n, hand in enumerate(hands) if hand in late}
        kinds = self._kinds([order(hand, COMPLETE if n % 2 else RUN) for n, hand in enumerate(hands)])
        for number, (hand, kind) in enumerate(zip(hands, kinds, strict=True)):
            assert kind == (ClaimLostError.__name__ if hand in late else "finished" if number % 2 else "continue")
        assert all(self.facts(name) == facts for name, facts in before.items())

    def test_many_after_the_death_of_their_runner(self) -> None:
        hands = self._hands(4)
        self.crash()
        self.claimed("i00")
        self.claimed("i01")
        orders = [order(hand.on(self.store), COMPLETE if n % 2 else RUN) for n, hand in enumerate(hands)]
        assert self._kinds(orders)[:2] == [ClaimLostError.__name__] * 2
        assert not self.view("i00").output

    def test_many_with_requests_among_them(self) -> None:
        hands = self._hands(8)
        for name in ("i01", "i02"):
            self.store.request_pause(name, None, None)
        for name in ("i05", "i06"):
            self.store.request_cancel(name, None, None)
        kinds = self._kinds([order(hand, COMPLETE if n % 2 else RUN) for n, hand in enumerate(hands)])
        assert [kind == "stopped" for kind in kinds] == [n in (1, 2, 5, 6) for n in range(8)]
        statuses = [self.status(f"i{number:02}") for number in range(8)]
        assert [statuses[n] for n in (1, 2)] == [State.PAUSED] * 2
        assert [statuses[n] for n in (5, 6)] == [State.CANCELLED] * 2
        assert [statuses[n] for n in (3, 7)] == [State.COMPLETED] * 2

    def test_many_of_one_instance(self) -> None:
        """Two branches and a late third one of the same fork."""
        hand = self.start()
        left, right, third = hand.fork("l", "r", "t")
        self.store.release([third.fence])
        kinds = self._kinds([order(left, node="l2"), order(third, node="t2"), order(right, node="r2")])
        assert kinds == ["continue", ClaimLostError.__name__, "continue"]
        assert {token.number: token.node for token in self.view().tokens if token.number} == {1: "l2", 2: "r2", 3: "t"}

    def test_a_fork_among_many_is_shared(self) -> None:
        hand, other = self.start("a"), self.start("b")
        fork = Fork(((1, Position("l", ref_of(0, 1), 1), True), (2, Position("r", ref_of(0, 1), 1), True)))
        assert self._kinds([order(hand, fork, "fork"), order(other)]) == ["forked", "continue"]
        assert sorted(self.taken()) == ["a", "a"]

    def test_many_asked_for_again_are_refused(self) -> None:
        orders = [order(hand, COMPLETE) for hand in self._hands(3)]
        assert self._kinds(orders) == ["finished"] * 3
        assert self._kinds(orders) == [ClaimLostError.__name__] * 3
        assert [len(self.history(f"i{number:02}")) for number in range(3)] == [1, 1, 1]
