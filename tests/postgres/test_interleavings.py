"""Pairs of verbs, statement by statement, in all orders (or a sample): whatever the order, the rows agree and nothing is stuck.

After every schedule: a finished instance has no tokens, an unfinished one has some; every token is claimed by an actor
who knows it, or is where workers find it, or waits for what has not come; no result is there twice; no epoch went back;
the instance can be led to its end. The server counts no deadlock.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from sayiir.core.lifecycle import TERMINAL, State
from sayiir.core.records import ref_of
from sayiir.errors import ClaimLostError, InstanceAlreadyExistsError, InstanceNotFoundError, InvalidStateError
from sayiir.store.port import Due, Order, Restart, Token
from sayiir.store.postgres import PostgresBackend
from sayiir.testing.conformance.stage import HASH, STRUCTURE, Hand
from tests.postgres.common import begin, deadlocks, lanes, new
from tests.postgres.conductor import Conductor, every_order, orders, tapped

EXPECTED = (ClaimLostError, InstanceAlreadyExistsError, InstanceNotFoundError, InvalidStateError)
ALL = os.environ.get("SAYIIR_ALL_ORDERS") == "1"
"""Whether all orders are played that locks leave; else about `SAMPLE` of those with three changes at most."""
SAMPLE = 80
MOST = 500
"""Where there are more orders than so many, those with three changes at most are played after them."""
_numbers = itertools.count(1)


class Scene:
    """One instance, and two stores whose verbs meet on it."""

    def __init__(self, url: str, stores: list[PostgresBackend], watch: psycopg.Connection[Any]) -> None:
        self.url, self._watch = url, watch
        self.one, self.two, self.eye = stores
        self.id = f"i{next(_numbers)}"
        self.lanes = lanes(self.eye)
        self.hands: list[Hand] = []
        self.hand: Hand
        self.alias = 0

    def ask(self, statement: str, *values: Any) -> list[Any]:
        cursor = self._watch.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def started(self, **_: Any) -> Hand:
        self.hand = begin(self.one, self.id)
        return self.hand

    def submitted(self) -> None:
        self.eye.create(new(self.id), "fail", claim=False)

    def retry(self, store: PostgresBackend) -> None:
        store.retry(self.id, lambda instance, _: Restart((Token(instance.number, 0, "ready", "one", step=100),)))

    def claim(self, store: PostgresBackend) -> int:
        claimed = store.claim(self.id, HASH, STRUCTURE).claims
        self.hands += [Hand(store, claim) for claim in claimed]
        return len(claimed)

    def due(self, store: PostgresBackend) -> int:
        found: Due = store.claim_due(self.lanes, 10, aging=300.0)
        self.hands += [Hand(store, work.claim) for work in found.works]
        return len(found.works)

    def status(self) -> State | None:
        view = self.eye.load(self.id)
        return None if view is None else view.instance.status


@dataclass
class Pair:
    """Two verbs, the stage before them, and what must hold after them beyond the common rules."""

    stage: Callable[[Scene], Any]
    first: Callable[[Scene], Any]
    second: Callable[[Scene], Any]
    check: Callable[[Scene, Any, Any], object]


def refused(answer: Any) -> bool:
    return isinstance(answer, EXPECTED)


def forked(scene: Scene) -> None:
    left, right = scene.started().fork("l", "r")
    scene.hands = [left, right.on(scene.two)]


def dead(scene: Scene) -> None:
    hand = scene.started()
    hand.run("two")
    (owner,) = scene.ask(
        "INSERT INTO sayiir.owners (name, started_at, beat_at, locked) VALUES ('dead', 0, 0, true) RETURNING owner"
    )[0]
    scene.ask("UPDATE sayiir.tokens SET owner = %s", owner)


def ended(scene: Scene) -> None:
    scene.started().fail()


def batch(scene: Scene) -> None:
    """Two instances of one owner, to be written together."""
    scene.hands = [scene.started(), begin(scene.one, scene.id + "x")]


def awaiting(scene: Scene) -> None:
    scene.started().await_signal("go")


def called(scene: Scene) -> None:
    awaiting(scene)
    scene.eye.send_signal(scene.id, "go", b"1")


def answered(scene: Scene) -> None:
    called(scene)
    assert scene.due(scene.one) == 1


def rivals(scene: Scene) -> None:
    """Two branches, each claimed with the same signal."""
    for branch in scene.started().fork("l", "r"):
        branch.await_signal("go")
    scene.eye.send_signal(scene.id, "go", b"1")
    assert scene.due(scene.one) == 2


def delayed(scene: Scene) -> None:
    scene.started().wait(0)


def consume(scene: Scene, hand: int = -1) -> Any:
    return scene.hands[hand].consume(scene.hands[hand].claim.signal, "two")


def steps_and_ends(scene: Scene) -> Any:
    from sayiir.core.plan import COMPLETE, RUN
    from sayiir.core.records import Move, Position, Record

    def move(hand: Hand, decision: Any) -> Order:
        record = Record(ref_of(0, 1), "one", "task", output=b"1", started_at=1, finished_at=1, worker="me")
        return Order(hand.fence, Move((record,), Position("two", record.ref, 1), decision))

    return scene.one.checkpoint_many([move(scene.hands[1], RUN), move(scene.hands[0], COMPLETE)])


def creates_and_parks(scene: Scene) -> str:
    return begin(scene.one, scene.id).await_signal("go").kind


def together(scene: Scene, store: PostgresBackend, names: str) -> Any:
    return store.create_many([new(scene.id + name) for name in names], "fail")


def nothing(*_: Any) -> None:
    """There is no more to it than the common rules."""


def one_claim(scene: Scene, first: int, second: int) -> None:
    assert first + second == 1


def one_new(scene: Scene, first: Any, second: Any) -> None:
    assert sorted(map(refused, (first, second))) == [False, True]


def joined(scene: Scene, first: Any, second: Any) -> None:
    assert sorted(moved.kind for moved in (first, second)) == ["arrived", "joined"]
    number = scene.eye.load(scene.id).instance.number
    assert sum(record.kind == "fork" for record in scene.eye.history(number)) == 1


def signalled(scene: Scene, first: Any, second: Any) -> None:
    kind = getattr(first, "kind", first)
    assert kind in {"parked", "signal"}
    assert second is True
    if kind == "parked":
        assert scene.due(scene.eye) == 1
        assert scene.hands[-1].claim.signal is not None


def cancelled_or_completed(scene: Scene, first: Any, second: Any) -> None:
    if refused(second):
        assert scene.status() is State.COMPLETED
    else:
        assert first.kind in {"finished", "stopped"}
        assert scene.status() is (State.COMPLETED if first.kind == "finished" else State.CANCELLED)
        assert first.kind == "stopped"


def cancelled(scene: Scene, first: Any, second: Any) -> None:
    assert not refused(second)
    if scene.status() is not State.CANCELLED:
        assert scene.hand.run("three").kind == "stopped"
    assert scene.status() is State.CANCELLED


def heard(scene: Scene, first: int, second: Any) -> None:
    assert second is True
    if not first:
        assert scene.due(scene.eye) == 1
    assert consume(scene).kind == "continue"


def called_off(scene: Scene, first: Any, second: Any) -> None:
    assert not refused(second)
    if scene.status() is not State.CANCELLED:
        assert scene.hands[-1].run("three").kind == "stopped"
    assert scene.status() is State.CANCELLED


def halted(scene: Scene, first: Any, second: Any) -> None:
    assert not refused(second)
    if scene.status() is not State.PAUSED:
        assert scene.hands[-1].run("three").kind == "stopped"
    assert scene.status() is State.PAUSED
    assert scene.due(scene.eye) == 0
    scene.eye.unpause(scene.id)
    assert scene.due(scene.eye) == 1


def one_signal(scene: Scene, first: Any, second: Any) -> None:
    assert sorted(moved.kind for moved in (first, second)) == ["again", "continue"]
    assert scene.ask("SELECT 1 FROM sayiir.signals") == []


def paused(scene: Scene, first: int, second: Any) -> None:
    assert not refused(second)
    if first:
        assert scene.hands[-1].run("two").kind == "stopped"
    assert scene.status() is State.PAUSED
    assert scene.due(scene.eye) == 0
    scene.eye.unpause(scene.id)
    assert scene.due(scene.eye) == 1


def freed(scene: Scene, first: Any, second: Any) -> None:
    scene.eye.sweep()
    assert scene.due(scene.eye) == 1
    with pytest.raises(ClaimLostError):
        scene.hand.run("late")
    number = scene.eye.load(scene.id).instance.number
    assert [record.status for record in scene.eye.history(number)].count("crashed") == 1


def presumed(scene: Scene) -> None:
    """The first store lives, and looks as dead as can be."""
    scene.submitted()
    scene.alias = scene.one._shared.owner
    added = "INSERT INTO sayiir.owners (name, started_at, beat_at, locked) VALUES ('presumed', 0, 0, true) RETURNING owner"
    scene.one._shared.owner = scene.ask(added)[0][0]


def swept(scene: Scene, first: Any, second: Any) -> None:
    """Whatever it has claimed is found by whoever sweeps next, even if it dies now."""
    assert not refused(first)
    scene.one._shared.owner = scene.alias
    unknown = "SELECT 1 FROM sayiir.tokens WHERE owner NOT IN (SELECT owner FROM sayiir.owners)"
    assert scene.ask(unknown) == []
    # It may be back as one that has beaten just now.
    scene.ask("UPDATE sayiir.owners SET beat_at = 0 WHERE name = 'presumed' OR NOT owner = ANY(%s)",
              [store._shared.owner for store in (scene.one, scene.two, scene.eye)])  # fmt: skip
    scene.eye.sweep()
    ((tokens,),) = scene.ask("SELECT count(*) FROM sayiir.tokens")
    assert scene.due(scene.eye) == tokens


def replaced(scene: Scene, first: Any, second: Any) -> None:
    assert not refused(first)
    assert not refused(second)
    count = "SELECT count(*) FROM sayiir.instances WHERE instance_id = %s"
    assert scene.ask(count, scene.id) == [(1,)]


def purged(scene: Scene, first: Any, second: Any) -> None:
    assert scene.status() in {None, State.FAILED}
    assert refused(second) or second == 0


def purged_or_retried(scene: Scene, first: Any, second: Any) -> None:
    if refused(second):
        assert scene.status() is None
    else:
        assert scene.due(scene.eye) == 1


def one_pair(scene: Scene, first: Any, second: Any) -> None:
    one_new(scene, first, second)


PAIRS = {
    "signal and park": Pair(Scene.started, lambda s: s.hand.await_signal("go"),
                            lambda s: s.two.send_signal(s.id, "go", b"1"), signalled),
    "signal and create": Pair(nothing, creates_and_parks, lambda s: s.two.send_signal(s.id, "go", b"1"), signalled),
    "signal and due": Pair(awaiting, lambda s: s.due(s.one), lambda s: s.two.send_signal(s.id, "go", b"1"), heard),
    "due with a signal and cancel": Pair(called, lambda s: s.due(s.one),
                                         lambda s: s.two.request_cancel(s.id, None, None), called_off),
    "due with a signal and pause": Pair(called, lambda s: s.due(s.one),
                                        lambda s: s.two.request_pause(s.id, None, None), halted),
    "due with a signal twice": Pair(called, lambda s: s.due(s.one), lambda s: s.due(s.two), one_claim),
    "due after a delay and claim": Pair(delayed, lambda s: s.due(s.one), lambda s: s.claim(s.two), one_claim),
    "due after a delay and cancel": Pair(delayed, lambda s: s.due(s.one),
                                         lambda s: s.two.request_cancel(s.id, None, None), called_off),
    "consume and cancel": Pair(answered, consume, lambda s: s.two.request_cancel(s.id, None, None), called_off),
    "consume and pause": Pair(answered, consume, lambda s: s.two.request_pause(s.id, None, None), halted),
    "consume and replace": Pair(answered, consume,
                                lambda s: s.two.create(new(s.id), "terminate_existing", claim=False), nothing),
    "consume and consume": Pair(rivals, consume, lambda s: s.hands[0].on(s.two).consume(s.hands[0].claim.signal), one_signal),
    "consume and send": Pair(answered, consume, lambda s: s.two.send_signal(s.id, "go", b"2"), nothing),
    "complete and cancel": Pair(Scene.started, lambda s: s.hand.complete(b"1"),
                                lambda s: s.two.request_cancel(s.id, "why", "who"), cancelled_or_completed),
    "step and cancel": Pair(Scene.started, lambda s: s.hand.run("two"),
                            lambda s: s.two.request_cancel(s.id, None, None), cancelled),
    "wait and cancel": Pair(Scene.started, lambda s: s.hand.wait(60),
                            lambda s: s.two.request_cancel(s.id, None, None), cancelled),
    "claim and pause": Pair(Scene.submitted, lambda s: s.claim(s.one),
                            lambda s: s.two.request_pause(s.id, None, None), paused),
    "claim due and pause": Pair(Scene.submitted, lambda s: s.due(s.one),
                                lambda s: s.two.request_pause(s.id, None, None), paused),
    "join and join": Pair(forked, lambda s: s.hands[0].arrive("l", "r"), lambda s: s.hands[1].arrive("l", "r"), joined),
    "claim and claim": Pair(Scene.submitted, lambda s: s.claim(s.one), lambda s: s.claim(s.two), one_claim),
    "claim due and claim due": Pair(Scene.submitted, lambda s: s.due(s.one), lambda s: s.due(s.two), one_claim),
    "claim due and claim": Pair(Scene.submitted, lambda s: s.due(s.one), lambda s: s.claim(s.two), one_claim),
    "heartbeat and sweep": Pair(dead, lambda s: s.hand.beat().lost, lambda s: s.two.sweep(), freed),
    "sweep and sweep": Pair(dead, lambda s: s.one.sweep(), lambda s: s.two.sweep(), freed),
    "due of one presumed dead and sweep": Pair(presumed, lambda s: s.due(s.one), lambda s: s.two.sweep(), swept),
    "claim of one presumed dead and sweep": Pair(presumed, lambda s: s.claim(s.one), lambda s: s.two.sweep(), swept),
    "begin of one presumed dead and sweep": Pair(
        presumed, lambda s: s.one.create(new(s.id + "x"), "fail", claim=True).claim, lambda s: s.two.sweep(), swept),
    "submit and submit": Pair(nothing, lambda s: s.one.create(new(s.id), "fail", claim=False),
                              lambda s: s.two.create(new(s.id), "fail", claim=False), one_new),
    "submit many and submit many": Pair(nothing, lambda s: together(s, s.one, "ab"),
                                        lambda s: together(s, s.two, "ba"), one_pair),
    "replace and replace": Pair(Scene.submitted, lambda s: s.one.create(new(s.id), "terminate_existing", claim=False),
                                lambda s: s.two.create(new(s.id), "terminate_existing", claim=False), replaced),
    "step and replace": Pair(Scene.started, lambda s: s.hand.wait(60),
                             lambda s: s.two.create(new(s.id), "terminate_existing", claim=False), nothing),
    "purge and claim": Pair(ended, lambda s: s.one.purge(2**53, 100), lambda s: s.claim(s.two), purged),
    "purge and retry": Pair(ended, lambda s: s.one.purge(2**53, 100), lambda s: s.retry(s.two), purged_or_retried),
    "retry and cancel": Pair(ended, lambda s: s.retry(s.one), lambda s: s.two.request_cancel(s.id, None, None), nothing),
    "retry and retry": Pair(ended, lambda s: s.retry(s.one), lambda s: s.retry(s.two), one_new),
    "steps and ends and sweep": Pair(batch, steps_and_ends, lambda s: s.two.request_pause(s.id + "x", None, None), nothing),
    "steps and ends and release": Pair(batch, steps_and_ends,
                                       lambda s: s.two.release([hand.fence for hand in s.hands]), nothing),
}  # fmt: skip


def sound(scene: Scene) -> None:
    """Assert the rules that hold after everything."""
    known = {(hand.fence.instance, hand.fence.token, hand.fence.epoch) for hand in scene.hands}
    if hasattr(scene, "hand"):
        known.add((scene.hand.fence.instance, scene.hand.fence.token, scene.hand.fence.epoch))
    rows = scene.ask("SELECT number, status, request FROM sayiir.instances WHERE instance_id LIKE %s", scene.id + "%")
    assert scene.ask("SELECT 1 FROM sayiir.tokens WHERE instance NOT IN (SELECT number FROM sayiir.instances)") == []
    for number, status, request in rows:
        tokens = scene.ask(
            "SELECT number, state, owner, epoch, wake_at, signal FROM sayiir.tokens WHERE instance = %s", number
        )
        assert bool(tokens) is (State(status) not in TERMINAL), (status, tokens)
        hushed = request is not None or status == "paused"
        for token, state, owner, epoch, wake_at, signal in tokens:
            if owner is not None:
                assert (number, token, epoch) in known or not scene.hands, "a claim that nobody knows of"
                assert wake_at is None
            elif state in {"ready", "standing", "waiting", "backoff"}:
                assert hushed is (wake_at is None), (state, hushed, wake_at)
            elif state == "awaiting" and not hushed and wake_at is None:
                buffered = "SELECT 1 FROM sayiir.signals WHERE instance_id = %s AND name = %s AND consumed_at IS NULL"
                assert scene.ask(buffered, scene.id, signal) == [], "a signal that wakes nobody"


@pytest.fixture(scope="module")
def scenery(postgres):
    with postgres.database() as url, ExitStack() as stack:
        stores = [
            stack.enter_context(PostgresBackend(url, listen=False, acquire_timeout_secs=20)) for _ in range(3)
        ]
        for store in stores:
            store.sweep()
        with psycopg.connect(url, autocommit=True) as watch:
            yield url, stores, Conductor(watch), watch


@pytest.mark.parametrize("name", PAIRS)
def test_every_order(scenery, name, record_property):
    url, stores, conductor, watch = scenery
    pair, eye = PAIRS[name], stores[2]
    before, schedules = deadlocks(url), conductor.schedules

    def play(order):
        scene = Scene(url, stores, watch)
        pair.stage(scene)
        results, turns = conductor.play((lambda: pair.first(scene), lambda: pair.second(scene)), iter(order))
        for result in results:
            assert refused(result) or not isinstance(result, Exception), result
            scene.hands += [Hand(eye, claim) for claim in getattr(result, "claims", ())]
        sound(scene)
        pair.check(scene, *results)
        sound(scene)
        for table in ("instances", "tokens", "results", "signals"):
            scene.ask(f"DELETE FROM sayiir.{table}")
        return turns

    def played(turns):
        play(turns)
        return conductor.choices

    with tapped():
        # How many turns each takes when it comes first, and when it comes second.
        lengths = [play(order) for order in ((0,) * 60, (1,) * 60)]
        all_orders = list(orders(*(max(column) for column in zip(*lengths, strict=True))))
        is_complete = ALL and every_order(played, MOST)
        if not is_complete:
            for order in all_orders[:: 1 if ALL else max(1, len(all_orders) // SAMPLE)]:
                play(order)
    assert is_complete or conductor.schedules - schedules > 6
    assert deadlocks(url) == before
    record_property("schedules", conductor.schedules - schedules)
    record_property("complete_pairs", int(is_complete))
    print(f"{name}: {conductor.schedules - schedules} schedules")
