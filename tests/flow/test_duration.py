"""Durations: what people write, and what is refused."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayiir import parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0),
        (5, 5.0),
        (0.25, 0.25),
        (timedelta(hours=24), 86_400.0),
        (timedelta(milliseconds=1), 0.001),
        ("100ms", 0.1),
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h", 3_600.0),
        ("2d", 172_800.0),
        ("1h30m", 5_400.0),
        ("1d 2h 3m 4s 5ms", 93_784.005),
        ("1.5 S", 1.5),
        (" 2 H ", 7_200.0),
        (".5m", 30.0),
        ("2.h", 7_200.0),
        ("42", 42.0),
        ("1e1", 10.0),
        ("1M", 60.0),
    ],
)
def test_accepted_forms(written, seconds):
    result = parse_duration(written)
    assert type(result) is float
    assert result == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written", ["", "  ", "zz", "5x", "s", "1h-3m", "1h foo", "5 s s", "٣s", "1,5s", None, True, [], b"5s", object()]
)  # noqa: E501
def test_bad_forms_are_refused_and_the_accepted_ones_named(written):
    with pytest.raises(ValueError, match="Invalid duration") as caught:
        parse_duration(written)
    for form in ("30s", "5m", "1h", "100ms", "2d", "1h30m"):
        assert form in str(caught.value)


@pytest.mark.parametrize(
    "written", [-1, -0.001, "-5", timedelta(seconds=-1), math.nan, math.inf, -math.inf, "nan", "inf", 10**400]
)
def test_not_finite_or_negative_is_refused(written):
    with pytest.raises(ValueError, match="Invalid duration"):
        parse_duration(written)


def test_lengths_beyond_a_hundred_years_are_refused():
    assert parse_duration("36500d") == 36_500 * 86_400.0
    with pytest.raises(ValueError, match="100 years"):
        parse_duration("36501d")


@given(st.integers(0, 10_000), st.sampled_from(["ms", "s", "m", "h"]))
def test_text_and_timedelta_agree(number, unit):
    keyword = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours"}[unit]
    assert parse_duration(f"{number}{unit}") == pytest.approx(parse_duration(timedelta(**{keyword: number})))
