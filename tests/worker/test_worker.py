"""A worker moves everything that a definition can hold, and says who it is."""

import asyncio
import threading

import pytest

from sayiir import (
    Flow,
    InMemoryBackend,
    LoopResult,
    RetryPolicy,
    Worker,
    WorkerHandle,
    WorkflowClient,
    WorkflowError,
    get_task_context,
    run_durable_workflow,
    task,
)
from tests.worker.support import Gate, await_event, ended, eventually, reached, status, working


def double(x):
    return x * 2


async def add_one(x):
    await asyncio.sleep(0)
    return x + 1


def test_what_was_submitted_before_and_after_the_start_is_run(backend):
    flow = Flow("sums").then(double).then(add_one).then(lambda x: x - 3, name="less").build()
    client = WorkflowClient(backend)
    client.submit(flow, "before", 10)
    with working(backend, [flow]):
        client.submit(flow, "after", 20)
        assert [s.output for s in ended(backend, "before", "after")] == [18, 38]


def test_every_kind_of_node_is_moved(backend):
    def count(x):
        return LoopResult.done(x) if x >= 12 else LoopResult.again(x + 1)

    child = Flow("inner").then(double, name="inner_double").build()
    flow = (
        Flow("all")
        .then(double)
        .delay("pause", 0.01)
        .fork()
        .branch(add_one, name="async")
        .branch(double, lambda x: x + 5, name="sync")
        .branch(child, name="child")
        .join(lambda results: sum(results.values()), name="sum")
        .loop(count, max_iterations=20)
        .route(lambda x: "big" if x > 10 else "small", keys=["big", "small"])
        .branch("big", add_one, name="big_one")
        .branch("small", double, name="small_one")
        .done()
        .then(lambda routed: routed["result"], name="unwrap")
        .wait_for_signal("go", name="go")
        .then_flow(child)
        .build()
    )
    client = WorkflowClient(backend)
    with working(backend, [flow]):
        client.submit(flow, "a", 1)
        reached(backend, "a", "awaiting_signal")
        assert client.get_task_result("a", "unwrap") == 3 + 9 + 4 + 1
        client.send_signal("a", "go", 21)
        assert ended(backend, "a").output == 42


def test_several_workflows_and_versions_in_one_worker(backend):
    old = Flow("same").then(lambda x: f"old {x}", name="step").build()
    new = Flow("same").then(lambda x: f"new {x}", name="step").then(lambda x: x, name="more").build()
    other = Flow("other").then(lambda x: f"other {x}", name="step").build()
    client = WorkflowClient(backend)
    with working(backend, [old, new, other]):
        for flow, name in ((old, "o"), (new, "n"), (other, "x")):
            client.submit(flow, name, 1)
        assert [s.output for s in ended(backend, "o", "n", "x")] == ["old 1", "new 1", "other 1"]


def test_instances_of_an_unknown_definition_are_left_alone_and_delay_nobody(backend):
    ours = Flow("w").then(double).build()
    theirs = Flow("w").then(double).then(double, name="again").build()
    client = WorkflowClient(backend)
    for number in range(50):
        client.submit(theirs, f"theirs-{number}", number, priority=1)
    client.submit(ours, "ours", 1, priority=5)
    with working(backend, [ours], concurrency=1):
        assert ended(backend, "ours").output == 2
    assert status(backend, "theirs-0").is_in_progress()
    assert client.timeline("theirs-0") == []
    with working(backend, [theirs]):
        assert ended(backend, "theirs-49").output == 49 * 4


def test_many_instances_by_few_slots(backend):
    flow = Flow("many").then(double).then(add_one).then(double, name="again").build()
    client = WorkflowClient(backend)
    for number in range(120):
        client.submit(flow, f"i{number}", number)
    with working(backend, [flow], concurrency={"sync": 3, "async": 2}):
        outputs = [s.output for s in ended(backend, *(f"i{number}" for number in range(120)))]
    assert outputs == [(number * 2 + 1) * 2 for number in range(120)]


def test_no_more_sync_tasks_at_once_than_slots(backend):
    gate, mutex, running, most = Gate(), threading.Lock(), 0, 0

    def step(x):
        nonlocal running, most
        with mutex:
            running += 1
            most = max(most, running)
        gate.pass_through()
        with mutex:
            running -= 1
        return x

    flow = Flow("w").then(step).build()
    client = WorkflowClient(backend)
    for number in range(9):
        client.submit(flow, f"i{number}", number)
    with working(backend, [flow], concurrency=3):
        gate.await_arrivals(3)
        gate.open.set()
        ended(backend, *(f"i{number}" for number in range(9)))
    assert most == 3


