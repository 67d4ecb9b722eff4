"""Pause or cancel at any effect, with or without a crash at any later one: obeyed, and nothing is lost by it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import example, given, target
from hypothesis import strategies as st

from sayiir import InstanceNotFoundError, InvalidStateError, WorkflowClient, WorkflowStatus
from sayiir.store.base import ScriptedStore
from sayiir.testing.crash import OpenStore, run_to_end
from sayiir.testing.flows import Sketch, Split, Step, sketches
from sayiir.testing.ledger import Ledger
from sayiir.testing.life import LeapClock, Life, SimulatedCrash
from tests.proof.common import KINDS, examples, reopenable

Request = Literal["pause", "cancel"]


@dataclass
class Steered:
    """One instance, steered from outside at one effect, crashed at another."""

    sketch: Sketch
    store: Any
    open_store: OpenStore
    request: Request
    steer_at: int
    crash_at: int
    ledger: Ledger = field(default_factory=Ledger)
    sent: Counter[str] = field(default_factory=Counter)
    accepted: bool = False
    effects: int = 0
    allowed: int = 0
    """How many executions there may be while the request holds: those so far, and one for each task under way."""

    def moment(self, life: int, number: int, name: str) -> None:
        self.effects = max(self.effects, number)
        if life == 0 and number == self.steer_at:
            self.ask()
        if life == 0 and number == self.crash_at:
            raise SimulatedCrash(name)

    def ask(self) -> None:
        try:
            getattr(self.store, f"request_{self.request}")("i", "why", "who")
        except (InstanceNotFoundError, InvalidStateError):
            return  # too early, or too late
        self.accepted = True
        tokens = self.store.load("i").tokens
        under_way = sum(token.owner is not None and token.state == "ready" for token in tokens)
        self.allowed = len(self.ledger.lines) + under_way

    def live(self) -> WorkflowStatus:
        """Move it until it ends or is paused, opening the store again after a crash."""
        for life in range(2):
            seen = Life(self.store, lambda number, name, life=life: self.moment(life, number, name))
            watched = self.ledger.watch(self.sketch.build(), seen.effect)
            try:
                return run_to_end(watched, "i", self.sketch.input, seen, script=self.sketch.signals(), sent=self.sent)
            except SimulatedCrash:
                self.store.abandon()
                self.store = self.open_store(self.store.clock)
        raise AssertionError("unreachable")

    def go_on(self) -> WorkflowStatus:
        """Undo the request and move it to its end."""
        if self.request == "pause":
            self.store.unpause("i")
        else:
            WorkflowClient(self.store).retry("i")
        watched = self.ledger.watch(self.sketch.build())
        return run_to_end(watched, "i", self.sketch.input, Life(self.store), script=self.sketch.signals(), sent=self.sent)


def completed(store: ScriptedStore) -> Counter[Any]:
    entries = WorkflowClient(store).timeline("i")
    return Counter((e.node_id, e.kind, e.iteration) for e in entries if e.status == "completed" and not e.superseded)


def undisturbed(sketch: Sketch, kind: str) -> tuple[Counter[Any], int]:
    with reopenable(kind) as open_store, open_store(LeapClock()) as store:
        life = Life(store)
        run_to_end(sketch.build(), "i", sketch.input, life, script=sketch.signals())
        return completed(store), len(life.effects)


@pytest.mark.parametrize("request_", ["pause", "cancel"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_request_at_any_effect_is_obeyed_and_can_be_undone(kind: str, request_: Request) -> None:
    @examples(50, 2000)
    @given(sketches(depth=2, failing=False), st.floats(0, 1), st.none() | st.floats(0, 1))
    @example(Sketch((Step(0),)), 1.0, None)  # when only the end is left
    @example(Sketch((Split(((Step(0),),), Step(0)),)), 0.5, None)  # when a branch is about to arrive
    def prove(sketch: Sketch, steer: float, crash: float | None) -> None:
        expected, effects = undisturbed(sketch, kind)
        steer_at, crash_at = int(steer * effects), -1 if crash is None else int(crash * effects * 1.2)
        target(effects)
        with reopenable(kind) as open_store:
            case = Steered(sketch, open_store(LeapClock()), open_store, request_, steer_at, crash_at)
            status = case.live()
            if status.status in ("paused", "cancelled"):
                assert case.accepted
                assert len(case.ledger.lines) <= case.allowed, "a task started after the request was accepted"
                assert (status.reason, status.paused_by or status.cancelled_by) == ("why", "who")
                assert case.store.load("i").instance.request is None
                status = case.go_on()
            else:
                assert not case.accepted or crash_at >= 0, "the request was accepted and forgotten"
            assert (status.status, status.output) == ("completed", sketch.expected())
            assert completed(case.store) == expected
            case.store.close()

    prove()
