"""Runs that are interrupted, called off or left: nothing stays claimed, nothing hangs, nothing spins."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sayiir import (
    Flow,
    InMemoryBackend,
    RetryPolicy,
    SqliteBackend,
    WorkflowClient,
    get_task_context,
    resume_workflow,
    run_durable_workflow,
    task,
)
from sayiir.aio import arun_durable_workflow, arun_workflow
from sayiir.clock import SystemClock
from sayiir.runtime import threads
from sayiir.runtime.process import _Kill
from sayiir.store.uninterrupted import uninterrupted


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with InMemoryBackend() if request.param == "memory" else SqliteBackend(tmp_path / "runs.db") as store:
        yield store


def eventually(condition: Callable[[], bool]) -> None:
    """Give other threads the time to reach a state that nothing announces."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


class InterruptingClock(SystemClock):
    """Presses Ctrl-C at the n-th look at the time: before, inside and after the store's transactions."""

    def __init__(self) -> None:
        super().__init__()
        self.left = -1

    def now(self) -> int:
        if threading.current_thread() is threading.main_thread() and self.left >= 0:
            self.left -= 1
            if self.left < 0:
                signal.raise_signal(signal.SIGINT)
        return super().now()


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_ctrl_c_anywhere_leaves_the_instance_free(store: str, tmp_path: Path) -> None:
    clock = InterruptingClock()
    fork = Flow("w").then(lambda x: x + 1, name="a").fork()
    fork.branch(lambda x: x, name="b").branch(lambda x: x, name="c")
    workflow = fork.join(lambda d: sum(d.values()), name="j").then(lambda x: x, name="z").build()
    interrupted = 0
    with (
        InMemoryBackend(clock=clock)
        if store == "memory"
        else SqliteBackend(tmp_path / "runs.db", clock=clock) as backend
    ):
        for number in range(40):
            clock.left = number
            try:
                status = run_durable_workflow(workflow, f"i{number}", 1, backend)
            except KeyboardInterrupt:
                interrupted += 1
                clock.left = -1
                if backend.load(f"i{number}") is None:
                    continue  # before anything was accepted
                status = resume_workflow(workflow, f"i{number}", backend)
            clock.left = -1
            assert status.output == 4
    assert interrupted > 5


def test_an_interruption_is_put_off_and_then_delivered() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), uninterrupted:
        with uninterrupted:
            signal.raise_signal(signal.SIGINT)
            steps.append("inner")
        steps.append("outer")
    assert steps == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_cancelled_await_of_a_delay_ends_its_thread() -> None:
    workflow = Flow("w").then(lambda x: x, name="a").delay("d", "1h").build()
    jobs: list[Callable[[], None]] = []
    start = threads.THREADS.start

    async def main() -> None:
        run = asyncio.ensure_future(arun_workflow(workflow, 1))
        await asyncio.sleep(0)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    ended = threading.Event()

    def noted(job: Callable[[], None]) -> None:
        def body() -> None:
            job()
            ended.set()

        jobs.append(job)
        start(body)

    threads.THREADS.start = noted  # type: ignore[method-assign]
    try:
        asyncio.run(main())
    finally:
        threads.THREADS.start = start  # type: ignore[method-assign]
    assert jobs
    assert ended.wait(30)


def test_more_async_branches_than_run_at_once_can_be_cancelled(backend: Any) -> None:
    started = threading.Event()

    async def wait(x: int) -> int:
        started.set()
        await asyncio.Event().wait()
        return x

    fork = Flow("w").fork()
    for number in range(300):
        fork.branch(wait, name=f"b{number}")
    workflow = fork.join(lambda d: d, name="j").build()
    statuses: list[Any] = []
    thread = threading.Thread(target=lambda: statuses.append(run_durable_workflow(workflow, "a", 1, backend)))
    thread.start()
    assert started.wait(30)
    WorkflowClient(backend).cancel("a")
    thread.join(60)
    assert statuses[0].is_cancelled()


def test_a_heartbeat_does_not_mind_the_end_of_branches_beside_it(backend: Any) -> None:
    others = threading.Semaphore(0)

    def beating(x: int) -> int:
        context = get_task_context()
        assert context is not None
        for _ in range(30):
            context.heartbeat()
        assert others.acquire(timeout=30)
        for _ in range(30):
            context.heartbeat()
        return x

    def quick(x: int) -> int:
        others.release()
        return x

    fork = Flow("w").fork().branch(beating)
    for number in range(20):
        fork.branch(quick, name=f"q{number}")
    assert run_durable_workflow(fork.join(len, name="j").build(), "a", 1, backend).output == 21


