"""The invariants of the chaos tests refuse what they are there for: ledgers and histories made up by hand."""

from __future__ import annotations

from typing import Any

import pytest

from sayiir.core.records import Record
from tests.proof.invariants import check
from tests.proof.killed_child import digest

KILLED, ALIVE = 1, 2
VALUES = {0: "input", 1: "result"}
DONE = Record(1, "start", "task")
FLAKY = Record(2, "flaky", "task", attempt=2, source=1)


def line(pid: int, attempt: int = 1, node: str = "start", **other: Any) -> dict[str, Any]:
    source = 0 if node == "start" else 1
    made = {"node": node, "iteration": 1, "attempt": attempt, "input": digest(VALUES[source]), "key": node, "pid": pid}
    return made | other


def crashed(count: int) -> list[Record]:
    """A task whose first attempts crashed."""
    lost = [Record(9 + n, "start", "task", attempt=n, status="crashed") for n in range(1, count + 1)]
    return [*lost, Record(1, "start", "task", attempt=count + 1)]


def judge(records: list[Record], lines: list[dict[str, Any]], clean: list[Record] | None = None, **allowed: Any) -> int:
    return check(records, VALUES, clean or [DONE], lines, **({"pids": {KILLED, ALIVE}, "struck": {KILLED}} | allowed))


def test_what_a_killed_process_had_in_hand_may_be_executed_again() -> None:
    assert judge([DONE], [line(ALIVE)]) == 0
    assert judge(crashed(1), [line(KILLED), line(ALIVE, 2)]) == 1


def test_a_repeat_that_nobodys_death_explains_is_refused() -> None:
    with pytest.raises(AssertionError, match="without a reason"):
        judge(crashed(1), [line(ALIVE), line(KILLED, 2)])
    with pytest.raises(AssertionError, match="without a reason"):
        judge(crashed(2), [line(KILLED), line(ALIVE, 2), line(ALIVE, 3)])


def test_a_late_line_of_the_living_is_refused_though_it_is_the_last() -> None:
    """The first attempt made the result, so that nothing excuses a second one."""
    late = [Record(1, "start", "task", attempt=1), Record(11, "start", "task", attempt=2, status="crashed")]
    with pytest.raises(AssertionError, match="without a reason"):
        judge(late, [line(KILLED), line(ALIVE, 2)])


def test_a_server_taken_away_excuses_one_repeat_of_each_task() -> None:
    assert judge(crashed(1), [line(ALIVE), line(ALIVE, 2)], struck=set(), broken=1) == 1
    with pytest.raises(AssertionError, match="without a reason"):
        judge(crashed(2), [line(ALIVE), line(ALIVE, 2), line(ALIVE, 3)], struck=set(), broken=1)


def test_only_the_attempt_that_the_flow_fails_needs_no_reason() -> None:
    failed = Record(8, "flaky", "task", attempt=1, status="failed", source=1)
    lines = [line(ALIVE), line(ALIVE, 1, "flaky"), line(ALIVE, 2, "flaky")]
    assert judge([DONE, failed, FLAKY], lines, [DONE, FLAKY]) == 0
    failed.status = "crashed"
    with pytest.raises(AssertionError, match="without a reason"):
        judge([DONE, failed, FLAKY], lines, [DONE, FLAKY])


@pytest.mark.parametrize(
    ("records", "lines"),
    [
        (crashed(1), [line(KILLED)]),
        ([DONE], [line(ALIVE), line(KILLED, 2)]),
        ([DONE], [line(ALIVE), line(ALIVE)]),
        ([DONE], [line(ALIVE, input="another")]),
        ([DONE], [line(3)]),
        ([DONE, DONE], [line(ALIVE)]),
        ([], []),
        (crashed(1), [line(KILLED), line(ALIVE, 2, key="another")]),
    ],
    ids=["made by nobody", "untold", "doubled", "other input", "a stranger", "two results", "lost", "two keys"],
)
def test_what_contradicts_the_history_is_refused(records: list[Record], lines: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError):
        judge(records, lines)
