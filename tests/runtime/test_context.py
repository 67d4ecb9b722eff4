"""What a task learns about itself, wherever its code runs."""

import asyncio
import contextvars
import pickle
import threading

import pytest

from sayiir import (
    Flow,
    LoopResult,
    RetryPolicy,
    TaskExecutionContext,
    TaskMetadata,
    WorkflowClient,
    get_task_context,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    task,
)
from tests.runtime.support import Calls, await_event, in_thread


class Seen(dict):
    """Contexts by name."""

    def note(self, name):
        def function(x):
            self[name] = get_task_context()
            return x

        return function

    def note_async(self, name):
        async def function(x):
            await asyncio.sleep(0)
            self[name] = get_task_context()
            return x

        return function


def test_outside_of_tasks_there_is_none():
    assert get_task_context() is None
    run_workflow(Flow("w").then(lambda x: x).build(), 1)
    assert get_task_context() is None
    run_durable_workflow(Flow("w").then(lambda x: 1 / 0).build(), "i", 1)
    assert get_task_context() is None


def test_all_fields_in_a_durable_run(backend):
    seen = Seen()
    policy = RetryPolicy(3)
    declared = task(
        "named", timeout="30s", retries=policy, tags=["io"], description="d", priority=2, version="v", retry_on=OSError
    )(seen.note("a"))
    workflow = Flow("w", metadata={"team": ["x"]}).then(declared).build()
    run_durable_workflow(workflow, "i", 1, backend)
    context = seen["a"]
    assert (context.workflow_id, context.instance_id, context.task_id) == ("w", "i", "named")
    assert (context.attempt, context.iteration) == (1, 1)
    assert context.worker_id
    assert context.idempotency_key
    assert context.metadata == TaskMetadata(
        description="d", timeout_secs=30.0, retries=policy, tags=["io"], version="v", priority=2, retry_on=OSError
    )
    assert context.workflow_metadata == {"team": ["x"]}


@pytest.mark.parametrize("durable", [False, True])
def test_nothing_is_cancelled_by_itself(durable):
    seen = []

    def work(x):
        context = get_task_context()
        context.heartbeat()
        seen.append(context.cancelled)

    workflow = Flow("w").then(work).then(task("bounded", timeout=60)(lambda x: work(x))).build()
    run_workflow(workflow, 1, instance_id="i") if durable else run_workflow(workflow, 1)
    assert seen == [False, False]


def test_in_a_run_without_storage_the_instance_is_the_workflow():
    seen = Seen()
    run_workflow(Flow("w").then(seen.note("a"), name="n").build(), 1)
    context = seen["a"]
    assert (context.workflow_id, context.instance_id, context.task_id, context.workflow_metadata) == (
        "w",
        "w",
        "n",
        None,
    )
    assert context.metadata == TaskMetadata()


def places(seen):
    """A workflow with a task in every place where one can stand."""
    child = Flow("c").then(seen.note("child"), name="t").build()
    keyed = seen.note("key")
    bodied = seen.note("body")

    def key(x):
        keyed(x)
        return "k"

    def body(x):
        bodied(x)
        return LoopResult.done(x)

    async def subtask(x):
        async def inner():
            seen["subtask"] = get_task_context()

        await asyncio.gather(asyncio.create_task(inner()))
        await asyncio.to_thread(lambda: seen.__setitem__("to_thread", get_task_context()))
        return x

    def thread(x):
        context = contextvars.copy_context()
        helper = threading.Thread(target=context.run, args=(lambda: seen.__setitem__("thread", get_task_context()),))
        helper.start()
        helper.join()
        return x

    return (
        Flow("w").then(seen.note("sync"), name="sync").then(seen.note_async("async"), name="async").then(subtask).then(thread)
        .then(task("bounded", timeout=60)(seen.note("bounded"))).then(task("abounded", timeout=60)(seen.note_async("abounded")))
        .fork().branch(seen.note("branch"), name="branch").branch(seen.note_async("abranch"), name="abranch").branch(child)
        .join(seen.note("join"), name="join")
        .route(key, keys=["k"]).branch("k", seen.note("routed"), name="routed").done().loop(body, name="body").then_flow(child)
        .build()
    )  # fmt: skip


EXPECTED = {
    "sync": "sync", "async": "async", "subtask": "subtask", "to_thread": "subtask", "thread": "thread", "bounded": "bounded",
    "abounded": "abounded", "branch": "branch", "abranch": "abranch", "join": "join", "key": "branch_0::key_fn",
    "routed": "routed", "body": "body", "child": "child_1/t",
}  # fmt: skip


def test_everywhere(backend):
    for durable in (False, True):
        seen = Seen()
        workflow = places(seen)
        if durable:
            assert run_durable_workflow(workflow, "i", 1, backend).is_completed()
        else:
            run_workflow(workflow, 1)
        assert {name: context.task_id for name, context in seen.items()} == EXPECTED
        assert {context.instance_id for context in seen.values()} == {"i" if durable else "w"}
    assert get_task_context() is None


def test_nested_runs_have_contexts_of_their_own():
    seen = Seen()
    inner = Flow("inner").then(seen.note("inner"), name="in").build()

    async def outer(x):
        run_workflow(inner, 1)
        run_durable_workflow(inner, "j", 1)
        seen["after"] = get_task_context()
        return x

    run_durable_workflow(Flow("outer").then(outer).build(), "i", 1)
    assert (seen["inner"].workflow_id, seen["inner"].instance_id, seen["inner"].task_id) == ("inner", "j", "in")
    assert (seen["after"].workflow_id, seen["after"].task_id) == ("outer", "outer")


