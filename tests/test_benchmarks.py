"""The benchmark runs, and the page of its figures says what the JSON beside it says. No figure is judged here."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Budget, Figure, ratio_of
from benchmarks.page import number, parse, row
from benchmarks.plot import bars

ROOT = Path(__file__).parent.parent


def measured(folder):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "--quick", "--no-peers", "--dir", folder, "--docs", folder / "docs"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "docs"


def lines_of(docs):
    return parse((docs / "benchmarks.md").read_text("utf-8"))


def figures_of(docs):
    return [Figure(**figure) for figure in json.loads((docs / "benchmarks.json").read_text("utf-8"))["figures"]]


def test_a_quick_run_measures_every_subject_and_writes_the_page():
    # Not in the folder of pytest, which nobody but its owner may enter: PostgreSQL does not run as root.
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        docs = measured(folder)
        figures = figures_of(docs)
        assert {figure.group for figure in figures} == {
            "memory", "durable-memory", "sqlite-full", "sqlite-normal", "sqlite-more", "threads", "imports",
            "postgres", "postgres-submit", "postgres-forks", "postgres-bytes",
            "workers", "worker-bytes", "pick-up", "delays", "history",
        }  # fmt: skip
        for figure in figures:
            assert 0 <= figure.low <= figure.median <= figure.high
            assert len(figure.samples) == figure.rounds == 2
        assert [path.name for path in folder.iterdir()] == ["docs"]
        the_page_says_what_was_measured(docs)


def test_the_committed_page_says_what_was_measured():
    the_page_says_what_was_measured(ROOT / "docs")


def the_page_says_what_was_measured(docs):
    lines, figures = lines_of(docs), figures_of(docs)
    assert lines == parse(
        "\n".join(["<!-- figures: begin (written by `make bench`) -->", *map(row, figures), "<!-- figures: end -->"])
    )
    assert lines
    plots = [
        line.split("](")[1].rstrip(")")
        for line in (docs / "benchmarks.md").read_text("utf-8").splitlines()
        if line.startswith("![")
    ]
    assert plots
    for plot in plots:
        group = plot.removeprefix("img/bench-").removesuffix(".svg")
        drawn = (docs / plot).read_text("utf-8")
        assert drawn.count("<rect") == sum(figure.group == group for figure in figures) > 0


def test_budgets():
    must = Budget(1.5, 1.2, to="bare")
    assert [must.verdict(ratio) for ratio in (1.0, 1.2, 1.21, 1.5, 1.51)] == [
        "aim met",
        "aim met",
        "met",
        "met",
        "not met",
    ]
    least = Budget(3.0, 5.0, to="one", at_least=True)
    assert [least.verdict(ratio) for ratio in (2.9, 3.0, 5.0)] == ["not met", "met", "aim met"]
    assert (must.text(" µs"), Budget(1.0).text(" µs")) == ("≤ 1.5 × (aim 1.2)", "≤ 1 µs")


def test_a_ratio_is_between_neighbours():
    assert ratio_of([2.0, 40.0, 6.0], [1.0, 10.0, 2.0]) == 3.0


def test_numbers_have_three_digits_that_count():
    assert [number(value) for value in (0.12345, 1.2345, 12.345, 123.45, 1234.5)] == [
        "0.123",
        "1.23",
        "12.3",
        "123",
        "1,234",
    ]


def test_a_label_cannot_break_the_drawing():
    figure = Figure("g", "k", "a < b & c", "micros", 1.0, 0.5, 2.0, 3)
    assert "a &lt; b &amp; c" in bars([figure], "<title>", "µs")
