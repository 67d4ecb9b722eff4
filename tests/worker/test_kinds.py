"""Sync tasks and coroutines in one worker: neither is claimed while only slots of the other kind are free."""

import asyncio
import threading

import pytest

from sayiir import Flow, WorkflowClient
from sayiir.core.program import is_threadless, tags_of, tags_text
from sayiir.runtime.claimer import Claimer
from sayiir.runtime.slots import Limits, Slots
from sayiir.testing.clock import FakeClock
from tests.worker.support import await_event, ended, eventually, working

SYNC_SLOTS = 32
MANY = 100


class Token:
    """As much of a job as slots look at."""

    is_async = None
    begun = True


class Hall:
    """Tasks that fill all threads until they are let go, and coroutines that count."""

    def __init__(self):
        self.inside, self.counted = 0, 0
        self.go = threading.Event()
        self.mutex = threading.Lock()

        def hold(x: int) -> int:
            with self.mutex:
                self.inside += 1
            assert self.go.wait(60)
            return x

        async def count(x: int) -> int:
            self.counted += 1
            return x

        self.holding = Flow("holding").then(hold).then(count).build()
        self.counting = Flow("counting").delay("moment", "1ms").then(count).then(hold).build()


@pytest.fixture
def misfits(monkeypatch):
    found = []
    real = Claimer._place

    def place(self, due):
        fit = real(self, due)
        if not fit:
            found.extend(due.works)
        return fit

    monkeypatch.setattr(Claimer, "_place", place)
    return found


def test_coroutines_go_on_while_all_threads_are_held(backend, misfits):
    hall = Hall()
    client = WorkflowClient(backend)
    held, quick = [f"h{n}" for n in range(SYNC_SLOTS + 5)], [f"q{n}" for n in range(MANY)]
    with working(backend, [hall.holding, hall.counting]):
        client.submit_many(hall.holding, [(name, 1) for name in held])
        eventually(lambda: hall.inside == SYNC_SLOTS)
        client.submit_many(hall.counting, [(name, 1) for name in quick])
        eventually(lambda: hall.counted == MANY)
        assert hall.inside == SYNC_SLOTS
        assert misfits == []
        hall.go.set()
        ended(backend, *held, *quick)
    assert hall.inside == len(held) + MANY


def test_sync_tasks_go_on_while_all_coroutine_slots_are_held(backend, misfits, monkeypatch):
    go, inside = threading.Event(), []

    async def hold(x: int) -> int:
        inside.append(x)
        while not go.is_set():
            await asyncio.sleep(0.001)
        return x

    def quick(x: int) -> int:
        return x

    monkeypatch.setattr(Limits.__init__, "__defaults__", (SYNC_SLOTS, 4, None))
    holding, counting = Flow("holding").then(hold).build(), Flow("counting").then(quick).build()
    client = WorkflowClient(backend)
    with working(backend, [holding, counting]):
        client.submit_many(holding, [(f"h{n}", n) for n in range(8)])
        eventually(lambda: len(inside) == 4)
        client.submit_many(counting, [(f"q{n}", n) for n in range(MANY)])
        ended(backend, *[f"q{n}" for n in range(MANY)])
        assert (len(inside), misfits) == (4, [])
        go.set()
        ended(backend, *[f"h{n}" for n in range(8)])


def test_the_first_free_slot_of_a_kind_that_had_none_is_told():
    told = threading.Event()
    slots = Slots(Limits(1, 2), FakeClock(), told.set)
    first, second = Token(), Token()
    assert slots.take(first, False)
    assert slots.room(True) == 2
    assert slots.take(second, True)
    slots.give(second)
    assert not told.is_set()  # of this kind there was one
    assert slots.room(False) == 0
    slots.give(first)
    await_event(told)
    told.clear()
    assert slots.take(first, False)
    slots.give(first)
    assert not told.is_set()  # nobody asked since


def test_nodes_that_need_no_thread_are_marked_where_there_are_coroutines():
    def sync(x: int) -> int:
        return x

    async def loop(x: int) -> int:
        return x

    plain = Flow("plain").delay("d", "1s").then(sync).build()
    mixed = Flow("mixed").delay("d", "1s").wait_for_signal("go").then(sync).then(loop, name="l").build()
    marked = {node for node, (_, text) in mixed.program.definition.routing.items() if is_threadless(text)}
    assert plain.program.definition.routing == {}
    assert marked == {"d", "go", "l"}
    assert tags_of(tags_text(["b", "a"], threadless=True)) == {"a", "b"}
    assert tags_of(tags_text([], threadless=True)) == frozenset()
