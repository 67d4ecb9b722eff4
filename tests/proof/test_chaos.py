"""Workers in real processes under faults: killed, stopped beyond their claims, and their server taken from them.

Instances of every kind of node are under way on three workers while faults fall on them. Afterwards each one has ended
as an undisturbed one does, and the ledger, a file outside the database, shows which executions were repeats.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Self

import pytest

from sayiir import WorkflowClient, connect
from sayiir.core.lifecycle import TERMINAL
from sayiir.core.records import Record
from tests.proof import chaos_worker
from tests.proof.common import PROVE
from tests.proof.invariants import check, ledger_of
from tests.proof.killed_child import SIGNAL, workflow
from tests.servers.postgres import PostgresServer

ROOT = Path(__file__).parents[2]
FAULTS = 60 if PROVE else 8
INSTANCES = 600 if PROVE else 48
WORKERS = 3
PATIENCE_SECS = 300 if PROVE else 90


class Crew:
    """The workers' processes, and what has befallen them."""

    def __init__(self, url: str, ledger: Path) -> None:
        self.url = url
        self.ledger = ledger
        self.pids: set[int] = set()
        self.alive: list[subprocess.Popen[str]] = []
        self.stopped: list[subprocess.Popen[str]] = []
        self.readers: list[threading.Thread] = []
        self.befallen: Counter[str] = Counter()

    def hire(self, skew: float = 0.0) -> None:
        command = [sys.executable, chaos_worker.__file__, self.url, str(self.ledger), f"w{len(self.pids)}", str(skew)]
        paths = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip
        assert child.stderr is not None
        while child.stderr.readline() not in ("working\n", ""):
            pass
        # What it logs of its troubles is read on, or it would wait for the pipe.
        reader = threading.Thread(target=drain, args=(child.stderr,), daemon=True)
        reader.start()
        self.readers.append(reader)
        self.pids.add(child.pid)
        self.alive.append(child)

    def kill(self, chance: random.Random) -> None:
        victim = self.alive.pop(chance.randrange(len(self.alive)))
        victim.kill()
        victim.wait()
        self.befallen["kills"] += 1
        assert victim.stdin is not None
        victim.stdin.close()
        self.hire()

    def stop(self, chance: random.Random) -> None:
        """Stop one for longer than its claims are good; it wakes as a zombie."""
        victim = self.alive.pop(chance.randrange(len(self.alive)))
        victim.send_signal(signal.SIGSTOP)
        self.befallen["stops"] += 1
        self.stopped.append(victim)
        self.hire()

    def wake(self) -> None:
        for child in self.stopped:
            child.send_signal(signal.SIGCONT)
        self.alive += self.stopped
        self.stopped = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in [*self.alive, *self.stopped]:
            if child.poll() is None:  # the test has failed
                child.kill()
                child.wait()
            assert child.stdin is not None
            child.stdin.close()
        for reader in self.readers:
            reader.join(60)

    def dismiss(self) -> None:
        self.wake()
        for child in self.alive:
            assert child.stdin is not None
            child.stdin.close()
        for child in self.alive:
            assert child.wait(60) == 0


def drain(stream: Any) -> None:
    with stream:
        stream.read()


def read(backend: Any, instance_id: str) -> tuple[list[Record], dict[int, Any]]:
    """Return an instance's history, and what its references stand for."""
    number = backend.load(instance_id).instance.number
    records = backend.history(number)
    refs = [0, *(record.ref for record in records if record.status == "completed")]
    return records, {ref: json.loads(backend.value(number, ref)) for ref in refs}


