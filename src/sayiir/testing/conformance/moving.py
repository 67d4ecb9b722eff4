"""Conformance: `checkpoint` of every decision, and the values and history that it writes."""

from __future__ import annotations

import msgspec
import pytest

from sayiir.core.lifecycle import State
from sayiir.core.plan import RUN
from sayiir.core.records import Await, Fork, Move, Position, Record, Wait, ref_of
from sayiir.errors import BackendError, DeserializationError
from sayiir.store.port import Claim, Fence
from sayiir.testing.conformance.stage import ERROR, HASH, MICROS, STRUCTURE, Hand, StoreSuite

VALUES = [
    b"null", b"0", b"-1.5e300", b'""', b'"\\u0000"', '"äöü 日本 \U0001f600"'.encode(), b'{"a":[1,{"b":null}]}', b"[]", b"{}",
    b'"' + b"x" * 100_000 + b'"', b"[" * 200 + b"]" * 200, b"12345678901234567890123456789012345678901234567890",
    b'{"b":1,"a":2}', b' {"spaced": true} ',
]  # fmt: skip


class MovingSuite(StoreSuite):
    """What each decision does to the token, the instance and its history."""

    def test_run_goes_on_with_the_same_claim(self) -> None:
        hand = self.start()
        self.pass_time(1)
        assert hand.run("two", b"5").kind == "continue"
        token = self.token()
        assert (token.state, token.position, token.epoch) == ("ready", Position("two", 1, 1), hand.fence.epoch)
        assert self.is_now(token.moved_at)
        assert token.owner is not None
        assert self.status() is State.IN_PROGRESS
        assert self.value() == b"5"

    def test_a_long_chain_keeps_every_value(self) -> None:
        hand = self.start()
        for step in range(1, 101):
            hand.run(f"task_{step}", str(step).encode())
        number = hand.fence.instance
        assert [self.store.value(number, ref) for ref in range(1, 101)] == [str(ref).encode() for ref in range(1, 101)]
        assert self.store.value(number, 0) == b'{"n":1}'
        assert [record.ref for record in self.history()] == list(range(1, 101))

    def test_wait_parks_until_its_time(self) -> None:
        hand = self.start()
        moved = hand.wait(10)
        token = self.token()
        due = token.moved_at + 10 * MICROS
        assert (moved.kind, moved.due_at, moved.claims) == ("parked", due, ())
        assert (token.state, token.node, token.due_at, token.owner) == ("waiting", "delay", due, None)
        assert self.status() is State.WAITING

    def test_wait_for_no_time_is_over_at_once(self) -> None:
        self.start().wait(0)
        assert self.claimed().claim.wake == "timer"

    @pytest.mark.parametrize(("seconds", "micros"), [(1e-6, 1), (0.1, 100_000), (86_400 * 365.0, 86_400 * 365 * MICROS)])
    def test_wait_is_exact_to_the_microsecond(self, seconds: float, micros: int) -> None:
        due = self.start().wait(seconds).due_at
        assert due == self.token().moved_at + micros
        assert self.is_now(due, seconds)

    def test_a_held_retry_keeps_the_claim_through_its_pause(self) -> None:
        hand = self.start()
        moved = hand.fail_once(10, hold=True)
        token = self.token()
        due = token.moved_at + 10 * MICROS
        assert (moved.kind, moved.due_at) == ("continue", due)
        assert (token.state, token.due_at, token.attempt) == ("backoff", due, 2)
        assert self.status() is State.IN_PROGRESS
        assert self.store.claim("a", HASH, STRUCTURE).busy
        self.pass_time(10)
        assert hand.again().kind == "continue"
        token = self.token()
        assert (token.state, token.due_at, token.attempt) == ("ready", None, 2)
        assert hand.run("two").kind == "continue"
        assert [(record.status, record.attempt) for record in self.history()] == [("failed", 1), ("completed", 2)]

    def test_a_retry_that_is_not_held_is_anybodys(self) -> None:
        hand = self.start()
        due = hand.fail_once(10).due_at
        assert self.token().owner is None
        assert self.status() is State.IN_PROGRESS
        taken = self.claimed()
        assert (taken.claim.wake, taken.claim.due_at, taken.position.attempt) == ("backoff", due, 2)

    def test_only_a_retrys_wait_is_held(self) -> None:
        hand = self.start()
        assert hand.move(Wait(10), "delay", hold=True).kind == "parked"
        assert self.token().owner is None

    def test_times_count_from_the_write_and_not_from_what_was_before(self) -> None:
        hand, other, third = self.start("a"), self.start("b"), self.start("c")
        self.pass_time(100)
        assert self.is_now(hand.wait(10).due_at, 10)
        assert self.is_now(other.await_signal("go", 20.0).due_at, 20)
        assert self.is_now(third.fail_once(30).due_at, 30)
        for name, ahead in (("a", 10), ("b", 20), ("c", 30)):
            assert self.is_now(self.token(instance_id=name).due_at, ahead)
            assert self.is_now(self.token(instance_id=name).moved_at)

    def test_await_parks_until_a_signal(self) -> None:
        assert self.start().await_signal("go").kind == "parked"
        token = self.token()
        assert (token.state, token.node, token.signal) == ("awaiting", "gate", "go")
        assert (token.due_at, token.owner) == (None, None)
        assert self.status() is State.AWAITING_SIGNAL

    def test_await_with_a_timeout_parks_until_its_time(self) -> None:
        moved = self.start().await_signal("go", 10)
        assert moved.due_at == self.token().due_at
        assert self.is_now(moved.due_at, 10)
        assert self.status() is State.AWAITING_SIGNAL

    def test_await_finds_what_is_buffered_and_stays_the_callers(self) -> None:
        hand = self.start()
        self.store.send_signal("a", "go", b'"hello"')
        moved = hand.await_signal("go", 0)
        assert moved.kind == "signal"
        assert moved.signal is not None
        assert (moved.signal.name, moved.signal.payload) == ("go", b'"hello"')
        assert self.is_now(moved.signal.sent_at)
        assert self.status() is State.IN_PROGRESS
        assert hand.consume(moved.signal).kind == "continue"
        assert self.value() == b'"hello"'
        assert self.token().signal is None

    def test_fork_parks_the_token_and_gives_out_the_branches(self) -> None:
        hand = self.start()
        child = Position("b", 1, 1)
        moved = hand.move(Fork(((4, child, True), (7, child, False))), "fork", output=b"9")
        assert moved.kind == "forked"
        assert [(claim.fence.token, claim.wake, claim.value) for claim in moved.claims] == [
            (4, "ready", b"9"),
            (7, "standing", b"9"),
        ]
        assert [claim.position for claim in moved.claims] == [child, child]
        tokens = self.view().tokens
        assert [(token.number, token.state, token.parent) for token in tokens] == [
            (0, "joining", None),
            (4, "ready", 0),
            (7, "standing", 0),
        ]
        assert tokens[0].owner is None
        assert self.status() is State.IN_PROGRESS
        assert self.store.claim("a", HASH, STRUCTURE).busy

    def test_complete_ends_the_instance(self) -> None:
        hand = self.start()
        self.pass_time(5)
        assert hand.complete(b'{"done":true}').kind == "finished"
        view = self.view()
        assert (view.instance.status, view.output, view.tokens) == (State.COMPLETED, b'{"done":true}', ())
        assert self.is_now(view.instance.updated_at)
        assert self.is_now(view.instance.created_at, -5)
        assert len(self.history()) == 1, "the output is a pointer, not another copy"

    def test_the_input_can_be_the_output(self) -> None:
        hand = self.start(is_task=False)
        hand.move(RUN, "$end", record=False)
        hand.complete()
        self.start("b", is_task=False, position=Position("$end"))
        assert self.view().output == b"null"

    def test_fail_ends_the_instance_and_keeps_its_tokens(self) -> None:
        hand = self.start()
        hand.run("two")
        assert hand.fail().kind == "finished"
        view = self.view()
        assert (view.instance.status, view.instance.error, view.output) == (State.FAILED, ERROR, None)
        assert view.tokens == ()
        assert view.instance.halted is not None
        assert self.history()[-1].status == "failed"

    def test_a_failing_branch_fails_the_instance(self) -> None:
        left, right = self.start().fork("l", "r")
        left.run("l2", b"1")
        assert right.fail().kind == "finished"
        assert self.status() is State.FAILED
        self.is_void(left)
        assert self.store.value(left.fence.instance, ref_of(left.fence.token, 2)) == b"1", "what ended stays readable"

    # --- values and history ---------------------------------------------------------------------------------------

    @pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
    def test_values_come_back_as_they_were(self, value: bytes) -> None:
        hand = self.start(input=value)
        assert hand.claim.value == value
        hand.run("two", value)
        hand.release()
        assert self.claimed().claim.value == value
        self.store.send_signal("a", "go", value)
        self.crash()
        hand = self.claimed()
        signal = hand.await_signal("go").signal
        assert signal is not None
        assert signal.payload == value
        hand.move(RUN, "$end", output=signal.payload, consume=signal)
        hand.complete(value)
        view = self.view()
        assert (view.instance.input, view.output) == (value, value)
        outputs = [record.output for record in self.history() if record.status == "completed"]
        assert outputs == [value, b"null", value, value]

    def test_an_envelope_that_nobody_knows_is_refused_and_nothing_is_claimed(self) -> None:
        hand = self.start()
        left, right = hand.fork("l", "r")
        left.run("l2", b"fine")
        right.run("r2", b"\0\x63\x04json1")
        self.crash()
        before = self.facts()
        with pytest.raises(DeserializationError):
            self.store.claim("a", HASH, STRUCTURE)
        assert self.facts() == before

    def test_every_field_of_a_record_comes_back(self) -> None:
        hand = self.start()
        records = (
            Record(1, "one", "task", 3, 2, "completed", b"1", None, 0, None, "host:1", 10, 20),
            Record(2, "loop_0", "loop", 1, 1, "completed", None, b'["ref",1]', 0, None, None, 10, 20),
            Record(3, "x", "task", 1, 4, "failed", None, None, 1, ERROR, "host:2", 11, 12),
        )
        self.store.checkpoint(hand.fence, Move(records, Position("two", 2, 3), RUN))
        assert self.history() == list(records)
        assert self.store.value(hand.fence.instance, 2) == b"1"

    def test_history_is_in_order_of_start(self) -> None:
        hand = self.start()
        starts = {1: 30, 2: 10, 3: 20, 4: 10}
        records = tuple(Record(ref, "n", "task", output=b"1", started_at=at, finished_at=99) for ref, at in starts.items())
        self.store.checkpoint(hand.fence, Move(records, Position("two", 4, 4), RUN))
        assert [record.ref for record in self.history()] == [2, 4, 3, 1]

    def test_a_value_is_made_of_others(self) -> None:
        hand = self.start(input=b"0")
        made = {
            1: (b'"one"', None),
            2: (None, b'["ref",1]'),
            3: (None, b'["route","k\\"1",2]'),
            4: (None, b'["fork",{"b":3,"a":0,"\\u00e9":1}]'),
            5: (None, b'["fork",{"only":4}]'),
        }
        records = tuple(Record(ref, "n", "task", output=out, parts=parts) for ref, (out, parts) in made.items())
        self.store.checkpoint(hand.fence, Move(records, Position("two", 5, 5), RUN))
        value = self.store.value(hand.fence.instance, 5)
        route = {"branch": 'k"1', "result": "one"}
        assert msgspec.json.decode(value) == {"only": {"b": route, "a": 0, "é": "one"}}
        assert list(msgspec.json.decode(value)["only"]) == ["b", "a", "é"], "branches keep their declared order"
        assert self.history()[4].output is None, "nothing is written twice"

    def test_a_value_that_is_not_there_is_an_error(self) -> None:
        number = self.start().fence.instance
        for instance, ref in ((number, 99), (number + 1, 0), (number + 1, 1)):
            with pytest.raises(BackendError, match="no value"):
                self.store.value(instance, ref)

    def test_a_fence_of_nothing_is_void(self) -> None:
        number = self.start().fence.instance
        for fence in (Fence(number, 5, 1), Fence(number + 1, 0, 1), Fence(0, 0, 0)):
            self.is_void(Hand(self.store, Claim(fence, Position("one"), "ready", b"1")))

    def test_keys_of_routes_travel_with_the_token(self) -> None:
        hand = self.start()
        position = Position("two", 1, 1, keys=("outer", 'in"ner', ""))
        self.store.checkpoint(hand.fence, Move((Record(1, "one", "task", output=b"1"),), position, RUN))
        assert self.token().position == position
        self.crash()
        assert self.claimed().position.keys == position.keys

    def test_loops_count_on_the_token(self) -> None:
        hand = self.start()
        position = Position("body", 1, 1, iteration=7)
        self.store.checkpoint(hand.fence, Move((Record(1, "body", "task", 6, output=b"1"),), position, RUN))
        assert self.token().iteration == 7
        hand.release()
        assert self.claimed().position.iteration == 7

    def test_a_move_without_an_ended_node_writes_no_history(self) -> None:
        hand = self.start(is_task=False)
        assert hand.move(Await("go"), "one", record=False).kind == "parked"
        assert self.history() == []
        assert self.token().state == "awaiting"
