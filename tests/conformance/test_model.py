"""The stores against a reference model: random programs of verbs, on memory and SQLite side by side.

After every step both stores must have answered as the model says, and look as it says. Old claims are used again and
again, so that a write that should have been refused shows up as a difference.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sayiir import InMemoryBackend, SqliteBackend
from sayiir.core.records import STEP_BITS, Arrive, Definition, Position
from sayiir.errors import ClaimLostError, InstanceAlreadyExistsError, InstanceNotFoundError, InvalidStateError
from sayiir.store.base import ScriptedStore
from sayiir.store.port import Claim, Moved, NewInstance, Restart, Signal, Token
from sayiir.testing import FakeClock
from sayiir.testing.conformance.stage import HASH, STRUCTURE, Hand

sys.path.insert(0, str(Path(__file__).parent))

from model import MICROS, Model, Right

PROVE = os.environ.get("SAYIIR_PROVE") == "1"
names = st.sampled_from("ab")
seconds = st.sampled_from([0.0, 1.0, 5.0])
STEPS = st.sampled_from(["run", "run", "consume", "again", "arrive"])
PARKS = st.sampled_from(["wait", "try", "try_held", "await", "await", "await_on", "fork", "fork"])
ENDS = st.sampled_from(["arrive", "complete", "fail"])
lengths = st.one_of(st.none(), seconds)
numbers = st.integers(0, 1000)
rarely = st.sampled_from([False, False, True])
DEFINITION = Definition("w", HASH, STRUCTURE)


class Pair:
    """The same right on both stores and in the model, with the signal that it may consume."""

    def __init__(self, right: Right, hands: list[Hand]) -> None:
        self.right = right
        self.hands = hands
        self.signals: list[Signal | None] = [None, None]
        self.signal: tuple[bytes, int] | None = None


class StoresAgainstModel(RuleBasedStateMachine):
    """Every verb is a rule."""

    @initialize()
    def open(self) -> None:
        self.clock = FakeClock(start=0)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "runs.db"
        self.model = Model()
        self.stores: list[ScriptedStore] = [
            InMemoryBackend(clock=self.clock),
            SqliteBackend(self.path, durability="normal", clock=self.clock),
        ]
        self.pairs: list[Pair] = []
        self.sent = self.lives = self.moves = 0

    def teardown(self) -> None:
        if hasattr(self, "stores"):
            for store in self.stores:
                store.close()
            self.folder.cleanup()

    # --- help -----------------------------------------------------------------------------------------------------

    def both(self, ask: Any) -> list[Any]:
        answers = []
        for store in self.stores:
            try:
                answers.append(ask(store))
            except (InstanceAlreadyExistsError, InvalidStateError):
                answers.append("refused")
        return answers

    def hold(self, right: Right | None, claims: list[Claim | None]) -> Pair | None:
        assert all((claim is None) is (right is None) for claim in claims)
        if right is None:
            return None
        pair = Pair(right, [Hand(store, claim) for store, claim in zip(self.stores, claims, strict=True) if claim])
        assert {hand.fence.token for hand in pair.hands} == {right.number}
        self.pairs.append(pair)
        return pair

    def pick(self, number: int, *, good: bool) -> Pair:
        pairs = [pair for pair in self.pairs if self.model._good(pair.right)] if good else []
        pairs = pairs or self.pairs
        return pairs[number % len(pairs)]

    # --- rules ----------------------------------------------------------------------------------------------------

    @rule(
        name=names,
        policy=st.sampled_from(["fail", "fail", "fail", "use_existing", "terminate_existing"]),
        claim=st.booleans(),
    )
    def create(self, name: str, policy: Any, claim: bool) -> None:
        expected, right = self.model.create(name, policy, claim=claim)
        new = NewInstance(name, DEFINITION, b"0", Position("one"), is_task=True)
        answers = self.both(lambda store: store.create(new, policy, claim=claim))
        if expected == "refused":
            assert answers == ["refused"] * 2
            return
        assert [answer.is_new for answer in answers] == [expected == "new"] * 2
        self.hold(right, [answer.claim for answer in answers])

    @rule(name=names)
    def claim(self, name: str) -> None:
        if name not in self.model.instances:
            for store in self.stores:
                try:
                    store.claim(name, HASH, STRUCTURE)
                except InstanceNotFoundError:
                    continue
                raise AssertionError("claimed what is not there")
            return
        expected, busy = self.model.claim(name)
        answers = self.both(lambda store: store.claim(name, HASH, STRUCTURE))
        for answer in answers:
            assert answer.busy == busy
            assert [(claim.fence.token, claim.wake) for claim in answer.claims] == [
                (right.number, wake) for right, wake in expected
            ]
        for (right, wake), *claims in zip(expected, *(answer.claims for answer in answers), strict=True):
            pair = self.hold(right, claims)
            if wake == "signal" and pair is not None:
                pair.signals = [claim.signal for claim in claims]
                pair.signal = self.model.oldest(name, right.instance.places[right.number].due)
                self.same_signal(pair)

    @rule(beside=st.sampled_from([0, 0, 0, 1, 2, 9]), more=st.integers(0, 2))
    def claim_due(self, beside: int, more: int) -> None:
        answers, most = [], self.model.most_crashes() + 1 + more  # nothing ends by it
        for store in self.stores:
            lanes = store.register([DEFINITION])
            answers.append(store.claim_due(lanes, 100, aging=300.0, max_crashes=most, beside=beside).works)
        wakes = self.model.in_line()
        given = [(work.instance.instance_id, work.claim.fence.token) for work in answers[0]]
        event(f"claim_due: {len(given)}")
        rights = self.model.claim_due(given, beside=beside, last=max(most - 1, 1))
        assert [(work.instance.instance_id, work.claim.fence.token) for work in answers[1]] == given
        for right, (name, number), *works in zip(rights, given, *answers, strict=True):
            assert {work.claim.wake for work in works} == {wakes[name, number]}
            pair = self.hold(right, [work.claim for work in works])
            if wakes[name, number] == "signal" and pair is not None:
                pair.signals = [work.claim.signal for work in works]
                pair.signal = self.model.oldest(name, right.instance.places[number].due)
                self.same_signal(pair)

    @rule()
    def sweep(self) -> None:
        expected = self.model.sweep()
        answers = [store.sweep(max_crashes=10**9) for store in self.stores]
        assert answers[0] == answers[1]
        assert bool(answers[0]) is expected

    def same_signal(self, pair: Pair) -> None:
        assert pair.signal is not None
        for signal in pair.signals:
            assert signal is not None
            assert (signal.payload, signal.sent_at) == pair.signal

    # A rule is drawn as often as it has names, so what moves tokens has several.

    @rule(number=numbers, kind=STEPS, length=lengths)
    def step(self, number: int, kind: str, length: float | None) -> None:
        self.move(number, kind, length)

    @rule(number=numbers, kind=PARKS, length=lengths)
    def park(self, number: int, kind: str, length: float | None) -> None:
        self.move(number, kind, length)

    @rule(number=numbers, kind=STEPS | PARKS, length=lengths)
    def go_on(self, number: int, kind: str, length: float | None) -> None:
        self.move(number, kind, length)

    @rule(number=numbers, kind=ENDS, really=rarely)
    def end(self, number: int, kind: str, really: bool) -> None:
        self.move(number, kind if really else "arrive", None)

    @precondition(lambda self: self.pairs)
    @rule(number=numbers, kind=STEPS | PARKS | ENDS, length=lengths)
    def move_late(self, number: int, kind: str, length: float | None) -> None:
        self.move(number, kind, length, good=False)

    def move(self, number: int, kind: str, length: float | None, *, good: bool = True) -> None:
        if good and not any(self.model._good(pair.right) for pair in self.pairs):
            name = "ab"[number % 2]
            self.claim(name) if name in self.model.instances else self.create(name, "fail", claim=True)
            return
        pair = self.pick(number, good=good)
        main = pair.right.number == 0
        if kind == "consume" and pair.signal is None:
            kind = "run"
        if not main and kind in ("fork", "complete"):
            kind = "arrive"
        if main and kind == "arrive":
            kind = "fork"
        if kind in ("wait", "try", "try_held"):
            length = length or 0.0
        name = next((name for name, found in self.model.instances.items() if found is pair.right.instance), "a")
        first = pair.right.instance.branches + 1
        place = pair.right.instance.places.get(pair.right.number)
        parent = 0 if place is None or place.parent is None else place.parent
        family = tuple(
            number
            for number, other in sorted(pair.right.instance.places.items())
            if place is not None and other.parent == place.parent
        )
        expected = self.model.move(pair.right, kind, length, pair.signal)
        event(f"{kind}: {expected}")
        self.moves += 1
        answers = [
            self.make(store, hand, kind, length, signal, first, family, parent)
            for store, hand, signal in zip(self.stores, pair.hands, pair.signals, strict=True)
        ]
        assert [answer if isinstance(answer, str) else answer.kind for answer in answers] == [expected] * 2
        if expected == "signal":
            pair.signals = [answer.signal for answer in answers]
            pair.signal = self.model.oldest(name, None)
            self.same_signal(pair)
        elif expected in ("forked", "joined"):
            numbers = [first, first + 1] if expected == "forked" else [parent]
            for index, token in enumerate(numbers):
                self.hold(pair.right.instance.places[token].right, [answer.claims[index] for answer in answers])

    def make(
        self, store: ScriptedStore, hand: Hand, kind: str, length: float | None, signal: Signal | None, first: int,
        family: tuple[int, ...], parent: int,
    ) -> Moved | str:  # fmt: skip
        hand.store = store
        try:
            match kind:
                case "run":
                    return hand.run()
                case "consume":
                    return hand.consume(signal)
                case "again":
                    return hand.again()
                case "wait":
                    return hand.wait(length or 0)
                case "try" | "try_held":
                    return hand.fail_once(length or 0, hold=kind == "try_held")
                case "await":
                    # A gate is passed once: standing there again would be taken for the same wait.
                    return hand.await_signal("go", length, node=f"gate_{self.moves}")
                case "await_on":
                    return hand.await_on("go", length)
                case "fork":
                    from sayiir.core.records import Fork, ref_of

                    step = hand.position.step + 1
                    ref = ref_of(hand.fence.token, step)
                    children = tuple((n, Position("b", ref, step), True) for n in (first, first + 1))
                    return hand.move(Fork(children), "fork")
                case "arrive":
                    expected = tuple((number, f"b{number}") for number in family)
                    return hand.move(Arrive(parent, "fork", "join", expected), f"fork::{hand.fence.token}")
                case "complete":
                    return hand.complete()
                case "fail":
                    return hand.fail()
        except ClaimLostError:
            return "lost"
        raise AssertionError(kind)

    @rule(name=names, key=st.sampled_from([None, None, "k1", "k2"]))
    def send(self, name: str, key: str | None) -> None:
        self.sent += 1
        payload = str(self.sent).encode()
        expected = self.model.send(name, payload, key)
        assert self.both(lambda store: store.send_signal(name, "go", payload, key)) == [expected] * 2

    @precondition(lambda self: self.model.instances)
    @rule(name=names, what=st.sampled_from(["cancel", "pause", "pause"]), reason=st.sampled_from(["x", "y"]))
    def request(self, name: str, what: str, reason: str) -> None:
        if name in self.model.instances:
            expected = self.model.request(name, what, reason)
            answers = self.both(lambda store: getattr(store, f"request_{what}")(name, reason, None))
            assert answers == [expected] * 2

    @precondition(lambda self: self.model.instances)
    @rule(name=names)
    def unpause(self, name: str) -> None:
        if name in self.model.instances:
            expected = self.model.unpause(name)
            assert self.both(lambda store: store.unpause(name)) == [expected] * 2

    @precondition(lambda self: any(instance.ended for instance in self.model.instances.values()))
    @rule(name=names)
    def retry(self, name: str) -> None:
        if name in self.model.instances:
            self.lives += 1000
            expected = self.model.retry(name)

            def bring_back(store: ScriptedStore) -> str:
                store.retry(name, lambda i, r: Restart((Token(i.number, 0, "ready", "one", step=self.lives),)))
                return "done"

            assert self.both(bring_back) == [expected] * 2

    @precondition(lambda self: self.pairs)
    @rule(number=st.integers(0, 1000), good=st.booleans())
    def beat(self, number: int, good: bool) -> None:
        pair = self.pick(number, good=good)
        expected = self.model.beat(pair.right)
        for store, hand in zip(self.stores, pair.hands, strict=True):
            (beat,) = store.heartbeat([hand.fence])
            assert (beat.lost, beat.request) == expected

    @precondition(lambda self: self.pairs)
    @rule(number=st.integers(0, 1000), good=st.booleans())
    def release(self, number: int, good: bool) -> None:
        pair = self.pick(number, good=good)
        self.model.release(pair.right)
        for store, hand in zip(self.stores, pair.hands, strict=True):
            store.release([hand.fence])

    @rule(really=rarely)
    def crash(self, really: bool) -> None:
        if not really:
            return
        self.model.crash()
        for store in self.stores:
            store.abandon()  # type: ignore[attr-defined]
        self.pass_time(1e-6)  # a new maker of numbers knows only by the time which ones were given and dropped
        self.stores[1] = SqliteBackend(self.path, durability="normal", clock=self.clock)

    @rule(length=st.sampled_from([1e-6, 1.0, 5.0, 1000.0]))
    def pass_time(self, length: float) -> None:
        self.clock.advance(length)
        self.model.now += round(length * MICROS)

    # --- what must always hold ------------------------------------------------------------------------------------

    @invariant()
    def stores_look_like_the_model(self) -> None:
        if not hasattr(self, "stores"):
            return
        for name, instance in self.model.instances.items():
            for store in self.stores:
                view = store.load(name)
                assert view is not None
                stored = view.instance
                assert (stored.status, stored.request, stored.reason) == (
                    instance.status,
                    instance.request,
                    instance.reason,
                )
                assert stored.request_reason == instance.request_reason
                tokens = {
                    t.number: (t.state, t.attempt, t.crashes, t.due_at, t.parent, t.owner is not None) for t in view.tokens
                }
                assert tokens == {
                    number: (p.state, p.attempt, p.crashes, p.due, p.parent, p.right is not None)
                    for number, p in instance.places.items()
                }
                history = Counter((r.ref >> STEP_BITS, r.status) for r in store.history(stored.number))
                assert history == instance.history

    @invariant()
    def stores_are_alike(self) -> None:
        if not hasattr(self, "stores"):
            return
        for name in self.model.instances:
            one, two = (store.load(name) for store in self.stores)
            assert one is not None
            assert two is not None
            assert one.output == two.output
            assert (one.instance.created_at, one.instance.updated_at) == (two.instance.created_at, two.instance.updated_at)
            assert [(t.number, t.position, t.epoch, t.until) for t in one.tokens] == [
                (t.number, t.position, t.epoch, t.until) for t in two.tokens
            ]
            # Each store names its processes in its own way.
            one_lines, two_lines = (
                [msgspec.structs.replace(record, worker=None) for record in store.history(view.instance.number)]
                for store, view in zip(self.stores, (one, two), strict=True)
            )
            assert one_lines == two_lines


StoresAgainstModel.TestCase.settings = settings(
    max_examples=1000 if PROVE else 150,
    stateful_step_count=60 if PROVE else 50,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
TestStoresAgainstModel = pytest.mark.timeout(900)(StoresAgainstModel.TestCase)
