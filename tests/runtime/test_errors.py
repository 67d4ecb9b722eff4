"""The errors: one tree, stable codes, data as attributes, pickling, and what callers get for a failed task."""

import pickle

import pytest

import sayiir
from sayiir import (
    BackendError,
    ClaimLostError,
    DefinitionError,
    DefinitionMismatchError,
    DeserializationError,
    FilterError,
    Flow,
    ForbiddenError,
    InstanceAlreadyExistsError,
    InstanceBusyError,
    InstanceNotFoundError,
    InvalidStateError,
    LoopLimitError,
    NonRetryableError,
    RouteError,
    SchemaVersionError,
    SerializationError,
    SignalTimeoutError,
    TaskError,
    TaskTimeoutError,
    UnknownWorkflowError,
    WorkerCrashError,
    WorkflowClient,
    WorkflowError,
    errors,
    run_durable_workflow,
    run_workflow,
    task,
)

TREE = {
    WorkflowError: RuntimeError,
    DefinitionError: WorkflowError,
    DefinitionMismatchError: WorkflowError,
    InstanceAlreadyExistsError: WorkflowError,
    TaskError: WorkflowError,
    TaskTimeoutError: TaskError,
    RouteError: TaskError,
    LoopLimitError: TaskError,
    SignalTimeoutError: TaskError,
    WorkerCrashError: TaskError,
    SerializationError: WorkflowError,
    DeserializationError: SerializationError,
    NonRetryableError: WorkflowError,
    BackendError: WorkflowError,
    InstanceNotFoundError: BackendError,
    InvalidStateError: BackendError,
    InstanceBusyError: BackendError,
    ClaimLostError: BackendError,
    SchemaVersionError: BackendError,
    ForbiddenError: WorkflowError,
    FilterError: WorkflowError,
    UnknownWorkflowError: WorkflowError,
}


def test_the_tree():
    for cls, parent in TREE.items():
        assert issubclass(cls, parent)
        assert cls.__mro__[1] is parent
    assert issubclass(DefinitionError, ValueError)
    assert issubclass(SerializationError, TypeError)
    assert {getattr(errors, name) for name in errors.__all__} == set(TREE)
    assert all(getattr(sayiir, name) is getattr(errors, name) for name in errors.__all__)


def test_codes_are_stable():
    assert {cls.__name__: cls.code for cls in TREE} == {
        "WorkflowError": "workflow_error", "DefinitionError": "definition_error", "DefinitionMismatchError": "definition_mismatch",
        "InstanceAlreadyExistsError": "instance_already_exists", "TaskError": "task_failed", "TaskTimeoutError": "task_timeout",
        "RouteError": "route_unmatched", "LoopLimitError": "loop_limit", "SignalTimeoutError": "signal_timeout",
        "WorkerCrashError": "worker_crash", "SerializationError": "serialization_error", "DeserializationError": "deserialization_error",
        "NonRetryableError": "non_retryable", "BackendError": "backend_error", "InstanceNotFoundError": "instance_not_found",
        "InvalidStateError": "invalid_state", "InstanceBusyError": "instance_busy", "ClaimLostError": "claim_lost",
        "SchemaVersionError": "schema_version", "ForbiddenError": "forbidden", "FilterError": "bad_filter",
        "UnknownWorkflowError": "unknown_workflow",
    }  # fmt: skip


@pytest.mark.parametrize("cls", TREE)
def test_data_and_pickling(cls):
    error = cls("the text", instance_id="i", message="m", problems=["a"])
    copy = pickle.loads(pickle.dumps(error))
    for one in (error, copy):
        assert type(one) is cls
        assert str(one) == "the text"
        assert (one.instance_id, one.message, one.problems) == ("i", "m", ["a"])
        assert one.task_id is None
        assert not hasattr(one, "something_else")
    assert str(cls()) == ""


def test_a_users_subclass_pickles_too():
    error = Declined("no", reason="funds")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.reason, copy.code) == (Declined, "no", "funds", "non_retryable")


class Declined(NonRetryableError):
    pass


# --- what callers get ---------------------------------------------------------------------------------------------


def caught(function, **options):
    with pytest.raises(TaskError) as found:
        run_workflow(Flow("w").then(task("t", **options)(function)).build(), 1)
    return found.value


def raising(error):
    def function(x):
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("message"), "ValueError: message"), (ValueError(), "ValueError"), (KeyError("k"), "KeyError: 'k'"),
        (Declined("no"), "Declined: no"), (ValueError("a\nb"), "ValueError: a\nb"), (ExceptionGroup("g", [ValueError("x")]), "ExceptionGroup: g (1 sub-exception)"),
    ],
)  # fmt: skip
def test_the_text_begins_with_type_and_message(error, text):
    found = caught(raising(error))
    assert str(found) == text
    assert found.__cause__ is error
    assert found.error_type == type(error).__name__


