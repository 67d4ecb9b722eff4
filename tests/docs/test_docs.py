"""Every Python block of the README and the docs runs, in order, as a reader would paste it.

A page that asks for SAYIIR_URL gets an empty database of PostgreSQL. What the pages say to a shell is checked, too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from sayiir import Flow, PostgresBackend, Worker, WorkflowClient
from sayiir.cli.commands.worker import worker

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text("utf-8"))]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    code = "\n".join(BLOCK.findall(page.read_text("utf-8")))
    script = tmp_path / "page.py"
    script.write_text(code, "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    if "SAYIIR_URL" in code:
        environment["SAYIIR_URL"] = request.getfixturevalue("pg_url")
    done = subprocess.run(
        [sys.executable, "-W", "error", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_has_code() -> None:
    assert ROOT / "README.md" in WITH_CODE


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_into_a_page_meet_a_heading(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text("utf-8")):
        text = (page.parent / target if target else page).read_text("utf-8")
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, f"{page.name}: #{anchor}"


def test_what_the_docs_say_to_a_shell_the_command_understands() -> None:
    known = {flag for param in worker.params if isinstance(param, click.Option) for flag in param.opts}
    page = (ROOT / "docs" / "workers.md").read_text("utf-8")
    calls = [line for line in page.splitlines() if "sayiir worker " in line or '"sayiir", "worker"' in line]
    assert len(calls) >= 3
    named = {flag for line in calls for flag in re.findall(r"--[a-z-]+", line)} - {"--help"}
    assert named and named <= known
    assert {flag for flag in re.findall(r"`(--[a-z-]+)", page) if flag not in known} == set()


def test_the_privileges_that_the_docs_name_are_enough(pg_url: str) -> None:
    page = (ROOT / "docs" / "postgres.md").read_text("utf-8")
    (statements,) = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    PostgresBackend(pg_url, schema="orders").close()
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute(statements)
        try:
            with PostgresBackend(make_conninfo(pg_url, user="orders_worker"), schema="orders") as backend:
                flow = Flow("w").then(lambda x: x + 1, name="one").wait_for_signal("go").then(lambda x: x, name="two").build()
                client = WorkflowClient(backend)
                with Worker("w1", backend).start([flow]):
                    client.submit(flow, "a", 1)
                    client.send_signal("a", "go", 2)
                    assert client.wait("a", timeout=30).output == 2
                client.submit(flow, "b", 1)
                client.cancel("b")
                client.purge(older_than="1d")
        finally:
            connection.execute("DROP OWNED BY orders_worker")
            connection.execute("DROP ROLE orders_worker")
