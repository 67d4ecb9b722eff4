"""The end of a worker: what runs may finish, the rest is left to others, and no claim stays behind."""

import asyncio
import logging
import os
import signal
import threading

import pytest

from sayiir import Flow, Worker, WorkflowClient, get_task_context
from tests.worker.support import Gate, await_event, ended, eventually, status, working


def free(backend, instance_id):
    return all(token.owner is None for token in backend.load(instance_id).tokens)


def test_a_running_task_may_end_and_its_result_is_kept(backend):
    gate, ran = Gate(), []

    def first(x):
        gate.pass_through()
        ran.append("first")
        return x + 1

    def second(x):
        ran.append("second")
        return x * 10

    flow = Flow("w").then(first).then(second).build()
    client = WorkflowClient(backend)
    client.submit(flow, "a", 1)
    client.submit(flow, "queued", 1)
    handle = Worker("w1", backend, concurrency=1).start([flow])
    gate.await_arrivals()
    handle.shutdown()
    assert handle.join(0) is False
    gate.open.set()
    assert handle.join(30)
    assert ran == ["first"]
    assert client.get_task_result("a", "first") == 2
    assert free(backend, "a")
    assert free(backend, "queued")
    with working(backend, [flow]):
        ended(backend, "a", "queued")
    assert ran.count("first") == 2


def test_after_the_grace_coroutines_are_cancelled_and_threads_abandoned(backend, caplog):
    gate, began, cleaned = Gate(), threading.Event(), threading.Event()
    answers = []

    def stuck(x):
        gate.pass_through()
        answers.append(get_task_context().cancelled)
        return "late"

    async def hang(x):
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    thread, coroutine = Flow("thread").then(stuck).build(), Flow("coroutine").then(hang).build()
    client = WorkflowClient(backend)
    client.submit(thread, "t", 1)
    client.submit(coroutine, "c", 1)
    with caplog.at_level(logging.INFO, "sayiir"):
        handle = Worker("w1", backend, shutdown_grace=0.05).start([thread, coroutine])
        gate.await_arrivals()
        await_event(began)
        handle.shutdown()
        assert handle.join(30)
        assert cleaned.is_set()
        assert free(backend, "t")
        assert free(backend, "c")
        gate.open.set()
        eventually(lambda: [r for r in caplog.records if "is refused" in r.message and r.task_id == "stuck"])
    assert answers == [True]
    assert client.get_task_result("t", "stuck") is None
    with working(backend, [thread]):
        assert ended(backend, "t").output == "late"


def test_a_second_shutdown_can_be_immediate(backend):
    gate = Gate()
    flow = Flow("w").then(lambda x: gate.pass_through(), name="stuck").build()
    WorkflowClient(backend).submit(flow, "a", 1)
    handle = Worker("w1", backend, shutdown_grace=3600).start([flow])
    gate.await_arrivals()
    handle.shutdown()
    assert not handle.join(0.01)
    handle.shutdown(now=True)
    assert handle.join(30)
    assert free(backend, "a")
    gate.open.set()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("is_async", [False, True])
def test_an_interrupt_raised_by_a_task_ends_the_worker_and_is_raised_by_join(backend, kind, is_async):
    def stop(x):
        raise kind("stop")

    async def stop_async(x):
        raise kind("stop")

    flow = Flow("w").then(stop_async if is_async else stop, name="stop").build()
    WorkflowClient(backend).submit(flow, "a", 1)
    handle = Worker("w1", backend).start([flow])
    with pytest.raises(kind, match="stop"):
        handle.join(30)
    assert handle.join(30)
    assert status(backend, "a").is_in_progress()
    assert free(backend, "a")


def test_ctrl_c_interrupts_join_and_ends_the_worker(backend):
    gate, ran = Gate(), []

    def step(x):
        gate.pass_through()
        ran.append(x)

    flow = Flow("w").then(step).build()
    WorkflowClient(backend).submit(flow, "a", 1)
    worker = Worker("w1", backend)

    def press():
        gate.await_arrivals()
        os.kill(os.getpid(), signal.SIGINT)
        gate.open.set()

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        worker.run([flow])
    assert ran == [1]
    assert status(backend, "a").is_completed()


def test_shutdown_during_heavy_work_loses_and_repeats_nothing(backend):
    mutex, runs = threading.Lock(), {}

    def note(step):
        def run(x):
            with mutex:
                runs[x, step] = runs.get((x, step), 0) + 1
            return x

        return run

    flow = Flow("w").then(note(1), name="one").then(note(2), name="two").then(note(3), name="three").build()
    client = WorkflowClient(backend)
    for number in range(300):
        client.submit(flow, f"i{number}", number)
    enough = 0
    while not all(status(backend, f"i{number}").is_completed() for number in (0, 150, 299)):
        enough += 40
        with working(backend, [flow], concurrency=8):
            eventually(lambda: len(runs) >= min(enough, 900))
        assert all(free(backend, f"i{number}") for number in range(300))
    with working(backend, [flow]):
        ended(backend, *(f"i{number}" for number in range(300)))
    assert set(runs.values()) == {1}
    assert len(runs) == 900
