"""The table of runs: what blocks, what parks, what is returned, what is raised."""

import contextvars
import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pydantic
import pytest

from sayiir import (
    DefinitionMismatchError,
    Flow,
    InMemoryBackend,
    InstanceAlreadyExistsError,
    InstanceBusyError,
    InstanceNotFoundError,
    SerializationError,
    TaskError,
    WorkflowClient,
    WorkflowError,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    send_signal,
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


# --- in memory ----------------------------------------------------------------------------------------------------


def test_run_returns_the_output():
    assert run_workflow(DOUBLE, 21) == 42


def test_run_blocks_through_delays():
    workflow = Flow("w").then(double).delay("a", 0.01).fork().branch(Flow("c").delay("d", 0.01).build()).branch(double, name="b").join(lambda d: d).build()
    assert run_workflow(workflow, 1) == {"c": 2, "b": 4}


def test_run_never_begins_a_flow_that_waits_for_a_signal():
    calls = Calls()
    child = Flow("c").wait_for_signal("go", name="gate").build()
    workflow = Flow("w").then(calls).fork().branch(child).join(double).build()
    with pytest.raises(WorkflowError, match="needs a durable run") as caught:
        run_workflow(workflow, 1)
    assert not isinstance(caught.value, TaskError)
    assert (caught.value.workflow_id, caught.value.node_id) == ("w", "child_0/gate")
    assert "child_0/gate" in str(caught.value)
    assert calls.made == []


@pytest.mark.parametrize("workflow", [FAIL, Flow("fail").then(task("fail", timeout=30)(lambda x: fail(x))).build()])
def test_a_failed_run_raises_with_the_cause(workflow):
    with pytest.raises(TaskError) as caught:
        run_workflow(workflow, 1)
    error = caught.value
    assert str(error).startswith("ValueError: boom")
    assert type(error.__cause__) is ValueError
    assert (error.workflow_id, error.instance_id, error.task_id) == ("fail", "fail", "fail")
    assert (error.attempt, error.error_type) == (1, "ValueError")
    assert "raise ValueError" in error.traceback
    assert "sayiir/runtime" not in error.traceback


def test_a_backend_needs_a_name():
    with pytest.raises(ValueError, match="backend= needs instance_id="):
        run_workflow(DOUBLE, 1, backend=InMemoryBackend())


@pytest.mark.parametrize("workflow", [Flow("w").then(double), None, double, "w"])
def test_only_workflows_are_run(workflow):
    hint = r"call \.build\(\)" if isinstance(workflow, Flow) else "expected a Workflow"
    for run in (
        lambda: run_workflow(workflow, 1),
        lambda: run_workflow(workflow, 1, instance_id="a"),
        lambda: run_durable_workflow(workflow, "a", 1),
        lambda: resume_workflow(workflow, "a", InMemoryBackend()),
        lambda: WorkflowClient(InMemoryBackend()).submit(workflow, "a", 1),
    ):
        with pytest.raises(TypeError, match=hint):
            run()


@pytest.mark.parametrize("backend", ["sqlite", object(), InMemoryBackend, 5])
def test_only_backends_are_used(backend):
    for run in (
        lambda: run_workflow(DOUBLE, 1, instance_id="a", backend=backend),
        lambda: run_durable_workflow(DOUBLE, "a", 1, backend),
        lambda: resume_workflow(DOUBLE, "a", backend),
        lambda: WorkflowClient(backend),
    ):
        with pytest.raises(TypeError, match="expected a backend"):
            run()


# --- durable, returning the output --------------------------------------------------------------------------------


def test_a_durable_run_returns_the_output(backend):
    assert run_workflow(DOUBLE, 21, instance_id="a", backend=backend) == 42
    assert WorkflowClient(backend).status("a").output == 42


def test_a_durable_run_without_a_backend_uses_one_of_its_own():
    assert run_workflow(DOUBLE, 21, instance_id="a") == 42
    assert run_workflow(DOUBLE, 21, instance_id="a") == 42
    assert run_durable_workflow(DOUBLE, "a", 21).output == 42


@pytest.mark.parametrize(("workflow", "state"), [(WAIT, "waiting"), (SIGNAL, "awaiting_signal")])
def test_a_parked_run_did_not_complete(backend, workflow, state):
    with pytest.raises(WorkflowError, match=rf"did not complete \(status={state}\)") as caught:
        run_workflow(workflow, 1, instance_id="a", backend=backend)
    assert not isinstance(caught.value, TaskError)
    assert (caught.value.instance_id, caught.value.status) == ("a", state)
    assert WorkflowClient(backend).status("a").status == state


def test_a_failed_durable_run_raises_with_the_cause(backend):
    with pytest.raises(TaskError, match="^ValueError: boom") as caught:
        run_workflow(FAIL, 1, instance_id="a", backend=backend)
    assert type(caught.value.__cause__) is ValueError
    assert (caught.value.instance_id, caught.value.task_id) == ("a", "fail")


def test_the_stored_failure_raises_without_a_cause(backend):
    run_durable_workflow(FAIL, "a", 1, backend)
    with pytest.raises(TaskError, match="^ValueError: boom") as caught:
        run_workflow(FAIL, 1, instance_id="a", backend=backend, conflict_policy="use_existing")
    assert caught.value.__cause__ is None
    assert "raise ValueError" in caught.value.traceback


def test_the_documented_idempotent_run(backend):
    assert run_workflow(DOUBLE, 21, instance_id="run-001", backend=backend) == 42
    assert run_workflow(DOUBLE, 21, instance_id="run-001", backend=backend, conflict_policy="use_existing") == 42
    with pytest.raises(InstanceAlreadyExistsError):
        run_workflow(DOUBLE, 21, instance_id="run-001", backend=backend)


# --- durable, returning the status --------------------------------------------------------------------------------


def test_a_task_that_fails_is_a_status(backend):
    status = run_durable_workflow(FAIL, "a", 1, backend)
    assert status.is_failed()
    assert status.error == "ValueError: boom"


def test_a_delay_parks(backend):
    status = run_durable_workflow(WAIT, "a", 1, backend)
    assert (status.status, status.delay_id) == ("waiting", "pause")


def test_a_signal_parks(backend):
    status = run_durable_workflow(SIGNAL, "a", 1, backend)
    assert (status.status, status.signal_id, status.signal_name) == ("awaiting_signal", "gate", "go")
    send_signal("a", "go", 5, backend)
    assert resume_workflow(SIGNAL, "a", backend).output == 10


def test_resuming_too_early_changes_nothing(timed, clock):
    run_durable_workflow(WAIT, "a", 1, timed)
    clock.advance(59.9)
    assert resume_workflow(WAIT, "a", timed).is_waiting()
    clock.advance(0.1)
    assert resume_workflow(WAIT, "a", timed).output == 4


def test_finished_tasks_never_run_again(timed, clock):
    calls = Calls()

    def note(name):
        def function(x):
            calls(name)
            return x

        return function

    workflow = Flow("w").then(note("a"), name="a").delay("d", 5).then(note("b"), name="b").build()
    run_durable_workflow(workflow, "i", 1, timed)
    for _ in range(3):
        assert resume_workflow(workflow, "i", timed).is_waiting()
    clock.advance(5)
    assert resume_workflow(workflow, "i", timed).is_completed()
    assert resume_workflow(workflow, "i", timed).is_completed()
    assert calls.made == ["a", "b"]


def test_resume_reports_what_has_ended(backend):
    run_durable_workflow(FAIL, "a", 1, backend)
    assert resume_workflow(FAIL, "a", backend).is_failed()


def test_resume_of_the_unknown(backend):
    with pytest.raises(InstanceNotFoundError, match="'nobody' not found"):
        resume_workflow(DOUBLE, "nobody", backend)


def test_resume_with_another_definition_says_what_differs(backend):
    run_durable_workflow(WAIT, "a", 1, backend)
    other = Flow("wait").then(double).delay("pause", 60).then(double, name="more").build()
    with pytest.raises(DefinitionMismatchError) as caught:
        resume_workflow(other, "a", backend)
    assert '-  task "again"' in caught.value.difference
    assert '+  task "more"' in caught.value.difference
    assert caught.value.difference in str(caught.value)
    assert (caught.value.instance_id, caught.value.workflow_id) == ("a", "wait")


def test_changes_that_are_safe_for_running_instances(timed, clock):
    first = Flow("w").then(double).delay("d", 60).then(task("b", retries=1)(lambda x: x * 2)).build()
    second = Flow("w", metadata={"v": 2}).then(task("double", timeout=9)(lambda x: x)).delay("d", 1).then(double, name="b").build()
    run_durable_workflow(first, "a", 1, timed)
    clock.advance(60)
    assert resume_workflow(second, "a", timed).output == 4


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

    assert run_workflow(Flow("w").then(make).fork().branch(use).branch(free).join(lambda d: d).build(), 1) == {"use": 1, "free": 1}


def test_runs_work_inside_a_running_loops_thread(backend):
    import asyncio

    async def later(x):
        await asyncio.sleep(0)
        return x + 1

    workflow = Flow("w").then(later).then(double).fork().branch(later, name="a").branch(double, name="b").join(lambda d: d).build()

    async def main():
        assert run_workflow(workflow, 1) == {"a": 5, "b": 8}
        assert run_durable_workflow(workflow, "i", 1, backend).output == {"a": 5, "b": 8}
        assert resume_workflow(workflow, "i", backend).is_completed()

    asyncio.run(main())


# --- edges --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Order:
    id: int
    items: tuple[str, ...] = ()


class Receipt(pydantic.BaseModel):
    total: float
    order: int


def bill(order: Order) -> Receipt:
    return Receipt(total=len(order.items), order=order.id)


BILL = Flow("bill").then(bill).build()
DELAYED = Flow("bill").delay("d", 0).then(bill).build()


@pytest.mark.parametrize("given", [{"id": 1, "items": ["a"]}, Order(1, ("a",))])
def test_models_go_in_and_plain_json_comes_out(backend, given):
    plain = {"total": 1.0, "order": 1}
    assert run_workflow(BILL, given) == plain
    status = run_durable_workflow(BILL, "i", given, backend)
    assert status.output == plain
    assert status.output_as(Receipt) == Receipt(total=1, order=1)
    assert status.output_as(dict[str, float]) == {"total": 1.0, "order": 1.0}


def test_output_as_needs_an_output_that_fits(backend):
    with pytest.raises(SerializationError, match="validation error"):
        run_durable_workflow(BILL, "i", Order(1), backend).output_as(Order)
    with pytest.raises(WorkflowError, match="has no output: it is failed"):
        run_durable_workflow(FAIL, "j", 1, backend).output_as(int)


def test_an_input_that_does_not_fit_fails_the_first_task(backend):
    with pytest.raises(TaskError, match="validation error") as caught:
        run_workflow(BILL, {"id": "x"})
    assert caught.value.task_id == "bill"
    status = run_durable_workflow(BILL, "i", {"id": "x"}, backend)
    assert status.is_failed()
    assert "validation error" in status.error
    assert status.error_detail.task_id == "bill"


def test_it_is_not_retried():
    calls = Calls()

    @task(retries=5)
    def typed(x: int) -> int:
        calls("typed")
        return x

    status = run_durable_workflow(Flow("w").then(typed).build(), "i", "text")
    assert status.is_failed()
    assert status.error_detail.attempts == 1
    assert calls.made == []


def test_a_value_that_does_not_fit_the_next_task_fails_that_task(backend):
    def wrong(x):
        return "text"

    def typed(x: int) -> int:
        return x

    workflow = Flow("w").then(wrong).then(typed).build()
    with pytest.raises(TaskError, match="validation error") as caught:
        run_workflow(workflow, 1)
    assert caught.value.task_id == "typed"
    assert run_durable_workflow(workflow, "i", 1, backend).error_detail.task_id == "typed"


@pytest.mark.parametrize("bad", [object(), {1, object()}, float("nan"), {1: "a", "1": "b"}, lambda: 0])
def test_an_input_that_cannot_be_stored_creates_nothing(backend, bad):
    with pytest.raises(SerializationError):
        run_durable_workflow(DOUBLE, "i", bad, backend)
    with pytest.raises(SerializationError):
        run_workflow(DOUBLE, bad, instance_id="i", backend=backend)
    with pytest.raises(InstanceNotFoundError):
        WorkflowClient(backend).status("i")
    with pytest.raises(SerializationError):
        run_workflow(DOUBLE, bad)


@pytest.mark.parametrize("bad", [object(), float("inf"), {1: "a", "1": "b"}])
def test_a_result_that_cannot_be_stored_fails_its_task_and_is_not_retried(backend, bad):
    calls = Calls()

    @task(retries=5)
    def give(x):
        calls("give")
        return bad

    workflow = Flow("w").then(give).then(double).build()
    with pytest.raises(TaskError) as caught:
        run_workflow(workflow, 1)
    assert (caught.value.task_id, caught.value.error_type) == ("give", "SerializationError")
    status = run_durable_workflow(workflow, "i", 1, backend)
    assert status.error.startswith("SerializationError: ")
    assert (status.error_detail.task_id, status.error_detail.attempts) == ("give", 1)
    assert calls.made == ["give"] * 2


def test_the_last_results_error_names_its_task():
    with pytest.raises(TaskError) as caught:
        run_workflow(Flow("w").then(double).then(lambda x: object(), name="last").build(), 1)
    assert caught.value.task_id == "last"
