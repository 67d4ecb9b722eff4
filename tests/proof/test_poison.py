"""Tasks that end or fork their process, under `sayiir worker --processes 2`, beside others that do no harm.

Each of the deadly ones ends `failed` after three deaths, with an error that says so; each harmless instance completes.
"""

import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from proof.twins.crew import await_
from sayiir import WorkflowClient, connect
from tests.cli.support import Command
from tests.process.test_process import gone
from tests.proof import poison_flows
from tests.proof.poison_flows import DEADLY, FAILING, FORKING, WELL
from tests.worker.child import noted

CRASHES = 3
HARMLESS = 40
PATIENCE_SECS = 150.0
FLOWS = (f"{poison_flows.__name__}:ALL",)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: Any, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/runs.db"
    return str(request.getfixturevalue("pg_url"))


@pytest.mark.timeout(240)
def test_deadly_tasks_end_failed_and_the_others_go_on(url: str, tmp_path: Path, record_property: Any) -> None:
    path = tmp_path / "runs.db"
    options = ("--processes", "2", "--max-restarts", "100", "--worker-id", "w", "--poll-interval", "0.5")
    with connect(url) as backend, Command(path, url, *options, targets=FLOWS) as command:
        client = WorkflowClient(backend)
        client.submit_many(WELL, [(f"before-{number}", number) for number in range(HARMLESS // 2)])
        for name, flow in {**DEADLY, **FAILING}.items():
            client.submit(flow, name, 1)
        client.submit_many(WELL, [(f"after-{number}", number) for number in range(HARMLESS // 2)])

        for name in DEADLY:
            status = client.wait(name, PATIENCE_SECS)
            assert status.is_failed(), (name, status)
            if name == "overflow" and "RecursionError" in str(status.error):
                continue  # newer interpreters see it coming
            told = f"WorkerCrashError: the process that ran task '{name}' died {CRASHES} times while it ran"
            assert str(status.error).startswith(told)
        for name, error in (("greedy", "MemoryError"), ("endless", "RecursionError")):
            status = client.wait(name, PATIENCE_SECS)
            assert status.is_failed(), (name, status)
            assert str(status.error).startswith(error)
        for number in range(HARMLESS // 2):
            for when in ("before", "after"):
                assert client.wait(f"{when}-{number}", PATIENCE_SECS).output == number + 2
        command.send()
        assert command.end() == 0, "\n".join(command.lines)
        deaths = len(command.await_lines("another takes its place"))
    ran = Counter(words[0] for words in noted(path))
    # Who dies beside another one is blamed, too, whether or not its own line was reached.
    assert all(1 <= ran[name] <= CRASHES for name in DEADLY), ran
    assert deaths <= CRASHES * len(DEADLY)
    record_property("deaths", deaths)
    record_property("repeats", ran["well"] - 2 * HARMLESS)
    record_property("instances", HARMLESS + len(DEADLY) + len(FAILING))
    record_property("executions", ran.total())


@pytest.mark.timeout(240)
def test_who_forks_within_a_task_has_one_result_and_does_no_harm(url: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with connect(url) as backend, Command(path, url, "--processes", "1", "--worker-id", "w", targets=FLOWS) as command:
        client = WorkflowClient(backend)
        for number in range(5):
            client.submit(FORKING, f"fork-{number}", 1)
            client.submit(WELL, f"well-{number}", 1)
        for number in range(5):
            status = client.wait(f"fork-{number}", PATIENCE_SECS)
            assert status.is_completed(), status
            assert status.output == 1, "the parent's result, never that of the copy"
            assert client.wait(f"well-{number}", PATIENCE_SECS).output == 3
        copies = list[int]()

        def all_have_ended() -> bool:
            copies[:] = [int(words[2]) for words in noted(path) if words[0] == "copy"]
            return len(copies) == 10 and all(map(gone, copies))

        try:
            assert await_(all_have_ended, 10), "a copy goes on, with the locks of its worker"
        finally:
            for pid in copies:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        command.send()
        assert command.end() == 0, "\n".join(command.lines)
    assert Counter(words[0] for words in noted(path)) == {"forking": 10, "copy": 10, "well": 10}
