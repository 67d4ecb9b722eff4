"""Tasks in child processes: values, errors, timeouts and cancels that really end them."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from sayiir import DefinitionError, Flow, InMemoryBackend, WorkflowClient, run_durable_workflow, run_workflow, task
from tests.process import tasks


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie counts: nobody runs its code any more)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def run(function: Any, value: Any) -> Any:
    return run_durable_workflow(Flow("w").then(function).build(), "a", value)


def test_typed_values_cross_and_the_child_is_another_process() -> None:
    workflow = Flow("w").then(tasks.move).then(tasks.move, name="again").build()
    assert run_workflow(workflow, tasks.Point(1)) == {"x": 3}
    assert run_workflow(Flow("w").then(tasks.pid).build(), os.getpid()) is True


def test_context_is_visible_in_the_child() -> None:
    status = run(tasks.context, 1)
    assert status.output[:5] == ["w", "a", "context", 1, ["here"]]
    assert len(status.output[5]) == 32


def test_loops_routes_and_forks_of_isolated_tasks() -> None:
    assert run_workflow(Flow("w").loop(tasks.count_down).build(), 3) == 0
    flow = Flow("w").route(tasks.choose, keys=["odd", "even"])
    routed = flow.branch("odd", lambda x: "o").branch("even", lambda x: "e").done().build()
    assert run_workflow(routed, 4) == {"branch": "even", "result": "e"}
    forked = Flow("w").fork().branch(tasks.move, name="a").branch(tasks.move, name="b").join(lambda d: d, name="j")
    assert run_workflow(forked.build(), {"x": 1}) == {"a": {"x": 2}, "b": {"x": 2}}


def test_a_timeout_really_ends_the_process(tmp_path: Path) -> None:
    status = run(tasks.for_ever, str(tmp_path / "pid"))
    assert status.error == "TaskTimeoutError: task 'for_ever' timed out after 0.5s"
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_cancel_really_ends_the_process(tmp_path: Path) -> None:
    backend, path = InMemoryBackend(), tmp_path / "pid"
    workflow = Flow("w").then(tasks.until_cancelled).build()
    statuses: list[Any] = []
    thread = threading.Thread(target=lambda: statuses.append(run_durable_workflow(workflow, "a", str(path), backend)))
    thread.start()
    while not (path.exists() and path.read_text()):
        assert thread.is_alive()
    WorkflowClient(backend).cancel("a", reason="enough")
    thread.join(30)
    assert statuses[0].is_cancelled()
    assert gone(int(path.read_text()))


@pytest.mark.parametrize(("function", "how"), [(tasks.kill_self, "was killed by SIGKILL"), (tasks.leave, "exited with code 3")])
def test_a_death_is_a_failure_that_says_how(function: Any, how: str) -> None:
    status = run(function, 1)
    assert status.error == f"WorkerCrashError: the process of task {function.__name__!r} {how}"


def test_a_death_is_retried_by_the_policy(tmp_path: Path) -> None:
    assert run(tasks.die_once, str(tmp_path / "mark")).output == "died"


@pytest.mark.parametrize(
    ("function", "attempts", "error"),
    [
        (tasks.choosy, 1, "KeyError: 'final'"),
        (tasks.stubborn, 1, "NonRetryableError: never"),
        (tasks.broken, 2, "ValueError: as it was"),
    ],
)
def test_errors_cross_with_type_text_and_trace(function: Any, attempts: int, error: str) -> None:
    status = run(function, 1)
    assert (status.error, status.error_detail.attempts) == (error, attempts)
    assert f"in {function.__name__}" in status.error_detail.traceback


def test_an_unstorable_result_is_refused_in_the_child() -> None:
    assert run(tasks.unstorable, 1).error_detail.error_type == "SerializationError"


def test_a_function_that_cannot_be_imported_is_a_definition_error() -> None:
    @task(isolation="process")
    def local(x: int) -> int:
        return x

    with pytest.raises(DefinitionError, match="top level of a module"):
        Flow("w").then(local).build()
