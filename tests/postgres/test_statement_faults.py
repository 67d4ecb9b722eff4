"""The racing pairs of test_interleavings.py, with a fault after each statement of each of the two.

A crash: the actor's process is gone after its statement. The other one goes on, and once the dead one is swept up, the rows
agree and whatever has not ended can be led to its end. A doubt: the statement, maybe a COMMIT, was executed and its answer
lost. The verb finds out by itself: its result, and the other's, must be what they are without any fault.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import pytest

from sayiir.core.lifecycle import TERMINAL, State
from sayiir.errors import ClaimLostError
from sayiir.store.postgres import PostgresBackend
from sayiir.testing.conformance.stage import HASH, STRUCTURE, Hand
from tests.postgres.common import kill_owner
from tests.postgres.conductor import Crash, Fault, tapped
from tests.postgres.test_interleavings import PAIRS, Pair, Scene, one_claim, refused, scenery, sound
from tests.servers.ground import until

__all__ = ["scenery"]
ALL = os.environ.get("SAYIIR_ALL_ORDERS") == "1"
MOST = 60
"""No verb has more statements, those that find out after a doubt included."""


class Play:
    """One pair in its scenery, played again and again."""

    def __init__(self, scenery: Any, pair: Pair) -> None:
        self.url, self.stores, self.conductor, self.watch = scenery
        self.pair = pair
        self.owners = [store._shared.owner for store in self.stores]
        self.crashes = self.doubts = 0

    def scene(self, stores: list[PostgresBackend]) -> Scene:
        for table in ("instances", "tokens", "results", "signals"):
            self.watch.execute(f"DELETE FROM sayiir.{table}".encode())
        scene = Scene(self.url, stores, self.watch)
        self.pair.stage(scene)
        return scene

    def run(self, scene: Scene, who: int, turn: int, *, first: bool, crash: bool) -> tuple[list[Any], bool]:
        """Let one actor come to the fault, then the other to its end; or the other first."""
        fault = Fault(turn, crash, self.watch)
        faults = (fault, None) if who == 0 else (None, fault)
        order = (who,) * turn + (1 - who,) * 60 if first else (1 - who,) * 60 + (who,) * 60
        calls = (lambda: self.pair.first(scene), lambda: self.pair.second(scene))
        with tapped():
            results, _ = self.conductor.play(calls, iter(order), faults)
        return results, fault.struck

    def crash(self, who: int, turn: int, *, first: bool) -> bool:
        with PostgresBackend(self.url, listen=False, acquire_timeout_secs=20) as doomed:
            doomed.sweep()
            stores = [doomed if index == who else store for index, store in enumerate(self.stores)]
            scene = self.scene(stores)
            results, struck = self.run(scene, who, turn, first=first, crash=True)
            for store, own in zip(self.stores, self.owners, strict=True):
                store._shared.owner = own  # one that was presumed dead
            if not struck:
                return False
            self.crashes += 1
            assert isinstance(results[who], Crash), results
            assert refused(results[1 - who]) or not isinstance(results[1 - who], Exception), results
            owner = scene.ask("SELECT max(owner) FROM sayiir.owners WHERE name = %s", doomed.worker_name)[0][0]
            kill_owner(self.watch, doomed)

        def is_swept() -> bool:
            scene.eye.sweep()
            return scene.ask("SELECT 1 FROM sayiir.tokens WHERE owner = %s", owner) == []

        until(is_swept, "the claims of the dead being free")
        scene.hands = []  # whoever has a claim now is not asked for
        if hasattr(scene, "hand"):
            del scene.hand
        sound(scene)
        self.led_to_its_end(scene)
        return True

    def doubt(self, who: int, turn: int, *, first: bool) -> bool:
        scene = self.scene(self.stores)
        results, struck = self.run(scene, who, turn, first=first, crash=False)
        if not struck:
            return False
        self.doubts += 1
        for result in results:
            assert refused(result) or not isinstance(result, Exception), result
            scene.hands += [Hand(scene.eye, claim) for claim in getattr(result, "claims", ())]
        self.stores[who]._claims.give_back()  # as its heart does, and its next claim
        sound(scene)
        self.check(scene, results)
        sound(scene)
        return True

    def check(self, scene: Scene, results: list[Any]) -> None:
        if self.pair.check is one_claim and sum(results) == 0:
            # The claim was made, nobody knew of it, and it was given back.
            results = [scene.due(scene.eye), 0]
        self.pair.check(scene, *results)

    def led_to_its_end(self, scene: Scene) -> None:
        """Take every instance over as if the survivor had fallen silent, and cancel it."""
        scene.ask("UPDATE sayiir.tokens SET until = 0 WHERE owner IS NOT NULL")
        for name, status in scene.ask("SELECT instance_id, status FROM sayiir.instances"):
            if State(status) in TERMINAL:
                continue
            if State(status) is State.PAUSED:
                scene.eye.unpause(name)
            held = [Hand(scene.eye, claim) for claim in scene.eye.claim(name, HASH, STRUCTURE).claims]
            scene.eye.request_cancel(name, None, None)
            for hand in held:
                with suppress(ClaimLostError):  # one that slept was cancelled at once
                    assert hand.run("three").kind == "stopped"
            view = scene.eye.load(name)
            assert view is not None
            assert (view.instance.status, view.tokens) == (State.CANCELLED, ())


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("kind", ["crash", "doubt"])
def test_a_fault_after_each_statement(scenery: Any, name: str, kind: str, record_property: Any) -> None:
    play = Play(scenery, PAIRS[name])
    act = play.crash if kind == "crash" else play.doubt
    for first in (True, False) if ALL else (True,):
        for who in (0, 1):
            turn = 1
            while act(who, turn, first=first):
                turn += 1
                assert turn < MOST
    assert play.crashes + play.doubts >= 2
    record_property("schedules", play.crashes + play.doubts)
    record_property("statement_faults", play.crashes + play.doubts)
    print(f"{name}: {play.crashes} crashes, {play.doubts} doubts")
