"""Conformance: branches arrive at their join, in every order, and the join happens exactly once."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest

from sayiir.core.lifecycle import State
from sayiir.core.records import Arrive, Position
from sayiir.store.port import Moved
from sayiir.testing.conformance.stage import HASH, STRUCTURE, Hand, StoreSuite, at_once, orders


def _joined(moved: Moved) -> bool:
    return moved.kind == "joined"


class JoiningSuite(StoreSuite):
    """Forks come together again."""

    @pytest.mark.parametrize("order", orders("xyz"), ids="".join)
    def test_the_last_branch_joins_in_every_order(self, order: tuple[str, ...]) -> None:
        hands = dict(zip("xyz", self.start().fork("x", "y", "z"), strict=True))
        self.pass_time(1)
        moves = [hands[name].arrive("x", "y", "z", output=f'"{name}"'.encode()) for name in order]
        assert [moved.kind for moved in moves] == ["arrived", "arrived", "joined"]
        (claim,) = moves[-1].claims
        assert (claim.fence.token, claim.wake, claim.position.node) == (0, "ready", "join")
        assert msgspec.json.decode(claim.value) == {"x": "x", "y": "y", "z": "z"}
        assert list(msgspec.json.decode(claim.value)) == ["x", "y", "z"]
        assert [token.number for token in self.view().tokens] == [0]
        assert [record.kind for record in self.history()].count("fork") == 1
        for name in order:
            self.is_void(hands[name])
        assert Hand(self.store, claim).complete(claim.value).kind == "finished"

    def test_a_single_branch_joins(self) -> None:
        (only,) = self.start().fork("only")
        (claim,) = only.arrive("only", output=b"1").claims
        assert claim.value == b'{"only":1}'

    def test_a_branch_may_pass_on_the_forks_own_value(self) -> None:
        hand = self.start()
        (only,) = hand.fork("only", is_task=False, output=b"7")
        moved = only.move(Arrive(0, "fork", "join", ((1, "only"),)), "fork::only", record=False)
        assert moved.claims[0].value == b'{"only":7}'

    @pytest.mark.parametrize("order", orders("xyoi"), ids="".join)
    def test_nested_forks_join_inside_first(self, order: tuple[str, ...]) -> None:
        outer, inside = self.start().fork("o", "i")
        inner = inside.fork("x", "y", first=3)
        parts = {"x": inner[0], "y": inner[1], "o": outer}
        joined: list[Moved] = []
        for name in order:
            if name == "i":
                continue
            if name == "o":
                moved = outer.arrive("o", "i", output=b'"o"')
            else:
                moved = parts[name].arrive("x", "y", first=3, parent=inside.fence.token, output=f'"{name}"'.encode())
            if moved.kind == "joined":
                joined.append(moved)
                if moved.claims[0].fence.token == inside.fence.token:
                    back = Hand(self.store, moved.claims[0])
                    last = back.arrive("o", "i", output=back.claim.value)
                    joined += [last] * _joined(last)
        assert [moved.claims[0].fence.token for moved in joined] == [inside.fence.token, 0]
        assert msgspec.json.decode(joined[-1].claims[0].value) == {"o": "o", "i": {"x": "x", "y": "y"}}
        assert [token.number for token in self.view().tokens] == [0]

    def test_an_inner_join_leaves_the_outer_branches_alone(self) -> None:
        _outer, inside = self.start().fork("o", "i")
        x, y = inside.fork("x", "y", first=3)
        x.arrive("x", "y", first=3, parent=2)
        assert _joined(y.arrive("x", "y", first=3, parent=2))
        assert [(token.number, token.state) for token in self.view().tokens] == [
            (0, "joining"),
            (1, "ready"),
            (2, "ready"),
        ]

    def test_who_arrived_before_a_crash_is_not_forgotten(self) -> None:
        left, right = self.start().fork("l", "r")
        left.arrive("l", "r", output=b"1")
        self.crash()
        again = self.claimed()
        assert again.fence.token == right.fence.token
        self.is_void(right)
        assert _joined(again.arrive("l", "r", output=b"2"))
        assert self.value() == b'{"l":1,"r":2}'

    def test_a_join_survives_the_crash_right_after_it(self) -> None:
        left, right = self.start().fork("l", "r")
        left.arrive("l", "r")
        right.arrive("l", "r")
        self.crash()
        hand = self.claimed()
        assert (hand.fence.token, hand.position.node, hand.position.crashes) == (0, "join", 1)

    def test_of_many_that_arrive_at_once_one_joins(self) -> None:
        names = [f"b{number}" for number in range(16)]
        hands = self.start().fork(*names)
        moves = at_once([partial(hand.arrive, *names) for hand in hands])
        kinds = sorted(moved.kind if isinstance(moved, Moved) else repr(moved) for moved in moves)
        assert kinds == ["arrived"] * 15 + ["joined"]
        assert [record.kind for record in self.history()].count("fork") == 1

    def test_a_hundred_branches_join(self) -> None:
        names = [f"b{number}" for number in range(100)]
        hands = self.start().fork(*names)
        moves = [hand.arrive(*names, output=b"1") for hand in reversed(hands)]
        assert [moved.kind for moved in moves] == ["arrived"] * 99 + ["joined"]
        assert list(msgspec.json.decode(self.value())) == names

    def test_parked_branches_decide_the_status(self) -> None:
        first, second, third = self.start().fork("f", "s", "t")
        first.wait(10)
        assert self.status() is State.IN_PROGRESS
        second.await_signal("go")
        assert self.status() is State.IN_PROGRESS, "the third still runs"
        third.arrive("f", "s", "t")
        assert self.status() is State.AWAITING_SIGNAL, "a signal's wait is shown before a delay"
        self.store.send_signal("a", "go", b"1")
        hand = self.claimed()
        assert self.status() is State.IN_PROGRESS
        hand.consume(hand.claim.signal)
        hand.arrive("f", "s", "t")
        assert self.status() is State.WAITING

    def test_a_branch_that_joins_keeps_its_claim_in_the_parent(self) -> None:
        left, right = self.start().fork("l", "r")
        left.arrive("l", "r")
        (claim,) = right.arrive("l", "r").claims
        assert self.store.claim("a", HASH, STRUCTURE).busy
        assert Hand(self.store, claim).run("after", b"1").kind == "continue"
        assert self.token().position == Position("after", 3, 3)

    def test_the_same_fork_can_be_made_again_after_a_retry(self) -> None:
        left, right = self.start().fork("l", "r")
        left.arrive("l", "r", output=b"1")
        right.fail()
        self.retry()
        left, right = self.claimed().fork("l", "r")
        left.arrive("l", "r", output=b"3")
        (claim,) = right.arrive("l", "r", output=b"4").claims
        assert claim.value == b'{"l":3,"r":4}'
        assert len({record.ref for record in self.history()}) == len(self.history())
        assert [record.output for record in self.history() if record.node == "l"] == [b"1", b"3"]
