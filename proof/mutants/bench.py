"""Runs the mutants: each in a copy of the project, never in the working tree.

Every selection of tests must first pass in a copy without a fault: tests that fail anyway would prove nothing.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from proof.mutants.mutant import ROOT, Mutant

_COPIED = ("src", "tests", "proof", "docs", "examples", "README.md", "pyproject.toml")
_TIMEOUT_SECS = 240
_DID_NOT_END = -1
Verdict = Literal["killed", "survived", "invalid"]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one mutant, or of one selection of tests without any ("survived" is what these should do)."""

    name: str
    verdict: Verdict
    seconds: float
    by: str = ""
    """The first test that failed, or why there is no verdict."""


def run_all(
    mutants: Sequence[Mutant], *, jobs: int = 2, tell: Callable[[Trial], None] = lambda _: None, sound: bool = True
) -> list[Trial]:
    """Return what came of each mutant.

    Args:
        mutants: the faults.
        jobs: how many at once.
        tell: called with each trial as it ends.
        sound: whether the tests are first run without a fault.

    Raises:
        RuntimeError: tests fail without any fault.
    """
    with _copies(jobs) as free, ThreadPoolExecutor(jobs) as pool:

        def work(judge: Callable[[Path], Trial]) -> Trial:
            folder = free.get()
            try:
                trial = judge(folder)
            finally:
                free.put(folder)
            tell(trial)
            return trial

        if sound:
            selections = sorted({(mutant.tests, mutant.only) for mutant in mutants})
            clean = list(pool.map(lambda one: work(lambda folder: _without_fault(folder, *one)), selections))
            if failing := [trial for trial in clean if trial.verdict != "survived"]:
                raise RuntimeError(f"these tests fail without any fault: {failing}")
        return list(pool.map(lambda one: work(lambda folder: _with_fault(folder, one)), mutants))


@contextmanager
def _copies(count: int) -> Generator[queue.Queue[Path]]:
    """Give copies of what the tests need, removed afterwards."""
    free: queue.Queue[Path] = queue.Queue()
    with tempfile.TemporaryDirectory(prefix="mutants-") as parent:
        for number in range(count):
            folder = Path(parent) / str(number)
            folder.mkdir()
            for name in _COPIED:
                source = ROOT / name
                if source.is_dir():
                    shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy2(source, folder / name)
            free.put(folder)
        yield free


def _without_fault(folder: Path, tests: tuple[str, ...], only: str) -> Trial:
    return _trial("(no fault) " + " ".join((*tests, only)), *_pytest(folder, tests, only))


def _with_fault(folder: Path, mutant: Mutant) -> Trial:
    with mutant.made(folder):
        return _trial(mutant.name, *_pytest(folder, mutant.tests, mutant.only))


def _trial(name: str, code: int, output: str, seconds: float) -> Trial:
    failures = [line.split(" ", 1)[1].split(" - ")[0] for line in output.splitlines() if line.startswith("FAILED ")]
    if code == 0:
        return Trial(name, "survived", seconds)
    if code == _DID_NOT_END or "Timeout" in output:
        return Trial(name, "killed", seconds, "the tests did not end")
    if code == 1 and failures:
        return Trial(name, "killed", seconds, failures[0])
    return Trial(name, "invalid", seconds, output.strip()[-500:])


def _pytest(folder: Path, tests: Sequence[str], only: str) -> tuple[int, str, float]:
    """Run tests in a copy; return pytest's exit code, what it printed, and how long it took."""
    command = [
        sys.executable, "-B", "-m", "pytest", "-x", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider", "--timeout", "60",
        *(("-k", only) if only else ()), *tests,
    ]  # fmt: skip
    paths = os.pathsep.join((str(folder / "src"), str(folder)))
    began = time.perf_counter()
    child = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    try:
        output, _ = child.communicate(timeout=_TIMEOUT_SECS)
        code = child.returncode
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)  # a session of its own: the servers and workers that it started go too
        output, code = child.communicate()[0], _DID_NOT_END
    return code, output, round(time.perf_counter() - began, 1)
