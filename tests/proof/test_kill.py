"""Real processes on a real file, killed by SIGKILL at random moments: nothing is lost, nothing committed changes.

Each instance is moved by one process after the other; all but the last are killed. Two instances are under way at the
same time, so that processes also die while another one writes. The ledger of executions lies outside the database.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import sayiir
from sayiir import WorkflowClient
from sayiir.core.records import Record
from sayiir.store.sqlite import SqliteBackend
from tests.proof import killed_child
from tests.proof.common import PROVE
from tests.proof.invariants import check, ledger_of

KILLS = 210 if PROVE else 24
KILLS_OF_ONE = 2
"""Fewer than would make the engine give up on a task that seems to kill its process."""
_CHILD = Path(killed_child.__file__)
_PATH = os.pathsep.join([str(Path(sayiir.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])


@dataclass
class Case:
    """One instance and the processes that moved it."""

    folder: Path
    instance_id: str
    seed: int
    pids: set[int] = field(default_factory=set)
    killed: set[int] = field(default_factory=set)
    seen: dict[int, Record] = field(default_factory=dict)
    values: dict[int, Any] = field(default_factory=dict)

    @property
    def database(self) -> str:
        return str(self.folder / "runs.db")

    def live(self, chance: random.Random, *, last: bool) -> bool:
        """Run a process; kill it somewhere unless it is the last. Return whether it completed the instance."""
        command = [sys.executable, str(_CHILD), self.database, str(self.folder / "ledger"), self.instance_id]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": _PATH})
        self.pids.add(child.pid)
        if not last:
            await_bytes(child, chance.choice((1, *(chance.randint(2, 20) for _ in range(4)))))
            until = time.perf_counter() + chance.choice((0.0, chance.random() * 0.004))
            while time.perf_counter() < until:
                pass  # dying at any point of a step, and not only right after a line
            child.kill()
        _, errors = child.communicate()
        if child.returncode == -signal.SIGKILL:
            self.killed.add(child.pid)
            return False
        assert child.returncode == 0, f"{self}: exit code {child.returncode} (3 means busy)\n{errors.decode()}"
        return True

    def read(self) -> None:
        """Read the instance, and see that what was read before has not changed."""
        with SqliteBackend(self.database) as backend:
            view = backend.load(self.instance_id)
            assert view is not None or not self.seen, f"{self} is gone"
            if view is None:
                return
            records = {record.ref: record for record in backend.history(view.instance.number)}
            for ref, record in self.seen.items():
                assert records.get(ref) == record
            for ref, record in records.items():
                if record.status == "completed":
                    value = json.loads(backend.value(view.instance.number, ref))
                    assert self.values.setdefault(ref, value) == value
            self.seen = records
            self.values[0] = json.loads(backend.value(view.instance.number, 0))

    def check_file(self) -> None:
        with closing(sqlite3.connect(self.database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def approve(self) -> None:
        """Send the signal; the key makes a second time harmless."""
        with SqliteBackend(self.database) as backend:
            WorkflowClient(backend).send_signal(self.instance_id, killed_child.SIGNAL, self.instance_id, dedup_key="1")

    def run(self) -> None:
        """Move the instance through all its processes."""
        chance = random.Random(self.seed)
        approval = chance.randint(0, KILLS_OF_ONE)
        for life in range(KILLS_OF_ONE + 1):
            if life == approval:
                self.approve()
            completed = self.live(chance, last=life == KILLS_OF_ONE)
            if chance.random() < 0.7:  # else the next process finds the file as the killed one left it
                self.read()
                self.check_file()
            if completed:
                break
        self.read()
        self.check_file()


def await_bytes(child: subprocess.Popen[bytes], count: int) -> None:
    """Wait until the child has announced so many things, or has ended."""
    assert child.stdout is not None
    while count > 0 and (read := os.read(child.stdout.fileno(), count)):
        count -= len(read)


def check_case(case: Case, clean: Case, lines: list[dict[str, Any]]) -> int:
    """Compare a killed instance with an undisturbed one; return how many executions were repeats."""
    records, undisturbed = list(case.seen.values()), list(clean.seen.values())
    return check(records, case.values, undisturbed, lines, pids=case.pids, struck=case.killed)


@pytest.mark.timeout(3600 if PROVE else 120)
def test_sigkill_at_random_moments_loses_nothing(tmp_path: Path, record_property: Any) -> None:
    seed = int(os.environ.get("SAYIIR_SEED", "0")) or random.SystemRandom().randint(1, 2**32)
    print(f"SAYIIR_SEED={seed}")
    clean = Case(tmp_path, "undisturbed", seed)
    clean.approve()
    assert clean.live(random.Random(seed), last=True)
    clean.read()

    cases: list[Case] = []
    with ThreadPoolExecutor(2) as pool:
        while sum(len(case.killed) for case in cases) < KILLS:
            fresh = [Case(tmp_path, f"killed-{len(cases) + i}", seed + len(cases) + i) for i in range(4)]
            list(pool.map(Case.run, fresh))
            cases += fresh
            assert len(cases) < KILLS, "most processes must be killed before they are done"

    ledger = ledger_of(tmp_path / "ledger")
    assert check_case(clean, clean, ledger[clean.instance_id]) == 0
    repeats = sum(check_case(case, clean, ledger[case.instance_id]) for case in cases)
    kills = sum(len(case.killed) for case in cases)
    assert sum(record.status == "crashed" for case in cases for record in case.seen.values()) >= kills / 4, "vacuous"
    record_property("kills", kills)
    record_property("instances", len(cases))
    record_property("executions", sum(map(len, ledger.values())))
    record_property("repeats", repeats)
    print(f"{kills} kills, {len(cases)} instances, {sum(map(len, ledger.values()))} executions, {repeats} repeats")
