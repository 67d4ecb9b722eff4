"""The schema: made once by many at once, apart from others, refused when it is newer; and the plans that it serves."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack

import psycopg
import pytest

from sayiir.errors import SchemaVersionError
from sayiir.store.postgres import PostgresBackend
from sayiir.store.postgres.migrate import migrate, migrations
from sayiir.store.postgres.rows import NEVER, lanes_text, wake_values
from sayiir.store.scripts.basis import GRACE
from tests.postgres.common import Beside, ask, begin, lanes, new, opened, works
from tests.postgres.test_presence import ROOT


def shape(url, schema):
    """Return everything that the catalogue says of a schema's tables and indexes."""
    columns = """SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
        WHERE table_schema = %s ORDER BY 1, ordinal_position"""
    indexes = "SELECT tablename, replace(indexdef, schemaname, '') FROM pg_indexes WHERE schemaname = %s ORDER BY 1, 2"
    return ask(url, columns, schema), ask(url, indexes, schema)


def test_many_threads_at_once(pg_url):
    opening = [Beside(lambda: PostgresBackend(pg_url, max_connections=1)) for _ in range(8)]
    with ExitStack() as stack:  # all of them, whatever one of them came to
        for one in opening:
            stack.callback(lambda one=one: one.result().close())
    assert ask(pg_url, "SELECT number FROM sayiir.migrations") == [(number,) for number, _, _ in migrations()]


def test_many_processes_at_once(pg_url):
    code = "import sys; from sayiir.store.postgres import PostgresBackend; PostgresBackend(sys.argv[1]).close()"
    children = [
        subprocess.Popen([sys.executable, "-c", code, pg_url], cwd=ROOT, stderr=subprocess.PIPE) for _ in range(4)
    ]
    assert [child.communicate()[1] for child in children] == [b""] * 4
    assert [child.returncode for child in children] == [0] * 4


def test_again_changes_nothing(pg_url):
    with opened(pg_url) as store:
        begin(store)
    before = shape(pg_url, "sayiir"), ask(pg_url, "SELECT * FROM sayiir.migrations")
    with opened(pg_url) as store:
        assert store.load("a") is not None
    assert (shape(pg_url, "sayiir"), ask(pg_url, "SELECT * FROM sayiir.migrations")) == before


def test_an_interrupted_migration_leaves_nothing(pg_url, monkeypatch):
    broken = [*migrations(), (9999, "broken", "CREATE TABLE half (n int); SELECT 1 / 0")]
    with psycopg.connect(pg_url, autocommit=True) as connection:
        monkeypatch.setattr("sayiir.store.postgres.migrate.migrations", lambda: broken)
        with pytest.raises(psycopg.errors.DivisionByZero):
            migrate(connection, "sayiir")
        assert shape(pg_url, "sayiir") == ([], [])
        monkeypatch.undo()
        migrate(connection, "sayiir")
    assert shape(pg_url, "sayiir") != ([], [])


def test_a_newer_schema_is_refused(pg_url):
    with opened(pg_url):
        ask(pg_url, "INSERT INTO sayiir.migrations VALUES (9999, 'future', 0)")
    with pytest.raises(SchemaVersionError, match="install a newer release"):
        PostgresBackend(pg_url)


def test_two_schemas_are_apart(pg_url):
    with opened(pg_url, schema="one") as one, opened(pg_url, schema="two") as two:
        begin(one)
        assert two.load("a") is None
        begin(two)
        lanes(two)
        assert two.sweep() == one.sweep() == 0
        assert shape(pg_url, "one") == shape(pg_url, "two")
    assert ask(pg_url, "SELECT 1 FROM pg_tables WHERE schemaname IN ('public', 'sayiir')") == []


@pytest.mark.parametrize("schema", ["select", "_x", "a" * 63])
def test_any_plain_name_serves(pg_url, schema):
    with opened(pg_url, schema=schema) as store:
        begin(store)
        assert store.hints.teller is not None
        store.hints.notify()
        assert store.sweep() == 0


@pytest.mark.parametrize("schema", ["", "A", "1a", "a-b", 'a"b', "a.b", "a" * 64, "ä", "a b", "a\n", None, 3])
def test_bad_names_are_refused(schema):
    with pytest.raises(ValueError, match="schema must be"):
        PostgresBackend("postgresql://127.0.0.1:1/nowhere", schema=schema)


def test_a_search_path_of_the_user_s_is_no_concern(pg_url):
    name = psycopg.conninfo.conninfo_to_dict(pg_url)["dbname"]
    ask(pg_url, f"ALTER DATABASE {name} SET search_path TO nowhere")
    with opened(pg_url) as store:
        assert begin(store).complete().kind == "finished"


