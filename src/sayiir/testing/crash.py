"""Crashes at every effect: the proof that a crash loses nothing and repeats no committed result.

A workflow runs once undisturbed, which counts its effects (see `sayiir.testing.life`), and then once for each of them
with a crash there: the store is opened again, the instance is taken up and moved to its end. The end, every completed
line of the timeline with its value, and every task's inputs must be those of the undisturbed run.
"""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from sayiir.core.records import Record
from sayiir.core.values import encode
from sayiir.errors import InvalidStateError
from sayiir.flow.workflow import Workflow
from sayiir.runtime.engine import resume_workflow, run_durable_workflow
from sayiir.runtime.status import WorkflowStatus
from sayiir.store.base import ScriptedStore
from sayiir.testing.clock import FakeClock
from sayiir.testing.ledger import Execution, Ledger
from sayiir.testing.life import LeapClock, Life, SimulatedCrash

if TYPE_CHECKING:
    from sayiir.store.memory import InMemoryBackend
    from sayiir.store.sqlite import SqliteBackend

    Openable: TypeAlias = "InMemoryBackend | SqliteBackend"

OpenStore: TypeAlias = "Callable[[LeapClock], Openable]"
"""Opens the store on the same data again; called at first and after every crash."""
Script: TypeAlias = dict[str, list[Any]]
"""The payloads that somebody outside sends, in order, by signal name."""

