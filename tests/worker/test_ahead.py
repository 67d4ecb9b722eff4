"""Tokens claimed beyond the slots: as many as end within a moment, only where nobody said how many, and never for long."""

import threading

import pytest

from sayiir import Flow, WorkflowClient, get_task_context
from sayiir.runtime.slots import Limits, Slots
from sayiir.runtime.worker import Worker
from sayiir.testing.clock import FakeClock
from tests.worker.support import Gate, eventually, working


class Token:
    """As much of a job as slots look at."""

    def __init__(self, *, begun=True):
        self.begun = begun
        self.is_async = None


def pass_through(slots, count, **facts):
    for _ in range(count):
        token = Token(**facts)
        assert slots.take(token, False)
        slots.give(token)


def test_as_many_are_claimed_ahead_as_ended_within_a_moment():
    clock = FakeClock()
    slots = Slots(Limits(4, ahead=True), clock)
    pass_through(slots, 30)
    clock.advance(0.1)
    slots.look_ahead()
    assert slots.free(False) == 4 + 15
    clock.advance(0.1)
    slots.look_ahead()
    assert slots.free(False) == 4  # nothing has ended since


def test_what_was_given_back_unbegun_does_not_count():
    clock = FakeClock()
    slots = Slots(Limits(4, ahead=True), clock)
    pass_through(slots, 30, begun=False)
    clock.advance(0.1)
    slots.look_ahead()
    assert slots.free(False) == 4


@pytest.mark.parametrize("limits", [Limits(4), Limits(4, ahead=True).exact()])
def test_a_given_number_is_kept_to(limits):
    clock = FakeClock()
    slots = Slots(limits, clock)
    pass_through(slots, 30)
    clock.advance(0.1)
    slots.look_ahead()
    assert slots.free(False) == 4


def test_what_was_claimed_ahead_is_given_back_when_no_thread_comes_for_it(backend, monkeypatch):
    first, most, mutex = Gate(), [0], threading.Lock()
    running = [0]
    allowed = iter([8])
    monkeypatch.setattr(Slots, "look_ahead", lambda slots: setattr(slots, "_ahead", next(allowed, 0)))
    begun = {"first": 0, "second": 0}

    def hold(value):
        worker = get_task_context().worker_id
        with mutex:
            begun[worker] += 1
            running[0] += worker == "first"
            most[0] = max(most[0], running[0])
        if worker == "first":
            first.pass_through()
            with mutex:
                running[0] -= 1
        return value

    flow = Flow("w").then(hold).build()
    WorkflowClient(backend).submit_many(flow, [(f"i{number}", number) for number in range(40)])
    with working(backend, [flow], "first"):
        eventually(lambda: begun["first"] == 32)
        with working(backend, [flow], "second"):
            # Some of them it had claimed: they come back although all of its threads are held up.
            eventually(lambda: begun["second"] == 8)
            first.open.set()
    assert begun == {"first": 32, "second": 8}
    assert most == [32]


def test_a_worker_says_nothing_of_it_when_it_is_told_how_many():
    from sayiir import InMemoryBackend

    with InMemoryBackend() as backend:
        assert Worker("w", backend)._plan.limits.ahead
        assert not Worker("w", backend, concurrency=40)._plan.limits.ahead
