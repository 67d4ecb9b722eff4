"""Sync tasks in executors of the user's."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from sayiir import Flow, InMemoryBackend, RetryPolicy, WorkflowClient, get_task_context, task
from tests.worker.support import ended, working


def process_of(x):
    return [x, os.getpid()]


def die(x):
    os._exit(3)


def fail(x):
    raise LookupError("in the pool")


@task(tags=["big"], priority=2, retries=RetryPolicy(1, 0.001), retry_on=lambda error: True)
def look(x):
    found = get_task_context()
    if found.attempt == 1:
        raise LookupError("once")
    facts = {name: getattr(found, name) for name in FACTS}
    declared = found.metadata
    assert not found.cancelled
    found.heartbeat()
    return {**facts, "declared": [declared.priority, *declared.tags, declared.retry_on is not None], "process": os.getpid()}


FACTS = ("workflow_id", "instance_id", "task_id", "workflow_metadata", "attempt", "iteration", "worker_id", "idempotency_key")


def context_of(x):
    return get_task_context() is not None


async def stay(x):
    return os.getpid()


@pytest.fixture
def pool():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


def test_sync_tasks_run_in_a_pool_of_processes(backend, pool):
    flow = Flow("w").then(process_of).then(lambda found: found, name="unpicklable").build()
    sound = Flow("sound").then(process_of).then(stay).build()
    failing = Flow("failing").then(fail).build()
    client = WorkflowClient(backend)
    with working(backend, [flow, sound, failing], executor=pool):
        for one in (flow, sound, failing):
            client.submit(one, one.workflow_id, 1)
        broken, here, failed = ended(backend, "w", "sound", "failing")
    assert client.get_task_result("sound", "process_of")[1] != os.getpid()
    assert here.output == os.getpid()  # coroutines stay on the worker's loop
    assert failed.error == "LookupError: in the pool"
    assert "pickle" in broken.error


def test_a_task_in_a_pool_of_processes_sees_its_context(pool):
    """As in the worker's own threads, but for the process."""
    backend, metadata = InMemoryBackend(), {"team": ["a", 1]}
    flow = Flow("w", metadata=metadata).then(look).build()
    found = []
    for name, options in (("there", {"executor": pool}), ("here", {})):
        with working(backend, [flow], "me", **options):
            WorkflowClient(backend).submit(flow, name, 1)
            found.append(ended(backend, name).output)
    there, here = found
    assert there.pop("process") != here.pop("process")
    assert there == {
        "workflow_id": "w", "instance_id": "there", "task_id": "look", "workflow_metadata": metadata, "attempt": 2,
        "iteration": 1, "worker_id": "me", "idempotency_key": there["idempotency_key"], "declared": [2, "big", True],
    }  # fmt: skip
    assert there["idempotency_key"] != here.pop("idempotency_key")
    assert {**there, "instance_id": "here", "idempotency_key": None} == {**here, "idempotency_key": None}


def test_a_process_of_the_pool_has_no_context_of_the_task_before(pool):
    backend, flow = InMemoryBackend(), Flow("w").then(context_of).build()
    with working(backend, [flow], executor=pool):
        WorkflowClient(backend).submit(flow, "a", 1)
        assert ended(backend, "a").output is True
    assert not any(pool.map(context_of, range(8)))


def test_a_pool_whose_process_dies_is_a_failure_of_the_task(backend, pool):
    dying, flow = Flow("dying").then(die).build(), Flow("w").then(process_of).build()
    client = WorkflowClient(backend)
    with working(backend, [dying, flow], executor=pool):
        client.submit(dying, "a", 1)
        found = ended(backend, "a")
        assert found.error.startswith("WorkerCrashError: task 'die' could not run in ProcessPoolExecutor")
        client.submit(flow, "b", 1)
        assert ended(backend, "b").error.startswith("WorkerCrashError: task 'process_of'")


def test_an_executor_of_threads_keeps_the_context_and_is_not_shut_down():
    backend = InMemoryBackend()

    def look(x):
        return [threading.current_thread().name.split("_")[0], get_task_context().instance_id]

    flow = Flow("w").then(look).build()
    with ThreadPoolExecutor(2, thread_name_prefix="mine") as executor:
        with working(backend, [flow], executor=executor):
            WorkflowClient(backend).submit(flow, "a", 1)
            assert ended(backend, "a").output == ["mine", "a"]
        assert executor.submit(lambda: "alive").result() == "alive"


def test_executors_by_tag():
    backend = InMemoryBackend()

    def where(x):
        return [*x, threading.current_thread().name.split("_")[0]]

    flow = (
        Flow("w")
        .then(task("a", tags=["big"])(lambda x: where(x)))
        .then(task("b", tags=["other", "small"])(lambda x: where(x)))
        .then(task("c")(lambda x: where(x)))
        .build()
    )
    with ThreadPoolExecutor(1, "big") as big, ThreadPoolExecutor(1, "small") as small:
        with working(backend, [flow], executor={"big": big, "small": small}):
            WorkflowClient(backend).submit(flow, "i", [])
            assert ended(backend, "i").output == ["big", "small", "sayiir-task"]


def test_a_timeout_holds_there_too():
    backend, hang = InMemoryBackend(), threading.Event()

    @task(timeout=0.05)
    def slow(x):
        hang.wait(30)

    flow = Flow("w").then(slow).build()
    with ThreadPoolExecutor(1) as executor, working(backend, [flow], executor=executor):
        WorkflowClient(backend).submit(flow, "a", 1)
        assert ended(backend, "a").error == "TaskTimeoutError: task 'slow' timed out after 0.05s"
        hang.set()


def test_an_executor_that_was_shut_down_is_a_failure_with_a_clear_text():
    backend = InMemoryBackend()
    flow = Flow("w").then(process_of).build()
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with working(backend, [flow], executor=executor):
        WorkflowClient(backend).submit(flow, "a", 1)
        error = ended(backend, "a").error
    assert "cannot schedule new futures after shutdown" in error
    assert "give the worker a new one" in error
