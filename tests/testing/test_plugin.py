"""The pytest plugin: every example of docs/testing.md runs in a pytest of its own, and importing it costs nothing."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "testing.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
NAMES = ["time", "signals", "crash", "backend", "conformance"]


def test_the_plugin_is_found_by_pytest() -> None:
    text = (DOCS.parents[1] / "pyproject.toml").read_text("utf-8")
    assert '[project.entry-points.pytest11]\nsayiir = "sayiir.testing.plugin"' in text
    known = {found.name: found.value for found in entry_points(group="pytest11")}
    assert known.get("sayiir", "sayiir.testing.plugin") == "sayiir.testing.plugin"


@pytest.mark.parametrize(("name", "example"), list(zip(NAMES, EXAMPLES, strict=True)), ids=NAMES)
def test_an_example_of_the_docs(name: str, example: str, tmp_path: Path) -> None:
    (tmp_path / f"test_{name}.py").write_text(example)
    loaded = any(found.name == "sayiir" for found in entry_points(group="pytest11"))
    plugin = [] if loaded else ["-p", "sayiir.testing.plugin"]
    only = ["-k", "signal or join"] if name == "conformance" else []
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *plugin, *only, str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout or "[100%]" in done.stdout


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(DOCS.parents[1] / "src")}


def test_importing_the_plugin_imports_no_store_and_no_loop() -> None:
    """More than the package itself, which every user's tests import anyway, is imported only with a fixture."""
    code = (
        "import sys, pytest; before = set(sys.modules); import sayiir.testing.plugin;"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert "sayiir.testing.plugin" in loaded
    assert not loaded & {"sqlite3", "asyncio", "psycopg", "hypothesis", "sayiir.testing.crash", "sayiir.testing.conformance"}
