"""`sayiir db`, `sayiir purge`, `sayiir workflow`, `sayiir task`, `sayiir worker list`."""

import re
import sqlite3
from contextlib import closing

import psycopg
import pytest

from sayiir import Worker, WorkflowClient, connect
from sayiir.store.sqlite.migrate import migrations
from tests.cli.conftest import STATES, Shop, fill
from tests.cli.shop import everything, orders, quick

ORDERS = "tests.cli.shop:orders"


APPLIED = [f"{number:04} {name}" for number, name, _ in migrations()]


def test_migrate_makes_the_tables(tmp_path, pg_url):
    for url in (f"sqlite:///{tmp_path}/new.db", pg_url):
        new = Shop(url)
        lines = new("db", "migrate").lines
        assert lines[1] == f"applied  {', '.join(APPLIED)}"
        assert new("db", "migrate").lines[1] == "applied  nothing; it was so already"
        assert new.json("db", "migrate") == {"version": len(APPLIED), "applied": []}
        assert new.ids("instance", "list") == []


def test_migrate_in_the_other_forms(tmp_path):
    assert Shop(f"sqlite:///{tmp_path}/a.db").ids("db", "migrate") == APPLIED
    assert Shop(f"sqlite:///{tmp_path}/b.db").jsonl("db", "migrate") == [{"version": len(APPLIED), "applied": APPLIED}]
    assert "version" in Shop(f"sqlite:///{tmp_path}/c.db")("db", "migrate", "-o", "wide").out


def test_the_printed_script_does_what_migrate_does_on_sqlite(tmp_path):
    shop = Shop(f"sqlite:///{tmp_path}/by hand.db")
    script = shop("db", "migrate", "--print-sql").out
    assert list(tmp_path.iterdir()) == []
    with closing(sqlite3.connect(tmp_path / "by hand.db")) as connection:
        connection.executescript(script)
    assert shop("db", "migrate", "--print-sql").out == ""
    fill(shop.url)
    assert shop("db", "check").out == "sound\n"


def test_the_printed_script_does_what_migrate_does_on_postgres(pg_url):
    shop = Shop(pg_url, "--schema", "by_hand")
    script = shop("db", "migrate", "--print-sql").out
    with psycopg.connect(pg_url, autocommit=True) as connection:
        assert connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'by_hand'").fetchone() is None
        connection.execute(script.encode())
    assert shop("db", "migrate", "--print-sql").out == ""
    assert shop("db", "migrate").lines[1] == "applied  nothing; it was so already"
    shop("submit", "tests.cli.shop:quick", "a")
    assert shop.ids("instance", "list") == ["a"]


def test_migrations_that_cannot_be(tmp_path):
    (tmp_path / "text.db").write_text("this is no database, however long one looks at it" * 100)
    assert "file is not a database" in Shop(f"sqlite:///{tmp_path}/text.db")("db", "migrate", code=1).err
    assert "postgresql://user@host/database" in Shop("memory://")("db", "migrate", code=2).err
    done = Shop("postgresql://u:secret@127.0.0.1:1/d")("db", "migrate", code=1)
    assert done.err.startswith("sayiir: PostgreSQL at 127.0.0.1: ")
    assert "secret" not in done.err
    done = Shop("https://flows.example")("db", "migrate", code=2)
    assert done.err.startswith("sayiir: this works on a database, not through a server; give its URL instead of ")


def test_check(place):
    assert place("db", "check").out == "sound\n"
    assert place.json("db", "check") == {"items": []}
    assert place.jsonl("db", "check") == []
    assert place.ids("db", "check") == []
    assert place("db", "check", "-o", "wide").out == "sound\n"


def test_check_of_a_damaged_file(shop, tmp_path):
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("DELETE FROM sayiir_definitions")
        connection.commit()
    problems = shop("db", "check", code=1).lines
    assert problems
    assert shop.json("db", "check", code=1)["items"] == problems
    assert shop.jsonl("db", "check", code=1) == problems


def test_stats(place):
    text = place("db", "stats").out
    assert re.search(r"^tables.instances.rows +7$", text, re.M)
    found = place.json("db", "stats")
    assert found["tables"]["instances"]["rows"] == 7
    assert place.jsonl("db", "stats")[0]["backend"] == found["backend"]
    assert "tables" in place.ids("db", "stats")
    assert "due" in place("db", "stats", "-o", "wide").out


