"""Steps that are written together: as many lines as fences that hold, whoever else is in the same statement."""

from __future__ import annotations

import msgspec
import pytest

from sayiir import SqliteBackend
from sayiir.core.records import Move, Position, Record, Run, ref_of
from sayiir.errors import ClaimLostError
from sayiir.store.port import CONTINUE, Order
from sayiir.testing.conformance.stage import Hand
from tests.store.common import begin as begin_claim


@pytest.fixture
def store(tmp_path):
    with SqliteBackend(tmp_path / "a.db") as store:
        yield store


def begin(store, instance_id):
    return Hand(store, begin_claim(store, instance_id))


def order_of(hand: Hand, output: bytes = b"1", node: str = "next") -> Order:
    here, now = hand.position, hand.store.now()
    ref = ref_of(hand.fence.token, here.step + 1)
    line = Record(ref, here.node, "task", 1, 1, "completed", output, None, here.ref, None, "me", now, now)
    return Order(hand.fence, Move((line,), Position(node, ref, here.step + 1, keys=here.keys), Run()))


@pytest.mark.parametrize("count", [1, 3, 4, 5, 16, 23, 40])
def test_each_step_writes_its_line(store, count):
    hands = [begin(store, f"i{number}") for number in range(count)]
    statements = []
    store._writer.set_trace_callback(statements.append)
    assert store.checkpoint_many([order_of(hand, b"%d" % at) for at, hand in enumerate(hands)]) == [CONTINUE] * count
    store._writer.set_trace_callback(None)
    inserts = [statement for statement in statements if "INSERT INTO sayiir_results" in statement]
    assert len(inserts) == count // 16 + count % 16 // 4 + count % 4
    for at, hand in enumerate(hands):
        (record,) = store.history(hand.fence.instance)
        assert (record.output, record.node) == (b"%d" % at, "one")
        assert store.load(f"i{at}").tokens[0].node == "next"


def test_one_fence_that_is_void_among_many(store):
    hands = [begin(store, f"i{number}") for number in range(21)]
    orders = [order_of(hand) for hand in hands]
    stale = orders[7]
    orders[7] = Order(msgspec.structs.replace(stale.fence, epoch=stale.fence.epoch + 1), stale.move)
    answers = store.checkpoint_many(orders)
    assert isinstance(answers[7], ClaimLostError)
    assert answers[:7] + answers[8:] == [CONTINUE] * 20
    assert [len(store.history(hand.fence.instance)) for hand in hands] == [1] * 7 + [0] + [1] * 13


def test_a_pause_and_the_end_of_a_wait_among_many(store):
    hands = [begin(store, f"i{number}") for number in range(8)]
    store.request_pause("i2", "stop", "ann")
    hands[5].fail_once(0.0, hold=True)
    answers = store.checkpoint_many([order_of(hand) for hand in hands])
    assert [answer.kind for answer in answers] == ["continue", "continue", "stopped", *["continue"] * 5]
    assert store.load("i2").instance.status == "paused"
    assert store.load("i5").tokens[0].node == "next"
    assert [len(store.history(hand.fence.instance)) for hand in hands] == [1, 1, 1, 1, 1, 2, 1, 1]


def test_a_late_step_that_its_new_owner_has_made_already_is_refused(store):
    hands = [begin(store, f"i{number}") for number in range(8)]
    orders = [order_of(hand, b'"late"') for hand in hands]
    store.release([hands[3].fence])
    (claim,) = store.claim("i3", "hash", "flow").claims
    assert store.checkpoint_many([order_of(Hand(store, claim), b'"first"')]) == [CONTINUE]
    answers = store.checkpoint_many(orders)
    assert isinstance(answers[3], ClaimLostError)
    assert answers[:3] + answers[4:] == [CONTINUE] * 7
    (record,) = store.history(hands[3].fence.instance)
    assert record.output == b'"first"'
