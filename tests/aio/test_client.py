"""`AsyncWorkflowClient` has all that `WorkflowClient` has."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sqlite3
from typing import Any

import pytest

from sayiir import (
    AsyncWorkflowClient,
    BackendError,
    Flow,
    InMemoryBackend,
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    SqliteBackend,
    WorkflowClient,
    resume_workflow,
)


def double(x: int) -> int:
    return x * 2


DOUBLE = Flow("double").then(double).build()
GATE = Flow("gate").wait_for_signal("go").build()


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    with InMemoryBackend() if request.param == "memory" else SqliteBackend(tmp_path / "runs.db") as store:
        yield store


def test_every_method_is_there_with_the_same_arguments() -> None:
    for name, method in inspect.getmembers(WorkflowClient, inspect.isfunction):
        if name.startswith("_"):
            continue
        twin = getattr(AsyncWorkflowClient, name)
        if name == "find":
            continue  # takes them as a typed dict
        assert inspect.signature(twin).parameters.keys() == inspect.signature(method).parameters.keys(), name


def test_submit_many_find_and_purge(backend: Any) -> None:
    client = AsyncWorkflowClient(backend)

    async def main() -> None:
        statuses = await client.submit_many(DOUBLE, ((f"i{n}", n) for n in range(5)), priority=2)
        assert [status.instance_id for status in statuses] == [f"i{n}" for n in range(5)]
        with pytest.raises(InstanceAlreadyExistsError):
            await client.submit_many(DOUBLE, [("new", 1), ("i0", 1)])
        page = await client.find(workflow_id=DOUBLE, limit=2)
        assert len(page) == 2
        rest = await client.find(workflow_id=DOUBLE, limit=5, cursor=page.next_cursor)
        assert sorted(status.instance_id for status in (*page, *rest)) == [f"i{n}" for n in range(5)]
        with pytest.raises(ValueError, match="limit must be"):
            await client.find(limit=0)
        await client.cancel("i0")
        assert [status.instance_id async for status in client.find_all(status="cancelled")] == ["i0"]
        assert len([status async for status in client.find_all()]) == 5
        with pytest.raises(ValueError, match="status must be one of"):
            _ = [status async for status in client.find_all(status="done")]  # type: ignore[arg-type]
        assert await client.purge() == 0
        while not await client.purge(older_than=0, batch=1):
            pass  # its end lies a microsecond back at last
        with pytest.raises(InstanceNotFoundError):
            await client.status("i0")

    asyncio.run(main())


def test_waiting_does_not_block_the_loop(backend: Any) -> None:
    client = AsyncWorkflowClient(backend)

    async def main() -> None:
        await client.submit(DOUBLE, "a", 21)
        result = asyncio.ensure_future(client.result("a", 30))
        await asyncio.to_thread(resume_workflow, DOUBLE, "a", backend)
        assert await result == 42

    asyncio.run(main())


def test_a_connection_of_ones_own(tmp_path: Any) -> None:
    with SqliteBackend(tmp_path / "runs.db") as backend, contextlib.closing(sqlite3.connect(backend.path)) as connection:
        client = AsyncWorkflowClient(backend)

        async def main() -> None:
            await client.submit(DOUBLE, "a", 1, connection=connection)
            await client.send_signal("g", "go", 1, connection=connection)
            connection.rollback()
            with pytest.raises(InstanceNotFoundError):
                await client.status("a")
            await client.submit(GATE, "g", 1, connection=connection)
            await client.send_signal("g", "go", 2, connection=connection)
            connection.commit()
            assert resume_workflow(GATE, "g", backend).output == 2

        asyncio.run(main())


def test_memory_has_none() -> None:
    with pytest.raises(BackendError, match="connection="):
        asyncio.run(AsyncWorkflowClient(InMemoryBackend()).submit(DOUBLE, "a", 1, connection=object()))
