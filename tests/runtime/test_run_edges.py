"""What goes into a run and comes out of it: models in, plain JSON out, and what is refused."""

import dataclasses
import functools

import pydantic
import pytest

from sayiir import (
    Flow,
    InstanceNotFoundError,
    LoopResult,
    SerializationError,
    TaskError,
    WorkflowClient,
    WorkflowError,
    run_durable_workflow,
    run_workflow,
    task,
)
from tests.runtime.support import Calls


def double(x):
    return x * 2


def fail(x):
    raise ValueError("boom")


DOUBLE = Flow("double").then(double).build()
FAIL = Flow("fail").then(fail).build()
WAIT = Flow("wait").then(double).delay("pause", 60).then(double, name="again").build()
SIGNAL = Flow("signal").then(double).wait_for_signal("go", name="gate").then(double, name="again").build()


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


# --- coroutines that nobody declared ------------------------------------------------------------------------------


async def later(x):
    return x + 1


def wrapped(function):
    @functools.wraps(function)
    def wrapper(x):
        return function(x)

    return wrapper


HIDDEN = [lambda x: later(x), wrapped(later), task("bounded", timeout=60)(lambda x: later(x))]


@pytest.mark.parametrize("hidden", HIDDEN, ids=["lambda", "wrapper", "with a timeout"])
@pytest.mark.parametrize("place", ["only", "first", "last", "branch", "join", "loop", "key"])
def test_a_coroutine_that_a_plain_function_returns_is_awaited(backend, hidden, place):
    flow, output = Flow("w"), 2
    match place:
        case "only":
            flow.then(hidden)
        case "first":
            flow.then(hidden).then(lambda x: x)
        case "last":
            flow.then(lambda x: x).then(hidden)
        case "branch":
            flow.fork().branch(hidden, name="b").join(lambda d: d["b"])
        case "join":
            flow.fork().branch(lambda x: x, name="b").join(functools.partial(lambda d: hidden(d["b"])))
        case "loop":

            async def done(x):
                return LoopResult.done(x + 1)

            flow.loop(lambda x: done(x))
        case "key":

            async def key(x):
                return "k"

            flow.route(lambda x: key(x), keys=["k"]).branch("k", hidden, name="h").done().then(lambda e: e["result"])
    workflow = flow.build()
    assert run_workflow(workflow, 1) == output
    assert run_durable_workflow(workflow, "i", 1, backend).output == output


@pytest.mark.parametrize("durable", [False, True])
def test_what_such_a_coroutine_raises_is_the_tasks_failure(durable):
    async def fails(x):
        raise ValueError("inside")

    workflow = Flow("w").then(lambda x: fails(x), name="t").build()
    with pytest.raises(TaskError, match="^ValueError: inside") as caught:
        run_workflow(workflow, 1, instance_id="i") if durable else run_workflow(workflow, 1)
    assert (caught.value.task_id, type(caught.value.__cause__)) == ("t", ValueError)