def test_a_thousand_coroutines_at_once_beside_a_busy_thread(backend):
    arrived, gate, busy = 0, asyncio.Event(), Gate()
    loops = set()

    async def meet(x):
        nonlocal arrived
        loops.add(asyncio.get_running_loop())
        arrived += 1
        if arrived == 1000:
            gate.set()
        await gate.wait()
        return x

    blocked = Flow("blocked").then(lambda x: busy.pass_through(), name="block").build()
    flow = Flow("meet").then(meet).then(add_one).build()
    client = WorkflowClient(backend)
    client.submit(blocked, "blocked", None)
    for number in range(1000):
        client.submit(flow, f"i{number}", number)
    with working(backend, [flow, blocked], concurrency={"sync": 1}):
        busy.await_arrivals()
        assert ended(backend, *(f"i{number}" for number in range(1000)))[7].output == 8
        busy.open.set()
        ended(backend, "blocked")
    assert len(loops) == 1


def test_tasks_and_timelines_know_their_worker(backend):
    seen = {}

    @task(retries=RetryPolicy(1, 0.01), tags=["t"])
    def look(x):
        context = get_task_context()
        seen[context.attempt] = context
        if context.attempt == 1:
            raise ValueError("once")
        return x

    flow = Flow("w", metadata={"team": "x"}).then(look).build()
    with working(backend, [flow], worker_id="the worker"):
        WorkflowClient(backend).submit(flow, "a", 1)
        ended(backend, "a")
    assert [seen[1].worker_id, seen[2].worker_id] == ["the worker"] * 2
    assert seen[1].idempotency_key == seen[2].idempotency_key
    assert (seen[2].instance_id, seen[2].workflow_id, seen[2].task_id) == ("a", "w", "look")
    assert seen[2].workflow_metadata == {"team": "x"}
    assert [entry.worker_id for entry in WorkflowClient(backend).timeline("a")] == ["the worker"] * 2


def test_one_task_does_not_see_what_another_put_into_a_context_variable(backend):
    import contextvars

    variable = contextvars.ContextVar("variable", default="unset")

    def look(x):
        found = variable.get()
        variable.set("leaked")
        return found

    flow = Flow("w").then(look).build()
    client = WorkflowClient(backend)
    with working(backend, [flow], concurrency=1):
        for number in range(5):
            client.submit(flow, f"i{number}", 0)
        assert {s.output for s in ended(backend, *(f"i{number}" for number in range(5)))} == {"unset"}


def test_a_failed_task_ends_its_instance_and_no_other(backend):
    def fail(x):
        if x:
            raise LookupError("no such thing")
        return "fine"

    flow = Flow("w").then(fail).build()
    client = WorkflowClient(backend)
    with working(backend, [flow]):
        client.submit(flow, "bad", 1)
        client.submit(flow, "good", 0)
        bad, good = ended(backend, "bad", "good")
    assert bad.is_failed()
    assert bad.error == "LookupError: no such thing"
    assert good.output == "fine"


def test_a_sync_function_that_returns_a_coroutine_is_awaited(backend):
    flow = Flow("w").then(lambda x: add_one(x), name="indirect").then(double).build()
    with working(backend, [flow]):
        WorkflowClient(backend).submit(flow, "a", 1)
        assert ended(backend, "a").output == 4


def test_a_timeout_is_enforced_for_threads_and_coroutines(backend):
    hang = threading.Event()

    @task(timeout=0.05)
    def slow(x):
        hang.wait(30)

    @task(timeout=0.05)
    async def slow_async(x):
        await asyncio.Event().wait()

    flows = [Flow("s").then(slow).build(), Flow("a").then(slow_async).build()]
    client = WorkflowClient(backend)
    with working(backend, flows):
        for flow in flows:
            client.submit(flow, flow.workflow_id, 1)
        errors = [s.error for s in ended(backend, "s", "a")]
        hang.set()
    assert errors == [
        "TaskTimeoutError: task 'slow' timed out after 0.05s",
        "TaskTimeoutError: task 'slow_async' timed out after 0.05s",
    ]


def test_a_task_may_run_workflows_and_use_clients_itself(backend):
    inner = Flow("inner").then(double).build()

    def outer(x):
        client = WorkflowClient(backend)
        client.submit(inner, "submitted", x)
        direct = run_durable_workflow(inner, "direct", x, backend).output
        return direct + client.wait("submitted", timeout=30).output

    flow = Flow("outer").then(outer).build()
    with working(backend, [flow, inner]):
        WorkflowClient(backend).submit(flow, "a", 5)
        assert ended(backend, "a").output == 20


