"""The world of a simulation: it plays a plan to its end, faults first, then peace, and tells what was seen."""

from __future__ import annotations

import contextlib
import logging
import zlib
from collections import Counter
from collections.abc import Callable, Generator
from random import Random
from typing import Any

import msgspec

from sayiir.core import lifecycle
from sayiir.core.graph import Graph
from sayiir.flow.workflow import Workflow
from sayiir.runtime.context import FRAME, Frame
from sayiir.store.port import Fence
from sayiir.store.scripts import basis, steer
from sayiir.testing.flows import Sketch
from sayiir.testing.ledger import Execution, Ledger
from sayiir.testing.simulation.client import Closer, SimClient
from sayiir.testing.simulation.fate import Fate
from sayiir.testing.simulation.loop import MICROS, START, Loop, SimClock
from sayiir.testing.simulation.plan import Fault, Plan
from sayiir.testing.simulation.store import Ground, Handle
from sayiir.testing.simulation.witness import Witness
from sayiir.testing.simulation.worker import SimWorker

_FAULTS_SECS = 120.0
"""So long the faults may last."""
_PEACE_SECS = 600.0
"""So long it may take till everything has ended, when the faults are over."""


class Report(msgspec.Struct):
    """What a simulation came to."""

    plan: Plan
    violations: list[str]
    faults: Counter[str]
    """How often each kind struck."""
    points: Counter[str]
    """Likewise, with the moments at which they struck."""
    transitions: Counter[str]
    """How often each (state × event) of the life of instances was met."""
    seconds: float
    steps: int
    instances: int
    executions: int
    commits: int
    refused: int
    takeovers: int
    digest: int
    """The same for the same plan, on every machine."""

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return not self.violations


