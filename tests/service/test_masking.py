"""What of stored values people see."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayiir.service.masking import DEFAULT_MASKING, MASK, MAX_SHOWN, Masking


@pytest.mark.parametrize(
    "key",
    ["password", "PASSWORD", "db_password", "dbPassword", "db-password", "user.password", "api_key", "apiKey", "API-KEY",
     "Authorization", "accessToken", "access_token", "client_secret", "Set-Cookie", "token", "privateKey"],
)  # fmt: skip
def test_secret_names(key):
    assert DEFAULT_MASKING.is_secret(key)


@pytest.mark.parametrize("key", ["tokens_used", "tokenizer", "secretary", "author", "monkey", "passwordless", "", "päss", "key"])
def test_other_names(key):
    assert not DEFAULT_MASKING.is_secret(key)


def test_what_is_secret_is_masked_wherever_it_stands():
    raw = b'{"user":{"password":"hunter2","name":"ann"},"list":[{"token":{"a":1}}],"api_key":null}'
    shown = json.loads(DEFAULT_MASKING.show(raw).text)
    assert shown == {"user": {"password": MASK, "name": "ann"}, "list": [{"token": MASK}], "api_key": None}


def test_names_of_ones_own():
    masking = Masking(names=("iban_number",))
    assert masking.masked({"ibanNumber": 1, "password": 2}) == {"ibanNumber": MASK, "password": 2}


def test_long_values_are_cut_and_longer_ones_are_not_read():
    shown = DEFAULT_MASKING.show(json.dumps("x" * MAX_SHOWN).encode())
    assert (len(shown.text), shown.truncated, shown.size) == (MAX_SHOWN, True, MAX_SHOWN + 2)
    longer = DEFAULT_MASKING.show(b'"' + b"x" * 2_000_000 + b'"')
    assert "2,000,002 bytes" in longer.text
    assert longer.truncated


def test_what_is_no_json_is_told_not_shown():
    assert "no plain JSON" in DEFAULT_MASKING.show(b"\xff\xfe").text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6), inner, max_size=4),
)


@given(JSON)
def test_any_value_can_be_shown_and_numbers_stay_exact(value):
    shown = DEFAULT_MASKING.show(json.dumps(value).encode())
    assert json.loads(shown.text) == DEFAULT_MASKING.masked(value)


@given(st.sampled_from(["password", "apiKey", "db_token"]), JSON.filter(lambda value: value is not None))
def test_nothing_of_a_secret_is_shown(key, value):
    marked = {key: {"deep": [value, "needle-in-it"]}, "b": 1}
    assert "needle" not in DEFAULT_MASKING.show(json.dumps(marked).encode()).text
