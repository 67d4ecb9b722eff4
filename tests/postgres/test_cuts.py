"""Connections cut in the middle: the answer to a verb after each of its bytes, and whatever flows anywhere.

Rules:
- An answer is cut only when the server has given it whole, so what was asked for is done: the verb has to find that out by
  itself, and must end as if nothing had happened. The last cut is behind the whole answer.
- Each cut meets an instance of its own, whose id no other message contains. `SAYIIR_PROVE=1` leaves no byte out.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sayiir import run_durable_workflow
from sayiir.core.lifecycle import State
from sayiir.core.plan import RUN
from sayiir.core.records import Move, Position, Record, ref_of
from sayiir.store.port import Order
from sayiir.store.postgres import PostgresBackend
from sayiir.store.postgres.rows import lanes_text
from sayiir.testing.conformance.stage import Hand
from tests.postgres.common import Beside, ask, begin, claims, lanes, new, opened
from tests.postgres.test_faults import STEPS, Chain
from tests.servers.ground import until
from tests.servers.proxy import Proxy

PROVE = os.environ.get("SAYIIR_PROVE") == "1"
EVERY = 40
"""Of so many bytes at the beginning none is left out, and none of the last few."""
LAST = 12
STRIDE = 1 if PROVE else 3
MOST = 100_000 if PROVE else 60
"""How many cuts there are between these, at most."""


@pytest.fixture(params=[True, False], ids=["prepared", "not prepared"])
def store(proxy: Proxy, emptied_url: str, request: pytest.FixtureRequest) -> Iterator[PostgresBackend]:
    """A store behind the proxy."""
    with opened(proxy.through(emptied_url), acquire_timeout_secs=20, prepare=request.param) as store:
        lanes(store)
        yield store


class Cutter:
    """Does the same again and again, and cuts the answer a little later each time."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.cuts = 0

    def everywhere(
        self,
        stage: Callable[[str], Any],
        marker: Callable[[str], bytes],
        verb: Callable[[str, Any], Any],
        check: Callable[[str, Any, Any], None],
    ) -> None:
        """Cut everywhere.

        Args:
            stage: makes an instance ready, and returns what the verb needs.
            marker: what is in the request whose answer is cut.
            verb: is called with the id and what was made ready.
            check: looks at what was made ready, at the result and at what is stored.
        """
        keep, length = 0, 1
        while keep <= length:
            name = f"cut-{keep}-"
            thing = stage(name)
            happened = self.proxy.lose_next_answer(marker(name), keep)
            result = verb(name, thing)
            assert happened.is_set(), name
            check(name, thing, result)
            self.cuts += 1
            length = len(happened.answer)
            keep += 1 if keep < EVERY or keep >= length - LAST else max(STRIDE, length // MOST)
        assert self.cuts > EVERY / 2


@pytest.fixture
def cutter(proxy: Proxy, record_property: Callable[[str, object], None]) -> Iterator[Cutter]:
    """Counts its cuts."""
    cutter = Cutter(proxy)
    yield cutter
    record_property("cuts", cutter.cuts)


def commit(_: str) -> bytes:
    return b"COMMIT"


def payload(name: str) -> bytes:
    return f'"{name}"'.encode()


def lines(store: PostgresBackend, name: str) -> list[Record]:
    """Return an instance's history."""
    view = store.load(name)
    assert view is not None
    return store.history(view.instance.number)


def status(store: PostgresBackend, name: str) -> State:
    """Return an instance's status."""
    view = store.load(name)
    assert view is not None
    return view.instance.status


def goes_on(store: PostgresBackend, hand: Hand, name: str, count: int) -> None:
    """End an instance, which must have so many lines then."""
    assert hand.complete(b"4").kind == "finished"
    assert status(store, name) is State.COMPLETED
    assert len(lines(store, name)) == count


# --- transactions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["the statements", "the commit"])
def test_a_signal_is_sent_once(store, emptied_url, cutter, part):
    hand = begin(store, "waits")
    hand.await_signal("none")

    def sent(name, _, result):
        assert result is True
        assert ask(emptied_url, "SELECT payload FROM sayiir.signals WHERE instance_id = %s", name) == [(f'"{name}"',)]

    marker = commit if part == "the commit" else payload
    cutter.everywhere(
        lambda _: None, marker, lambda name, _: store.send_signal(name, "go", payload(name)), sent
    )  # fmt: skip
    assert ask(emptied_url, "SELECT count(*) FROM sayiir.signals")[0][0] == cutter.cuts


def test_a_pause_is_requested_once(store, cutter):
    def paused(name, _, result):
        assert result is State.PAUSED
        assert status(store, name) is State.PAUSED
        assert store.unpause(name) is State.IN_PROGRESS
        (hand,) = claims(store, name)
        goes_on(store, hand, name, 1)

    cutter.everywhere(
        lambda name: store.create(new(name), "fail", claim=False),
        commit, lambda name, _: store.request_pause(name, None, None), paused,
    )  # fmt: skip


def test_a_delay_is_begun_once(store, cutter):
    def parked(name, _, moved):
        assert moved.kind == "parked"
        view = store.load(name)
        assert [token.state for token in view.tokens] == ["waiting"]
        assert len(lines(store, name)) == 1

    cutter.everywhere(lambda name: begin(store, name), commit, lambda _, hand: hand.wait(3600), parked)


def test_the_claim_of_an_instance_is_known(store, cutter):
    def claimed(name, _, hands):
        (hand,) = hands
        assert (hand.position.crashes, hand.position.attempt) == (0, 1)
        goes_on(store, hand, name, 1)

    cutter.everywhere(
        lambda name: store.create(new(name), "fail", claim=False), commit, lambda name, _: claims(store, name), claimed
    )


def test_a_join_is_made_once(store, cutter):
    def stage(name):
        left, right = begin(store, name).fork("l", "r")
        assert left.arrive("l", "r", output=b"1").kind == "arrived"
        return right

    def joined(name, right, moved):
        assert moved.kind == "joined"
        (claim,) = moved.claims
        assert claim.value == b'{"l":1,"r":2}'
        goes_on(store, Hand(store, claim), name, 5)

    cutter.everywhere(stage, commit, lambda _, right: right.arrive("l", "r", output=b"2"), joined)


# --- hot statements ---------------------------------------------------------------------------------------------------


def test_a_step_is_made_once(store, cutter):
    def stage(name):
        hand = begin(store, name)
        hand.run("two")
        return hand

    def made(name, hand, moved):
        assert moved.kind == "continue"
        assert [line.output for line in lines(store, name)] == [b"null", payload(name)]
        goes_on(store, hand, name, 3)

    cutter.everywhere(stage, payload, lambda name, hand: hand.run("three", payload(name)), made)


def test_an_end_is_made_once(store, cutter):
    def ended(name, _, moved):
        assert moved.kind == "finished"
        assert moved.ended.output == payload(name)
        assert store.load(name).output == payload(name)
        assert len(lines(store, name)) == 1

    cutter.everywhere(
        lambda name: begin(store, name), payload, lambda name, hand: hand.complete(payload(name)), ended
    )  # fmt: skip


def test_steps_of_several_are_made_once(store, cutter):
    def step(hand, output):
        here, now = hand.position, store.now()
        ref = ref_of(hand.fence.token, here.step + 1)
        line = Record(
            ref, here.node, "task", 1, 1, "completed", output, None, here.ref, None, "me", now, now
        )  # fmt: skip
        hand.position = Position("two", ref, here.step + 1)
        return Order(hand.fence, Move((line,), hand.position, RUN))

    def made(name, hands, moved):
        assert [answer.kind for answer in moved] == ["continue", "continue"]
        for hand, own in zip(hands, (name, f"{name}b"), strict=True):
            goes_on(store, hand, own, 2)

    cutter.everywhere(
        lambda name: [begin(store, name), begin(store, f"{name}b")],
        lambda name: f'\\"{name}\\"'.encode(),
        lambda name, hands: store.checkpoint_many([step(hand, payload(name)) for hand in hands]), made,
    )  # fmt: skip


@pytest.mark.parametrize("claim", [True, False])
def test_an_instance_is_made_once(store, emptied_url, cutter, claim):
    def made(name, _, created):
        assert created.is_new
        assert ask(emptied_url, "SELECT count(*) FROM sayiir.instances WHERE instance_id = %s", name) == [(1,)]
        hand = Hand(store, created.claim) if claim else claims(store, name)[0]
        goes_on(store, hand, name, 1)

    cutter.everywhere(
        lambda _: None, lambda name: name.encode(), lambda name, _: store.create(new(name), "fail", claim=claim), made
    )


def test_instances_are_made_once(store, emptied_url, cutter):
    def made(name, _, created):
        assert [one.instance.instance_id for one in created] == [f"{name}{number}" for number in range(3)]
        found = "SELECT count(*) FROM sayiir.instances i JOIN sayiir.tokens t ON t.instance = i.number"
        assert ask(emptied_url, f"{found} WHERE instance_id LIKE %s", f"{name}%") == [(3,)]

    cutter.everywhere(
        lambda _: None, commit,
        lambda name, _: store.create_many([new(f"{name}{number}") for number in range(3)], "fail"), made,
    )  # fmt: skip


def test_work_is_claimed_or_given_back(store, emptied_url, cutter):
    places = lanes(store)

    def take():
        return [Hand(store, work.claim) for work in store.claim_due(places, 10, aging=300.0).works]

    def claimed(name, _, hands):
        # What was given out in a lost answer is free for the next one who asks.
        (hand,) = hands or take()
        assert (hand.position.crashes, hand.position.attempt) == (0, 1)
        assert take() == []
        goes_on(store, hand, name, 1)
        assert ask(emptied_url, "SELECT count(*) FROM sayiir.tokens") == [(0,)]

    marker = lanes_text(places).encode()
    cutter.everywhere(
        lambda name: store.create(new(name), "fail", claim=False), lambda _: marker, lambda *_: take(), claimed
    )


# --- whatever flows anywhere ------------------------------------------------------------------------------------------


class Weather:
    """One fault after the other, whatever it meets."""

    def __init__(self, proxy: Proxy, seed: int) -> None:
        self.proxy, self.chance = proxy, random.Random(seed)
        self.cuts = 0

    def strike(self, go: Callable[[], None], is_over: Callable[[], bool]) -> None:
        """Order a fault, let a task go on, and wait until that has met it."""
        getattr(self, self.chance.choice(["cut_answers", "cut_requests", "halve", "delay"]))(go, is_over)

    def cut_answers(self, go: Callable[[], None], is_over: Callable[[], bool]) -> None:
        self._cut(go, is_over, bytes_from_server=self.chance.randrange(300))

    def cut_requests(self, go: Callable[[], None], is_over: Callable[[], bool]) -> None:
        self._cut(go, is_over, bytes_from_client=self.chance.randrange(1200))

    def _cut(self, go: Callable[[], None], is_over: Callable[[], bool], **where: int) -> None:
        happened = self.proxy.cut_after(**where)
        go()
        until(lambda: happened.is_set() or is_over(), "a cut")
        self.cuts += happened.is_set()

    def halve(self, go: Callable[[], None], is_over: Callable[[], bool]) -> None:
        self.proxy.stall()
        go()
        # The beat of the store, and the checkpoint.
        until(lambda: self.proxy.held >= 2 or is_over(), "something being held back")
        if self.chance.random() < 0.5:
            self.cuts += self.proxy.cut()
        self.proxy.resume()

    def delay(self, go: Callable[[], None], _: Callable[[], bool]) -> None:
        self.proxy.delay(self.chance.random() / 20)
        go()


SEEDS = [1, 2, 3, *([random.SystemRandom().randrange(2**32)] if PROVE else [])]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("prepare", [True, False])
def test_a_chain_in_bad_weather(proxy, emptied_url, seed, prepare, record_property):
    chain, weather = Chain(), Weather(proxy, seed)
    for event in chain.go.values():
        event.clear()
    with opened(proxy.through(emptied_url), prepare=prepare) as store:
        running = Beside(lambda: run_durable_workflow(chain.workflow, "a", 0, store))
        for number in range(STEPS):
            reached = chain.reached[number]
            until(lambda reached=reached: reached.is_set() or running.ended.is_set(), f"step {number}")
            proxy.delay(0)
            weather.strike(chain.go[number].set, running.ended.is_set)
        assert running.result().output == STEPS
        proxy.delay(0)
        with opened(emptied_url) as eye:
            assert [line.output for line in lines(eye, "a")] == [str(number + 1).encode() for number in range(STEPS)]
    assert chain.calls == list(range(STEPS))
    assert weather.cuts > 0
    record_property("cuts", weather.cuts)