def test_attempt_and_iteration(timed):
    seen = []

    @task(retries=RetryPolicy(1, 0.0))
    def body(x):
        context = get_task_context()
        seen.append((context.iteration, context.attempt))
        if context.attempt == 1:
            raise ValueError
        return LoopResult.done(x) if context.iteration == 3 else LoopResult.again(x)

    assert run_durable_workflow(Flow("w").loop(body).build(), "i", 1, timed).is_completed()
    assert seen == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]


# --- idempotency keys ---------------------------------------------------------------------------------------------


def keys(seen):
    return [context.idempotency_key for context in seen]


def test_a_key_is_stable_over_retries_and_resumes(backend):
    seen, calls = [], Calls()

    @task("pay", retries=RetryPolicy(1, 0.0))
    def pay(x):
        seen.append(get_task_context())
        calls("pay")
        if calls.count("pay") == 1:
            raise ValueError
        if calls.count("pay") == 2:
            raise KeyboardInterrupt
        return x

    workflow = Flow("w").then(pay).build()
    with pytest.raises(KeyboardInterrupt):
        run_durable_workflow(workflow, "i", 1, backend)
    assert resume_workflow(workflow, "i", backend).is_completed()
    assert len(seen) == 3
    assert len(set(keys(seen))) == 1


def test_keys_differ_between_tasks_iterations_branches_and_instances(backend):
    seen = []

    def note(x):
        seen.append(get_task_context())
        return x

    def body(x):
        note(x)
        return LoopResult.done(x) if get_task_context().iteration == 3 else LoopResult.again(x)

    child = Flow("c").then(note).build()
    workflow = (
        Flow("w")
        .then(note, name="a")
        .fork()
        .branch(note, name="b")
        .branch(note, name="c")
        .branch(child, name="d")
        .join(note, name="j")
        .loop(body)
        .then_flow(child)
        .build()
    )
    for instance in ("i", "j"):
        run_durable_workflow(workflow, instance, 1, backend)
    assert len(seen) == 18
    assert len(set(keys(seen))) == 18
    assert all(isinstance(key, str) and len(key) >= 32 and key.isascii() for key in keys(seen))


def test_a_new_instance_under_the_same_id_has_keys_of_its_own(timed, clock):
    seen = []
    workflow = Flow("w").then(lambda x: seen.append(get_task_context())).build()
    run_durable_workflow(workflow, "i", 1, timed)
    clock.advance(1)
    run_durable_workflow(workflow, "i", 1, timed, "terminate_existing")
    assert len(set(keys(seen))) == 2


def test_two_runs_without_storage_have_keys_of_their_own():
    seen = []
    workflow = Flow("w").then(lambda x: seen.append(get_task_context())).build()
    for _ in range(2):
        run_workflow(workflow, 1)
    assert len(set(keys(seen))) == 2


# --- cancellation -------------------------------------------------------------------------------------------------


def test_a_long_sync_task_sees_that_it_is_cancelled(backend):
    started, seen = threading.Event(), []

    def work(x):
        context = get_task_context()
        started.set()
        while not context.cancelled:
            context.heartbeat()
        seen.append(get_task_context().cancelled)
        return x

    workflow = Flow("w").then(work).then(lambda x: seen.append("must not run"), name="after").build()
    with in_thread(run_durable_workflow, workflow, "i", 1, backend) as running:
        await_event(started)
        WorkflowClient(backend).cancel("i")
        assert running.result().is_cancelled()
    assert seen == [True]


def test_a_heartbeat_tells_that_the_instance_was_replaced(backend):
    from sayiir import ClaimLostError

    started, replaced, errors = threading.Event(), threading.Event(), []

    def work(x):
        started.set()
        await_event(replaced)
        try:
            get_task_context().heartbeat()
        except ClaimLostError as error:
            errors.append(error)
            raise
        return x

    workflow = Flow("w").then(work).build()
    with in_thread(run_durable_workflow, workflow, "i", 1, backend) as running:
        await_event(started)
        WorkflowClient(backend, conflict_policy="terminate_existing").submit(workflow, "i", 2)
        replaced.set()
        with pytest.raises(ClaimLostError, match="was replaced"):
            running.result()
    assert len(errors) == 1
    assert WorkflowClient(backend).status("i").is_in_progress()


# --- the value itself ---------------------------------------------------------------------------------------------


def test_a_context_is_a_frozen_comparable_picklable_value(backend):
    seen = Seen()
    run_durable_workflow(Flow("w", metadata={"a": 1}).then(seen.note("a"), name="n").build(), "i", 1, backend)
    context = seen["a"]
    copy = pickle.loads(pickle.dumps(context))
    assert isinstance(copy, TaskExecutionContext)
    assert copy == context
    assert copy.cancelled is False
    copy.heartbeat()
    assert "task_id='n'" in repr(context)
    assert "_link" not in repr(context)
    with pytest.raises(AttributeError):
        context.task_id = "other"


def test_a_context_keeps_what_it_said():
    kept = []
    run_workflow(
        Flow("w").then(lambda x: kept.append(get_task_context()), name="a").then(lambda x: x, name="b").build(), 1
    )
    assert kept[0].task_id == "a"


def test_workflow_metadata_cannot_be_spoiled_by_a_task():
    seen = []

    def spoil(x):
        get_task_context().workflow_metadata["k"].append(2)

    def look(x):
        seen.append(get_task_context().workflow_metadata)

    workflow = Flow("w", metadata={"k": [1]}).then(spoil).build()
    run_workflow(workflow, 1)
    assert workflow.metadata == {"k": [1]}
    run_workflow(Flow("w", metadata={"k": [1]}).then(look).build(), 1)
    assert seen == [{"k": [1]}]
