"""A worker in a process of its own, and the workflows of the tests that use it: `python -m tests.worker.child PATH NAME …`.

Its database is the file, or what SAYIIR_TEST_URL names. Its tasks note what they do in a file of their own, which knows what really happened whatever became of the
process.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sayiir import Flow, PostgresBackend, SqliteBackend, Worker, get_task_context

ROOT = Path(__file__).parents[2]
PATH = os.environ.get("SAYIIR_TEST_PATH", "")


def note(*words):
    """Append one line, whole or not at all."""
    line = " ".join(map(str, (*words, os.getpid()))) + "\n"
    file = os.open(PATH + ".ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, line.encode())
    os.close(file)


def noted(path):
    """Return the lines so far, as words."""
    with contextlib.suppress(FileNotFoundError):
        return [line.split() for line in Path(f"{path}.ledger").read_text().splitlines()]
    return []


def open_gate(path):
    Path(f"{path}.gate").touch()


def wait_at_gate():
    while not Path(PATH + ".gate").exists():
        time.sleep(0.005)


def quick(x):
    note("quick", get_task_context().instance_id)
    return x + 1


def slow(x):
    note("slow", get_task_context().instance_id)
    wait_at_gate()
    return x * 2


def kill(x):
    note("kill", get_task_context().instance_id)
    os.kill(os.getpid(), signal.SIGKILL)


def branch(number):
    def run(x):
        note("branch", number)
        wait_at_gate()
        return os.getpid()

    return run


def join(results):
    note("join", get_task_context().instance_id)
    return results


CHAIN = Flow("chain").then(quick, name="one").then(slow).then(quick, name="two").build()
QUICK = Flow("quick").then(quick, name="one").then(quick, name="two").then(quick, name="three").build()
POISON = Flow("poison").then(quick).then(kill).build()
_draft = Flow("fork").fork()
for _number in range(4):
    _draft = _draft.branch(branch(_number), name=f"b{_number}")
FORK = _draft.join(join).build()
ALL = [CHAIN, QUICK, POISON, FORK]


class Process:
    """A worker's process, ended with the block."""

    def __init__(self, path, name, *, url=None, **options):
        self.name = name
        environment = {
            **os.environ,
            "SAYIIR_TEST_PATH": str(path),
            "SAYIIR_TEST_URL": url or "",
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.worker.child", name, json.dumps(options)],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert self.process.stdout.readline() == "working\n"
        except BaseException:
            self.__exit__()
            raise

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        """Ask it to shut down, and return its exit code."""
        self.process.stdin.close()
        return self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()


def open_backend(path, url=None):
    return SqliteBackend(path, durability="normal") if url is None else PostgresBackend(url)


def main():
    with open_backend(PATH, os.environ.get("SAYIIR_TEST_URL") or None) as backend:
        with Worker(sys.argv[1], backend, **json.loads(sys.argv[2])).start(ALL):
            print("working", flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main()