def test_backup_of_a_file_in_use(shop, tmp_path):
    with connect(shop.database) as backend:
        client = WorkflowClient(backend)
        client.submit(quick, "just-now", 1)
        done = shop("db", "backup", f"{tmp_path}/copy.db")
        client.submit(quick, "later", 1)
    assert re.fullmatch(r".*copy\.db: [\d,]+ bytes\n", done.out)
    copy = Shop(f"sqlite:///{tmp_path}/copy.db")
    assert set(copy.ids("instance", "list")) == {*STATES, "just-now"}
    assert copy("db", "check").out == "sound\n"


def test_backups_that_cannot_be(shop, tmp_path, pg_url):
    (tmp_path / "there.db").write_text("")
    assert "is there already; name a new file" in shop("db", "backup", f"{tmp_path}/there.db", code=1).err
    assert "cannot be copied to" in shop("db", "backup", f"{tmp_path}/no/such/folder/x.db", code=1).err
    assert "pg_dump" in Shop(pg_url)("db", "backup", f"{tmp_path}/x.db", code=2).err
    assert not (tmp_path / "x.db").exists()


def test_purge(place):
    assert place("purge", "--older-than", "30d", "--yes").out == "deleted  0\n"
    assert place("purge", "--older-than", "1ms", "--dry-run").out == "would be deleted  3\n"
    assert "add --yes" in place("purge", "--older-than", "1ms", code=2).err
    assert place("purge", "--older-than", "1ms", "--yes").out == "deleted  3\n"
    assert set(place.ids("instance", "list")) == {"new-1", "paused-1", "waits-1", "naps-1"}


def test_purge_in_the_other_forms(shop):
    words = ["purge", "--older-than", "30d", "--dry-run"]
    assert shop.json(*words) == {"count": 0, "dry_run": True}
    assert shop.jsonl(*words) == [{"count": 0, "dry_run": True}]
    assert shop.ids(*words) == []
    assert shop(*words, "-o", "wide").out == "would be deleted  0\n"
    assert shop("purge", "--older-than", "ever", code=2).err.startswith("sayiir: Invalid duration: 'ever'.")


def test_workflow_list(place):
    lines = place("workflow", "list").lines
    assert lines[0].split() == ["WORKFLOW", "INSTANCES", "SUCCESS", "P50", "P95"]
    assert any(re.match(r"orders +1 awaiting_signal, 1 completed, 1 failed +50\.0%", line) for line in lines), lines
    assert "VERSIONS" in place("workflow", "list", "-o", "wide").out
    assert {row["workflow_id"] for row in place.json("workflow", "list")["items"]} == {"orders", "quick", "lately"}
    assert set(place.ids("workflow", "list")) == {"orders", "quick", "lately"}
    assert len(place.jsonl("workflow", "list")) == 3


def test_workflow_show(place):
    text = place("workflow", "show", "orders").out
    assert re.search(r"^success +50\.0%$", text, re.M)
    assert re.search(rf"^{orders.definition_hash[:12]} +1  none$", text, re.M)
    assert place.json("workflow", "show", "orders")["versions"][0]["definition_hash"] == orders.definition_hash
    assert place.jsonl("workflow", "show", "orders")[0]["workflow_id"] == "orders"
    assert place.ids("workflow", "show", "orders") == ["orders"]
    assert "Versions" in place("workflow", "show", "orders", "-o", "wide").out
    assert place("workflow", "show", "nothing", code=4).err.startswith("sayiir: ")


TREE = """\
orders
├─ check
├─ Fork: 2 branches
│  ├─ charge: timeout 30 s · 2 retries
│  ├─ reserve
│  └─ join: pack
├─ approval: signal approval
└─ ship
"""


def test_graph_from_the_code(shop):
    assert shop("workflow", "graph", ORDERS, url=False).out == TREE
    assert shop("workflow", "graph", ORDERS, "--format", "mermaid", url=False).out.rstrip() == orders.to_mermaid().rstrip()
    assert shop("workflow", "graph", ORDERS, "--format", "svg", url=False).out.rstrip() == orders.to_svg().rstrip()
    several = shop("workflow", "graph", "tests.cli.shop:everything", url=False).out
    assert several == f"{TREE}\nquick\n└─ echo\n\nlately\n└─ nap: delay 1 h\n"
    assert "3 workflows" in shop("workflow", "graph", "tests.cli.shop:everything", "--format", "svg", url=False, code=2).err


