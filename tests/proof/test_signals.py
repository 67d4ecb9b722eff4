"""A signal sent at any moment of an instance's life is consumed exactly once, first in first out for each name."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayiir import Flow, InvalidStateError, Workflow, WorkflowClient, resume_workflow, run_durable_workflow
from sayiir.core.values import encode
from sayiir.store.base import ScriptedStore
from sayiir.store.port import Fence
from sayiir.testing.crash import crash_everywhere, run_to_end
from sayiir.testing.life import LeapClock, Life, SimulatedCrash
from tests.proof.common import KINDS, PROVE, examples, reopenable

Sends = list[tuple[str, Any]]


def collect(index: int) -> Callable[[Any], Any]:
    return lambda value: {f"got {index}": value}


def waits(*names: str, timeout: str | None = None) -> Workflow[Any, Any]:
    """Await one signal after the other, with a task between, and return all payloads."""
    flow: Any = Flow("waits").then(lambda _: None, name="first")
    for index, name in enumerate(names):
        flow = flow.wait_for_signal(name, name=f"wait{index}", timeout=timeout).then(collect(index), name=f"task{index}")
    return flow.build()


def two_branches(*names: str) -> Workflow[Any, Any]:
    """Await a signal in each branch of a fork."""
    flow: Any = Flow("branches").fork()
    for index, name in enumerate(names):
        branch: Any = Flow(f"b{index}").wait_for_signal(name, name="wait").then(collect(0), name="task")
        flow = flow.branch(branch.build(), name=f"b{index}")
    return flow.join(lambda parts: [part["got 0"] for part in parts.values()], name="join").build()


def consumed(store: ScriptedStore, instance_id: str) -> list[Any]:
    """Return the payloads that waits consumed, in order of their nodes."""
    client = WorkflowClient(store)
    nodes = sorted(entry.node_id for entry in client.timeline(instance_id) if entry.kind == "await_signal")
    assert len(nodes) == len(set(nodes)), "a wait was passed twice"
    return [client.get_task_result(instance_id, node) for node in nodes]


def buffered(store: ScriptedStore, instance_id: str, *names: str) -> list[str]:
    """Return the names of which a signal is left."""
    view = store.load(instance_id)
    assert view is not None
    fence = Fence(view.instance.number, 0, 0)
    return [name for name in names if store.peek_signal(fence, name, None) is not None]


def effects_of(workflow: Workflow[Any, Any], kind: str, script: dict[str, list[Any]]) -> int:
    with reopenable(kind) as open_store, open_store(LeapClock()) as store:
        life = Life(store)
        run_to_end(workflow, "count", 0, life, script=script)
        return len(life.effects)


def sent_at(workflow: Workflow[Any, Any], store: ScriptedStore, instance_id: str, moments: list[int], sends: Sends) -> None:
    """Run to the end; the sends happen from outside at effects of these numbers, those beyond the end when it waits."""
    waiting = sorted(zip(moments, range(len(sends)), strict=True))
    accepted = 0

    def send_next() -> None:
        nonlocal accepted
        _, index = waiting.pop(0)
        name, payload = sends[index]
        accepted += store.send_signal(instance_id, name, encode(payload))

    def moment(number: int, _: str) -> None:
        while waiting and waiting[0][0] <= number:
            send_next()

    life = Life(store, moment)
    status = run_durable_workflow(workflow, instance_id, 0, life)
    while not status.is_completed():
        if status.is_awaiting_signal() and waiting:
            send_next()
        status = resume_workflow(workflow, instance_id, life)
    assert accepted == len(sends)


@pytest.mark.parametrize("kind", KINDS)
def test_one_signal_before_the_instance_exists_and_at_every_effect(kind: str) -> None:
    workflow = waits("go")
    count = effects_of(workflow, kind, {"go": ["x"]})
    assert count > 10
    with reopenable(kind) as open_store, open_store(LeapClock()) as store:
        for moment in range(count + 1):
            sent_at(workflow, store, f"at-{moment}", [moment], [("go", {"n": moment})])
            assert consumed(store, f"at-{moment}") == [{"n": moment}]
            assert buffered(store, f"at-{moment}", "go") == []


@pytest.mark.parametrize("kind", KINDS)
def test_signals_of_one_name_are_consumed_in_the_order_of_sending(kind: str) -> None:
    workflow = waits("go", "go")
    count = effects_of(workflow, kind, {"go": [1, 2]})
    with reopenable(kind) as open_store, open_store(LeapClock()) as store:
        for first, second in itertools.combinations_with_replacement(range(count + 1), 2):
            sent_at(workflow, store, f"{first}-{second}", [first, second], [("go", 1), ("go", 2)])
            assert consumed(store, f"{first}-{second}") == [1, 2]
            assert buffered(store, f"{first}-{second}", "go") == []


@pytest.mark.parametrize("kind", KINDS)
def test_names_do_not_disturb_each_other(kind: str) -> None:
    workflow = waits("a", "b", "a")
    script = {"a": ["a1", "a2"], "b": ["b1"]}
    count = effects_of(workflow, kind, script)

    @examples(60, 2000)
    @given(st.permutations(["a1", "a2", "b1"]), st.lists(st.integers(0, count), min_size=3, max_size=3).map(sorted))
    def prove(order: list[str], moments: list[int]) -> None:
        with reopenable(kind) as open_store, open_store(LeapClock()) as store:
            sent_at(workflow, store, "i", moments, [(payload[0], payload) for payload in order])
            first, second = [payload for payload in order if payload[0] == "a"]
            assert consumed(store, "i") == [first, "b1", second]
            assert buffered(store, "i", "a", "b") == []

    prove()


@pytest.mark.parametrize("kind", KINDS)
def test_two_branches_awaiting_one_name_get_one_signal_each(kind: str) -> None:
    workflow = two_branches("go", "go")
    count = effects_of(workflow, kind, {"go": [1, 2]})
    with reopenable(kind) as open_store, open_store(LeapClock()) as store:
        for first, second in itertools.combinations_with_replacement(range(count + 1), 2):
            sent_at(workflow, store, f"{first}-{second}", [first, second], [("go", 1), ("go", 2)])
            assert sorted(consumed(store, f"{first}-{second}")) == [1, 2]
            assert buffered(store, f"{first}-{second}", "go") == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("early", [0, 1, 2, 3])
def test_a_crash_at_every_effect_neither_loses_nor_doubles_a_signal(early: int, kind: str) -> None:
    """`early` of them are sent before the instance exists, the others when it waits, surplus ones stay."""
    workflow, payloads = waits("go", "stop", "go"), [("go", 1), ("stop", 2), ("go", 3), ("go", "surplus")]
    assert sends_and_crashes(workflow, kind, payloads, early) > 14


def sends_and_crashes(workflow: Workflow[Any, Any], kind: str, sends: Sends, early: int) -> int:
    script: dict[str, list[Any]] = {}
    for name, payload in sends:
        script.setdefault(name, []).append(payload)
    for point in itertools.count():
        with reopenable(kind) as open_store:
            store = open_store(LeapClock())
            sent: Counter[str] = Counter()
            for name, payload in [*sends[:early], *sends[3:]] if early == 3 else sends[:early]:
                store.send_signal("i", name, encode(payload), f"{name}-{sent[name]}")
                sent[name] += 1
            life, crashed = Life(store, crash_at(point)), False
            try:
                run_to_end(workflow, "i", 0, life, script=script, sent=sent)
            except SimulatedCrash:
                crashed = True
                store.abandon()
                store = open_store(store.clock)  # type: ignore[arg-type]
                run_to_end(workflow, "i", 0, store, script=script, sent=sent)
            with store:
                assert consumed(store, "i") == [payload for _, payload in sends[:3]]
                # The surplus one was sent only where all were sent early.
                assert buffered(store, "i", "go", "stop") == (["go"] if early == 3 else [])
            if not crashed:
                return point
    raise AssertionError("unreachable")


def crash_at(point: int) -> Callable[[int, str], None]:
    def moment(number: int, name: str) -> None:
        if number == point:
            raise SimulatedCrash(name)

    return moment


@pytest.mark.parametrize("kind", KINDS)
def test_a_crash_at_every_effect_of_branches_awaiting_one_name(kind: str) -> None:
    """Which branch gets which is left to chance, so both get the same payload and every wait is passed once."""
    with reopenable(kind) as open_store:
        report = crash_everywhere(two_branches("go", "go"), 0, open_store=open_store, signals={"go": ["x", "x"]})
    assert report.clean.status is not None
    assert report.clean.status.output == ["x", "x"]


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_signal_accepted_before_the_deadline_counts_whenever_it_is_looked_at(kind: str) -> None:
    for offset in (-1, 0, 1):
        with reopenable(kind) as open_store:
            clock = LeapClock()
            with open_store(clock) as store:
                workflow = waits("go", timeout="1m")
                status = run_durable_workflow(workflow, "i", 0, Life(store))
                assert status.wake_at is not None
                deadline = store.now() + 60_000_000
                clock.advance_to(deadline + offset)
                store.send_signal("i", "go", b"1")
                clock.advance_to(deadline + 3_600_000_000)
                status = resume_workflow(workflow, "i", Life(store))
                assert status.is_completed() == (offset < 0)
                assert (status.error or "").startswith("" if offset < 0 else "SignalTimeoutError")


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_instance_takes_no_signal(kind: str) -> None:
    with reopenable(kind) as open_store, open_store(LeapClock()) as store:
        assert run_to_end(waits("go"), "i", 0, Life(store), script={"go": [1]}).is_completed()
        with pytest.raises(InvalidStateError, match="completed"):
            store.send_signal("i", "go", b"2")
        assert buffered(store, "i", "go") == []


@pytest.mark.parametrize("kind", KINDS)
def test_several_senders_at_once_while_the_instance_runs(kind: str) -> None:
    """Real threads: each sender's signals are consumed in its own order, all of them, once."""
    senders, each = 4, 50 if PROVE else 12
    workflow = waits(*["go"] * (senders * each))
    with reopenable(kind) as open_store, open_store(LeapClock()) as store:
        store.private = True
        client, start = WorkflowClient(store), threading.Barrier(senders + 1)

        def send(sender: int) -> None:
            start.wait()
            for index in range(each):
                client.send_signal("i", "go", [sender, index])

        threads = [threading.Thread(target=send, args=(sender,)) for sender in range(senders)]
        for thread in threads:
            thread.start()
        start.wait()
        status = run_durable_workflow(workflow, "i", 0, store)
        seen = 0
        while not status.is_completed():
            seen = store.wait_for_hint(seen, None)
            status = resume_workflow(workflow, "i", store)
        for thread in threads:
            thread.join()
        entries = [entry for entry in client.timeline("i") if entry.kind == "await_signal"]
        got = [client.get_task_result("i", f"wait{index}") for index in range(senders * each)]
        assert len(entries) == senders * each
        assert buffered(store, "i", "go") == []
        for sender in range(senders):
            assert [index for who, index in got if who == sender] == list(range(each))
