"""What the simulation finds reaches the card: each violation under its word, with a file that plays it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proof.card import render, zeros
from proof.part import ZEROS, Budget
from proof.parts import simulation
from sayiir.testing.simulation import Summary, draw, simulate, simulate_many
from sayiir.testing.simulation.plan import read, write
from tests.simulation import test_finds_faults as faults

consume_then_save: Any = faults.consume_then_save
SEED = faults.KNOWN["consume_then_save"][0]
MACHINE = {"processor": "2 × some", "memory": "4 GiB", "system": "Linux 6", "python": "CPython 3.11", "sqlite": "3.40"}
FAULTY: tuple[tuple[Any, int, str], ...] = (
    (faults.purge_of_the_living, 5, "lost"),
    (faults.crashes_not_counted, 11, "committed_twice"),
    (faults.join_without_the_parked, 6, "inputs_diverged"),
    (consume_then_save, SEED, "signals_lost"),
)
"""Faults in our own code, a seed that shows each, and the word under which it must be counted."""


@pytest.mark.parametrize(("fault", "seed", "word"), FAULTY, ids=[word for _, _, word in FAULTY])
def test_what_a_fault_breaks_is_counted_under_its_word(
    monkeypatch: pytest.MonkeyPatch, fault: Any, seed: int, word: str
) -> None:
    fault(monkeypatch)
    violations = simulate(seed).violations
    counted = simulation.zeros(violations)
    assert list(counted) == list(ZEROS)
    assert counted[word] >= 1
    assert sum(counted.values()) <= len(violations)


def test_each_invariant_has_its_word_and_others_have_none() -> None:
    told = [
        "at 1.000000s: I9: ('split', 'fork', 0) of 'i0' has 2 results",
        "at 1.000000s: I9: ('split', 'fork', 1) of 'i0' has 2 results",
        "at 2.500000s: I4: line 7 of Fence(instance=1, token=0, epoch=1) was written twice",
        "at 3.000000s: I10: Fence(instance=1, token=0, epoch=1) woke 5 µs early (timer)",
        "at 3.000000s: I12: the database is damaged",
        "at 3.000000s: I6: nobody wrote 'I8: ' of 'i0'",
        "an error in a worker: the heart has stopped: OSError()",
        "at 3.000000s: a thread of worker0 (Claimer) ended by KeyError('I5: ')",
    ]
    assert simulation.zeros(told) == {**dict.fromkeys(ZEROS, 0), "joins_wrong": 2, "committed_twice": 1}
    assert simulation.zeros([]) == dict.fromkeys(ZEROS, 0)


def test_the_first_that_fail_are_kept_and_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    consume_then_save(monkeypatch)
    total = simulate_many([SEED])
    told = "at 1.000000s: I7: 'i0' was completed and is cancelled, by request_cancel " + "and so on " * 100
    total.violations |= {SEED + more: [told] for more in (1, 2, 3)}  # these hold when they are played again
    figures = simulation.figures(total, tmp_path)
    (file,) = tmp_path.iterdir()
    assert len(write(read(file.read_text("utf-8")))) < len(write(draw(SEED)))
    first, *others = figures["violations"]
    assert first.startswith(f"seed {SEED} (python -m sayiir.testing.simulation --seed {SEED}; kept as {file}): at ")
    assert ["it held" in text for text in others] == [True, True, False]
    found = {"date": "2026-01-01", "version": "0.1.0", "machine": MACHINE, "parts": {"simulation": figures}}
    assert zeros(found) == {**dict.fromkeys(ZEROS), "signals_lost": 1}, "of the others nobody can tell"
    assert f"kept as {file}" in render(found)


def test_a_part_without_violations_has_zeros(tmp_path: Path) -> None:
    figures = simulation.run(Budget(0.01, tmp_path, seed=1))
    assert {word: figures[word] for word in ZEROS} == dict.fromkeys(ZEROS, 0)
    assert figures["violations"] == [] and list(tmp_path.iterdir()) == []
    assert simulation.figures(Summary(), tmp_path)["seeds"] == 0
