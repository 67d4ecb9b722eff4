"""Forms out of JSON Schemas, and JSON out of filled forms."""

import dataclasses
import datetime as dt
import enum
import json
from typing import Any, Literal

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sayiir import Secret
from sayiir.server.pages.answers import read_answers
from sayiir.server.pages.schema import DEEPEST, Field, form_of


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Address:
    street: str
    zip: str = "00000"


@dataclasses.dataclass
class Order:
    item: str
    amount: int
    paid: bool
    colour: Colour
    address: Address
    size: Literal["s", "m"] = "m"
    gift: bool = False
    rush: bool = True
    note: str | None = None
    second: Address | None = None
    weight: float | None = None
    tags: list[str] = dataclasses.field(default_factory=list)
    more: dict[str, int] = dataclasses.field(default_factory=dict)
    at: dt.datetime | None = None
    either: int | str = 1


def form(kind: Any) -> Field:
    return form_of(msgspec.json.schema(kind))


def filled(kind: Any, posted: dict[str, str]) -> Any:
    answers = read_answers(form(kind), posted)
    assert answers.errors == {}
    return msgspec.json.decode(answers.json, type=kind)


MINIMAL = {"/item": "lamp", "/amount": "3", "/paid": "true", "/colour": "0", "/address/street": "Elm St"}


def test_kinds_of_fields():
    kinds = {field.name: (field.kind, field.required) for field in form(Order).fields}
    assert kinds == {
        "/item": ("string", True), "/amount": ("integer", True), "/paid": ("yesno", True), "/colour": ("choice", True),
        "/address": ("object", True), "/size": ("choice", False), "/gift": ("tick", False), "/rush": ("tick", False),
        "/note": ("string", False), "/second": ("object", False), "/weight": ("number", False), "/tags": ("json", False),
        "/more": ("json", False), "/at": ("string", False), "/either": ("json", False),
    }  # fmt: skip


def test_the_least_that_must_be_filled_in():
    # A browser sends what a field starts with; "rush" is ticked at first and was unticked.
    order = filled(Order, {**MINIMAL, "/size": "0", "/tags": "[]", "/more": "{}", "/either": "1"})
    assert order == Order("lamp", 3, True, order.colour, Address("Elm St"), rush=False)


def test_everything_filled_in():
    order = filled(Order, {
        **MINIMAL, "/paid": "false", "/address/zip": "12345", "/size": "1", "/gift": "true", "/rush": "true", "/note": "a\r\nb",
        "/second/street": "Oak St", "/second/zip": "1", "/weight": "1.50", "/tags": '["a"]', "/more": '{"x": 1}',
        "/at": "2030-01-31T09:30:00Z", "/either": '"text"',
    })  # fmt: skip
    assert (order.paid, order.size, order.gift, order.rush, order.note) == (False, "s", True, True, "a\nb")
    assert (order.second, order.weight, order.tags, order.more) == (Address("Oak St", "1"), 1.5, ["a"], {"x": 1})
    assert order.at == dt.datetime(2030, 1, 31, 9, 30, tzinfo=dt.UTC)
    assert order.either == "text"


def test_every_mistake_is_told_at_its_field_and_all_at_once():
    answers = read_answers(form(Order), {"/amount": "3.5", "/paid": "", "/colour": "7", "/tags": "[1", "/address/street": ""})
    assert answers.errors.pop("/tags").startswith("is not JSON")
    assert answers.errors == {
        "/item": "is needed", "/amount": "must be a whole number", "/paid": "is needed", "/colour": "must be one of the list",
        "/address/street": "is needed",
    }  # fmt: skip


@pytest.mark.parametrize("posted", ["x", "1e400", "nan", "inf", "true", "[1]", "--1", "0x10", ""])
def test_numbers_are_numbers(posted):
    @dataclasses.dataclass
    class Weighed:
        weight: float

    assert read_answers(form(Weighed), {"/weight": posted}).errors.keys() == {"/weight"}


def test_whole_numbers_of_any_size_stay_exact():
    big = 2**200 + 1
    answers = read_answers(form_of({"type": "object", "properties": {"n": {"type": "integer"}}}), {"/n": f" +{big} "})
    assert json.loads(answers.json) == {"n": big}


