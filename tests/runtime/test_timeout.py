"""Timeouts: an async task is cancelled, a sync one is given up in its thread and its late result refused."""

import asyncio
import logging
import threading

import pytest

from sayiir import (
    Flow,
    RetryPolicy,
    TaskTimeoutError,
    WorkflowClient,
    run_durable_workflow,
    run_workflow,
    task,
)
from sayiir.runtime import invoke
from sayiir.runtime.invoke import abandoned_tasks
from tests.runtime.support import PATIENCE_SECS, Calls, await_event

SHORT = 0.05


@pytest.fixture(autouse=True)
def all_ended(monkeypatch):
    """Gives a function that waits until no task of this test is abandoned any more; every test must come to that."""
    before, changed, remove = abandoned_tasks(), threading.Condition(), invoke.LEAKS.remove

    def told():
        remove()
        with changed:
            changed.notify_all()

    def wait():
        with changed:
            assert changed.wait_for(lambda: abandoned_tasks() <= before, PATIENCE_SECS), "still counted after their end"

    monkeypatch.setattr(invoke.LEAKS, "remove", told)
    yield wait
    wait()
    assert abandoned_tasks() == before


def slow(release, ended=None):
    @task("slow", timeout=SHORT)
    def work(x):
        await_event(release)
        if ended is not None:
            ended.set()
        return "late"

    return work


def test_a_task_in_time_is_not_disturbed(backend):
    assert run_workflow(Flow("w").then(task(timeout=60)(lambda x: x + 1)).build(), 1) == 2
    status = run_durable_workflow(Flow("w").then(task(timeout="1h")(lambda x: x + 1)).build(), "i", 1, backend)
    assert status.output == 2


def test_a_sync_task_is_given_up(backend, caplog):
    release, before = threading.Event(), abandoned_tasks()
    workflow = Flow("w").then(slow(release)).build()
    with caplog.at_level(logging.WARNING, "sayiir"):
        with pytest.raises(TaskTimeoutError, match=r"TaskTimeoutError: task 'slow' timed out after 0\.05s") as caught:
            run_workflow(workflow, 1)
        status = run_durable_workflow(workflow, "i", 1, backend)
    assert caught.value.task_id == "slow"
    assert caught.value.error_type == "TaskTimeoutError"
    assert status.error == "TaskTimeoutError: task 'slow' timed out after 0.05s"
    assert abandoned_tasks() == before + 2
    assert caplog.text.count("task 'slow' still runs in its thread") == 2
    release.set()


def test_the_late_result_is_refused(backend, all_ended):
    release, ended = threading.Event(), threading.Event()
    workflow = Flow("w").then(slow(release, ended)).then(lambda x: x, name="after").build()
    assert run_durable_workflow(workflow, "i", 1, backend).is_failed()
    release.set()
    await_event(ended)
    all_ended()
    client = WorkflowClient(backend)
    assert client.status("i").is_failed()
    assert client.get_task_result("i", "slow", default="none") == "none"
    assert [entry.status for entry in client.timeline("i")] == ["failed"]


@pytest.mark.parametrize(("timeout", "shown"), [(2, "2s"), (2.5, "2.5s"), ("1m", "60s"), ("100ms", "0.1s")])
def test_the_text_tells_the_limit(timeout, shown):
    from sayiir.core.program import Program
    from sayiir.core.structure import structure

    graph = Flow("w").then(task("x", timeout=timeout)(lambda x: x)).build().graph
    op = Program(graph, "", structure(graph)).first
    assert str(invoke.timeout_error(op)) == f"task 'x' timed out after {shown}"


def test_timeouts_are_retried_and_limit_one_attempt(backend):
    calls, release = Calls(), threading.Event()

    @task("slow", timeout=SHORT, retries=RetryPolicy(2, 0.0))
    def work(x):
        calls("work")
        if calls.count("work") < 3:
            await_event(release)
        return "in time"

    assert run_durable_workflow(Flow("w").then(work).build(), "i", 1, backend).output == "in time"
    assert [(entry.attempt, entry.status) for entry in WorkflowClient(backend).timeline("i")] == [
        (1, "failed"), (2, "failed"), (3, "completed"),
    ]  # fmt: skip
    release.set()


@pytest.mark.parametrize(
    ("options", "attempts"),
    [({"no_retry_on": TaskTimeoutError}, 1), ({"retry_on": TaskTimeoutError}, 3), ({"retry_on": ValueError}, 1)],
)
def test_filters_see_the_timeout(backend, options, attempts):
    @task(timeout=SHORT, retries=RetryPolicy(2, 0.0), **options)
    async def work(x):
        await asyncio.sleep(3_600)

    status = run_durable_workflow(Flow("w").then(work).build(), "i", 1, backend)
    assert status.error_detail.attempts == attempts


