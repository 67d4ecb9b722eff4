"""`sayiir worker` as one process: it works, ends in good order, and at once when it is told twice."""

import signal

import pytest

from sayiir import WorkflowClient, connect
from tests.cli.flows import HANG, LEAVE, TELL
from tests.cli.support import Command
from tests.worker.child import CHAIN, QUICK, noted, open_gate
from tests.worker.support import ended, eventually, status

MISBEHAVING = ("tests.cli.flows:all_of_them",)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.db"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, path):
    return f"sqlite:///{path}" if request.param == "sqlite" else request.getfixturevalue("pg_url")


@pytest.fixture
def sqlite_url(path):
    return f"sqlite:///{path}"


def names(path):
    return [words[0] for words in noted(path)]


def test_it_works_and_ends_in_good_order(path, url):
    with connect(url) as backend, Command(path, url, "--worker-id", "w1", "--tag", "gpu") as command:
        client = WorkflowClient(backend)
        client.submit(QUICK, "a", 1)
        assert ended(backend, "a").output == 4
        command.send()
        assert command.end() == 0
        assert [entry.worker_id for entry in client.timeline("a")] == ["w1"] * 3
        assert command.workers() == [("w1", command.process.pid)]
        assert {int(words[2]) for words in noted(path)} == {command.process.pid}
        command.await_lines(r"worker w1 \(process \d+\) has ended")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_task_may_finish_and_its_result_is_committed(path, url, number):
    with connect(url) as backend, Command(path, url) as command:
        client = WorkflowClient(backend)
        client.submit(CHAIN, "a", 1)
        eventually(lambda: names(path) == ["quick", "slow"])
        command.send(number)
        command.await_lines("ends: it was told to end; running tasks may finish")
        assert command.process.poll() is None
        open_gate(path)
        assert command.end() == 0
        assert client.get_task_result("a", "slow") == 4
        assert status(backend, "a").is_in_progress()
        assert names(path) == ["quick", "slow"]
        with Command(path, url):  # another one goes on from there
            assert ended(backend, "a").output == 5
    assert names(path) == ["quick", "slow", "quick"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once_and_the_work_is_free(path, url, number):
    with connect(url) as backend, Command(path, url, "--grace", "3600") as command:
        client = WorkflowClient(backend)
        client.submit(CHAIN, "a", 1)
        eventually(lambda: names(path) == ["quick", "slow"])
        command.send()
        command.await_lines("ends: it was told to end")
        command.send(number)
        assert command.end() == 128 + number
        command.await_lines("ends at once")
        assert [token.owner for token in backend.load("a").tokens] == [None]
        open_gate(path)
        with Command(path, url):
            assert ended(backend, "a").output == 5
    assert names(path) == ["quick", "slow", "slow", "quick"]


def test_what_outlives_the_grace_is_left_to_others(path, sqlite_url):
    with connect(sqlite_url) as backend, Command(path, sqlite_url, "--grace", "0") as command:
        WorkflowClient(backend).submit(CHAIN, "a", 1)
        eventually(lambda: names(path) == ["quick", "slow"])
        command.send()
        assert command.end() == 0
        command.await_lines("ends while task 'slow' of instance 'a' still runs")
        assert [token.owner for token in backend.load("a").tokens] == [None]


def test_a_task_that_ends_the_worker_is_an_error(path, sqlite_url):
    with connect(sqlite_url) as backend, Command(path, sqlite_url, targets=MISBEHAVING) as command:
        WorkflowClient(backend).submit(LEAVE, "a", 1)
        assert command.end() == 1
        command.await_lines("ends: task 'leave' of instance 'a' raised SystemExit")


def test_a_worker_full_of_hanging_tasks_asks_to_be_replaced(path, sqlite_url):
    with connect(sqlite_url) as backend, Command(path, sqlite_url, targets=MISBEHAVING) as command:
        client = WorkflowClient(backend)
        client.submit_many(HANG, [(f"i{number}", 1) for number in range(16)])
        assert command.end() == 75
        command.await_lines("ends, to be replaced: 16 of its tasks hang in their threads beyond their timeouts")
        assert all(found.error.startswith("TaskTimeoutError") for found in ended(backend, *(f"i{n}" for n in range(16))))


def test_what_tasks_log_is_kept_and_not_printed(path, sqlite_url):
    with connect(sqlite_url) as backend, Command(path, sqlite_url, targets=MISBEHAVING) as command:
        WorkflowClient(backend).submit(TELL, "a", 7)
        ended(backend, "a")
        command.send()
        assert command.end() == 0
        lines = backend.logs(backend.load("a").instance.number, 100)
    assert [(line.level, line.message) for line in lines] == [("info", "told 7")]
    assert not [line for line in command.lines if "told 7" in line]


def test_a_file_shows_that_it_lives(path, tmp_path, sqlite_url):
    alive = tmp_path / "alive"
    with Command(path, sqlite_url, "--alive-file", str(alive)) as command:
        command.workers()
        first = alive.stat().st_mtime_ns
        eventually(lambda: alive.stat().st_mtime_ns > first)
        command.send()
        assert command.end() == 0


def test_the_schema_is_a_namespace(path, pg_url):
    with connect(pg_url, schema="tenant") as backend, Command(path, pg_url, "--schema", "tenant") as command:
        WorkflowClient(backend).submit(QUICK, "a", 1)
        assert ended(backend, "a").output == 4
        command.send()
        assert command.end() == 0
