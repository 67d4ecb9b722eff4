"""The async API: the same engine, awaited on the caller's loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sayiir import Flow, InMemoryBackend, SqliteBackend, TaskError, WorkflowClient, WorkflowError
from sayiir.aio import (
    AsyncWorkflowClient,
    acancel_workflow,
    apause_workflow,
    aresume_workflow,
    arun_durable_workflow,
    arun_workflow,
    asend_signal,
    aunpause_workflow,
)


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    with InMemoryBackend() if request.param == "memory" else SqliteBackend(tmp_path / "runs.db") as store:
        yield store


def test_async_tasks_run_on_the_callers_loop_and_sync_ones_do_not_block_it(backend: Any) -> None:
    seen: list[asyncio.AbstractEventLoop] = []
    ticked = threading.Event()

    async def on_loop(x: int) -> int:
        seen.append(asyncio.get_running_loop())
        return x + 1

    def blocking(x: int) -> int:
        # Returns only because the loop goes on while this thread waits.
        assert ticked.wait(30)
        return x + 1

    workflow = Flow("w").then(on_loop).then(blocking).build()

    async def main() -> None:
        async def tick() -> None:
            ticked.set()

        run = asyncio.ensure_future(arun_durable_workflow(workflow, "a", 1, backend))
        while not seen:
            await asyncio.sleep(0)
        await tick()
        assert (await run).output == 3
        assert seen == [asyncio.get_running_loop()]

    asyncio.run(main())


def test_in_memory_runs_and_their_errors() -> None:
    async def fails(x: int) -> int:
        raise ValueError("no")

    async def main() -> None:
        assert await arun_workflow(Flow("w").then(lambda x: [x]).build(), 1) == [1]
        with pytest.raises(TaskError, match="ValueError: no") as caught:
            await arun_workflow(Flow("w").then(fails).build(), 1)
        assert isinstance(caught.value.__cause__, ValueError)
        with pytest.raises(ValueError, match="instance_id"):
            await arun_workflow(Flow("w").then(fails).build(), 1, backend=InMemoryBackend())
        with pytest.raises(WorkflowError, match="signal"):
            await arun_workflow(Flow("w").wait_for_signal("s").build(), 1)
        backend = InMemoryBackend()
        assert await arun_workflow(Flow("w").then(lambda x: x).build(), 7, instance_id="a", backend=backend) == 7
        with pytest.raises(TaskError, match="ValueError: no"):
            await arun_workflow(Flow("w").then(fails).build(), 7, instance_id="b", backend=backend)

    asyncio.run(main())


def test_hundreds_of_runs_at_once(backend: Any) -> None:
    async def step(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    workflow = Flow("w").then(step, name="a").then(step, name="b").build()

    async def main() -> None:
        runs = [arun_durable_workflow(workflow, f"i{n}", n, backend) for n in range(200)]
        assert [status.output for status in await asyncio.gather(*runs)] == [n + 2 for n in range(200)]

    asyncio.run(main())


def test_async_branches_run_side_by_side_on_one_loop() -> None:
    async def main() -> None:
        together = asyncio.Barrier(3)

        def branch() -> Callable[[int], Any]:
            async def meet(x: int) -> int:
                await together.wait()
                return x

            return meet

        fork = Flow("w").fork()
        for name in "abc":
            fork.branch(branch(), name=name)
        assert await arun_workflow(fork.join(lambda d: sorted(d), name="join").build(), 1) == ["a", "b", "c"]

    asyncio.run(main())


def test_cancelling_the_await_cancels_the_task_and_leaves_the_instance_resumable(backend: Any) -> None:
    events: list[str] = []

    async def main() -> None:
        started = asyncio.Event()
        patient = True

        async def long(x: int) -> int:
            started.set()
            try:
                while patient:
                    await asyncio.Event().wait()
            except asyncio.CancelledError:
                events.append("cleaned up")
                raise
            return x + 1

        workflow = Flow("w").then(long).build()
        run = asyncio.ensure_future(arun_durable_workflow(workflow, "a", 1, backend))
        await started.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert events == ["cleaned up"]
        assert WorkflowClient(backend).status("a").is_in_progress()
        patient = False
        assert (await aresume_workflow(workflow, "a", backend)).output == 2
        assert [entry.status for entry in WorkflowClient(backend).timeline("a")] == ["completed"]

    asyncio.run(main())


def test_cancel_reaches_a_running_async_task(backend: Any) -> None:
    async def main() -> None:
        started = asyncio.Event()

        async def long(x: int) -> int:
            started.set()
            await asyncio.Event().wait()
            return x

        run = asyncio.ensure_future(arun_durable_workflow(Flow("w").then(long).build(), "a", 1, backend))
        await started.wait()
        await acancel_workflow("a", backend, reason="enough", cancelled_by="ann")
        status = await run
        assert status.is_cancelled()
        assert (status.reason, status.cancelled_by) == ("enough", "ann")

    asyncio.run(main())


def test_steering_and_the_async_client(backend: Any) -> None:
    workflow = Flow("w").wait_for_signal("go").then(lambda x: x * 2, name="double").build()

    async def main() -> None:
        client = AsyncWorkflowClient(backend)
        assert (await client.submit(workflow, "a", 1)).is_in_progress()
        assert (await client.with_conflict_policy("use_existing").submit(workflow, "a", 1)).instance_id == "a"
        assert (await aresume_workflow(workflow, "a", backend)).is_awaiting_signal()
        assert (await client.wait("a", 10, until="parked")).is_awaiting_signal()
        await apause_workflow("a", backend, "later", "ann")
        assert (await client.status("a")).paused_by == "ann"
        await aunpause_workflow("a", backend)
        await client.pause("a")
        await client.unpause("a")
        await asend_signal("a", "go", 21, backend)
        await client.send_signal("a", "go", 22, dedup_key="k")
        assert (await aresume_workflow(workflow, "a", backend)).output == 42
        assert await client.get_task_result("a", "double") == 42
        assert [entry.node_id for entry in await client.timeline("a")] == ["go", "double"]
        await client.submit(workflow, "b", 1)
        await client.cancel("b", reason="no")
        await client.retry("b")
        assert (await client.status("b")).is_in_progress()
        assert client.backend is backend
        assert repr(client).startswith("AsyncWorkflowClient(")

    asyncio.run(main())
