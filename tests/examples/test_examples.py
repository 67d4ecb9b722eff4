"""Every example runs by itself and prints what it says at its end."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MARK = '\n"""Prints:\n'


NEEDS = {"dask_executor": "distributed"}
"""What an example needs that the library does not."""


def expected(source: str) -> list[str]:
    _, mark, block = source.partition(MARK)
    assert mark, "the example must end with what it prints"
    lines, end, rest = block.partition('"""\n')
    assert (bool(lines), bool(end), rest) == (True, True, "")
    return lines.splitlines()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_prints_what_it_says(path: Path) -> None:
    needed = NEEDS.get(path.stem)
    if needed is not None and importlib.util.find_spec(needed) is None:
        pytest.skip(f"NOT TESTED, the example {path.name}: pip install {needed}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error", "PYTHONUTF8": "1"}
    ran = subprocess.run(
        [sys.executable, path],
        env=environment,
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == expected(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_says_what_it_shows_and_uses_public_names_only(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.startswith('"""')
    assert "Shows " in source.split('"""')[1]
    assert "from sayiir." not in source
    assert "import sayiir." not in source


def test_the_documentation_lists_every_example() -> None:
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES if f"(../examples/{path.name})" not in page] == []