def test_a_worker_and_an_in_process_run_never_run_a_task_twice(backend):
    ran, gate = [], Gate()

    def step(x):
        ran.append(x)
        gate.pass_through()
        return x

    flow = Flow("w").then(step).build()
    with working(backend, [flow]):
        runs = [threading.Thread(target=run_durable_workflow, args=(flow, f"i{n}", n, backend)) for n in range(4)]
        for run in runs:
            run.start()
        gate.await_arrivals(4)
        gate.open.set()
        for run in runs:
            run.join(30)
        ended(backend, *(f"i{n}" for n in range(4)))
    assert sorted(ran) == [0, 1, 2, 3]


# --- starting and stopping ----------------------------------------------------------------------------------------


def test_a_handle_is_shut_down_and_joined(backend):
    flow = Flow("w").then(double).build()
    handle = Worker("w1", backend).start([flow])
    assert isinstance(handle, WorkerHandle)
    assert repr(handle) == "WorkerHandle('w1', working)"
    assert handle.join(0) is False
    handle.shutdown()
    handle.shutdown()
    assert handle.join(30) is True
    assert handle.join() is True
    assert repr(handle) == "WorkerHandle('w1', ended)"
    WorkflowClient(backend).submit(flow, "late", 1)
    assert status(backend, "late").is_in_progress()


def test_both_are_context_managers(backend):
    flow = Flow("w").then(double).build()
    with Worker("w1", backend) as worker:
        handle = worker.start([flow])
        with pytest.raises(WorkflowError, match="'w1' is working already"):
            worker.start([flow])
    assert handle.join(0)
    with worker.start([flow]) as again:
        WorkflowClient(backend).submit(flow, "a", 1)
        ended(backend, "a")
    assert again.join(0)


def test_a_thousand_starts_and_ends_leave_no_threads(backend):
    flow = Flow("w").then(double).build()
    client = WorkflowClient(backend)
    for number in range(30):
        with working(backend, [flow]):
            client.submit(flow, f"i{number}", number)
            ended(backend, f"i{number}")
    own = ("sayiir-claimer", "sayiir-writer", "sayiir-heart", "sayiir-chores", "sayiir-worker")
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name in own])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"poll_interval": 0}, "poll_interval must be a positive number of seconds"),
        ({"poll_interval": float("nan")}, "poll_interval"),
        ({"claim_ttl": -1}, "claim_ttl"),
        ({"claim_ttl": "5"}, "claim_ttl"),
        ({"concurrency": 0}, "concurrency must be an int of 1 or more"),
        ({"concurrency": True}, "concurrency"),
        ({"concurrency": 1.5}, "concurrency"),
        ({"concurrency": {"threads": 3}}, 'the kinds "sync" and "async", not \'threads\''),
        ({"concurrency": {"async": 0}}, "concurrency"),
        ({"tags": "gpu"}, "tags must be a list"),
        ({"tags": [""]}, "a tag must be a string of 1 to 64"),
        ({"tags": [3]}, "a tag"),
        ({"aging_interval": 0}, "aging_interval"),
        ({"executor": object()}, "executor must be a concurrent.futures.Executor"),
        ({"executor": {"gpu": 3}}, "executor"),
        ({"shutdown_grace": -0.1}, "shutdown_grace must be a number of seconds"),
        ({"max_crashes": 0}, "max_crashes"),
        ({"retention": 0}, "retention"),
    ],
)
def test_bad_options_are_refused_at_construction(options, words):
    with pytest.raises(ValueError, match=words):
        Worker("w1", InMemoryBackend(), **options)


def test_bad_names_backends_and_workflows_are_refused():
    with pytest.raises(ValueError, match="worker_id"):
        Worker("", InMemoryBackend())
    with pytest.raises(TypeError, match="expected a backend"):
        Worker("w1", "sqlite:///x")
    worker = Worker("w1", InMemoryBackend(), shutdown_grace=0, retention=None)
    with pytest.raises(ValueError, match="at least one workflow"):
        worker.start([])
    with pytest.raises(TypeError, match=r"call \.build\(\)"):
        worker.start([Flow("w")])


def test_the_first_line_of_a_task_comes_without_waiting_for_the_poll(backend):
    came = threading.Event()
    flow = Flow("w").then(lambda x: came.set(), name="note").build()
    # With hints dropped or slow this would take an hour.
    with working(backend, [flow], poll_interval=3600):
        WorkflowClient(backend).submit(flow, "a", 1)
        await_event(came)
