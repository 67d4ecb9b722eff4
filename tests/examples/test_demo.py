"""The demonstration, as it runs without a terminal, and the parts that judge it."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo import outside, processes
from demo.flow import Order, Work, catalogue, read_inventory
from demo.outside import Effect
from demo.packages import Package, family_of, installed, merged, with_files, with_imports, with_metadata
from demo.page import page
from demo.proof import compare
from sayiir import SqliteBackend, WorkflowClient
from sayiir.runtime.timeline import TimelineEntry

ROOT = Path(__file__).parents[2]
START = datetime(2026, 1, 1, tzinfo=UTC)


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "120", "NO_COLOR": "1", "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "demo", "--folder", str(folder), *arguments]
    return subprocess.run(
        command,
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def left_by(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(outside.FOLDER, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.chdir(ROOT)
    return tmp_path


def test_it_is_killed_goes_on_and_proves_that_nothing_finished_ran_twice(tmp_path: Path) -> None:
    ran = demo(tmp_path, "--fresh", "--limit", "6")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for words in (
        "killed by SIGKILL",
        "cut off by the kill",
        "it waits at second_thoughts",
        "it waits at approval for a signal",
        "The largest of 6 packages",
        "✓ Nothing that had finished ran twice.",
    ):
        assert words in ran.stdout
    assert "\x1b" not in ran.stdout
    assert len(json.loads((tmp_path / "catalogue.json").read_text())["packages"]) == 6
    assert "<!doctype html>" in (tmp_path / "catalogue.html").read_text(encoding="utf-8")
    assert not {"power-cut", "catalogue.draft.json"} & left_by(tmp_path)

    shown = demo(tmp_path, "--continue")
    assert shown.returncode == 0
    assert "there is a run that is completed" in shown.stdout
    assert "a process starts" not in shown.stdout

    fresh = demo(tmp_path, "--limit", "2", "--no-kill")
    assert fresh.returncode == 0
    assert "a fresh instance is accepted" in fresh.stdout
    assert "killed by" not in fresh.stdout


def test_an_unfinished_run_is_gone_on_with(folder: Path) -> None:
    with SqliteBackend(processes.database()) as backend:
        client = WorkflowClient(backend)
        processes.begin(client, Order(limit=4), killed=True)
        child = processes.start()
        assert processes.follow(child, lambda: None) == ""
        assert child.returncode == -signal.SIGKILL
        before = client.timeline(processes.INSTANCE)
        assert client.get_task_result(processes.INSTANCE, read_inventory).todo == installed()[:4]
    ran = demo(folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "there is a run that is in_progress" in ran.stdout
    with SqliteBackend(processes.database()) as backend:
        after = WorkflowClient(backend).timeline(processes.INSTANCE)
    assert [entry for entry in before if entry.status == "completed" and entry not in after] == []


def test_the_inventory_is_refused_until_the_other_program_has_finished(folder: Path) -> None:
    (folder / "inventory.json.1.part").write_text('["half a li')
    with pytest.raises(outside.NotReadyError):
        read_inventory(Order())
    outside.export(folder / "inventory.json")
    assert read_inventory(Order(rounds=2, limit=3)) == Work(2, installed()[:3])


def test_two_demonstrations_do_not_share_a_folder(folder: Path) -> None:
    with processes.alone(folder) as free:
        assert free
        ran = demo(folder, "--limit", "1")
    assert ran.returncode == 1
    assert "another demonstration is under way" in ran.stdout


def test_starting_fresh_removes_nothing_but_its_own_files(folder: Path) -> None:
    (folder / "mine.txt").write_text("precious")
    (folder / "catalogue.json").write_text("{}")
    (folder / "catalogue.db-wal").write_text("")
    processes.clear()
    assert left_by(folder) == {"mine.txt"}


# --- the proof --------------------------------------------------------------------------------------------------------


def entry(node: str, status: str, *, iteration: int = 1, attempt: int = 1, pid: int = 1) -> TimelineEntry:
    return TimelineEntry(node, node, "task", iteration, attempt, status, START, START + timedelta(1), f"host:{pid}")


def test_the_proof_tells_every_kind_of_execution_apart() -> None:
    timeline = [
        entry("a", "failed"),
        entry("a", "completed", attempt=2),
        entry("b", "crashed"),
        entry("b", "completed", attempt=2, pid=2),
        entry("c", "completed", pid=2),
    ]
    ledger = [Effect("a", 1, 1, 1), Effect("a", 1, 2, 1), Effect("b", 1, 1, 1), Effect("c", 1, 1, 1)]
    ledger += [Effect("b", 1, 2, 2), Effect("c", 1, 1, 2)]
    found = compare(ledger, timeline)
    assert (found.began, found.finished, found.failed, found.cut_off, found.stopped) == (6, 3, 1, 1, 1)
    assert (found.again, found.without_effect, found.holds) == (0, 0, True)


@pytest.mark.parametrize("again", [Effect("a", 1, 1, 1), Effect("a", 1, 2, 1), Effect("a", 1, 1, 2)])
def test_the_proof_fails_when_something_finished_begins_again(again: Effect) -> None:
    found = compare([Effect("a", 1, 1, 1), again], [entry("a", "completed")])
    assert (found.again, found.holds) == (1, False)


def test_the_proof_fails_when_something_finished_without_having_begun() -> None:
    found = compare([], [entry("a", "completed")])
    assert (found.without_effect, found.holds) == (1, False)


def test_another_round_is_no_repetition() -> None:
    timeline = [entry("a", "completed", iteration=number) for number in (1, 2)]
    assert compare([Effect("a", 1, 1, 1), Effect("a", 2, 1, 1)], timeline).holds


# --- the work ---------------------------------------------------------------------------------------------------------


def test_a_real_package_is_catalogued() -> None:
    name = "msgspec"
    assert name in installed()
    package = merged(with_metadata(Package(name)), with_files(Package(name)), with_imports(Package(name)))
    assert (package.family, package.altered) == ("permissive", [])
    assert package.version
    assert package.files > 10
    assert package.size > 10_000
    assert package.modules > 1
    assert package.imports["typing"] >= 1


def test_a_package_that_is_gone_is_left_blank() -> None:
    package = Package("no-such-package")
    assert with_metadata(package) == with_files(package) == with_imports(package) == package


@pytest.mark.parametrize(
    ("licence", "family"),
    [
        ("", "unknown"),
        ("MIT", "permissive"),
        ("LGPL-3.0-only", "copyleft"),
        ("Mozilla Public 2.0 (MPL 2.0)", "copyleft"),
        ("GPL-2.0 OR Apache-2.0", "permissive"),
    ],
)
def test_licences_have_families(licence: str, family: str) -> None:
    assert family_of(licence) == family


def test_the_page_shows_ways_not_taken_and_what_still_waits() -> None:
    with SqliteBackend() as backend:
        client = WorkflowClient(backend)
        status = client.submit(catalogue, "x", Order())
        text = page(catalogue, status, client.timeline("x"), [("Fact", "shown")])
    assert "Fact" in text
    assert "Pending" in text
    assert "Skipped" not in text
