"""The card is made from figures alone: what was not run says so, what was violated stands first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from proof import run as proof_run
from proof.aims import aims
from proof.card import headline, in_readme, render, write, zeros
from proof.part import ROOT, Budget, NotRunError, Part
from proof.parts import PARTS
from proof.parts.soak import grown
from proof.rounds import add, rounds

MACHINE = {"processor": "2 × some", "memory": "4 GiB", "system": "Linux 6", "python": "CPython 3.11", "sqlite": "3.40"}


def results(**parts: Any) -> Any:
    return {"date": "2026-01-01", "version": "0.1.0", "machine": MACHINE, "parts": parts}


def test_figures_of_all_parts_are_added_up() -> None:
    card = render(results(one={"kills": 3, "lost": 0, "seconds": 1}, two={"kills": 4, "violations": []}))
    assert "| processes killed by SIGKILL | 7 |" in card
    assert "| instances lost | 0 |" in card
    assert "Violations" not in card


def test_violations_and_what_was_not_run_are_told() -> None:
    found = results(one={"lost": 2, "violations": ["i7 is gone"]}, two={"not_run": "there is no server"})
    card = render(found)
    assert "- one: i7 is gone" in card
    assert "Parts that were not run: two." in card
    assert "there is no server" in card
    assert zeros(found)["lost"] == 2
    assert zeros(found)["signals_lost"] is None, "nobody can tell"
    assert headline(found)[0] == "violations were found, see the card"


def test_long_lists_become_percentiles(tmp_path: Path) -> None:
    write(results(takeover={"takeover_ms_postgres": [float(n) for n in range(1, 101)], "violations": []}), tmp_path)
    kept = json.loads((tmp_path / "reliability.json").read_text())["parts"]["takeover"]["takeover_ms_postgres"]
    assert kept == {"samples": 100, "p50": 51.0, "p99": 100.0, "max": 100.0}
    assert "| postgres | 100 | 0.05 s | 0.10 s | 0.10 s |" in (tmp_path / "reliability.md").read_text()


def test_what_another_engine_did_stands_beside_what_ours_did() -> None:
    told = {"zombie": {"ours": "executed once", "real": "executed\ntwice | thrice"}}
    card = render(results(real={"told": told, "titles": {"zombie": "a zombie"}}))
    assert "| a zombie | executed once | executed twice / thrice |" in card
    assert "Not run: no network." in render(results(real={"not_run": "no network"}))


def test_the_card_that_is_kept_is_made_from_its_figures() -> None:
    kept = json.loads((ROOT / "docs" / "reliability.json").read_text("utf-8"))
    assert render(kept) == (ROOT / "docs" / "reliability.md").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    assert in_readme(readme, kept) == readme
    assert headline(kept)[0] in readme


REACHED: dict[str, Any] = {
    "simulation": {"seeds": 20_000, "simulated_days": 3.5, "faults": {"crash": 7}},
    "kills": {"kills": 200, "repeats": 50},
    "takeover": {"takeover_ms_postgres": {"samples": 9, "p50": 900.0, "p99": 2000.0, "max": 2100.0}},
    "scenarios": {"recovery": {"a": 1.01, "b": 0.95}, "during": {}},
    "soak": {"instances": 9, "per_second": 1.0, "rss_mb_per_100k": 1.0, "threads_grown": 0, "descriptors_grown": 0,
             "retention_secs": 5.0, "tables_mb_early": 1.0, "tables_mb": 1.0, "rows_left": 0},
    "mutants": {"mutants": 55, "killed": 55, "of": 139},
}  # fmt: skip
MISSED: list[tuple[str, dict[str, Any], str]] = [
    ("simulation", {"seeds": 19_999}, "19,999"),
    ("kills", {"kills": 199}, "199"),
    ("takeover", {"takeover_ms_postgres": {"samples": 9, "p50": 1.0, "p99": 2010.0, "max": 1.0}}, "2.01 s"),
    ("scenarios", {"recovery": {"a": 1.0, "b": 0.94}}, "94%"),
    ("soak", {"rss_mb_per_100k": 1.1}, "+1.10 MiB"),
    ("mutants", {"killed": 54}, "54 of 55"),
]


def test_what_is_to_be_reached_is_told_with_whether_it_was() -> None:
    card = render(results(**REACHED))
    assert [aim.reached for aim in aims(REACHED)] == [True] * 6
    assert card.count("| reached |") == 6
    assert "not reached" not in card
    assert "Of processes killed on SQLite each made 0.25 executions run again" in card
    assert "Faults of the simulation, by kind in 3.5 days of virtual time: crash 7." in card
    assert "Faults in our own code: 55 of 55 mutants killed, drawn from 139." in card
    assert "55 of 55 mutants killed, drawn from 139" in headline(results(**REACHED))


@pytest.mark.parametrize(("name", "figures", "shown"), MISSED)
def test_an_aim_that_was_missed_is_told(name: str, figures: dict[str, Any], shown: str) -> None:
    parts = {**REACHED, name: {**REACHED[name], **figures}}
    assert [aim.found for aim in aims(parts) if not aim.reached] == [shown]
    assert f"{shown} | **not reached** |" in render(results(**parts))


def test_a_part_of_another_revision_says_so_and_how_to_repeat_it() -> None:
    card = render(results(one={"kills": 3, "seed": 7, "version": "0.0.9"}, two={"kills": 3, "version": "0.1.0"}))
    assert "| one | held, at 0.0.9 | kills 3 | 0 | `python -m proof.run --only one --seed 7` |" in card
    assert "| two | held | kills 3 |" in card


def test_what_grows_in_a_soak_is_a_violation() -> None:
    sound = {"threads_grown": 2, "descriptors_grown": 4, "rows_left": 0, "tables_mb": 15.0, "tables_mb_early": 10.0}
    assert grown(sound, is_long=True) == []
    worse = {"threads_grown": 3, "descriptors_grown": 5, "rows_left": 1, "tables_mb": 15.1}
    for name, value in worse.items():
        assert len(grown({**sound, name: value}, is_long=True)) == 1, name
    assert grown({**sound, "tables_mb": 99.0}, is_long=False) == []


def test_parts_have_names_of_their_own_and_tests_that_exist() -> None:
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_figures_add_up() -> None:
    sums: Any = {}
    for value in (1, 2):
        add(sums, "kills", value)
        add(sums, "max_load", value)
        add(sums, "list", [value])
        add(sums, "by", {"a": value})
    assert sums == {"kills": 3, "max_load": 2, "list": [1, 2], "by": {"a": 3}}


def test_rounds_read_what_tests_tell(tmp_path: Path) -> None:
    file = tmp_path / "test_told.py"
    file.write_text(
        "def test_one(record_property):\n    record_property('kills', 2)\n"
        "def test_two():\n    assert False, 'broken promise'\n"
    )
    sums = rounds(Budget(0.0, tmp_path), [str(file)], once=True)
    assert (sums["kills"], sums["tests"], sums["rounds"]) == (2, 2, 1)
    assert "broken promise" in sums["violations"][0]
    with pytest.raises(NotRunError, match="does not exist"):
        rounds(Budget(0.0, tmp_path), ["tests/nothing_of_the_kind"])


def test_an_interrupted_proof_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def fine(budget: Budget) -> Any:
        ran.append("fine")
        return {"kills": 1, "violations": []}

    def interrupted(budget: Budget) -> Any:
        ran.append("interrupted")
        if ran.count("interrupted") == 1:
            raise KeyboardInterrupt
        raise NotRunError("not here")

    def broken(budget: Budget) -> Any:
        ran.append("broken")
        raise ValueError("out of order")

    parts = tuple(Part(run.__name__, "a part", 1, run) for run in (fine, interrupted, broken))
    monkeypatch.setattr(proof_run, "PARTS", parts)
    where = ["--docs", str(tmp_path / "docs"), "--state", str(tmp_path / "state"), "--minutes", "0.1"]
    with pytest.raises(KeyboardInterrupt):
        proof_run.main(where)
    assert proof_run.main(where) == 1
    assert ran == ["fine", "interrupted", "interrupted", "broken"]
    card = (tmp_path / "docs" / "reliability.md").read_text()
    assert "- broken: ValueError: out of order" in card
    assert "not here" in card
    assert "found violations" in capsys.readouterr().out