# --- plans ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full(postgres):
    """A store with 50,000 parked tokens, and five that are due."""
    with postgres.database() as url, opened(url) as store:
        for number in range(5):
            store.create(new(f"due{number}"), "fail", claim=False)
        (lane,) = lanes(store)
        ask(
            url,
            "INSERT INTO sayiir.instances (number, instance_id, definition, status, input, created_at, updated_at) "
            "SELECT n, 'i' || n, %s, 'waiting', '1', 0, 0 FROM generate_series(1, 50000) n",
            lane.definition,
        )
        ask(
            url,
            "INSERT INTO sayiir.tokens (instance, number, state, node, ref, step, attempt, iteration, crashes, due_at, "
            "epoch, moved_at, definition, tags, priority, wake_at) SELECT n, 0, 'waiting', 'x', 0, 0, 1, 1, 0, "
            "9e15, 0, 0, %s, '', 3, 9e15 FROM generate_series(1, 50000) n",
            lane.definition,
        )
        ask(url, "ANALYZE sayiir.tokens, sayiir.instances")
        yield url, store


def nodes(plan):
    """Return all nodes of a plan."""
    return [plan, *(node for below in plan.get("Plans", ()) for node in nodes(below))]


def explained(connection, statement, values):
    cursor = (psycopg.RawCursor if b"$1" in statement else psycopg.Cursor)(connection)
    (plan,) = cursor.execute(b"EXPLAIN (FORMAT JSON) " + statement, values).fetchone()
    return plan if isinstance(plan, list) else json.loads(plan)


def scans(url, statement, values):
    """Return (relation, how, index) of every look at a table of tokens or instances, with everything the planner may do."""
    with psycopg.connect(url) as connection:
        plan = explained(connection, statement, values)
    return [
        (node["Relation Name"], node["Node Type"], node.get("Index Name"))
        for node in nodes(plan[0]["Plan"])
        if node.get("Relation Name") in {"tokens", "instances"} and node["Node Type"] != "ModifyTable"
    ]


def test_the_claim_looks_at_what_is_due_alone(full):
    url, store = full
    values = lanes_text(lanes(store)), 10, 1, 9, 2, 1, 1, GRACE, NEVER
    found = scans(url, store._shared.sql.HOT_CLAIM, values)
    assert ("tokens", "Index Scan", "tokens_due") in found
    assert all(how != "Seq Scan" for _, how, _ in found), found


def test_the_next_time_is_read_from_the_ends_of_the_lines(full):
    url, store = full
    found = scans(url, store._shared.sql.NEXT_WAKE, wake_values(lanes(store), 1))
    assert {index for _, _, index in found} == {"tokens_due"}, found


LINE = (1, 1, "x", "x", 1, 1, "x", "x", "x", 1, "x", "x", 1, 1, False, "x")
KEYS = {"tokens_pkey", "tokens_awaiting", "instances_pkey", "instances_instance_id_key"}
HOT = {
    "HOT_BEAT": ("[]", 1), "HOT_BEAT_ONE": ("[]", 1), "HOT_STEPS": ("[]",), "HOT_TURNS": ("[]",), "HOT_FINISH": ("[]",),
    "HOT_ARRIVE": ("[]", "[]"), "HOT_STEP": (*LINE, 1, 0, 1, "x"), "HOT_FINISH_ONE": (*LINE, 1, 1),
    "HOT_SEND": ("x", "x", "1", None), "HOT_WAKE": ("x", "x"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOT)
def test_hot_statements_use_keys(full, name):
    url, store = full
    statement, values = getattr(store._shared.sql, name), HOT[name]
    # As the store's own connection is set; the estimate of how long a JSON array is would be 100.
    with psycopg.connect(url) as connection:
        for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
            connection.execute(f"SET {setting} = off")
        plan = explained(connection, statement, values)
    found = [
        (node["Node Type"], node.get("Index Name"))
        for node in nodes(plan[0]["Plan"])
        if node.get("Relation Name") in {"tokens", "instances"} and node["Node Type"] != "ModifyTable"
    ]
    assert found
    assert all(index in KEYS for _, index in found), found
    assert all(how != "Seq Scan" for _, how, _ in scans(url, statement, values)), scans(url, statement, values)


def test_the_due_are_found_among_the_parked(full):
    _, store = full
    assert len(works(store, 3)) == 3
    assert len(works(store)) == 2
