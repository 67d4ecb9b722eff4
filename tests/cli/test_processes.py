"""`sayiir worker --processes N`: a parent that replaces its children when they die, and tells them when to end."""

import os
import signal
import subprocess
import sys

import pytest

from sayiir import WorkflowClient, connect
from tests.cli.support import Command, environment
from tests.worker.child import CHAIN, QUICK, noted, open_gate
from tests.worker.support import ended, eventually, status


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.db"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, path):
    return f"sqlite:///{path}" if request.param == "sqlite" else request.getfixturevalue("pg_url")


@pytest.fixture
def sqlite_url(path):
    return f"sqlite:///{path}"


BARE_PARENT = """
import sys
from sayiir import init_tracing
from sayiir.cli.options import Options
from sayiir.cli.parent import Parent
init_tracing()
options = Options([], "sqlite:///x", "w", None, [], 5.0, 300.0, 25.0, None, None)
sys.exit(Parent(options, {processes}, 1, command={command!r}).run())
"""
"""A parent of something else than workers; in a process of its own, since it takes the signals."""


def pid_of(path, name):
    """Return the process that began a task last, once it has."""
    return eventually(lambda: next((int(words[2]) for words in reversed(noted(path)) if words[0] == name), None))


def begun(path, count):
    return eventually(lambda: [words[0] for words in noted(path)].count("slow") == count)


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_children_share_the_work_and_drain(path, url):
    arguments = ("--processes", "2", "--concurrency", "1", "--worker-id", "w")
    with connect(url) as backend, Command(path, url, *arguments) as command:
        children = dict(command.workers(2))
        assert sorted(children) == ["w-1", "w-2"]
        assert command.process.pid not in children.values()
        client = WorkflowClient(backend)
        client.submit_many(CHAIN, [("a", 1), ("b", 2)])
        begun(path, 2)
        assert {int(words[2]) for words in noted(path) if words[0] == "slow"} == {*children.values()}
        command.send()
        command.await_lines("ends: it was told to end", 2)
        open_gate(path)
        assert command.end() == 0
        assert [client.get_task_result(name, "slow") for name in "ab"] == [4, 6]
        assert all(map(is_gone, children.values()))
        assert all(status(backend, name).is_in_progress() for name in "ab")


def test_a_killed_child_is_replaced_and_its_work_finished(path, url):
    with connect(url) as backend, Command(path, url, "--processes", "1", "--worker-id", "w") as command:
        WorkflowClient(backend).submit(CHAIN, "a", 1)
        victim = pid_of(path, "slow")
        assert command.workers() == [("w-1", victim)]
        os.kill(victim, signal.SIGKILL)
        command.await_lines("worker process w-1 was killed by SIGKILL; another takes its place")
        (_, (_, heir)) = command.workers(2)
        assert heir != victim
        begun(path, 2)
        open_gate(path)
        assert ended(backend, "a").output == 5
        assert [int(words[2]) for words in noted(path)] == [victim, victim, heir, heir]
        command.send()
        assert command.end() == 0


def test_a_child_that_is_told_to_end_drains_and_is_replaced(path, sqlite_url):
    with connect(sqlite_url) as backend, Command(path, sqlite_url, "--processes", "1", "--worker-id", "w") as command:
        WorkflowClient(backend).submit(CHAIN, "a", 1)
        first = pid_of(path, "slow")
        os.kill(first, signal.SIGTERM)
        command.await_lines("ends: it was told to end")
        open_gate(path)
        command.await_lines("worker process w-1 ended with code 0; another takes its place")
        assert ended(backend, "a").output == 5
        assert [words[0] for words in noted(path)] == ["quick", "slow", "quick"]
        command.send()
        assert command.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_everybody_at_once(path, sqlite_url, number):
    with connect(sqlite_url) as backend, Command(path, sqlite_url, "--processes", "2", "--grace", "3600") as command:
        children = [pid for _, pid in command.workers(2)]
        WorkflowClient(backend).submit(CHAIN, "a", 1)
        begun(path, 1)
        command.send()
        command.await_lines("ends: it was told to end", 2)
        command.send(number)
        assert command.end() == 128 + number
        assert all(map(is_gone, children))
        assert [token.owner for token in backend.load("a").tokens] == [None]