def test_an_object_that_may_be_missing_is_missing_when_nothing_is_in_it():
    @dataclasses.dataclass
    class Outer:
        a: str
        b: Address | None = None

    assert filled(Outer, {"/a": "x", "/b/street": "", "/b/zip": ""}) == Outer("x")
    # Half filled in is a mistake, not nothing.
    errors = read_answers(form(Outer), {"/a": "x", "/b/street": "", "/b/zip": "12345"}).errors
    assert errors == {"/b/street": "is needed"}


def test_names_that_are_no_words():
    schema = {"type": "object", "properties": {"a/b~c.d[0]": {"type": "string"}, "": {"type": "string"}, "ö<": {"type": "string"}}}
    fields = form_of(schema).fields
    assert len({field.id for field in fields}) == 3
    posted = {field.name: str(index) for index, field in enumerate(fields)}
    assert json.loads(read_answers(form_of(schema), posted).json) == {"a/b~c.d[0]": "0", "": "1", "ö<": "2"}


def test_a_root_that_is_no_object():
    assert read_answers(form(bool), {"": "true"}).json == b"true"
    assert read_answers(form(bool), {}).errors == {"": "is needed"}
    assert read_answers(form(Literal["a", "b"]), {"": "1"}).json == b'"b"'
    assert read_answers(form(int), {"": "7"}).json == b"7"
    assert read_answers(form_of(None), {"": '{"a": 1}'}).json == b'{"a": 1}'


def test_raw_json_is_the_whole_value_and_is_checked():
    assert read_answers(form(Order), {"raw": '{"any": "thing"}'}).json == b'{"any": "thing"}'
    assert "raw" in read_answers(form(Order), {"raw": "{"}).errors
    assert "raw" in read_answers(form(Order), {"raw": ""}).errors


def test_a_type_inside_itself_ends_in_json():
    class Tree(pydantic.BaseModel):
        name: str
        left: "Tree | None" = None

    Tree.model_rebuild()
    part: Field = form_of(Tree.model_json_schema())
    for _ in range(DEEPEST):
        part = next(inner for inner in part.fields if inner.name.endswith("/left"))
    assert part.kind == "json"


def test_a_schema_of_pydantic():
    class Visit(pydantic.BaseModel):
        name: str = pydantic.Field(description="Who comes.", max_length=40, title="Guest")
        nights: int = pydantic.Field(gt=0, le=14)
        colour: Colour = Colour.BLUE

    name, nights, colour = form_of(Visit.model_json_schema()).fields
    assert (name.label, name.help, name.limits) == ("Guest", "Who comes", (("maxlength", "40"),))
    assert nights.limits == (("min", "1"), ("max", "14"))
    assert (colour.kind, colour.default) == ("choice", "1")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"$ref": "#/$defs/nowhere"},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}]}}},
        {"type": ["integer", "string", "null"]},
        {"enum": []},
        {"allOf": [{"type": "string"}]},
        {"type": "object", "properties": {"a": {"const": 7}}, "required": ["a"]},
    ],
)
def test_odd_schemas_have_a_form_all_the_same(schema):
    read_answers(form_of(schema), {})


_JSON_TYPES = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null", "unheard"])
_SCHEMAS = st.recursive(
    st.fixed_dictionaries({}, optional={"type": _JSON_TYPES, "default": st.none() | st.integers() | st.text(), "enum": st.lists(st.integers() | st.text()), "maxLength": st.integers(0, 9)}),
    lambda inner: st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(st.text(), inner, max_size=4)}, optional={"required": st.lists(st.text())})
    | st.fixed_dictionaries({"anyOf": st.lists(inner, max_size=3)}),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(schema=_SCHEMAS, posted=st.dictionaries(st.text(max_size=6), st.text(max_size=12)))
def test_whatever_is_posted_gives_json_or_errors(schema, posted):
    answers = read_answers(form_of(schema), posted)
    if not answers.errors:
        msgspec.json.decode(answers.json)


def test_what_is_secret_is_not_shown_while_it_is_typed_nor_after():
    @dataclasses.dataclass
    class Card:
        number: Secret[str] = "a default"
        spare: Secret[str] | None = None

    fields = form(Card).fields
    assert [(one.kind, one.default, one.required) for one in fields] == [("secret", "", False), ("secret", "", False)]
    assert filled(Card, {"/number": " 4111 ", "/spare": ""}) == Card(" 4111 ", None)
