"""Forks, routes and loops as they run."""

import asyncio
import enum
import threading

import pytest

from sayiir import (
    Flow,
    LoopLimitError,
    LoopResult,
    NonRetryableError,
    RetryPolicy,
    RouteError,
    TaskError,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    task,
)
from tests.runtime.support import PATIENCE_SECS, Calls, await_event, in_thread


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

    workflow = Flow("w").fork().branch(hop, same, meet, name="a").branch(same, lambda x: meet(x), name="b").join(same, name="j").build()
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
    workflow = Flow("w").fork().branch(slow).branch(same, fast, name="f").branch(lambda x: None, name="none").join(lambda d: seen.append(list(d.items()))).build()
    run_workflow(workflow, 0)
    run_durable_workflow(workflow, "i", 0, backend)
    assert seen == [[("slow", "slow"), ("f", "fast"), ("none", None)]] * 2


def test_every_branch_gets_the_forks_input():
    workflow = Flow("w").then(lambda x: x + 1).fork().branch(same).branch(lambda x: -x, name="minus").join(same, name="j").build()
    assert run_workflow(workflow, 1) == {"same": 2, "minus": -2}


def test_an_async_join(backend):
    async def join(results):
        await asyncio.sleep(0)
        return sum(results.values())

    workflow = Flow("w").fork().branch(same).branch(lambda x: 10 * x).join(join).build()
    assert run_workflow(workflow, 2) == 22
    assert run_durable_workflow(workflow, "i", 2, backend).output == 22


def test_a_failing_branch_fails_the_instance_and_leaves_finished_ones_readable(backend):
    done, ended = threading.Event(), threading.Event()

    def finished(x):
        return "kept"

    def late(x):
        done.wait(PATIENCE_SECS)
        ended.set()
        return "late"

    def after(x):
        raise AssertionError("must not start")

    def fails(x):
        client = WorkflowClient(backend)
        seen = 0
        while client.get_task_result("i", "finished") is None:
            seen = backend.wait_for_hint(seen, 1)
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
    first = threading.Event()

    def fails_first(x):
        raise ValueError("first")

    def fails_later(x):
        seen = 0
        while not WorkflowClient(backend).status("i").is_failed():
            seen = backend.wait_for_hint(seen, 1)
        first.set()
        raise KeyError("second")

    workflow = Flow("w").fork().branch(fails_later).branch(fails_first).join(same).build()
    assert run_durable_workflow(workflow, "i", 1, backend).error == "ValueError: first"
    await_event(first)
    assert WorkflowClient(backend).status("i").error == "ValueError: first"


def test_an_outer_join_is_not_run_after_a_failure(backend):
    calls = Calls()

    def fails(x):
        raise ValueError

    inner = Flow("in").fork().branch(fails).branch(same).join(calls).build()
    assert run_durable_workflow(Flow("w").fork().branch(inner).branch(same).join(calls).build(), "i", 1, backend).is_failed()
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


# --- routes -------------------------------------------------------------------------------------------------------


class Old(str, enum.Enum):
    A = "a"


class New(enum.StrEnum):
    A = "a"


class Text(str):
    pass


def route(key, **options):
    flow = Flow("w").route(key, keys=["a", "b"]).branch("a", lambda x: ["A", x], name="ra").branch("b", same, lambda x: ["B", x], name="rb")
    if options.get("default"):
        flow = flow.default_branch(lambda x: ["D", x], name="rd")
    return flow.done().build()


@pytest.mark.parametrize("key", ["a", Old.A, New.A, Text("a")])
def test_the_envelope(backend, key):
    workflow = route(lambda x: key)
    assert run_workflow(workflow, 5) == {"branch": "a", "result": ["A", 5]}
    assert run_durable_workflow(workflow, "i", 5, backend).output == {"branch": "a", "result": ["A", 5]}


def test_longer_branches():
    assert run_workflow(route(lambda x: "b"), 5) == {"branch": "b", "result": ["B", 5]}


