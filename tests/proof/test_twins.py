"""The script of the comparison runs on our engine and finds what it must; the other engine is only met in `make prove`."""

import sys
from pathlib import Path

import pytest

from proof.twins.cases import CASES, play
from proof.twins.crew import Crew, Engine


@pytest.mark.parametrize("name", ["zombie", "skew", "unstorable"])
def test_ours_goes_well(pg_url: str, tmp_path: Path, name: str) -> None:
    ours = Engine("ours", sys.executable, is_ours=True)
    good, text = play(lambda ledger: Crew(ours, pg_url, ledger), tmp_path, name)
    assert good or (name == "skew" and good is None), text


def test_the_cases_are_those_of_the_card() -> None:
    assert list(CASES) == ["long", "zombie", "skew", "poison", "timeout", "unstorable"]