def test_the_end_of_the_callers_loop_leaves_the_instance_free(backend: Any) -> None:
    started = threading.Event()
    calm = False

    async def long(x: int) -> int:
        started.set()
        while not calm:
            await asyncio.Event().wait()
        return x

    workflow = (
        Flow("w").fork().branch(long, name="p").branch(long, name="q").join(lambda d: sum(d.values()), name="j").build()
    )

    async def main() -> asyncio.Task[Any]:
        run = asyncio.ensure_future(arun_durable_workflow(workflow, "a", 1, backend))
        while not started.is_set():
            await asyncio.sleep(0)
        return run  # asyncio.run cancels it on leaving

    asyncio.run(main())
    calm = True
    eventually(lambda: all(token.owner is None for token in backend.load("a").tokens))
    assert WorkflowClient(backend).status("a").is_in_progress()
    assert resume_workflow(workflow, "a", backend).output == 2


def test_a_cancelled_await_does_not_cut_a_backoff_short(backend: Any) -> None:
    calls: list[int] = []

    @task(retries=RetryPolicy(3, 3600.0))
    def flaky(x: int) -> int:
        calls.append(x)
        raise ValueError("no")

    workflow = Flow("w").then(flaky).build()

    async def main() -> None:
        run = asyncio.ensure_future(arun_durable_workflow(workflow, "a", 1, backend))
        while backend.load("a") is None or backend.load("a").tokens[0].state != "backoff":
            await asyncio.sleep(0.001)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(main())
    eventually(lambda: backend.load("a").tokens[0].owner is None)
    assert backend.load("a").tokens[0].state == "backoff"
    assert calls == [1]


def test_a_task_that_blocks_its_loop_harms_neither_branches_beside_it_nor_later_runs() -> None:
    free = threading.Event()
    blocked = []

    @task(timeout=0.3, retries=RetryPolicy(1, 0.0))
    async def blocks_once(x: int) -> int:
        if not blocked:
            blocked.append(x)
            free.wait(60)
        return x

    async def beside(x: int) -> int:
        while not blocked:
            await asyncio.sleep(0)
        return x

    fork = Flow("w").fork().branch(beside).branch(lambda x: x, blocks_once, name="first")
    workflow = fork.join(lambda d: sum(d.values()), name="j").build()
    threading.Thread(
        target=lambda: (eventually(lambda: bool(blocked)), threading.Event().wait(3.5), free.set())
    ).start()
    assert run_durable_workflow(workflow, "a", 1).output == 2

    async def alive(x: int) -> int:
        return x

    assert run_durable_workflow(Flow("v").then(alive).build(), "b", 1).output == 1


def test_an_exit_in_a_subtask_ends_the_run_and_not_the_loop() -> None:
    async def leave() -> None:
        sys.exit(3)

    async def gathers(x: int) -> int:
        await asyncio.gather(leave())
        return x

    backend = InMemoryBackend()
    with pytest.raises(SystemExit):
        run_durable_workflow(Flow("w").then(gathers).build(), "a", 1, backend)
    assert WorkflowClient(backend).status("a").is_in_progress()
    assert all(token.owner is None for token in backend.load("a").tokens)


def test_a_kill_that_comes_late_spares_the_next_call() -> None:
    class Child:
        killed = 0

        def kill(self) -> None:
            self.killed += 1

    child: Any = Child()
    kill = _Kill(child)
    kill()
    kill.over()
    kill()
    assert (child.killed, kill.done) == (1, True)


def test_a_due_branch_does_not_wait_for_those_at_work(backend: Any) -> None:
    late = threading.Event()

    def waits_for_it(x: int) -> int:
        assert late.wait(30)
        return x

    def after_delay(x: int) -> int:
        late.set()
        return x

    child = Flow("c").delay("d", 0.05).then(after_delay).build()
    workflow = (
        Flow("w")
        .fork()
        .branch(waits_for_it)
        .branch(child, name="timed")
        .join(lambda d: sum(d.values()), name="j")
        .build()
    )
    assert run_durable_workflow(workflow, "a", 1, backend).output == 2


def test_a_signal_reaches_a_branch_while_others_are_at_work(backend: Any) -> None:
    arrived = threading.Event()

    def waits_for_it(x: int) -> int:
        WorkflowClient(backend).send_signal("a", "go", 41)
        assert arrived.wait(30)
        return x

    def got(x: int) -> int:
        arrived.set()
        return x

    child = Flow("c").wait_for_signal("go").then(got).build()
    workflow = (
        Flow("w")
        .fork()
        .branch(waits_for_it)
        .branch(child, name="told")
        .join(lambda d: sum(d.values()), name="j")
        .build()
    )
    assert run_durable_workflow(workflow, "a", 1, backend).output == 42


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are counted in /proc")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_backends_that_nobody_closes_hold_nothing(tmp_path: Path) -> None:
    def opened() -> int:
        return sum("runs.db" in os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd"))

    def use() -> None:
        backend = SqliteBackend(tmp_path / "runs.db")
        backend.load("a")

    for _ in range(5):
        use()

    def none_left() -> bool:
        gc.collect()
        return opened() == 0

    eventually(none_left)
