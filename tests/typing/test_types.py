"""What type checkers infer, accept and refuse (typing_tests/), and that the accepted examples also run."""

import importlib

import pytest

from typing_tests import check


@pytest.mark.parametrize("checker", check.CHECKERS)
def test_wrong_lines_are_errors_and_nothing_else_is(checker):
    assert not check.complaints(checker)


@pytest.mark.parametrize("checker", check.CHECKERS)
def test_the_check_itself_sees_missed_lines_and_false_alarms(checker, tmp_path):
    file = tmp_path / "sample.py"
    file.write_text('a: int = "text"\nb: int = 1  # wrong: it is not\nc: int = "text"  # wrong: a str\n')
    missed, alarm = check.complaints(checker, [file])
    assert missed.startswith(f"{file}:2: ")
    assert alarm.startswith(f"{file}:1: ")


def test_only_the_bad_file_has_marks():
    good, documented, bad = check.FILES
    assert len(check.marked(bad)) >= 48
    assert not check.marked(good) | check.marked(documented)


def test_the_examples_run_as_they_are_typed():
    importlib.import_module("typing_tests.documented")
    importlib.import_module("typing_tests.good").runs()