def test_an_async_task_is_cancelled(backend):
    cancelled = threading.Event()

    @task("slow", timeout=SHORT)
    async def work(x):
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    workflow = Flow("w").then(work).build()
    for run in (lambda: run_workflow(workflow, 1), lambda: run_workflow(workflow, 1, instance_id="i", backend=backend)):
        cancelled.clear()
        with pytest.raises(TaskTimeoutError, match="task 'slow' timed out after 0.05s"):
            run()
        assert cancelled.is_set()


def test_an_async_task_may_clean_up(backend):
    cleaned = []

    @task(timeout=SHORT)
    async def work(x):
        try:
            await asyncio.sleep(3_600)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    assert run_durable_workflow(Flow("w").then(work).build(), "i", 1, backend).is_failed()
    assert cleaned == [True]


def test_a_result_given_after_the_cancellation_is_too_late(backend):
    @task(timeout=SHORT)
    async def work(x):
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            return "too late"

    status = run_durable_workflow(Flow("w").then(work).build(), "i", 1, backend)
    assert status.error.startswith("TaskTimeoutError")


def test_a_task_that_swallows_its_cancellation_is_given_up(backend, monkeypatch, caplog):
    monkeypatch.setattr(invoke, "GRACE_SECS", SHORT)
    stop, ended = threading.Event(), threading.Event()

    @task("stubborn", timeout=SHORT)
    async def work(x):
        while not stop.is_set():
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                continue
        ended.set()

    with caplog.at_level(logging.WARNING, "sayiir"):
        status = run_durable_workflow(Flow("w").then(work).build(), "i", 1, backend)
    assert status.error == "TaskTimeoutError: task 'stubborn' timed out after 0.05s"
    assert "'stubborn' still runs in its event loop" in caplog.text
    assert abandoned_tasks() >= 1
    stop.set()
    await_event(ended)


def test_a_task_that_blocks_its_loop_is_given_up_and_others_get_a_new_one(backend, monkeypatch, caplog):
    monkeypatch.setattr(invoke, "GRACE_SECS", SHORT)
    release, loops = threading.Event(), []

    @task("blocks", timeout=SHORT, retries=RetryPolicy(1, 0.0))
    async def work(x):
        loops.append(asyncio.get_running_loop())
        if len(loops) == 1:
            release.wait(PATIENCE_SECS)
        return "second try"

    with caplog.at_level(logging.WARNING, "sayiir"):
        status = run_durable_workflow(Flow("w").then(work).build(), "i", 1, backend)
    assert status.output == "second try"
    assert loops[0] is not loops[1]
    assert "'blocks' still runs in its event loop" in caplog.text
    release.set()


@pytest.mark.parametrize("durable", [False, True])
def test_in_branches(backend, durable):
    release = threading.Event()

    @task("later", timeout=SHORT)
    async def later(x):
        await asyncio.sleep(3_600)

    for branch in (slow(release), later):
        workflow = Flow("w").fork().branch(branch).branch(lambda x: x, name="fine").join(lambda d: d).build()
        with pytest.raises(TaskTimeoutError):
            run_workflow(
                workflow, 1, instance_id="i", conflict_policy="terminate_existing"
            ) if durable else run_workflow(workflow, 1)
    release.set()


def test_timeouts_of_keys_joins_and_bodies():
    release = threading.Event()
    stuck = task("stuck", timeout=SHORT)(lambda x: await_event(release))
    flows = [
        Flow("w").route(stuck, keys=["k"]).branch("k", lambda x: x).done(),
        Flow("w").fork().branch(lambda x: x).join(stuck),
        Flow("w").loop(stuck),
    ]
    for flow in flows:
        with pytest.raises(TaskTimeoutError):
            run_workflow(flow.build(), 1)
    release.set()


def test_a_timeout_error_raised_by_the_task_is_its_own():
    def work(x):
        raise TimeoutError("mine")

    async def later(x):
        raise TimeoutError("mine")

    for function in (work, task(timeout=60)(lambda x: work(x)), later, task("l", timeout=60)(later)):
        with pytest.raises(RuntimeError, match="^TimeoutError: mine") as caught:
            run_workflow(Flow("w").then(function).build(), 1)
        assert not isinstance(caught.value, TaskTimeoutError)
