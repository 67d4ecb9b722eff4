"""Forks as they run: really side by side, joined in order, ended by the first failure."""

import asyncio
import threading

import pytest

from sayiir import (
    Flow,
    RetryPolicy,
    TaskError,
    WorkflowClient,
    run_durable_workflow,
    run_workflow,
    task,
)
from tests.runtime.support import PATIENCE_SECS, Calls, await_event, until


def same(x):
    return x


# --- forks --------------------------------------------------------------------------------------------------------


def test_sync_branches_really_run_side_by_side(backend):
    barrier = threading.Barrier(4)

    def meet(x):
        barrier.wait(PATIENCE_SECS)
        return x

    flow = Flow("w").fork()
    for name in "abcd":
        flow.branch(meet, name=name)
    workflow = flow.join(same).build()
    assert run_workflow(workflow, 1) == dict.fromkeys("abcd", 1)
    assert run_durable_workflow(workflow, "i", 1, backend).output == dict.fromkeys("abcd", 1)


def test_async_branches_really_run_side_by_side(backend):
    arrived = []

    async def meet(x):
        arrived.append(asyncio.get_running_loop())
        while len(arrived) % 4:
            await asyncio.sleep(0)
        return x

    flow = Flow("w").fork()
    for name in "abcd":
        flow.branch(meet, name=name)
    workflow = flow.join(same).build()
    assert run_workflow(workflow, 1) == dict.fromkeys("abcd", 1)
    assert run_durable_workflow(workflow, "i", 1, backend).output == dict.fromkeys("abcd", 1)
    assert len({id(loop) for loop in arrived[:4]}) == 1


def test_sync_and_async_branches_run_side_by_side(backend):
    to_async, to_sync = threading.Event(), threading.Event()

    def thread(x):
        to_async.set()
        await_event(to_sync)
        return "thread"

    async def coroutine(x):
        while not to_async.is_set():
            await asyncio.sleep(0)
        to_sync.set()
        return "coroutine"

    workflow = Flow("w").fork().branch(thread).branch(coroutine).join(same).build()
    assert run_durable_workflow(workflow, "i", 1, backend).output == {"thread": "thread", "coroutine": "coroutine"}


def test_later_steps_of_branches_are_side_by_side_too(backend):
    barrier = threading.Barrier(2)

    def meet(x):
        barrier.wait(PATIENCE_SECS)
        return x

    async def hop(x):
        return x

    workflow = (
        Flow("w")
        .fork()
        .branch(hop, same, meet, name="a")
        .branch(same, lambda x: meet(x), name="b")
        .join(same, name="j")
        .build()
    )
    assert run_durable_workflow(workflow, "i", 1, backend).output == {"a": 1, "b": 1}


def test_the_join_gets_the_branches_in_order_of_declaration(backend):
    first_may_end = threading.Event()

    def slow(x):
        await_event(first_may_end)
        return "slow"

    def fast(x):
        first_may_end.set()
        return "fast"

    seen = []
    workflow = (
        Flow("w")
        .fork()
        .branch(slow)
        .branch(same, fast, name="f")
        .branch(lambda x: None, name="none")
        .join(lambda d: seen.append(list(d.items())))
        .build()
    )
    run_workflow(workflow, 0)
    run_durable_workflow(workflow, "i", 0, backend)
    assert seen == [[("slow", "slow"), ("f", "fast"), ("none", None)]] * 2


def test_every_branch_gets_the_forks_input():
    workflow = (
        Flow("w")
        .then(lambda x: x + 1)
        .fork()
        .branch(same)
        .branch(lambda x: -x, name="minus")
        .join(same, name="j")
        .build()
    )
    assert run_workflow(workflow, 1) == {"same": 2, "minus": -2}


