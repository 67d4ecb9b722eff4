"""One engine at work: its worker processes, its ledger and its database, with a time limit on everything that is waited for.

A worker with a wrong clock has one for its whole process: a library in C, made with the machine's compiler, answers the
questions after the time of day before the system does. It is so for both engines.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from proof.part import ROOT

_SCRIPT = Path(__file__).with_name("actor.py")
_CALL_SECS = 30.0
_CLOCK = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static time_t skew(void) { const char *by = getenv("SKEW_SECS"); return by ? atol(by) : 0; }
int clock_gettime(clockid_t id, struct timespec *at) {
    int answer = syscall(SYS_clock_gettime, id, at);
    if (answer == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += skew();
    return answer;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


@dataclass(frozen=True, slots=True)
class Engine:
    """An interpreter with an engine in it."""

    name: str
    python: str
    is_ours: bool = False

    def environment(self) -> dict[str, str]:
        """Return the variables of its processes: the other engine, of the same name, must not be found."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return {**clean, "PYTHONPATH": str(ROOT / "src")} if self.is_ours else clean


def wrong_clock(folder: Path) -> Path | None:
    """Return the library that shifts a process's clock by SKEW_SECS; None where it cannot be made."""
    compiler = shutil.which("cc")
    if compiler is None or os.name != "posix":
        return None
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(_CLOCK, "utf-8")
    made = subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], capture_output=True, check=False)
    return library if made.returncode == 0 else None


class Crew:
    """The workers of one engine in one case, gone at the end of `with`.

    Args:
        engine: whose.
        url: a database of their own.
        ledger: the file of what was executed.
    """

    def __init__(self, engine: Engine, url: str, ledger: Path) -> None:
        self.engine, self.url, self.ledger = engine, url, ledger
        self.workers: list[subprocess.Popen[str]] = []
        self.ledger.touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
            assert worker.stdin is not None
            assert worker.stdout is not None
            with suppress(BrokenPipeError):
                worker.stdin.close()
            worker.stdout.close()

    def hire(self, ttl: float, more: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a worker and wait till it says that it works."""
        worker = subprocess.Popen(
            [self.engine.python, _SCRIPT, "work", self.url, f"w{len(self.workers)}", str(ttl), self.ledger],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**self.engine.environment(), **(more or {})},
        )  # fmt: skip
        self.workers.append(worker)
        assert worker.stdout is not None
        impatience = threading.Timer(_CALL_SECS, worker.kill)
        impatience.start()
        try:
            if worker.stdout.readline() != "working\n":
                raise RuntimeError(f"a worker of {self.engine.name} did not start")
        finally:
            impatience.cancel()
        return worker

    def submit(self, flow: str, *ids: str) -> None:
        """Leave instances to the workers."""
        self._call("submit", flow, *ids)

    def status(self, *ids: str) -> list[dict[str, Any]]:
        """Return how instances stand."""
        return [json.loads(line) for line in self._call("status", *ids).splitlines()]

    def result(self, instance: str, task: str) -> Any:
        """Return the result that is stored for a task; None where there is none."""
        return json.loads(self._call("result", instance, task))

    def lines(self, task: str = "") -> list[dict[str, Any]]:
        """Return what was executed."""
        found = [json.loads(line) for line in self.ledger.read_text("utf-8").splitlines()]
        return [line for line in found if not task or line["task"] == task]

    def _call(self, word: str, *arguments: str) -> str:
        command = [self.engine.python, _SCRIPT, word, self.url, *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_CALL_SECS, env=self.engine.environment(), check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self.engine.name}, {word}: {done.stderr[-500:]}")
        return done.stdout

    def settled(self, seconds: float, *ids: str) -> list[dict[str, Any]]:
        """Return how instances stand once all have ended, or when so much time has passed."""
        found: list[dict[str, Any]] = []

        def over() -> bool:
            found[:] = self.status(*ids)
            return all(one["state"] in ("completed", "failed") for one in found)

        await_(over, seconds)
        return found


def await_(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait till something is so, or so much time has passed; return whether it is."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        if time.monotonic() >= deadline:
            return False
        pause.wait(0.1)
    return True
