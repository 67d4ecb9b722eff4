"""`import sayiir`: the public names, and that it loads nothing that a program may never need."""

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import sayiir

NAMES = """
    AsyncWorkflowClient BackendError BranchBuilder ClaimLostError DefinitionError DefinitionMismatchError
    DeserializationError FilterError Flow ForbiddenError ForkBuilder InMemoryBackend InstanceAlreadyExistsError
    InstanceBusyError
    InstanceNotFoundError InvalidStateError LoopLimitError LoopResult NodeInfo NonRetryableError OnMax PostgresBackend
    RetryPolicy RouteError SchemaVersionError Secret SerializationError SignalTimeoutError SqliteBackend TaskError TaskExecutionContext
    TaskMetadata TaskTimeoutError TimelineEntry UnknownWorkflowError Worker WorkerCrashError WorkerHandle Workflow
    WorkflowClient WorkflowError
    WorkflowStatus
    acancel_workflow
    apause_workflow aresume_workflow arun_durable_workflow arun_workflow asend_signal aunpause_workflow cancel_workflow
    connect get_task_context init_tracing parse_duration pause_workflow resume_workflow run_durable_workflow run_workflow
    send_signal shutdown_tracing task unpause_workflow
""".split()

# What is slow to import, or there only for some programs.
HEAVY = set(
    """
    ast asyncio attr concurrent dataclasses difflib hashlib http importlib.metadata inspect json logging multiprocessing
    pathlib pickle pydantic random selectors socket sqlite3 ssl subprocess tempfile traceback unittest urllib
    """.split()
)


def loaded_by(code):
    """Return the modules that a statement loads in a fresh process, beyond msgspec's own."""
    program = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        f"import msgspec; before = set(sys.modules)\n{code}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    # -S -E: nothing that the environment would load by itself, such as a coverage hook, is counted.
    run = subprocess.run([sys.executable, "-S", "-E", "-c", program], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_the_public_names():
    assert sorted(sayiir.__all__) == NAMES
    assert set(NAMES) <= set(dir(sayiir))
    assert all(getattr(sayiir, name).__name__.strip("_") for name in NAMES)


def test_a_star_import_gives_all_of_them():
    space = {}
    exec("from sayiir import *", space)
    assert sorted(space.keys() - {"__builtins__"}) == NAMES


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'sayiir' has no attribute 'Flwo'"):
        _ = sayiir.Flwo
    with pytest.raises(ImportError, match="Flwo"):
        exec("from sayiir import Flwo")


def test_type_checkers_see_the_names_that_are_loaded_on_demand():
    tree = ast.parse(Path(sayiir.__file__).read_text())
    shown = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(shown.test) == "TYPE_CHECKING"
    imports = {alias.name: node.module for node in shown.body for alias in node.names}
    assert imports == sayiir._LAZY


def test_importing_loads_nothing_heavy():
    modules = loaded_by("import sayiir")
    assert not modules & HEAVY
    late = "aio picture store.sqlite runtime.process testing worker"
    assert not modules & {f"sayiir.{name}" for name in late.split()}


def test_a_run_in_memory_loads_no_more_than_signatures_need():
    code = (
        "import sayiir\n"
        "def double(x: int) -> int: return x * 2\n"
        "assert sayiir.run_workflow(sayiir.Flow('x').then(double).build(), 21) == 42\n"
    )
    # The definition's hash needs hashlib, its text json; inspect reads the annotation.
    assert not loaded_by(code) & (HEAVY - {"ast", "hashlib", "inspect", "json"})


@pytest.mark.parametrize(
    ("name", "module"), [("SqliteBackend", "sqlite3"), ("AsyncWorkflowClient", "asyncio"), ("arun_workflow", "asyncio")]
)
def test_names_are_loaded_when_they_are_asked_for(name, module):
    assert module not in loaded_by("import sayiir")
    assert module in loaded_by(f"from sayiir import {name}")
    assert module in loaded_by(f"import sayiir; sayiir.{name}")


def test_public_classes_pickle_by_their_public_place():
    assert pickle.loads(pickle.dumps(sayiir.SqliteBackend)) is sayiir.SqliteBackend
    assert pickle.loads(pickle.dumps(sayiir.RetryPolicy(3, jitter=0.1))) == sayiir.RetryPolicy(3, jitter=0.1)