def test_an_async_join(backend):
    async def join(results):
        await asyncio.sleep(0)
        return sum(results.values())

    workflow = Flow("w").fork().branch(same).branch(lambda x: 10 * x).join(join).build()
    assert run_workflow(workflow, 2) == 22
    assert run_durable_workflow(workflow, "i", 2, backend).output == 22


def test_a_failing_branch_fails_the_instance_and_leaves_finished_ones_readable(backend):
    running, done, ended = threading.Event(), threading.Event(), threading.Event()

    def finished(x):
        return "kept"

    def late(x):
        running.set()
        done.wait(PATIENCE_SECS)
        ended.set()
        return "late"

    def after(x):
        raise AssertionError("must not start")

    def fails(x):
        await_event(running)
        until(backend, lambda: WorkflowClient(backend).get_task_result("i", "finished") is not None)
        raise ValueError("branch")

    workflow = Flow("w").fork().branch(finished).branch(late, after).branch(fails).join(same).build()
    status = run_durable_workflow(workflow, "i", 1, backend)
    assert status.error == "ValueError: branch"
    assert status.error_detail.task_id == "fails"
    assert not ended.is_set()  # the run did not wait for the thread that it gave up
    done.set()
    await_event(ended)
    client = WorkflowClient(backend)
    assert client.get_task_result("i", "finished") == "kept"
    assert client.get_task_result("i", "late", default="refused") == "refused"
    assert client.status("i").error == "ValueError: branch"
    assert {entry.node_id for entry in client.timeline("i") if entry.status == "completed"} == {"finished"}


def test_a_failing_branch_cancels_running_async_ones(backend):
    cancelled, started = threading.Event(), threading.Event()

    async def waits(x):
        started.set()
        try:
            await asyncio.sleep(3_600)
        finally:
            cancelled.set()

    def fails(x):
        await_event(started)
        raise ValueError("branch")

    for run in (lambda w: run_workflow(w, 1), lambda w: run_workflow(w, 1, instance_id="i", backend=backend)):
        cancelled.clear()
        started.clear()
        with pytest.raises(TaskError, match="^ValueError: branch"):
            run(Flow("w").fork().branch(waits).branch(fails).join(same).build())
        await_event(cancelled)


def test_the_first_failure_counts(backend):
    began, ended = threading.Event(), threading.Event()

    def fails_first(x):
        await_event(began)
        raise ValueError("first")

    def fails_later(x):
        began.set()
        until(backend, lambda: WorkflowClient(backend).status("i").is_failed())
        ended.set()
        raise KeyError("second")

    workflow = Flow("w").fork().branch(fails_later).branch(fails_first).join(same).build()
    assert run_durable_workflow(workflow, "i", 1, backend).error == "ValueError: first"
    await_event(ended)
    assert WorkflowClient(backend).status("i").error == "ValueError: first"


def test_an_outer_join_is_not_run_after_a_failure(backend):
    calls = Calls()

    def fails(x):
        raise ValueError

    inner = Flow("in").fork().branch(fails).branch(same).join(calls).build()
    assert run_durable_workflow(
        Flow("w").fork().branch(inner).branch(same).join(calls).build(), "i", 1, backend
    ).is_failed()
    assert calls.made == []


def test_a_failing_join_fails(backend):
    def join(results):
        raise ValueError("join")

    status = run_durable_workflow(Flow("w").fork().branch(same).join(join).build(), "i", 1, backend)
    assert (status.error, status.error_detail.task_id) == ("ValueError: join", "join")


def test_a_branch_retries_on_its_own(timed):
    calls = Calls()

    @task(retries=RetryPolicy(2, 1.0))
    def flaky(x):
        calls("flaky")
        if calls.count("flaky") < 3:
            raise ValueError
        return "ok"

    workflow = Flow("w").fork().branch(flaky).branch(lambda x: calls("other"), name="other").join(same).build()
    assert run_durable_workflow(workflow, "i", 1, timed).output == {"flaky": "ok", "other": None}
    assert calls.count("other") == 1
