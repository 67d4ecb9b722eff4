"""KeyboardInterrupt and SystemExit are no failures of a task: the run stops and the instance stays resumable."""

import asyncio
import threading

import pytest

from sayiir import Flow, RetryPolicy, WorkflowClient, resume_workflow, run_durable_workflow, run_workflow, task
from tests.runtime.support import Calls, await_event


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("kind", ["sync", "async", "bounded", "async bounded"])
@pytest.mark.parametrize("place", ["task", "branch", "join", "key", "body"])
def test_the_instance_stays_resumable(backend, error, kind, place):
    calls = Calls()

    def once(x):
        calls("stopped")
        if calls.count("stopped") == 1:
            raise error("stop")
        return {"key": "k", "body": {"_loop": "done", "value": x}}.get(place, x)

    async def once_async(x):
        return once(x)

    options = {"retries": RetryPolicy(3, 0.0)} | ({"timeout": 60} if "bounded" in kind else {})
    stopped = task("stopped", **options)(once_async if "async" in kind else once)
    flow = Flow("w").then(lambda x: calls("before") or x, name="before")
    match place:
        case "task":
            flow.then(stopped)
        case "branch":
            flow.fork().branch(stopped).branch(lambda x: x, name="fine").join(lambda d: d["stopped"], name="j")
        case "join":
            flow.fork().branch(lambda x: x, name="fine").join(stopped)
        case "key":
            flow.route(stopped, keys=["k"]).branch("k", lambda x: x, name="b").done()
        case "body":
            flow.loop(stopped)
    workflow = flow.then(lambda x: "end", name="after").build()
    with pytest.raises(error):
        run_durable_workflow(workflow, "i", 1, backend)
    status = WorkflowClient(backend).status("i")
    assert status.is_in_progress()
    assert status.error is None
    assert not any(entry.status == "failed" for entry in WorkflowClient(backend).timeline("i"))
    assert resume_workflow(workflow, "i", backend).output == "end"
    assert (calls.count("before"), calls.count("stopped")) == (1, 2)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_they_pass_through_runs_without_storage(error):
    def stop(x):
        raise error("stop")

    async def later(x):
        raise error("stop")

    for function in (stop, later, task(timeout=60)(lambda x: stop(x)), task(retries=2)(lambda x: stop(x))):
        with pytest.raises(error):
            run_workflow(Flow("w").then(function).build(), 1)
        with pytest.raises(error):
            run_workflow(Flow("w").fork().branch(function).branch(lambda x: x, name="b").join(lambda d: d).build(), 1)


def test_branches_that_run_beside_are_called_off(backend):
    started, cancelled, calls = threading.Event(), threading.Event(), Calls()

    async def waits(x):
        if calls.count("waits"):
            return "second"
        calls("waits")
        started.set()
        try:
            await asyncio.sleep(3_600)
        finally:
            cancelled.set()

    def stops(x):
        await_event(started)
        if calls.count("stops"):
            return "second"
        calls("stops")
        raise KeyboardInterrupt

    workflow = Flow("w").fork().branch(waits).branch(stops).join(lambda d: d).build()
    with pytest.raises(KeyboardInterrupt):
        run_durable_workflow(workflow, "i", 1, backend)
    await_event(cancelled)
    assert resume_workflow(workflow, "i", backend, busy_timeout=60).output == {"waits": "second", "stops": "second"}


def test_a_run_works_after_an_interrupted_one(backend):
    def stop(x):
        raise KeyboardInterrupt

    async def later(x):
        return x

    for n in range(3):
        with pytest.raises(KeyboardInterrupt):
            run_durable_workflow(Flow("w").then(later).then(stop).build(), f"i{n}", 1, backend)
        assert run_durable_workflow(Flow("v").then(later).build(), f"j{n}", 1, backend).is_completed()


def test_other_base_exceptions_stop_the_run_too(backend):
    class Odd(BaseException):
        pass

    def odd(x):
        raise Odd

    workflow = Flow("w").then(odd).build()
    with pytest.raises(Odd):
        run_durable_workflow(workflow, "i", 1, backend)
    assert WorkflowClient(backend).status("i").is_in_progress()


def test_a_cancellation_that_an_async_task_raises_itself_is_its_failure(backend):
    async def work(x):
        raise asyncio.CancelledError

    status = run_durable_workflow(Flow("w").then(work).build(), "i", 1, backend)
    assert status.error_detail.error_type == "CancelledError"
