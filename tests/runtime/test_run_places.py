"""Where runs may be called, and by how many: one runner at a time, inside tasks and loops, under Ctrl-C."""

import contextvars
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from sayiir import (
    Flow,
    InstanceBusyError,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    task,
)
from tests.runtime.support import Calls, await_event, in_thread


def double(x):
    return x * 2


def fail(x):
    raise ValueError("boom")


DOUBLE = Flow("double").then(double).build()
FAIL = Flow("fail").then(fail).build()
WAIT = Flow("wait").then(double).delay("pause", 60).then(double, name="again").build()
SIGNAL = Flow("signal").then(double).wait_for_signal("go", name="gate").then(double, name="again").build()


# --- one runner at a time -----------------------------------------------------------------------------------------


class Held:
    """A workflow whose first task stands still until it is let go."""

    def __init__(self):
        self.started, self.go, self.calls = threading.Event(), threading.Event(), Calls()
        self.workflow = Flow("held").then(self.hold, name="hold").then(self.after, name="after").build()

    def hold(self, x):
        self.calls("hold")
        self.started.set()
        await_event(self.go)
        return x

    def after(self, x):
        self.calls("after")
        return x


def test_a_second_runner_is_told_who_moves_the_instance(backend):
    held = Held()
    with in_thread(run_durable_workflow, held.workflow, "a", 1, backend) as running:
        await_event(held.started)
        with pytest.raises(InstanceBusyError, match="'a' is being moved by another live runner") as caught:
            resume_workflow(held.workflow, "a", backend)
        assert caught.value.instance_id == "a"
        held.go.set()
        assert running.result().is_completed()
    assert held.calls.made == ["hold", "after"]


def test_a_second_runner_may_wait_for_the_first(backend):
    held = Held()
    with in_thread(run_durable_workflow, held.workflow, "a", 1, backend) as running:
        await_event(held.started)
        with in_thread(resume_workflow, held.workflow, "a", backend, busy_timeout=3_600) as waiting:
            held.go.set()
            assert running.result().is_completed()
            assert waiting.result().output == 1
    assert held.calls.made == ["hold", "after"]


def test_use_existing_reports_a_running_instance(backend):
    held = Held()
    with in_thread(run_durable_workflow, held.workflow, "a", 1, backend):
        await_event(held.started)
        status = run_durable_workflow(held.workflow, "a", 1, backend, "use_existing")
        assert status.is_in_progress()
        held.go.set()
    assert held.calls.count("hold") == 1


def test_many_runners_at_once_run_every_task_once(backend):
    calls, ready = Calls(), threading.Barrier(8)
    workflow = Flow("w").then(lambda x: calls("a"), name="a").then(lambda x: calls("b"), name="b").build()
    WorkflowClient(backend).submit(workflow, "i", 1)

    def run():
        ready.wait(30)
        return resume_workflow(workflow, "i", backend, busy_timeout=60)

    runners = [in_thread(run) for _ in range(8)]
    futures = [runner.__enter__() for runner in runners]
    assert all(future.result().is_completed() for future in futures)
    assert calls.made == ["a", "b"]


# --- where a run may be called ------------------------------------------------------------------------------------


def test_a_run_inside_a_task_and_its_context():
    from sayiir import get_task_context

    inner = Flow("inner").then(lambda x: get_task_context().task_id, name="in").build()

    def outer(x):
        before = get_task_context().task_id
        seen = run_workflow(inner, x)
        return [before, seen, get_task_context().task_id]

    assert run_workflow(Flow("outer").then(outer).build(), 1) == ["outer", "in", "outer"]


def test_every_kind_of_run_inside_every_kind_of_task(backend):
    client = WorkflowClient(backend)

    async def later(x):
        return x + 1

    inner = Flow("inner").then(later).then(double).build()

    def work(x):
        assert run_workflow(inner, x) == (x + 1) * 2
        assert run_durable_workflow(inner, f"inner-{x}", x, backend).is_completed()
        client.submit(inner, f"sub-{x}", x)
        assert resume_workflow(inner, f"sub-{x}", backend).is_completed()
        client.send_signal(f"other-{x}", "go", x)
        return client.get_task_result(f"inner-{x}", "double")

    async def async_work(x):
        return work(x)

    workflow = (
        Flow("outer").then(work).then(task(timeout=60)(async_work)).fork().branch(lambda x: work(x + 1), name="s")
        .branch(task("t", timeout=60)(lambda x: work(x + 2))).join(lambda d: d).build()
    )  # fmt: skip
    status = run_durable_workflow(workflow, "o", 1, backend)
    assert status.output == {"s": 24, "t": 26}, status