def test_text_and_mermaid_of_what_is_stored_on_a_store_and_over_http(place):
    drawn = place("workflow", "graph", "orders", "--format", "text").out
    assert drawn in (TREE, TREE.replace(": timeout 30 s · 2 retries", "")), "a server that has the code knows more"
    mermaid = place("workflow", "graph", "orders", "--format", "mermaid").out
    assert mermaid.startswith("flowchart ")
    assert len(mermaid.splitlines()) > 5
    for form in ("text", "mermaid", "svg"):
        assert place("workflow", "graph", "nothing", "--format", form, code=4).out == ""
    refused = place("workflow", "graph", "--instance", "waits-1", "--format", "mermaid", code=2).err
    assert "leave it out to see an instance" in refused


def test_graph_of_what_is_stored(place):
    assert place("workflow", "graph", "orders").out.startswith("<svg ")
    assert "Awaiting signal" in place("workflow", "graph", "--instance", "waits-1").out
    for words in (["nothing"], ["--instance", "nobody"]):
        assert place("workflow", "graph", *words, code=4).out == ""
    assert "say which" in place("workflow", "graph", code=2).err


def test_tasks_from_the_code(shop):
    lines = shop("task", "list", ORDERS, url=False).lines
    assert lines[0].split() == ["TASK", "KIND", "AFTER", "TIMEOUT", "RETRIES"]
    assert re.fullmatch(r"charge +task +\S+ +30 s +2", next(line for line in lines if line.startswith("charge ")))
    assert "charge" in shop.ids("task", "list", ORDERS, url=False)
    found = shop.jsonl("task", "list", ORDERS, url=False)
    charge = next(one for one in found if one["node_id"] == "charge")
    assert (charge["timeout_secs"], charge["max_retries"], charge["priority"]) == (30.0, 2, 2)
    assert shop.json("task", "list", ORDERS, url=False)["items"] == found
    assert "WORKFLOW" in shop("task", "list", ORDERS, "-o", "wide", url=False).lines[0]


def test_tasks_of_an_instance(place):
    lines = place("task", "list", "--instance", "waits-1").lines
    assert lines[0].split() == ["TASK", "KIND", "STATUS", "ATTEMPTS", "TOOK", "NOTE"]
    assert re.match(r"ship +task +pending", lines[-1])
    assert place.ids("task", "list", "--instance", "waits-1")[-1] == "ship"
    assert place.json("task", "list", "--instance", "waits-1")["items"][-1]["status"] == "pending"
    assert place.jsonl("task", "list", "--instance", "waits-1")[-1]["node_id"] == "ship"
    assert "WORKER" in place("task", "list", "--instance", "waits-1", "-o", "wide").lines[0]


def test_tasks_of_a_workflow_by_name(place):
    done = place("task", "list", "orders", "-o", "ids")
    assert done.lines[-1] == "ship"
    assert done.err == "as they stand in its newest instance, waits-1\n"
    assert place("task", "list", "nothing", code=4).out == ""
    assert "say which" in place("task", "list", code=2).err


@pytest.fixture
def worked(place):
    with connect(place.database) as backend, Worker("press-1", backend, concurrency=3, tags=["ink"]).start(everything()):
        yield place


def test_worker_list(worked):
    line = next(line for line in worked("worker", "list").lines if line.startswith("press-1 "))
    assert re.match(r"press-1 +worker +alive +\d+ +(now|\d+ s ago) +", line)
    assert line.endswith("lately orders quick")
    assert re.search(r" \d+  ink  ", worked("worker", "list", "-o", "wide").out)
    row = next(row for row in worked.json("worker", "list")["items"] if row["worker_id"] == "press-1")
    assert (row["alive"], row["tags"]) == (True, ["ink"])
    assert "press-1" in worked.ids("worker", "list")
    assert any(row["worker_id"] == "press-1" for row in worked.jsonl("worker", "list"))


def test_no_workers(shop):
    done = shop("worker", "list")
    assert (done.out, done.err) == ("", "no worker; start one: sayiir worker module:attr\n")
    assert shop.json("worker", "list") == {"items": []}
