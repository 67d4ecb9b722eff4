"""Loops as they run: a checkpoint for every iteration, limits, and what a body may return."""

import threading

import pytest

from sayiir import (
    Flow,
    LoopLimitError,
    LoopResult,
    NonRetryableError,
    RetryPolicy,
    TaskError,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    task,
)
from tests.runtime.support import Calls, await_event, in_thread


def same(x):
    return x


# --- loops --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        lambda x: LoopResult.again(x + 1) if x < 3 else LoopResult.done(x * 10),
        lambda x: (LoopResult.again(x + 1) if x < 3 else LoopResult.done(x * 10)).to_dict(),
    ],
)
def test_a_loop_goes_on_until_done(backend, body):
    async def async_body(x):
        return body(x)

    for function in (body, async_body, task(timeout=60)(lambda x: body(x))):
        workflow = Flow("w").loop(function, name="body").build()
        assert run_workflow(workflow, 0) == 30
        assert run_durable_workflow(workflow, "i", 0, backend, "terminate_existing").output == 30


def test_the_limit_counts_calls(backend):
    calls = Calls()

    def body(x):
        calls("body")
        return LoopResult.again(x + 1)

    workflow = Flow("w").loop(body, max_iterations=3).build()
    with pytest.raises(LoopLimitError, match="3 iterations") as caught:
        run_workflow(workflow, 0)
    assert caught.value.max_iterations == 3
    assert calls.count("body") == 3
    status = run_durable_workflow(workflow, "i", 0, backend)
    assert status.error.startswith("LoopLimitError: ")
    assert WorkflowClient(backend).get_task_result("i", "body") == 3


def test_done_in_the_last_iteration_is_in_time():
    body = lambda x: LoopResult.done(x) if x == 2 else LoopResult.again(x + 1)
    assert run_workflow(Flow("w").loop(body, max_iterations=3).build(), 0) == 2
    assert run_workflow(Flow("w").loop(body, max_iterations=1).build(), 2) == 2


def test_the_limit_may_end_with_the_last_value(backend):
    workflow = (
        Flow("w")
        .loop(lambda x: LoopResult.again(x + 1), name="body", max_iterations=4, on_max="exit_with_last")
        .then(lambda x: [x])
        .build()
    )
    assert run_workflow(workflow, 0) == [4]
    assert run_durable_workflow(workflow, "i", 0, backend).output == [4]


@pytest.mark.parametrize(
    "wrong",
    [5, None, {}, {"_loop": "maybe", "value": 1}, {"_loop": "done"}, {"_loop": "done", "value": 1, "x": 2}, "done"],
)
def test_anything_else_says_what_was_expected(backend, wrong):
    workflow = Flow("w").loop(task("body", retries=3)(lambda x: wrong)).build()
    with pytest.raises(TaskError, match=r"LoopResult\.again\(value\) or LoopResult\.done\(value\)") as caught:
        run_workflow(workflow, 0)
    assert (caught.value.task_id, caught.value.attempt) == ("body", 1)
    assert run_durable_workflow(workflow, "i", 0, backend).is_failed()


def test_every_iteration_is_a_checkpoint(backend):
    client, calls = WorkflowClient(backend), Calls()

    def body(x):
        calls(f"body {x}")
        if x == 2 and calls.count("body 2") == 1:
            raise KeyboardInterrupt
        return LoopResult.done("end") if x == 4 else LoopResult.again(x + 1)

    workflow = Flow("w").loop(body).build()
    with pytest.raises(KeyboardInterrupt):
        run_durable_workflow(workflow, "i", 0, backend)
    assert client.get_task_result("i", "body") == 2
    assert resume_workflow(workflow, "i", backend).output == "end"
    assert calls.made == ["body 0", "body 1", "body 2", "body 2", "body 3", "body 4"]
    assert [client.get_task_result("i", "body", iteration=n) for n in range(1, 7)] == [1, 2, 3, 4, "end", None]
    assert client.get_task_result("i", "loop_0") == "end"
    assert client.get_task_result("i", "body") == "end"


def test_retries_count_anew_in_each_iteration(timed):
    calls = Calls()

    @task(retries=RetryPolicy(1, 0.0))
    def body(x):
        calls(str(x))
        if calls.count(str(x)) == 1:
            raise ValueError
        return LoopResult.done(x) if x == 3 else LoopResult.again(x + 1)

    assert run_durable_workflow(Flow("w").loop(body).build(), "i", 1, timed).output == 3
    assert calls.made == ["1", "1", "2", "2", "3", "3"]


def test_a_failing_body_fails_the_instance(backend):
    def body(x):
        raise NonRetryableError("no")

    status = run_durable_workflow(Flow("w").loop(body).build(), "i", 1, backend)
    assert (status.error, status.error_detail.task_id) == ("NonRetryableError: no", "body")


def test_loop_values_are_typed():
    def body(x: list[int]) -> LoopResult[list[int]]:
        return LoopResult.done(x) if len(x) > 2 else LoopResult.again((*x, len(x)))

    assert run_workflow(Flow("w").loop(body).build(), []) == [0, 1, 2]


def test_the_other_runs_nothing_while_one_is_busy(backend):
    """A loop over many iterations is moved by one runner only."""
    started, go, calls = threading.Event(), threading.Event(), Calls()

    def body(x):
        calls("body")
        if x == 0:
            started.set()
            await_event(go)
        return LoopResult.done(x) if x == 5 else LoopResult.again(x + 1)

    workflow = Flow("w").loop(body).build()
    with in_thread(run_durable_workflow, workflow, "i", 0, backend) as first:
        await_event(started)
        with in_thread(resume_workflow, workflow, "i", backend, busy_timeout=600) as second:
            go.set()
            assert first.result().output == second.result().output == 5
    assert calls.count("body") == 6