def survive(url: str, folder: Path, faults_of: Any, record_property: Any) -> None:
    seed = int(os.environ.get("SAYIIR_SEED", "0")) or random.SystemRandom().randint(1, 2**32)
    print(f"SAYIIR_SEED={seed}")
    chance, ledger, moment = random.Random(seed), folder / "ledger", threading.Event()
    ledger.touch()
    flow = workflow()
    with connect(url) as backend, Crew(url, ledger) as crew:
        client = WorkflowClient(backend)
        for _ in range(WORKERS):
            crew.hire()
        names = ["undisturbed", *(f"i{number}" for number in range(INSTANCES // FAULTS * FAULTS))]
        client.submit(flow, names[0], 1)
        client.send_signal(names[0], SIGNAL, names[0], dedup_key="1")
        client.wait(names[0], PATIENCE_SECS)
        clean, values = read(backend, names[0])
        assert check(clean, values, clean, ledger_of(ledger)[names[0]], faults=0, pids=crew.pids) == 0

        faults, each = faults_of(crew, chance), INSTANCES // FAULTS
        for number in range(FAULTS):
            for name in names[1 + number * each : 1 + (number + 1) * each]:
                client.submit(flow, name, 1)
                client.send_signal(name, SIGNAL, name, dedup_key="1")
            # Not to synchronise: the moments at which faults fall are chance, while these are under way.
            moment.wait(chance.uniform(0.0, 0.3))
            faults[number % len(faults)]()
        crew.wake()
        deadline = time.monotonic() + PATIENCE_SECS
        for name in names[1:]:
            status = client.wait(name, max(0.0, deadline - time.monotonic()))
            assert status.is_completed(), (name, status)
        crew.dismiss()
        lines = ledger_of(ledger)
        repeats = 0
        for name in names[1:]:
            records, values = read(backend, name)
            assert backend.load(name).instance.status in TERMINAL
            assert not backend.load(name).tokens
            repeats += check(records, values, clean, lines[name], faults=FAULTS, pids=crew.pids)
    record_property("instances", len(names))
    record_property("executions", sum(map(len, lines.values())))
    record_property("repeats", repeats)
    for what, count in crew.befallen.items():
        record_property(what, count)
    print(f"{FAULTS} faults, {INSTANCES} instances, {repeats} repeats")


def kills(crew: Crew, chance: random.Random) -> list[Any]:
    # Not stopped: one that is stopped in the middle of a write keeps everybody else from SQLite's only write lock.
    return [lambda: crew.kill(chance)]


def deaths(crew: Crew, chance: random.Random) -> list[Any]:
    return [lambda: crew.kill(chance), lambda: crew.kill(chance), lambda: crew.stop(chance), crew.wake]


@pytest.mark.timeout(3600 if PROVE else 240)
def test_workers_on_sqlite_that_are_killed_lose_nothing(tmp_path: Path, record_property: Any) -> None:
    survive(f"sqlite:///{tmp_path}/runs.db", tmp_path, kills, record_property)


@pytest.mark.timeout(3600 if PROVE else 240)
def test_workers_on_postgres_that_are_killed_and_stopped_lose_nothing(
    pg_url: str, tmp_path: Path, record_property: Any
) -> None:
    survive(pg_url, tmp_path, deaths, record_property)


@pytest.mark.timeout(3600 if PROVE else 240)
def test_workers_whose_server_restarts_and_ends_their_connections_lose_nothing(
    tmp_path: Path, record_property: Any
) -> None:
    with PostgresServer() as server:  # of its own, which commits as in production

        def faults(crew: Crew, chance: random.Random) -> list[Any]:
            def terminate() -> None:
                crew.befallen["terminated"] += server.terminate_connections("sayiir")

            def restart() -> None:
                server.restart("immediate")
                crew.befallen["restarts"] += 1

            return [terminate, restart, terminate, lambda: crew.kill(chance)]

        survive(server.create_database(), tmp_path, faults, record_property)


@pytest.mark.timeout(240)
def test_workers_whose_clocks_are_wrong_run_nothing_twice(pg_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.touch()
    flow = workflow()
    with connect(pg_url) as backend, Crew(pg_url, ledger) as crew:
        client = WorkflowClient(backend)
        for skew in (60.0, -60.0, 0.0):
            crew.hire(skew)
        names = [f"i{number}" for number in range(30)]
        for name in names:
            client.submit(flow, name, 1)
            client.send_signal(name, SIGNAL, name, dedup_key="1")
        assert all(client.wait(name, PATIENCE_SECS).is_completed() for name in names)
        crew.dismiss()
        lines = ledger_of(ledger)
        clean, _ = read(backend, names[0])
        for name in names:
            records, values = read(backend, name)
            assert check(records, values, clean, lines[name], faults=0, pids=crew.pids) == 0
            assert all(record.started_at <= record.finished_at for record in records)
            began = backend.load(name).instance.created_at
            assert all(0 <= record.started_at - began < 100_000_000 for record in records), "one clock for all"
