"""The language of the filter box: what it means, what it refuses and how, and that it reads what it writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayiir.core.lifecycle import State
from sayiir.errors import FilterError
from sayiir.service.filter import MAX_FILTER, format_filter, parse_filter, quoted, words
from sayiir.store.port import Query

NOW = 1_800_000_000_000_000
HOUR = 3_600_000_000


def parsed(text):
    return parse_filter(text, NOW)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("", {}),
        ("   \t\n", {}),
        ("order-42", {"id_prefix": "order-42"}),
        ("id:order-42", {"id_prefix": "order-42"}),
        ('"status:failed"', {"id_prefix": "status:failed"}),
        ("status:failed", {"statuses": (State.FAILED,)}),
        ("status:failed,paused,failed", {"statuses": (State.FAILED, State.PAUSED)}),
        ("workflow:order", {"workflow_id": "order"}),
        ('workflow:"my order"', {"workflow_id": "my order"}),
        ("since:2h", {"created_after": NOW - 2 * HOUR}),
        ("until:1h30m", {"created_before": NOW - 3 * HOUR // 2}),
        ("since:2026-11-01", {"created_after": 1_793_491_200_000_000}),
        ("until:2026-11-01T12:00+02:00", {"created_before": 1_793_527_200_000_000}),
        ('meta.customer:"ann b"', {"metadata": {"customer": "ann b"}}),
        ("meta.vip:true meta.n:7 meta.x:null meta.y:1.5", {"metadata": {"vip": True, "n": 7, "x": None, "y": 1.5}}),
        (r'id:"a \"quoted\" \\ id"', {"id_prefix": r'a "quoted" \ id'}),
        ("o-1 status:paused workflow:w", {"id_prefix": "o-1", "statuses": (State.PAUSED,), "workflow_id": "w"}),
    ],
)
def test_what_words_mean(text, facts):
    assert parsed(text) == Query(**facts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("status:broken", "the statuses are in_progress"),
        ("status:", "status: has no value"),
        ('""', "an empty word has no value"),
        ("statos:failed", "did you mean status?"),
        ("a:b", 'quote an id that has a colon: "a:b"'),
        ("one two", "an id twice"),
        ("status:failed status:paused", "status twice"),
        ("since:yesterday", "is no time"),
        ("since:-5", "is no time"),
        ("since:9999999999999999h", "is no time"),
        ('id:"open', "is not closed"),
        ("meta.n:99999999999999999999", "64 bits"),
        ("meta.:x", "cannot be stored"),
        ("x" * (MAX_FILTER + 1), "at most"),
        ("a\0b", "NUL"),
        ("workflow:\ud800", "cannot be stored"),
        ("é" * 200, "256 bytes"),
    ],
)
def test_what_is_refused_names_the_word_and_the_fix(text, said):
    with pytest.raises(FilterError) as caught:
        parsed(text)
    assert said in str(caught.value)
    assert caught.value.code == "bad_filter"
    assert isinstance(caught.value, ValueError)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        assert isinstance(parsed(text), Query)
    except FilterError as error:
        assert str(error)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
VALUES = TEXT.filter(lambda text: text not in ("true", "false", "null") and not text.strip().lstrip("-")[:1].isdigit())


@given(TEXT)
def test_a_quoted_value_is_read_back(value):
    assert list(words("id:" + quoted(value))) == [("id", value)]


@given(TEXT, VALUES, st.sets(st.sampled_from(State), min_size=1))
def test_what_is_written_is_read_back(workflow, value, states):
    text = format_filter({"status": ",".join(states), "workflow": workflow, "meta.k": value, "id": ""})
    query = parsed(text)
    assert set(query.statuses) == states
    assert query.workflow_id == workflow
    assert query.metadata == {"k": value}
    assert query.id_prefix is None
