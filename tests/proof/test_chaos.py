"""Workers in real processes under faults: killed, stopped beyond their claims, and their server taken from them.

Instances of every kind of node are under way on three workers while faults fall on them. Afterwards each one has ended
as an undisturbed one does, and the ledger, a file outside the database, shows which executions were repeats.
"""

import contextlib
import json
import os
import random
import threading
import time
from itertools import chain
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sayiir import WorkflowClient, connect
from sayiir.core.lifecycle import TERMINAL
from sayiir.core.records import Record
from tests.proof.common import PROVE
from tests.proof.crew import Crew, Line
from tests.proof.invariants import check, fates, ledger_of
from tests.proof.killed_child import SIGNAL, workflow
from tests.proof.storm import Storm
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy

FAULTS = 60 if PROVE else 8
INSTANCES = 600 if PROVE else 48
WORKERS = 3
PATIENCE_SECS = 300 if PROVE else 90


def read(backend: Any, instance_id: str) -> tuple[list[Record], dict[int, Any]]:
    """Return an instance's history, and what its references stand for."""
    number = backend.load(instance_id).instance.number
    records = backend.history(number)
    refs = [0, *(record.ref for record in records if record.status == "completed")]
    return records, {ref: json.loads(backend.value(number, ref)) for ref in refs}


