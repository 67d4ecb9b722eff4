"""The verbs that users have, in random programs, against a reference model: on memory, SQLite and PostgreSQL.

Instances run in the test's own thread, on a clock that stands still; at any effect of a run its process may die, and
another takes the instance over. After every verb each instance looks as the model says: status, results, signals that
are left; a result once there never changes, and no task ran more often than once for each life that it was in.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from sayiir import (
    Flow,
    InMemoryBackend,
    InstanceAlreadyExistsError,
    InvalidStateError,
    SqliteBackend,
    WorkflowClient,
    get_task_context,
    resume_workflow,
)
from sayiir.store.postgres import PostgresBackend
from sayiir.testing.life import LeapClock, Life, SimulatedCrash
from tests.postgres.common import kill_owner
from tests.proof.common import PROVE, examples
from tests.proof.verbs import Model

names = st.sampled_from(["a", "b"])
EXAMPLES = {"memory": (40, 3000), "sqlite": (15, 800), "postgres": (3, 150)}
RAN = Counter[tuple[str, str, int]]()


def first(value: str) -> str:
    ran("first")
    return f"first({value})"


def last(value: str) -> str:
    ran("last")
    if value == "bad":
        raise ValueError("bad")
    return f"last({value})"


def ran(task: str) -> None:
    context = get_task_context()
    assert context is not None
    RAN[context.instance_id, task, context.attempt] += 1


FLOW: Any = Flow("verbs").then(first).wait_for_signal("go", timeout=60).delay("rest", 10).then(last).build()


class Verbs(RuleBasedStateMachine):
    """Every verb is a rule."""

    kind = "memory"
    url = ""

    @initialize()
    def open(self) -> None:
        self.model, self.clock = Model(), LeapClock(start=1_800_000_000_000_000)
        self.model.now = self.clock.now()
        self.folder = tempfile.TemporaryDirectory()
        self.seen: dict[tuple[int, int], bytes] = {}
        self.steps = 0
        RAN.clear()
        if self.kind == "postgres":
            self.server = psycopg.connect(self.url, autocommit=True)
            self.server.execute("DROP SCHEMA IF EXISTS sayiir CASCADE")
        self.store = self.fresh()

    def fresh(self) -> Any:
        """Open the store on the same data, as a new process does."""
        if self.kind == "memory":
            return getattr(self, "store", None) or InMemoryBackend(clock=self.clock, private=True)
        if self.kind == "sqlite":
            store: Any = SqliteBackend(Path(self.folder.name) / "runs.db", durability="normal", clock=self.clock)
            store.private = True
            return store
        store = PostgresBackend(self.url, clock=self.clock)
        store.private = True
        self.hold_clock()
        return store

    def hold_clock(self) -> None:
        if self.kind == "postgres":
            self.server.execute(
                f"CREATE OR REPLACE FUNCTION sayiir.clock_micros() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT {self.clock.now()}'"
            )

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()
            if self.kind == "postgres":
                self.server.close()

    def ask(self, verb: Any, done: str) -> str:
        self.steps += 1
        try:
            answer = verb()
        except (InstanceAlreadyExistsError, InvalidStateError, ValueError):
            return "refused"
        return "seen" if answer is False else done

    @staticmethod
    def count_anew(name: str) -> None:
        for key in [key for key in RAN if key[0] == name]:
            del RAN[key]

    # --- rules ----------------------------------------------------------------------------------------------------

    @rule(name=names, policy=st.sampled_from(["fail", "use_existing", "use_existing", "terminate_existing"]))
    def submit(self, name: str, policy: Any) -> None:
        expected = self.model.submit(name, policy)
        client = WorkflowClient(self.store, conflict_policy=policy)
        if expected == "new":
            self.count_anew(name)
        assert self.ask(lambda: client.submit(FLOW, name, "in"), expected) == expected

    @rule(name=names, payload=st.sampled_from(["good", "good", "bad"]), key=st.sampled_from([None, None, "k"]))
    def signal(self, name: str, payload: str, key: str | None) -> None:
        expected = self.model.signal(name, payload, key)
        encoded = f'"{payload}"'.encode()
        assert self.ask(lambda: self.store.send_signal(name, "go", encoded, key), "sent") == expected

    @precondition(lambda self: self.model.instances)
    @rule(name=names, verb=st.sampled_from(["cancel", "pause", "unpause"]))
    def steer(self, name: str, verb: str) -> None:
        if name in self.model.instances:
            expected = getattr(self.model, verb)(name)
            event(f"{verb}: {expected}")
            asked = getattr(WorkflowClient(self.store), verb)
            assert self.ask(lambda: asked(name), expected) == expected

    @precondition(lambda self: any(found.ended for found in self.model.instances.values()))
    @rule(name=names, value=st.sampled_from([None, "good"]))
    def retry(self, name: str, value: str | None) -> None:
        if name in self.model.instances:
            expected = self.model.retry(name, value)
            event(f"retry: {expected}")
            if expected == "retried":
                self.count_anew(name)  # as attempts do
            more = {} if value is None else {"input": value}
            assert self.ask(lambda: WorkflowClient(self.store).retry(name, **more), expected) == expected

    @precondition(lambda self: self.model.instances)
    @rule(name=names)
    def move(self, name: str) -> None:
        if name in self.model.instances:
            self.model.move(name)
            resume_workflow(FLOW, name, self.store)

    @precondition(lambda self: self.model.instances)
    @rule(name=names, point=st.integers(0, 14))
    def die_and_be_taken_over(self, name: str, point: int) -> None:
        if name not in self.model.instances:
            return
        self.model.move(name)

        def moment(number: int, effect: str) -> None:
            if number == point:
                raise SimulatedCrash(effect)

        try:
            resume_workflow(FLOW, name, Life(self.store, moment))
        except SimulatedCrash as crash:
            event(f"died {crash}")
            if self.kind == "postgres":
                kill_owner(self.server, self.store)
            else:
                self.store.abandon()
            self.store = self.fresh()
        resume_workflow(FLOW, name, self.store)

    @rule(seconds=st.sampled_from([1, 10, 59, 60]))
    def tick(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.model.now = self.clock.now()
        self.hold_clock()

    @precondition(lambda self: any(found.ended for found in self.model.instances.values()))
    @rule(age=st.sampled_from([0, 30]))
    def purge(self, age: int) -> None:
        before = self.model.now - age * 1_000_000
        assert self.store.purge(before, 100)[0] == self.model.purge(before)

    # --- what must always hold ------------------------------------------------------------------------------------

    @invariant()
    def all_looks_as_the_model_says(self) -> None:
        if not hasattr(self, "store"):
            return
        client = WorkflowClient(self.store)
        for name in "ab":
            view, instance = self.store.load(name), self.model.instances.get(name)
            assert (view is None) == (instance is None)
            if view is None or instance is None:
                continue
            assert view.instance.status == instance.status
            for task in ("first", "last"):
                assert client.get_task_result(name, task) == instance.results.get(task)
            left = [payload for payload, _ in self.model.signals.get(name, [])]
            assert self.oldest(name) == (left[0] if left else None)
            self.history_only_grows(view.instance.number)
        assert all(count == 1 for count in RAN.values()), "two executions had the same attempt"

    def oldest(self, name: str) -> str | None:
        found = self.store._read(lambda rows: rows.oldest_signal(name, "go", None))
        return None if found is None else found.payload.decode().strip('"')

    def history_only_grows(self, number: int) -> None:
        there = {(number, record.ref): record.output or b"" for record in self.store.history(number)}
        before = {key: value for key, value in self.seen.items() if key[0] == number}
        assert before.items() <= there.items(), "a committed result changed"
        self.seen |= there


@pytest.mark.timeout(3600 if PROVE else 240)
@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
def test_verbs_do_what_the_model_says(kind: str, request: pytest.FixtureRequest, record_property: Any) -> None:
    steps = 0

    class Machine(Verbs):
        def teardown(self) -> None:
            nonlocal steps
            steps += getattr(self, "steps", 0)
            super().teardown()

    Machine.kind = kind
    Machine.url = request.getfixturevalue("pg_url") if kind == "postgres" else ""
    count = EXAMPLES[kind][PROVE]
    run_state_machine_as_test(
        Machine,
        settings=settings(examples(*EXAMPLES[kind]), stateful_step_count=40, suppress_health_check=list(HealthCheck)),
    )
    record_property("examples", count)
    record_property("steps", steps)
