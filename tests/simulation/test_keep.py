"""What fails is told, made small and kept as a case that plays again; with a fault put into our own code for a while."""

import io
import os
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from sayiir.testing.simulation import Report, draw, keep, keeper, many, simulate, simulate_many
from sayiir.testing.simulation.__main__ import main
from sayiir.testing.simulation.plan import read, write
from tests.simulation import test_finds_faults, test_simulation

SEED = test_finds_faults.KNOWN["consume_then_save"][0]


@pytest.fixture
def faulty(monkeypatch):
    """Our code, which loses signals till `undo`."""
    test_finds_faults.consume_then_save(monkeypatch)
    return monkeypatch


def test_a_failing_seed_becomes_a_case(faulty, tmp_path):
    out = io.StringIO()
    with redirect_stdout(out):
        summary = simulate_many(range(SEED, SEED + 1), failed=keeper(tmp_path))
    (file,) = tmp_path.iterdir()
    assert file.name == f"seed-{SEED}-I8.json"
    small, drawn = read(file.read_text("utf-8")), draw(SEED)
    assert len(write(small)) < len(write(drawn))
    assert len(small.faults) < len(drawn.faults) and len(small.commands) <= len(drawn.commands)
    assert " I8: " in simulate(small).violations[0]
    with pytest.raises(AssertionError):
        test_simulation.test_what_once_failed(file)

    told = out.getvalue()
    assert summary.violations[SEED][0] in told
    assert f"python -m sayiir.testing.simulation --seed {SEED} --trace\n" in told
    assert f"python -m sayiir.testing.simulation --plan {file} --trace\n" in told
    assert f"kept as a case: {file}\n" in told
    assert f"{len(drawn.faults)} faults and {len(drawn.commands)} commands became {len(small.faults)} faults and " in told
    assert main(["--plan", str(file)]) == 1

    faulty.undo()
    test_simulation.test_what_once_failed(file)
    assert main(["--plan", str(file)]) == 0


def test_the_test_of_all_seeds_keeps_what_fails(faulty, tmp_path, capsys):
    """As `make test` would, in a folder of its own for the cases."""
    faulty.setattr(test_simulation, "KEPT", tmp_path / "cases")
    faulty.setattr(test_simulation, "FIRST", SEED)
    faulty.setattr(test_simulation, "SIZE", 1)
    (tmp_path / "cases").mkdir()
    for name in ("shared", "elsewhere"):
        (tmp_path / name).mkdir()
    play = test_simulation.test_no_seed_breaks_an_invariant
    with pytest.raises(AssertionError):
        play(0, tmp_path / "shared", lambda *_: None, tmp_path / "elsewhere")
    case = tmp_path / "cases" / f"seed-{SEED}-I8.json"
    assert str(case) in capsys.readouterr().out and simulate(read(case.read_text("utf-8"))).violations

    case.unlink()
    faulty.setattr(os, "access", lambda path, mode: False)  # a folder that cannot be written into
    with pytest.raises(AssertionError):
        play(0, tmp_path / "shared", lambda *_: None, tmp_path / "elsewhere")
    assert not case.exists()
    assert str(tmp_path / "elsewhere" / case.name) in capsys.readouterr().out


def test_the_command_keeps_what_fails(faulty, tmp_path, capsys):
    assert main(["--seeds", f"{SEED}:{SEED + 1}", "--keep", str(tmp_path / "new")]) == 1
    assert (tmp_path / "new" / f"seed-{SEED}-I8.json").exists()
    assert capsys.readouterr().out.endswith("1 seeds failed\n")


def test_only_the_first_are_kept(tmp_path, capsys):
    failed = keeper(tmp_path, most=1)
    for seed in (1, 2):
        failed(failing(seed))
    assert [file.name for file in tmp_path.iterdir()] == ["seed-1-I1.json"]
    assert "seed 2 failed" in capsys.readouterr().out


def failing(seed: int) -> Report:
    report = simulate(seed)
    report.violations.append("at 1.000000s: I1: something that no plan decides")
    return report


def test_what_does_not_fail_again_is_kept_as_it_was(tmp_path):
    kept = keep(failing(1), tmp_path)
    assert kept.plan == draw(1) == read(kept.file.read_text("utf-8"))


def test_the_plays_are_bounded(faulty, tmp_path):
    kept = keep(simulate(SEED), tmp_path, plays=1)
    assert kept.plan == draw(SEED)
    assert kept.seed == SEED and " I8: " in kept.broken


def test_the_drawn_plan_is_there_before_it_is_small(faulty, tmp_path, monkeypatch):
    report = simulate(SEED)

    def interrupted(plan, **_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[keep.__module__], "shrink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        keep(report, tmp_path)
    assert read((tmp_path / f"seed-{SEED}-I8.json").read_text("utf-8")) == draw(SEED)


def test_an_error_of_the_simulation_itself_tells_its_seed(monkeypatch):
    def broken(plan):
        raise LookupError("nowhere")

    monkeypatch.setattr(many, "World", broken)
    with pytest.raises(LookupError) as error:
        simulate_many([4711])
    assert error.value.__notes__ == ["at seed 4711: python -m sayiir.testing.simulation --seed 4711 --trace"]


def test_a_kept_case_plays_from_its_command(tmp_path):
    kept = keep(failing(3), tmp_path / "a folder")
    command = shlex.split(kept.again)
    assert command[0] == "python" and Path(command[4]) == kept.file
    done = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and f"digest {simulate(3).digest:08x}" in done.stdout