def test_attributes():
    found = caught(raising(ValueError("message")))
    assert (found.workflow_id, found.instance_id, found.task_id, found.node_id, found.attempt) == (
        "w",
        "w",
        "t",
        "t",
        1,
    )
    assert found.message == "message"
    assert "in function" in found.traceback
    assert "raise error" in found.traceback


def test_causes_of_causes_are_in_the_traceback():
    def function(x):
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error

    found = caught(function)
    assert "KeyError: 'inner'" in found.traceback
    assert "direct cause" in found.traceback


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("kind", ["sync", "async", "bounded", "branch", "async branch"])
def test_the_cause_is_the_original_exception(durable, kind):
    error = ValueError("mine")

    def function(x):
        raise error

    async def later(x):
        raise error

    flow = Flow("w")
    match kind:
        case "sync":
            flow.then(function)
        case "async":
            flow.then(later)
        case "bounded":
            flow.then(task(timeout=60)(function))
        case "branch":
            flow.fork().branch(function).branch(lambda x: x).join(lambda d: d)
        case "async branch":
            flow.fork().branch(later).branch(lambda x: x).join(lambda d: d)
    with pytest.raises(TaskError) as found:
        run_workflow(flow.build(), 1, instance_id="i") if durable else run_workflow(flow.build(), 1)
    assert found.value.__cause__ is error


def test_task_errors_pickle():
    found = caught(raising(ValueError("message")))
    copy = pickle.loads(pickle.dumps(found))
    assert type(copy) is TaskError
    assert (str(copy), copy.task_id, copy.attempt, copy.error_type, copy.traceback) == (
        str(found), "t", 1, "ValueError", found.traceback,
    )  # fmt: skip


def test_a_failed_nested_run_shows_both():
    inner = Flow("inner").then(raising(ValueError("deep")), name="in").build()
    with pytest.raises(TaskError) as found:
        run_workflow(Flow("outer").then(lambda x: run_workflow(inner, x), name="out").build(), 1)
    assert str(found.value) == "TaskError: ValueError: deep"
    assert found.value.task_id == "out"
    assert type(found.value.__cause__) is TaskError
    assert found.value.__cause__.task_id == "in"


class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Unformattable(Exception):
    def __repr__(self):
        raise RuntimeError("no repr")

    __str__ = __repr__


class Surrogate(Exception):
    def __str__(self):
        return "half \ud800 pair"


@pytest.mark.parametrize(
    "error", [Odd(), Unformattable(), Surrogate(), ValueError("nul \0"), ValueError(b"\xff"), ValueError(object())]
)
def test_errors_whose_text_is_odd_are_stored_all_the_same(backend, error):
    workflow = Flow("w").then(raising(error), name="t").build()
    status = run_durable_workflow(workflow, "i", 1, backend)
    assert status.is_failed()
    assert status.error_detail.error_type == type(error).__name__
    assert WorkflowClient(backend).timeline("i")[0].error == status.error


def test_long_error_texts_are_cut(backend):
    def deep(n):
        if n:
            deep(n - 1)
        raise ValueError("é" * 200_000)

    status = run_durable_workflow(Flow("w").then(lambda x: deep(50), name="t").build(), "i", 1, backend)
    detail = status.error_detail
    assert len((detail.message + detail.traceback).encode()) <= 64 * 1024
    assert detail.message.endswith("…")
    assert set(detail.message[:-1]) == {"é"}
    assert status.error.startswith("ValueError: éé")


def test_a_recursion_error_is_a_failure_like_others(backend):
    def recurse(x):
        return recurse(x)

    status = run_durable_workflow(Flow("w").then(recurse).build(), "i", 1, backend)
    assert status.error.startswith("RecursionError: ")
    assert len(status.error_detail.traceback) < 64 * 1024


def test_a_memory_error_is_a_failure_like_others():
    assert str(caught(raising(MemoryError("full")))) == "MemoryError: full"
    assert str(caught(raising(StopIteration("it")))) == "StopIteration: it"
    assert str(caught(raising(StopAsyncIteration("it")))) == "StopAsyncIteration: it"


def test_stop_iteration_in_an_async_task_and_in_branches():
    async def later(x):
        raise StopAsyncIteration("it")

    workflow = Flow("w").fork().branch(raising(StopIteration("it")), name="a").join(lambda d: d).build()
    with pytest.raises(TaskError, match="^StopIteration: it"):
        run_workflow(workflow, 1)
    with pytest.raises(TaskError, match="^StopAsyncIteration: it"):
        run_workflow(Flow("w").then(later).build(), 1)