_LIFE: ContextVar[Life] = ContextVar("life")
"""The life that a task runs in: contexts follow tasks into threads and loops, so a late task meets its own life."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_ROUNDS = 1000


def run_to_end(
    workflow: Workflow[Any, Any],
    instance_id: str,
    input_data: Any,
    store: ScriptedStore,
    *,
    script: Script | None = None,
    sent: Counter[str] | None = None,
) -> WorkflowStatus:
    """Start or take up an instance and move it to its end or a pause, passing the time, sending what it waits for.

    Args:
        workflow: what to run.
        instance_id: the instance; taken up when it exists.
        input_data: the first task's input.
        store: where it lives, on a FakeClock.
        script: what is sent when the instance waits for it; without a payload left, time passes instead.
        sent: how many of each name were sent by earlier calls; counted on here.

    Raises:
        AssertionError: the instance waits for something that never comes, or does not get on.
    """
    sent = Counter() if sent is None else sent
    status = run_durable_workflow(workflow, instance_id, input_data, store, "use_existing")
    for _ in range(_MAX_ROUNDS):
        if status.is_completed() or status.is_failed() or status.is_cancelled() or status.is_paused():
            return status
        # First look whether it can go on by itself: a life may have ended between a nudge and what it was for.
        status = resume_workflow(workflow, instance_id, store)
        if status.is_waiting() or status.is_awaiting_signal():
            _nudge(status, store, script or {}, sent)
    raise AssertionError(f"instance {instance_id!r} does not get on: {status!r}, parked {status.parked!r}")


def _nudge(status: WorkflowStatus, store: ScriptedStore, script: Script, sent: Counter[str]) -> None:
    """Send what the instance waits for, or let the time pass until it moves by itself."""
    waits = [item.signal_name for item in status.parked if item.signal_name is not None]
    due = [item.wake_at for item in status.parked if item.wake_at is not None]
    nudged = False
    for name in waits:
        payloads, index = script.get(name, []), sent[name]
        if index < len(payloads):
            # A sender without an answer sends again under the same key; the instance may have been cancelled meanwhile.
            with contextlib.suppress(InvalidStateError):
                store.send_signal(status.instance_id, name, encode(payloads[index]), f"{name}-{index}")
                sent[name] += 1
            nudged = True
    if not nudged:
        if not due:
            raise AssertionError(f"instance {status.instance_id!r} is stuck: {status!r}, parked {status.parked!r}")
        assert isinstance(store.clock, FakeClock), "time can only be passed on a FakeClock"
        store.clock.advance_to((min(due) - _EPOCH) // timedelta(microseconds=1))


# --- the sweep ----------------------------------------------------------------------------------------------------


@dataclass
class Trial:
    """One instance from its creation to its end, through any number of lives."""

    workflow: Workflow[Any, Any]
    instance_id: str
    input: Any
    script: Script
    clock: LeapClock
    ledger: Ledger
    crashes: list[str] = field(default_factory=list)
    effects: int = 0
    status: WorkflowStatus | None = None
    records: list[Record] = field(default_factory=list)
    values: dict[tuple[str, str, int], bytes] = field(default_factory=dict)

    def run(self, store: Openable, open_store: OpenStore, points: Sequence[int]) -> Openable:
        """Live, ending life i at effect `points[i]`, until the instance has ended; return the last store."""
        left, sent = list(points), Counter[str]()
        while True:
            die_at = left.pop(0) if left else None
            life = Life(store, functools.partial(self._moment, die_at))
            _LIFE.set(life)
            try:
                ended = run_to_end(self.workflow, self.instance_id, self.input, life, script=self.script, sent=sent)
            except SimulatedCrash:
                store.abandon()
                store = open_store(self.clock)
                self._read(store)
                continue
            self.status, self.effects = ended, len(life.effects)
            self._read(store)
            return store

    def _moment(self, die_at: int | None, number: int, name: str) -> None:
        if number == die_at:
            self.crashes.append(f"{number}: {name}")
            raise SimulatedCrash(name)

    def _read(self, store: ScriptedStore) -> None:
        """Read the history, and see that what it said before is still there, unchanged."""
        before = {record.ref: record for record in self.records}
        view = store.load(self.instance_id)
        if view is None:
            self._claim_that(not before, "the instance is gone")
            return
        number = view.instance.number
        self.records = store.history(number)
        now = {record.ref: record for record in self.records}
        for ref, record in before.items():
            self._claim_that(now.get(ref) == record, f"history changed: {record!r} became {now.get(ref)!r}")
        done = [record for record in self.records if record.status == "completed"]
        for record in done:
            key, value = (record.node, record.kind, record.iteration), store.value(number, record.ref)
            known = self.values.setdefault(key, value)
            self._claim_that(known == value, f"the result of {key} changed from {known!r} to {value!r}")

    def lines(self) -> list[Execution]:
        """Return what ran of this instance."""
        return [line for line in self.ledger.lines if line.instance_id == self.instance_id]

    def check_against(self, clean: Trial) -> None:
        """Compare with the undisturbed trial.

        Raises:
            AssertionError: the end, a result or the history differs, or something ran more often than it may.
        """
        self._same("end", self._end(), clean._end())
        self._same("completed lines", self._completed(), clean._completed())
        self._same("results", self.values, clean.values)
        self._same("inputs", self._inputs(), clean._inputs())
        mine, theirs = self._executions(), clean._executions()
        for key, count in mine.items():
            self._claim_that(
                count <= theirs[key] + len(self.crashes), f"{key} ran {count} times, undisturbed {theirs[key]} times"
            )
        self.check_history()

    def check_history(self) -> None:
        """See that every execution has a line of its own in the timeline.

        Raises:
            AssertionError: one has none, or two share an attempt.
        """
        ran = Counter((line.node, line.iteration, line.attempt) for line in self.lines())
        told = {(r.node, r.iteration, r.attempt) for r in self.records if r.kind == "task"}
        twice = [key for key, count in ran.items() if count > 1]
        self._claim_that(not twice, f"two executions had the same attempt: {twice}")
        self._claim_that(ran.keys() <= told, f"executions without a line: {sorted(ran.keys() - told)}")

    def _end(self) -> tuple[Any, ...]:
        status = self.status
        return () if status is None else (status.status, status.output, status.error)

    def _completed(self) -> Counter[tuple[str, str, int]]:
        return Counter((r.node, r.kind, r.iteration) for r in self.records if r.status == "completed")

    def _executions(self) -> Counter[tuple[str, int]]:
        return Counter((line.node, line.iteration) for line in self.lines())

    def _inputs(self) -> set[tuple[str, int, bytes]]:
        return {(line.node, line.iteration, line.input) for line in self.lines()}

    def _same(self, what: str, mine: Any, theirs: Any) -> None:
        self._claim_that(mine == theirs, f"{what} differ:\n  undisturbed: {theirs!r}\n  crashed:     {mine!r}")

    def _claim_that(self, holds: bool, text: str) -> None:
        if not holds:
            lines = "\n  ".join(f"{r.node} {r.kind} #{r.iteration}.{r.attempt} {r.status}" for r in self.records)
            raise AssertionError(f"after crashes at {self.crashes}: {text}\nhistory:\n  {lines}")


@dataclass(frozen=True, slots=True)
class CrashReport:
    """What a sweep did: effects of the undisturbed run, crashes made, task executions beyond the undisturbed ones."""

    effects: int
    crashes: int
    repeats: int
    clean: Trial = field(repr=False)


def _in_memory() -> OpenStore:
    """Return what opens one store in memory again and again; only its owner changes."""
    from sayiir.store.memory import InMemoryBackend

    stores: list[InMemoryBackend] = []

    def open_store(clock: LeapClock) -> InMemoryBackend:
        if not stores:
            stores.append(InMemoryBackend(clock=clock, private=True))
        return stores[0]

    return open_store


def crash_everywhere(
    workflow: Workflow[Any, Any],
    input_data: Any,
    *,
    open_store: OpenStore | None = None,
    signals: Script | None = None,
    then: Sequence[int] = (),
    points: Iterable[int] | None = None,
) -> CrashReport:
    """Run a workflow once undisturbed, then once for every effect with a crash at it, and compare.

    Args:
        workflow: deterministic tasks; what they do may depend on their input, iteration and attempt.
        input_data: its input.
        open_store: opens the store on the given clock, and again on the same data after every crash; an InMemoryBackend
            when not given.
        signals: what is sent, by signal name, whenever the instance waits for it.
        then: further crashes: the life after the crash ends at effect `then[0]`, the one after it at `then[1]`, …
        points: the effects to crash at; all of the undisturbed run when not given.

    Returns:
        What was done; `repeats` is at most one for each crash and running task.

    Raises:
        AssertionError: a crash changed the end, a result or the history; the text names the effect.

    >>> from sayiir import Flow
    >>> wf = Flow("w").then(lambda x: x + 1, name="inc").then(lambda x: x * 2, name="double").build()
    >>> report = crash_everywhere(wf, 20)
    >>> report.crashes == report.effects, report.repeats
    (True, 4)
    """
    clock, ledger, script = LeapClock(), Ledger(), signals or {}
    open_store = open_store or _in_memory()
    watched = ledger.watch(workflow, lambda name: _LIFE.get().effect(name))
    store = open_store(clock)
    try:
        clean = Trial(watched, "undisturbed", input_data, script, clock, ledger)
        store = clean.run(store, open_store, ())
        clean.check_history()
        crashes = repeats = 0
        for point in range(clean.effects) if points is None else points:
            trial = Trial(watched, f"crash-{point}", input_data, script, clock, ledger)
            store = trial.run(store, open_store, (point, *then))
            trial.check_against(clean)
            crashes += len(trial.crashes)
            repeats += len(trial.lines()) - len(clean.lines())
    finally:
        store.close()
    return CrashReport(clean.effects, crashes, repeats, clean)