class _Ledger(Ledger):
    """Tells the witness of every execution, with the claim that it was done under."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def add(self, line: Execution) -> None:
        frame = FRAME.get()
        assert isinstance(frame, Frame)
        fence: Fence = frame.fence
        wanted = set(frame.op.metadata.tags or ())
        worker = next(worker for worker in self._world.workers if worker.name == self._world.loop.current.process.name)
        if worker.tags is not None and not wanted <= set(worker.tags):
            self._world.witness.blame(f"a task that wants {wanted} ran on {worker.name}, which has {worker.tags}")
        self._world.witness.executed(fence, line)


class World:
    """Plays one plan.

    Args:
        plan: what happens.
        trace: called with each moment, for people.
    """

    def __init__(self, plan: Plan, trace: Callable[[str], None] | None = None) -> None:
        self.plan = plan
        self.loop = Loop(Random(f"{plan.seed} order"))
        self.ground = Ground(plan.settings.store, SimClock(self.loop, Random(f"{plan.seed} ground")))
        self.names = [f"i{index}" for index in range(len(plan.targets))]
        self.sketches = [plan.sketch(index) for index in range(len(plan.targets))]
        self.submitted: set[int] = set()
        self.fired: Counter[str] = Counter()
        self.points: Counter[str] = Counter()
        self.digest = 0
        self.witness = Witness(self)
        self._trace = trace
        self._fates: dict[str, Fate] = {}
        self._handles: list[Handle] = []
        self._hints = Random(f"{plan.seed} hints")
        self._peace = False
        ledger = _Ledger(self)
        by_flow = {target.flow: sketch for target, sketch in zip(plan.targets, self.sketches, strict=True)}
        blank = self.sketches[0]
        self.workflows = [
            ledger.watch(self._named(by_flow.get(flow, blank), flow), self._effect) for flow in range(len(plan.flows))
        ]
        tags = plan.settings.tags or (None,) * plan.settings.workers
        clients = sorted({command.client for command in plan.commands})
        self.workers = [
            SimWorker(self, f"worker{index}", plan.settings.skews[index], tags[index])
            for index in range(plan.settings.workers)
        ]
        self.clients = [SimClient(self, name, [one for one in plan.commands if one.client == name]) for name in clients]
        self._actors: list[SimWorker | SimClient] = [*self.workers, *self.clients]
        self.closer = Closer(self)

    def _named(self, sketch: Sketch, number: int) -> Workflow[Any, Any]:
        """Return the flow under a name of its own: two that look alike may do different things."""
        graph = sketch.build(self.plan.settings.moment).graph
        return Workflow(Graph(f"flow{number}", graph.nodes, graph.metadata))

    # --- what the actors need -------------------------------------------------------------------------------------

    def fate(self, actor: str, strike: Callable[[Fault], None], *, always_busy: bool = True) -> Fate:
        """Return the fate of an actor."""
        is_busy = (lambda: True) if always_busy else (lambda: self.witness.holds(actor))
        faults = [fault for fault in self.plan.faults if fault.actor == actor]
        fate = Fate(
            actor, self.loop, faults, self.plan.settings.latency, strike, is_busy, self.fired, self.points, self.note
        )  # fmt: skip
        self._fates[actor] = fate
        return fate

    def handle(self, fate: Fate, clock: SimClock) -> Handle:
        """Return a store for one life of an actor."""
        box = list[Handle]()
        handle = Handle(self.ground, fate, self.witness, clock, lambda steering: self._spread(box[0], steering))
        box.append(handle)
        self._handles.append(handle)
        return handle

    def note(self, what: str) -> None:
        """Note a moment."""
        text = f"{self.loop.seconds:12.6f} {self.loop.current.process.name}/{self.loop.current.name}: {what}"
        self.digest = zlib.crc32(text.encode(), self.digest)
        if self._trace is not None:
            self._trace(text)

    def was_disturbed(self) -> bool:
        """Return whether anything befell anybody so far."""
        return any(fate.disturbed for fate in self._fates.values())

    def _effect(self, name: str) -> None:
        """Let a task take its time, half before its code and half after it."""
        process = self.loop.current.process
        self._fates[process.name].moment(name)
        usual, chance = self.plan.settings.task_secs, process.chance.random()
        self.loop.sleep(usual / 2 * (chance if chance < 0.9 else 0.0 if chance < 0.95 else 3.0))

    def _spread(self, own: Handle, steering: bool) -> None:
        mode = "sound" if self._peace else self.plan.settings.hints
        self._handles = [handle for handle in self._handles if handle.fate.process.alive]
        for handle in self._handles:
            if handle is own:
                continue
            times, delay = 1, self._hints.random() * 0.01
            if mode == "none" or (mode == "lost" and self._hints.random() < 0.5):
                times = 0
            elif mode == "doubled":
                times = 2
            elif mode == "late":
                delay *= 500
            if mode != "sound":
                self.fired[f"hints {mode}"] += 1
            for _ in range(times):
                self.loop.call_later(delay, lambda handle=handle: handle.echo.hear(steering))  # type: ignore[misc]

    # --- from the beginning to the end ----------------------------------------------------------------------------

    def play(self) -> Report:
        """Play the plan."""
        loop, witness = self.loop, self.witness
        with _watching_transitions() as transitions, _collecting_errors() as errors:
            for actor in self._actors:
                actor.start()
            loop.run(self._is_over, START + round(_FAULTS_SECS * MICROS))
            self._make_peace()
            self.closer.start()
            if not loop.run(lambda: self.closer.is_done, loop.now + round(_PEACE_SECS * MICROS)):
                witness.blame(self._why_not_all_ended())
            for worker in self.workers:
                worker.retire()
            if not loop.run(lambda: all(worker.is_gone for worker in self.workers), loop.now + round(_PEACE_SECS * MICROS)):
                witness.blame("I13: a worker did not end when it was asked to")
            witness.finish()
            for fiber, error in loop.broken:
                witness.blame(f"a thread of {fiber.process.name} ({fiber.name}) ended by {error!r}")
            loop.close()
        witness.violations += [f"an error in a worker: {text}" for text in errors]
        seen = witness.seen
        self.ground.backend.close()
        return Report(
            self.plan, witness.violations, self.fired, self.points, transitions, loop.seconds, loop.steps, seen["instances"],
            seen["executions"], seen["commits"], seen["refused"], seen["takeovers"], self.digest,
        )  # fmt: skip

    def _why_not_all_ended(self) -> str:
        if self.loop.is_spinning:
            return "I1: a busy loop, tens of thousands of steps within a second"
        left = [f"{name} ({self.ground.standing(name)})" for name in self.closer.left]
        return f"I1: not ended in peace: {'; '.join(left)}"

    def _is_over(self) -> bool:
        return all(client.is_done for client in self.clients) and not self.witness.is_busy()

    def _make_peace(self) -> None:
        """Let no more faults happen, and what stood still go on; who is dead will be started."""
        self._peace = True
        for fate in self._fates.values():
            fate.is_over = True
        for actor in self._actors:
            actor.process.stopped_until = 0


@contextlib.contextmanager
def _watching_transitions() -> Generator[Counter[str], None, None]:
    """Count what the table of states is asked for."""
    seen: Counter[str] = Counter()

    def next_state(state: lifecycle.State, event: lifecycle.Event, instance_id: str = "") -> lifecycle.State:
        seen[f"{state} {event}"] += 1
        return lifecycle.next_state(state, event, instance_id)

    basis.next_state = steer.next_state = next_state  # type: ignore[attr-defined]  # pyright: ignore[reportPrivateImportUsage]
    try:
        yield seen
    finally:
        basis.next_state = steer.next_state = lifecycle.next_state  # type: ignore[attr-defined]  # pyright: ignore[reportPrivateImportUsage]


class _Errors(logging.Handler):
    """Keeps what the engine logs as an error: in a simulation nothing may be one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.getMessage()}: {record.exc_info[1] if record.exc_info else ''!r}")


@contextlib.contextmanager
def _collecting_errors() -> Generator[list[str], None, None]:
    logger, errors = logging.getLogger("sayiir"), _Errors()
    level, passed_on = logger.level, logger.propagate
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logger.addHandler(errors)
    try:
        yield errors.texts
    finally:
        logger.setLevel(level)
        logger.propagate = passed_on
        logger.removeHandler(errors)