def test_a_supervisor_that_tells_the_whole_group_gets_an_end_in_good_order(path, sqlite_url):
    with connect(sqlite_url) as backend, Command(path, sqlite_url, "--processes", "1") as command:
        ((_, child),) = command.workers()
        WorkflowClient(backend).submit(CHAIN, "a", 1)
        begun(path, 1)
        os.kill(child, signal.SIGTERM)
        command.await_lines("ends: it was told to end")
        command.send()
        command.await_lines("ends: it was told to end", 2)  # once more, by its parent
        open_gate(path)
        assert command.end() == 0
        assert WorkflowClient(backend).get_task_result("a", "slow") == 4


def test_children_of_a_killed_parent_drain_and_end(path, sqlite_url):
    with connect(sqlite_url) as backend, Command(path, sqlite_url, "--processes", "2") as command:
        children = [pid for _, pid in command.workers(2)]
        WorkflowClient(backend).submit(CHAIN, "a", 1)
        begun(path, 1)
        command.process.kill()
        command.await_lines("ends: its parent is gone; running tasks may finish", 2)
        open_gate(path)
        assert command.end() == -signal.SIGKILL
        assert WorkflowClient(backend).get_task_result("a", "slow") == 4
        eventually(lambda: all(map(is_gone_or_unreaped, children)))


def is_gone_or_unreaped(pid):
    """Whether a process that nobody may be there to wait for has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return is_gone(pid)


def test_a_child_that_dies_again_and_again_is_given_up(tmp_path, path, sqlite_url):
    # The parent can import it, its children cannot.
    (tmp_path / "fragile.py").write_text(
        "import os\nfrom pathlib import Path\nfrom tests.worker.child import QUICK\n"
        "if Path('checked').exists():\n    os._exit(7)\nPath('checked').touch()\n"
    )
    arguments = ("--processes", "2", "--max-restarts", "2", "--worker-id", "w")
    with Command(path, sqlite_url, *arguments, targets=("fragile:QUICK",), cwd=tmp_path) as command:
        assert command.end() == 75
        (given_up,) = command.await_lines(r"worker process w-[12] ended with code 7, 3 times in a row; giving up")
        name = given_up.split("worker process ")[1][:3]
        command.await_lines(f"worker process {name} ended with code 7; another takes its place", 2)


def test_a_process_that_cannot_be_started_is_a_death(tmp_path):
    """As when there is no memory for one."""
    code = BARE_PARENT.format(processes=2, command=("./no-such-command",))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 75
    assert "a worker process could not be started: " in done.stderr
    assert "2 times in a row; giving up" in done.stderr


def test_a_child_that_hears_nothing_is_killed_at_a_forced_end(tmp_path):
    deaf = (
        "import signal, sys\nfor number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, signal.SIG_IGN)\n"
        "print('deaf', file=sys.stderr, flush=True)\nsignal.pause()\n"
    )
    code = BARE_PARENT.format(processes=1, command=(sys.executable, "-c", deaf))
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stderr.readline() == "deaf\n"
        parent.send_signal(signal.SIGTERM)
        assert "ending 1 worker processes" in parent.stderr.readline()
        parent.send_signal(signal.SIGTERM)
        assert "at once" in parent.stderr.readline()
        assert parent.stderr.read() == ""  # to its end, so the child is gone, too
        assert parent.wait() == 128 + signal.SIGTERM


def test_a_child_that_had_not_begun_when_the_end_came_has_ended_in_good_order(tmp_path):
    """It holds nothing yet; SIGTERM ends it by itself."""
    code = BARE_PARENT.format(
        processes=1, command=(sys.executable, "-c", "import signal, sys\nprint('up', file=sys.stderr, flush=True)\nsignal.pause()")
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stderr.readline() == "up\n"
        parent.send_signal(signal.SIGTERM)
        assert parent.wait() == 0, parent.stderr.read()


def test_work_done_by_many_processes_is_done_once(path, url):
    with connect(url) as backend, Command(path, url, "--processes", "2") as command:
        command.workers(2)
        WorkflowClient(backend).submit_many(QUICK, [(f"i{number}", number) for number in range(100)])
        found = ended(backend, *(f"i{number}" for number in range(100)))
        assert [s.output for s in found] == [number + 3 for number in range(100)]
        assert len(noted(path)) == 300
        command.send()
        assert command.end() == 0


def test_ctrl_c_in_a_terminal_reaches_the_parent_once(path, sqlite_url):
    """What a terminal does: SIGINT to the foreground group, of which children are no part."""
    with Command(path, sqlite_url, "--processes", "2") as command:
        groups = {os.getpgid(pid) for _, pid in command.workers(2)}
        assert os.getpgid(command.process.pid) not in groups
        assert len(groups) == 2
        command.send(signal.SIGINT)
        assert command.end() == 0


