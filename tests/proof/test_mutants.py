"""The mutants fit the source as it is: `make prove` runs them, this sees that none has become void meanwhile."""

import pytest

from proof.mutants.bench import run_all
from proof.mutants.catalogue import MUTANTS
from proof.mutants.mutant import ROOT, Mutant


def test_each_mutants_text_occurs_once_and_is_changed_into_another() -> None:
    stale = {f"{mutant.name} ({mutant.file})": mutant.occurrences() for mutant in MUTANTS if mutant.occurrences() != 1}
    assert not stale, "the source has changed: bring these mutants up to it"
    assert all(mutant.old != mutant.new for mutant in MUTANTS)


def test_mutants_have_names_of_their_own_and_tests_that_exist() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25
    for mutant in MUTANTS:
        for test in mutant.tests:
            assert (ROOT / test.split("::", 1)[0]).exists(), (mutant.name, test)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_python_still(mutant: Mutant) -> None:
    compile(mutant.path().read_text("utf-8").replace(mutant.old, mutant.new), mutant.file, "exec")


def test_the_bench_tells_killed_from_survived_and_leaves_the_source_alone() -> None:
    file, text, where = "flow/duration.py", "    return seconds\n", ("tests/flow/test_duration.py",)
    killed = Mutant("a second too long", file, text, "    return seconds + 1\n", where)
    alive = Mutant("the same in other words", file, text, "    return seconds + 0\n", where)
    untested = Mutant("no test looks", file, text, "    return seconds + 1\n", where, "no_such_test")
    before = killed.path().read_text("utf-8")
    trials = run_all([killed, alive, untested], jobs=1, sound=False)
    assert [trial.verdict for trial in trials] == ["killed", "survived", "invalid"]
    assert trials[0].by.startswith("tests/flow/test_duration.py::")
    assert killed.path().read_text("utf-8") == before
