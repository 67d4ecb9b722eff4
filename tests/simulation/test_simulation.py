"""The simulation over the default range of seeds, what its generator reaches, and that it is what it says: deterministic.

`make prove` plays twenty times as many, other ones in each round, and its card shows the figures.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from sayiir.core.lifecycle import TRANSITIONS, Event, State
from sayiir.testing.simulation import Summary, draw, keeper, simulate, simulate_many
from sayiir.testing.simulation.__main__ import main
from sayiir.testing.simulation.plan import FAULTS, HINT_MODES, read

PROVE = os.environ.get("SAYIIR_PROVE") == "1"
BLOCKS, SIZE = 20, 1000 if PROVE else 50
FIRST = random.SystemRandom().randrange(1_000_000, 2**40) if PROVE else 0
KEPT = Path(__file__).parent / "regressions"
REGRESSIONS = sorted(KEPT.glob("*.json"))

UNREACHED = {
    # Whoever claims wakes the instance first, and only then can its tokens come to rest again.
    (State.IN_PROGRESS, Event.WAKE),
    (State.WAITING, Event.WAIT),
    (State.WAITING, Event.AWAIT),
    (State.AWAITING_SIGNAL, Event.WAIT),
    (State.AWAITING_SIGNAL, Event.AWAIT),
}
ASKED = {(state, event) for state in State for event in (Event.PAUSE, Event.UNPAUSE, Event.CANCEL, Event.RETRY)}
"""What clients ask of instances in every state, allowed or refused."""


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder that all processes of this test run see."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "simulation"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_seed_breaks_an_invariant(block, shared, record_property, tmp_path):
    failed = keeper(KEPT if os.access(KEPT, os.W_OK) else tmp_path)
    summary = simulate_many(range(FIRST + block * SIZE, FIRST + (block + 1) * SIZE), failed=failed)
    half = shared / f"{block}.part"
    half.write_bytes(msgspec.json.encode(summary))
    half.rename(shared / f"{block}.json")
    figures = msgspec.json.decode(summary.to_json())
    figures["executions"] = figures.pop("steps")  # as the card calls them
    figures["max_replay_secs"] = figures.pop("slowest_secs")
    for name in figures.keys() - {"violations", "fault_points"}:
        record_property(name, json.dumps(figures[name]))
    assert summary.violations == {}
    found = sorted(shared.glob("*.json"))
    if len(found) == BLOCKS:  # whoever comes last looks at all
        look_at_what_was_reached([msgspec.json.decode(one.read_bytes(), type=Summary) for one in found])


def look_at_what_was_reached(summaries):
    """Every state × event of the table was met, every fault struck, and the work was worth it."""
    total = summaries[0]
    for one in summaries[1:]:
        total.merge(one)
    table = {(state, event) for state, events in TRANSITIONS.items() for event in events}
    seen = {(state, event) for state in State for event in Event if total.transitions[f"{state} {event}"]}
    assert (table | ASKED) - seen == UNREACHED
    for kind in FAULTS:
        assert total.faults[kind] >= 100, kind
    for mode in HINT_MODES:
        assert mode == "sound" or total.faults[f"hints {mode}"] >= 100, mode
    for kind in ("crash", "stop", "quit"):
        for moment in ("after claim_due", "before checkpoint_many", "after checkpoint_many", "before task", "after task"):
            struck = sum(count for point, count in total.points.items() if point.startswith(f"{kind} {moment}"))
            assert struck >= 5, (kind, moment)
    assert total.seeds == BLOCKS * SIZE
    assert total.takeovers >= 100
    assert total.commits_refused >= 100
    assert total.commits >= 20 * total.seeds


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_once_failed(path):
    assert simulate(read(path.read_text("utf-8"))).violations == []


@pytest.mark.parametrize("seed", [3, 314])
def test_a_seed_gives_the_same_in_every_process(seed):
    code = f"from sayiir.testing.simulation import simulate; print(simulate({seed}).digest)"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": hashes}, capture_output=True, text=True, check=True
        ).stdout
        for hashes in ("1", "2")
    }
    assert seen == {f"{simulate(seed).digest}\n"}
    assert simulate(seed + 1).digest != simulate(seed).digest


def test_the_command_plays_seeds_and_writes_figures(tmp_path, capsys):
    assert main(["--seeds", "0:3", "--json", str(tmp_path / "figures.json")]) == 0
    assert capsys.readouterr().out.startswith("3 seeds, ")
    figures = msgspec.json.decode((tmp_path / "figures.json").read_bytes())
    assert figures["seeds"] == 3 and figures["violations"] == {} and figures["instances"] >= 3
    assert main(["--seeds", "0:1000", "--minutes", "0"]) == 0
    assert capsys.readouterr().out.startswith("0 seeds, ")


def test_the_command_shows_every_moment(capsys):
    assert main(["--seed", "1", "--trace"]) == 0
    out = capsys.readouterr().out
    assert "worker0/Claimer: before claim_due" in out
    assert f"digest {simulate(1).digest:08x}" in out


def test_plans_differ():
    plans = [draw(seed) for seed in range(50)]
    assert len({msgspec.json.encode(plan.flows) for plan in plans}) > 40
    assert {plan.settings.store for plan in plans} == {"memory", "sqlite"}
