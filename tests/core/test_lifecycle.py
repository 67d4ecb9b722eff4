"""The lifecycle table: closed, with final ends, and drawn in the docs as it is.

That the stores obey it is shown by the conformance suite, whose cases are made from it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sayiir.core import lifecycle
from sayiir.core.lifecycle import TERMINAL, TRANSITIONS, Event, State, next_state
from sayiir.errors import InvalidStateError

DOCS = Path(__file__).parents[2] / "docs" / "lifecycle.md"


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_pair_follows_or_is_refused(state: State, event: Event) -> None:
    if event in TRANSITIONS[state]:
        assert next_state(state, event, "order-42") is TRANSITIONS[state][event]
        return
    with pytest.raises(InvalidStateError, match=f"cannot {event} instance 'order-42': it is {state};") as caught:
        next_state(state, event, "order-42")
    assert (caught.value.instance_id, caught.value.status) == ("order-42", state.value)


@pytest.mark.parametrize("event", [Event.PAUSE, Event.UNPAUSE, Event.CANCEL, Event.RETRY])
def test_a_refusal_says_what_would_be_allowed(event: Event) -> None:
    state = next(state for state in State if event not in TRANSITIONS[state])
    with pytest.raises(InvalidStateError, match="only an? .*instance that|only a paused instance|only a failed or"):
        next_state(state, event)


def test_a_completion_is_final() -> None:
    assert TRANSITIONS[State.COMPLETED] == {}


def test_out_of_an_end_leads_only_a_retry() -> None:
    for state in TERMINAL:
        leads_out = {event for event, following in TRANSITIONS[state].items() if following is not state}
        assert leads_out <= {Event.RETRY}


def test_every_state_can_be_reached() -> None:
    reached, new = {State.IN_PROGRESS}, {State.IN_PROGRESS}
    while new:
        new = {following for state in new for following in TRANSITIONS[state].values()} - reached
        reached |= new
    assert reached == set(State)


def test_what_is_not_an_end_can_be_cancelled_and_ended() -> None:
    for state in set(State) - TERMINAL:
        assert TRANSITIONS[state][Event.CANCEL] is State.CANCELLED


def test_only_what_runs_completes_or_fails() -> None:
    for event in (Event.COMPLETE, Event.FAIL):
        assert [state for state in State if event in TRANSITIONS[state]] == [State.IN_PROGRESS]


def test_the_drawing_has_every_move_once() -> None:
    lines = [line.strip() for line in lifecycle.mermaid().splitlines()]
    assert lines[0] == "stateDiagram-v2"
    moves = [f"{state} --> {after}: {event}" for state, row in TRANSITIONS.items() for event, after in row.items()]
    ends = [f"{state} --> [*]" for state in TERMINAL]
    assert sorted(lines[1:]) == sorted([*moves, *ends, "[*] --> in_progress: create"])


def test_the_docs_show_the_table() -> None:
    (drawing,) = re.findall(r"```mermaid\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert drawing == lifecycle.mermaid()