def survive(url: str, folder: Path, faults_of: Any, record_property: Any) -> Crew:
    """Let instances run through faults, and check every one of them; return who ran them."""
    seed = int(os.environ.get("SAYIIR_SEED", "0")) or random.SystemRandom().randint(1, 2**32)
    print(f"SAYIIR_SEED={seed}")
    chance, ledger, moment = random.Random(seed), folder / "ledger", threading.Event()
    ledger.touch()
    flow, names = workflow(), list[str]()
    with connect(url) as backend, Crew(url, ledger) as crew:
        client = WorkflowClient(backend)

        def submit() -> None:
            names.append(f"i{len(names)}")
            client.submit(flow, names[-1], 1)
            client.send_signal(names[-1], SIGNAL, names[-1], dedup_key="1")

        for _ in range(WORKERS):
            crew.hire()
        submit()
        client.wait(names[0], PATIENCE_SECS)
        clean, values = read(backend, names[0])
        assert check(clean, values, clean, ledger_of(ledger)[names[0]], pids=crew.pids) == 0

        crew.feed = submit
        faults = faults_of(crew, chance)
        for number in range(FAULTS):
            for _ in range(INSTANCES // FAULTS):
                submit()
            # Not to synchronise: the moments at which faults fall are chance, while these are under way.
            moment.wait(chance.uniform(0.0, 0.3))
            faults[number % len(faults)]()
        crew.wake()
        deadline = time.monotonic() + PATIENCE_SECS
        for name in names:
            status = client.wait(name, max(0.0, deadline - time.monotonic()))
            assert status.is_completed(), (name, status)
        crew.dismiss()
        lines, told, repeats = ledger_of(ledger), dict[str, Any](), 0
        for name in names:
            records, values = read(backend, name)
            assert backend.load(name).instance.status in TERMINAL
            assert not backend.load(name).tokens
            told[name] = fates(records)
            repeats += check(
                records, values, clean, lines[name], pids=crew.pids, struck=crew.struck, broken=crew.broken
            )  # fmt: skip
    assert repeats >= len(crew.cut_short)
    for line in crew.cut_short:
        fate = told[line["instance"]][line["node"], line["iteration"], line["attempt"]]
        assert fate == "crashed", (line, fate)
    for line in crew.finished:
        fate = told[line["instance"]][line["node"], line["iteration"], line["attempt"]]
        assert fate in {"completed", "failed"}, (line, fate)
    record_property("instances", len(names))
    record_property("executions", sum(map(len, lines.values())))
    record_property("repeats", repeats)
    for what, count in crew.befallen.items():
        record_property(what, count)
    print(f"{FAULTS} faults, {len(names)} instances, {repeats} repeats, {len(crew.cut_short)} of them certain")
    return crew


def kills(crew: Crew, chance: random.Random) -> list[Any]:
    # Not stopped: one that is stopped in the middle of a write keeps everybody else from SQLite's only write lock.
    return [lambda: crew.kill(chance), lambda: crew.kill(chance, in_hand=True)]


def deaths(crew: Crew, chance: random.Random) -> list[Any]:
    return [*kills(crew, chance), lambda: crew.stop(chance), lambda: crew.retire(chance), crew.wake]


@pytest.mark.timeout(3600 if PROVE else 240)
def test_workers_on_sqlite_that_are_killed_lose_nothing(tmp_path: Path, record_property: Any) -> None:
    crew = survive(f"sqlite:///{tmp_path}/runs.db", tmp_path, kills, record_property)
    assert len(crew.cut_short) >= crew.befallen["kills"] // 2 > 0, "every second one was killed with a task in hand"


@pytest.mark.timeout(3600 if PROVE else 240)
def test_workers_on_postgres_that_are_killed_and_stopped_lose_nothing(
    pg_url: str, tmp_path: Path, record_property: Any
) -> None:
    crew = survive(pg_url, tmp_path, deaths, record_property)
    befallen = crew.befallen
    assert len(crew.cut_short) >= befallen["kills"] // 2 + befallen["stops"] > 0
    assert len(crew.finished) >= befallen["retired"] > 0


@pytest.mark.timeout(3600 if PROVE else 240)
def test_workers_whose_server_restarts_and_ends_their_connections_lose_nothing(
    tmp_path: Path, record_property: Any
) -> None:
    with PostgresServer() as server:  # of its own, which commits as in production

        def faults(crew: Crew, chance: random.Random) -> list[Any]:
            def terminate() -> None:
                crew.broken += 1
                crew.befallen["terminated"] += server.terminate_connections("sayiir")

            def restart() -> None:
                crew.broken += 1
                server.restart("immediate")
                crew.befallen["restarts"] += 1

            return [terminate, restart, terminate, lambda: crew.kill(chance, in_hand=True)]

        crew = survive(server.create_database(), tmp_path, faults, record_property)
    befallen = crew.befallen
    assert befallen["terminated"] >= WORKERS, "the connections of each worker are among the first"
    assert befallen["restarts"] > 0
    assert len(crew.cut_short) >= befallen["kills"] > 0


@pytest.mark.timeout(3600 if PROVE else 240)
def test_workers_whose_connections_are_cut_anywhere_held_up_and_stalled_lose_nothing(
    pg_url: str, proxy: Proxy, tmp_path: Path, record_property: Any
) -> None:
    with contextlib.ExitStack() as stack:

        def faults(crew: Crew, chance: random.Random) -> list[Any]:
            storm = stack.enter_context(Storm(proxy, crew, random.Random(chance.random())))
            return [storm.rise, storm.pass_over]

        crew = survive(proxy.through(pg_url), tmp_path, faults, record_property)
    # FAULTS is even: each storm that rose has passed over. Two cuts are inside of what is sent, the third is of all.
    assert crew.befallen["cuts"] >= 3 * (FAULTS // 2)


@pytest.mark.timeout(240)
def test_workers_whose_clocks_are_wrong_run_nothing_twice(pg_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.touch()
    flow = workflow()
    with connect(pg_url) as backend, Crew(pg_url, ledger) as crew:
        client = WorkflowClient(backend)
        for skew in (60.0, -60.0, 0.0):
            crew.hire(skew)
        names, lines, began = list[str](), dict[str, list[Line]](), time.monotonic()
        while len(names) < 30 or {line["pid"] for line in chain(*lines.values())} != crew.pids:
            assert time.monotonic() < began + PATIENCE_SECS, "somebody has nothing to do"
            for _ in range(10):
                names.append(f"i{len(names)}")
                client.submit(flow, names[-1], 1)
                client.send_signal(names[-1], SIGNAL, names[-1], dedup_key="1")
            assert all(client.wait(name, PATIENCE_SECS).is_completed() for name in names[-10:])
            lines = ledger_of(ledger)
        crew.dismiss()
        ended = _now_of(pg_url)
        clean, _ = read(backend, names[0])
        for name in names:
            records, values = read(backend, name)
            assert check(records, values, clean, lines[name], pids=crew.pids) == 0
            created = backend.load(name).instance.created_at
            for record in records:
                # A worker whose own clock counted would be a minute off on either side, and this takes less than one.
                assert created <= record.started_at <= record.finished_at <= ended, "one clock for all"


def _now_of(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").fetchone()
    assert row is not None
    return int(row[0])