def test_blocking_calls_let_other_threads_run():
    started, answer = threading.Event(), threading.Event()

    async def wait(x):
        started.set()
        await_event(answer)
        return x

    for function in (wait, task("t", timeout=60)(lambda x: started.set() or await_event(answer))):
        started.clear()
        answer.clear()
        with in_thread(run_workflow, Flow("w").then(function).build(), 1) as running:
            await_event(started)
            answer.set()
            running.result()


INTERRUPTED = """
import asyncio, os, sys, threading, time
from sayiir import *
from sayiir.store.sqlite import SqliteBackend

forever = threading.Event()

async def coroutine(x):
    print("ready", flush=True)
    await asyncio.sleep(3600)

def thread(x):
    print("ready", flush=True)
    forever.wait()

def plain(x):
    print("ready", flush=True)
    time.sleep(3600)

functions = {"coroutine": coroutine, "thread": task(timeout=3600)(thread), "plain": plain}
backend = SqliteBackend(sys.argv[2])
name = sys.argv[1]
if name == "backoff":
    def fails(x):
        print("ready", flush=True)
        raise ValueError("again")
    flow = Flow("w").then(task("t", retries=RetryPolicy(3, 3600))(fails))
elif name == "branch":
    flow = Flow("w").fork().branch(thread, name="t").branch(lambda x: x).join(lambda d: d)
else:
    flow = Flow("w").then(functions[name], name="t")
try:
    run_durable_workflow(flow.build(), "i", 1, backend)
except KeyboardInterrupt:
    print("interrupted", WorkflowClient(backend).status("i").status, flush=True)
    os._exit(7)
"""


@pytest.mark.parametrize("name", ["coroutine", "thread", "plain", "backoff", "branch"])
def test_blocking_calls_answer_ctrl_c_at_once(name, tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED), name, str(tmp_path / "runs.db")],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "interrupted in_progress\n"
        assert child.wait(30) == 7
    finally:
        child.kill()
        child.wait(30)
        child.stdout.close()


# --- context variables and loops ----------------------------------------------------------------------------------

REQUEST = contextvars.ContextVar("request", default="none")


async def async_request(x):
    return REQUEST.get()


def request(x):
    return REQUEST.get()


@task("t", timeout=60)
def bounded_request(x):
    return REQUEST.get()


@task("u", timeout=60)
async def bounded_async_request(x):
    return REQUEST.get()


@pytest.mark.parametrize("function", [request, async_request, bounded_request, bounded_async_request])
@pytest.mark.parametrize("durable", [False, True])
def test_the_callers_context_variables_are_visible(function, durable):
    workflow = (
        Flow("w").then(function, name="a").then(lambda a: [a])
        .fork().branch(function, name="b").branch(function, name="c").join(lambda d: [d, REQUEST.get()]).build()
    )  # fmt: skip
    token = REQUEST.set("mine")
    try:
        output = run_durable_workflow(workflow, "i", 1).output if durable else run_workflow(workflow, 1)
    finally:
        REQUEST.reset(token)
    assert output == [{"b": "mine", "c": "mine"}, "mine"]


def test_async_tasks_of_one_run_share_one_loop():
    import asyncio

    loops = []

    async def note(x):
        loops.append(asyncio.get_running_loop())
        return x

    workflow = Flow("w").then(note).fork().branch(note, name="a").branch(note, name="b").join(note, name="j").build()
    run_workflow(workflow, 1)
    assert len(loops) == 4
    assert len(set(map(id, loops))) == 1


def test_an_async_primitive_made_in_one_task_works_in_the_next():
    import asyncio

    shared = {}

    async def make(x):
        shared["lock"] = asyncio.Lock()
        await shared["lock"].acquire()
        shared["event"] = asyncio.Event()
        return x

    async def use(x):
        await shared["lock"].acquire()
        await shared["event"].wait()
        return x

    async def free(x):
        shared["event"].set()
        shared["lock"].release()
        return x

    assert run_workflow(Flow("w").then(make).fork().branch(use).branch(free).join(lambda d: d).build(), 1) == {
        "use": 1,
        "free": 1,
    }


def test_runs_work_inside_a_running_loops_thread(backend):
    import asyncio

    async def later(x):
        await asyncio.sleep(0)
        return x + 1

    workflow = (
        Flow("w")
        .then(later)
        .then(double)
        .fork()
        .branch(later, name="a")
        .branch(double, name="b")
        .join(lambda d: d)
        .build()
    )

    async def main():
        assert run_workflow(workflow, 1) == {"a": 5, "b": 8}
        assert run_durable_workflow(workflow, "i", 1, backend).output == {"a": 5, "b": 8}
        assert resume_workflow(workflow, "i", backend).is_completed()

    asyncio.run(main())