def test_the_default_keeps_the_key(backend):
    workflow = route(lambda x: "zz", default=True)
    assert run_workflow(workflow, 5) == {"branch": "zz", "result": ["D", 5]}
    assert run_durable_workflow(workflow, "i", 5, backend).output == {"branch": "zz", "result": ["D", 5]}
    assert run_workflow(route(lambda x: "", default=True), 5) == {"branch": "", "result": ["D", 5]}


def test_the_default_takes_declared_keys_without_a_branch():
    workflow = Flow("w").route(same, keys=["a", "b"]).branch("a", lambda x: 1).default_branch(lambda x: 2).done().build()
    assert run_workflow(workflow, "b") == {"branch": "b", "result": 2}


def test_an_unmatched_key(backend):
    workflow = route(lambda x: "zz")
    with pytest.raises(RouteError, match="'zz'") as caught:
        run_workflow(workflow, 5)
    assert (caught.value.key, caught.value.keys) == ("zz", ["a", "b"])
    assert "'a', 'b'" in str(caught.value)
    status = run_durable_workflow(workflow, "i", 5, backend)
    assert status.error.startswith("RouteError: ")
    assert status.error_detail.node_id == "branch_0::key_fn"
    with pytest.raises(RouteError) as caught:
        run_workflow(workflow, 5, instance_id="i", backend=backend, conflict_policy="use_existing")
    assert (caught.value.key, caught.value.keys) == ("zz", ["a", "b"])


@pytest.mark.parametrize("key", [None, 5, ["a"], b"a", True])
@pytest.mark.parametrize("default", [False, True])
def test_a_key_that_is_not_a_string(backend, key, default):
    workflow = route(lambda x: key, default=default)
    with pytest.raises(RouteError):
        run_workflow(workflow, 5)
    assert run_durable_workflow(workflow, "i", 5, backend).error.startswith("RouteError: ")


def test_keys_are_exact():
    for key in ("A", " a", "a "):
        with pytest.raises(RouteError):
            run_workflow(route(lambda x, key=key: key), 1)


def test_the_key_function_is_a_task_in_all_respects(timed):
    calls = Calls()

    @task("ignored", retries=RetryPolicy(1, 1.0), timeout="30s", priority=2)
    async def key(x):
        calls("key")
        if calls.count("key") == 1:
            raise ValueError("again")
        return "a"

    timed.clock.jumps = True
    workflow = route(key)
    status = run_durable_workflow(workflow, "i", 5, timed)
    assert status.output == {"branch": "a", "result": ["A", 5]}
    client = WorkflowClient(timed)
    assert client.get_task_result("i", "branch_0::key_fn") == "a"
    assert [(entry.node_id, entry.attempt, entry.status) for entry in client.timeline("i")][:2] == [
        ("branch_0::key_fn", 1, "failed"), ("branch_0::key_fn", 2, "completed"),
    ]  # fmt: skip


def test_a_key_is_asked_once_even_when_the_branch_parks(timed, clock):
    calls = Calls()

    def key(x):
        calls("key")
        return "k"

    workflow = Flow("w").route(key, keys=["k"]).branch("k", Flow("c").delay("d", 60).then(same).build()).done().build()
    assert run_durable_workflow(workflow, "i", 5, timed).is_waiting()
    clock.advance(60)
    assert resume_workflow(workflow, "i", timed).output == {"branch": "k", "result": 5}
    assert calls.made == ["key"]


def test_routes_in_sequence():
    workflow = Flow("w").route(same, keys=["a"]).branch("a", lambda x: "b").done().then(lambda e: e["result"]).route(same, keys=["b"]).branch("b", lambda x: "c").done().build()
    assert run_workflow(workflow, "a") == {"branch": "b", "result": "c"}


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
    workflow = Flow("w").loop(lambda x: LoopResult.again(x + 1), name="body", max_iterations=4, on_max="exit_with_last").then(lambda x: [x]).build()
    assert run_workflow(workflow, 0) == [4]
    assert run_durable_workflow(workflow, "i", 0, backend).output == [4]


@pytest.mark.parametrize("wrong", [5, None, {}, {"_loop": "maybe", "value": 1}, {"_loop": "done"}, {"_loop": "done", "value": 1, "x": 2}, "done"])
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
