"""What faces read of the databases is found along indexes, names no payload, and sorts no more than a page's worth."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing

import psycopg
import pytest

from sayiir import SqliteBackend, run_durable_workflow
from sayiir.core.lifecycle import State
from sayiir.service import Access, Role, Service
from sayiir.store.observe_sql import ALL, CANCELLED, FAILED, OF_DEFINITION, OPEN
from sayiir.store.port import Query
from sayiir.store.postgres import PostgresBackend
from tests.service.test_service import ADD, BAD, FLOWS, GATE, OPERATOR

ADMIN = Access("ann", Role.ADMIN)
HIGH = (1 << 63) - 1
PAYLOADS = ("input", "output", "halted", "payload", "structure")
WHERES = (
    "", "status:failed", "status:cancelled", "status:paused,waiting", "status:completed", "workflow:add", "a-", "since:2h",
    "until:2026-01-01", "workflow:add status:failed", "meta.customer:ann",
)  # fmt: skip


def look(service):
    """Ask for everything that lists show."""
    for where in WHERES:
        page = service.find(ADMIN, where, limit=2)
        if page.next:
            service.find(ADMIN, where, limit=2, cursor=page.next)
        service.facets(ADMIN, where)
    service.workflows(ADMIN), service.inbox(ADMIN), service.audit(ADMIN), service.audit(ADMIN, target="a"), service.views(ADMIN)


def test_sqlite_looks_along_indexes_and_reads_no_payloads(tmp_path):
    path, seen = tmp_path / "runs.db", set()
    with SqliteBackend(path) as store:
        service = Service(store, workflows=FLOWS)
        for number in range(5):
            service.submit(OPERATOR, "add", f"a-{number}", b"1")
        run_durable_workflow(BAD, "b", 1, store), run_durable_workflow(GATE, "g", 1, store)
        service.cancel(OPERATOR, "a-1")
        store._read(lambda rows: rows.definitions())
        store._reader[0].set_trace_callback(seen.add)
        look(service)
    asked = {statement for statement in seen if statement.startswith("SELECT")}
    assert len(asked) > 40
    for statement in asked:
        text = statement.replace("i.error IS NOT NULL", "").replace("i.halted IS NOT NULL", "").replace("i.error IS NULL", "")
        assert not re.search(rf"\b({'|'.join(PAYLOADS)})\b", text), statement
    with closing(sqlite3.connect(path)) as connection:
        plans = {one: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {one}")] for one in asked}
    small = ("sayiir_definitions", "sayiir_owners", "sayiir_views")
    for statement, plan in plans.items():
        for line in plan:
            whole = line.startswith("SCAN") and not line.startswith(("SCAN i", "SCAN p", "SCAN a", "SCAN (")) and "USING" not in line
            assert not whole or any(name in line or name in statement for name in small), (statement, plan)


@pytest.fixture(scope="module")
def full(postgres):
    """A store with 30,000 instances, few of them failed, cancelled or unfinished."""
    with postgres.database() as url, PostgresBackend(url) as store:
        run_durable_workflow(ADD, "first", 1, store)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO sayiir.instances (number, instance_id, definition, status, input, created_at, updated_at, error, halted) "
                "SELECT n::bigint * 1000000, 'i' || n, 1, CASE WHEN n % 1000 = 1 THEN 'failed' WHEN n % 1000 = 2 THEN 'cancelled' "
                "WHEN n % 1000 = 3 THEN 'paused' ELSE 'completed' END, '1', n, n, CASE WHEN n % 1000 = 1 THEN '{}' END, "
                "CASE WHEN n % 1000 IN (1, 2) THEN '[]' END FROM generate_series(1, 30000) n"
            )
            connection.execute(
                "INSERT INTO sayiir.tokens (instance, number, state, node, ref, step, attempt, iteration, crashes, epoch, moved_at, "
                "definition, tags, priority) SELECT number, 0, 'ready', 'x', 0, 0, 1, 1, 0, 0, 0, 1, '', 3 FROM sayiir.instances "
                "WHERE status = 'paused'"
            )
            connection.execute(
                "INSERT INTO sayiir.instances (number, instance_id, definition, status, input, created_at, updated_at) "
                "SELECT n, 'w' || n, 1, 'waiting', '1', n, n FROM generate_series(1, 20000) n"
            )
            connection.execute(
                "INSERT INTO sayiir.tokens (instance, number, state, node, ref, step, attempt, iteration, crashes, epoch, moved_at, "
                "definition, tags, priority) SELECT n, 0, 'waiting', 'x', 0, 0, 1, 1, 0, 0, 0, 1, '', 3 FROM generate_series(1, 20000) n"
            )
            connection.execute("ANALYZE")
        yield url, store


def nodes(plan):
    return [plan, *(node for below in plan.get("Plans", ()) for node in nodes(below))]


@pytest.mark.parametrize(
    ("source", "keys", "index"),
    [
        (ALL, (0, HIGH, 200), "instances_pkey"),
        (OF_DEFINITION, (1, 0, 1, HIGH, 200), "instances_definition"),
        (FAILED, (0, HIGH, 200), "instances_failed"),
        (CANCELLED, (0, HIGH, 200), "instances_cancelled"),
        (OPEN, (0, HIGH, 200), "tokens_pkey"),
    ],
)
def test_postgres_looks_along_indexes(full, source, keys, index):
    url, _ = full
    statement = f"EXPLAIN (FORMAT JSON) SELECT i.number, i.status {source}".replace("@", "sayiir.").replace("?", "%s")
    with psycopg.connect(url) as connection:
        (plan,) = connection.execute(statement, keys).fetchone()
    plan = plan if isinstance(plan, list) else json.loads(plan)
    found = nodes(plan[0]["Plan"])
    assert "Seq Scan" not in {node["Node Type"] for node in found}, found
    if index is not None:
        assert index in {node.get("Index Name") for node in found}, found


def test_postgres_finds_the_few_among_the_many(full):
    _, store = full
    for status, count in ((State.FAILED, 30), (State.CANCELLED, 30), (State.PAUSED, 30)):
        assert len(store.page(Query(statuses=(status,)), 200).instances) == count
    assert len(Service(store).find(ADMIN, "i29").items) == 50
