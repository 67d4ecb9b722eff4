"""What earlier releases have written is opened, read and finished by today's code.

The format is of a pre-release until 1.0: when it changes before that, `python -m tests.upgrade.make` makes the artefacts
anew. From 1.0 on they stay as they are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sayiir import PostgresBackend, SqliteBackend, Worker, WorkflowClient
from tests.upgrade.flows import OUTPUT, SITUATIONS, flow
from tests.upgrade.make import TABLES

FORMATS = sorted(folder for folder in Path(__file__).parent.glob("format-*") if folder.is_dir())
INPUT = {"n": 1, "text": "ä €"}


def sqlite_file(folder: Path, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((folder / "sqlite.sql").read_text("utf-8"))


def postgres_schema(folder: Path, url: str) -> None:
    rows = json.loads((folder / "postgres.json").read_text("utf-8"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA sayiir")
        connection.execute("SET search_path TO sayiir")
        connection.execute("CREATE TABLE migrations (number integer PRIMARY KEY, name text NOT NULL, applied_at bigint NOT NULL)")
        connection.execute((folder / "postgres.sql").read_text("utf-8").encode())
        for table in TABLES:
            connection.execute(
                f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_recordset(NULL::{table}, %s)".encode(),
                (json.dumps(rows[table]),),
            )
        for table, column in (("definitions", "number"), ("signals", "id"), ("owners", "owner")):
            connection.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), (SELECT coalesce(max({column}), 1) FROM {table}))".encode()
            )


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=FORMATS, ids=lambda folder: folder.name)
def store(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Iterator[Any]:
    if kind == "sqlite":
        sqlite_file(request.param, tmp_path / "runs.db")
        with SqliteBackend(tmp_path / "runs.db") as backend:
            yield backend
        return
    url = request.getfixturevalue("pg_url")
    postgres_schema(request.param, url)
    with PostgresBackend(url) as backend:
        yield backend


def test_there_are_artefacts() -> None:
    assert [folder.name for folder in FORMATS][:1] == ["format-1"]


def test_what_was_written_is_read(store: Any) -> None:
    client = WorkflowClient(store)
    assert {name: client.status(name).status for name in SITUATIONS} == SITUATIONS
    assert client.status("completed").output == OUTPUT
    assert client.status("failed").error == "ValueError: a bad payload"
    assert (client.status("paused").reason, client.status("paused").paused_by) == ("lunch", "somebody")
    assert client.status("awaits").definition_hash == flow().definition_hash, "running instances would be orphans"
    assert client.get_task_result("waits", "first") == {"first": INPUT}
    assert client.get_task_result("waits", "go") == "went"
    assert client.get_task_result("awaits", "left") == {"first": INPUT, "turns": 3}
    assert [client.get_task_result("awaits", "turn", iteration=number) for number in (1, 2, 3)] == [
        {"first": INPUT, "turns": number} for number in (1, 2, 3)
    ]
    turns = [entry.iteration for entry in client.timeline("awaits") if entry.task_id == "child_0/turn"]
    assert turns == [1, 2, 3], "each turn of the loop is told, once"
    assert [found.instance_id for found in client.find(metadata={"team": "upgrade"}, status="failed").items] == ["failed"]
    assert {entry.status for entry in client.timeline("completed")} == {"completed"}


def test_what_was_begun_is_finished(store: Any) -> None:
    """All of it was due long ago; only the delays that begin now are an hour long, and are not waited for."""
    client = WorkflowClient(store)
    before = {name: {r.ref: r for r in store.history(store.load(name).instance.number)} for name in SITUATIONS}
    client.unpause("paused")
    client.retry("cancelled")
    client.retry("failed", input="good")
    for name in ("submitted", "awaits", "paused", "cancelled"):
        assert client.send_signal(name, "go", "went", dedup_key="2") is not False
    with Worker("today", store, retention=None).start([flow()]):
        assert client.wait("waits", 60).output == OUTPUT
        assert client.wait("failed", 60).output == {"last": {"paid": "good"}}
        for name in ("submitted", "awaits", "has its signal", "paused", "cancelled"):
            assert client.wait(name, 60, until="parked").is_waiting(), name
            assert client.get_task_result(name, "go") == "went"
    for name, records in before.items():
        now = {r.ref: r for r in store.history(store.load(name).instance.number)}
        assert records.keys() <= now.keys(), "history is append-only"
        assert all(now[ref].output == record.output for ref, record in records.items())
