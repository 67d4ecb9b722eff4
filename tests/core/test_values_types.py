"""What comes back: by annotation, what is stored is what comes back, and a misfit is refused with its place.

The invariant: `codec.adapt(v) == codec.decode(encode(v))`.
"""

import collections
import dataclasses
import datetime as dt
import inspect
import json
import math
import subprocess
import sys
import typing
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional, Union
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeAliasType

from sayiir.core.values import (
    PLAIN,
    annotations,
    codec_for,
    encode,
)
from sayiir.errors import DeserializationError, SerializationError
from tests.core.values_world import (
    Aliased,
    AliasedByName,
    AllowNan,
    Animal,
    Attr,
    AttrEvent,
    Box,
    Cat,
    Checked,
    CheckedAliased,
    CheckedEvent,
    Color,
    Custom,
    Dog,
    Event,
    Ids,
    InAliased,
    Item,
    Level,
    MixedAliases,
    Model,
    Named,
    OutAliased,
    Outer,
    Page,
    Pair,
    PairEvent,
    Plant,
    Point,
    Real,
    Shape,
    StrEnum,
    Text,
    Typed,
    TypedEvent,
    UserId,
    Whole,
    WithModel,
    same,
)  # fmt: skip

# --- by annotation ------------------------------------------------------------------------------------------------

ROUND_TRIPS = [
    (Point, Point(1, 2.0)),
    (list[Point], [Point(1)]),
    (Box[Point], Box(Point(1))),
    (Box[int], Box(3)),
    (Item, Item(1.5, ["a"])),
    (Cat | Dog, Dog(3)),
    (Attr, Attr(1)),
    (Typed, {"a": 1}),
    (Pair, Pair(1, "r")),
    (Color, Color.RED),
    (Level, Level.LOW),
    (dt.datetime, dt.datetime(2020, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC)),
    (dt.datetime, dt.datetime(2020, 1, 2)),
    (dt.date, dt.date(2020, 1, 2)),
    (dt.time, dt.time(1, 2, 3)),
    (dt.timedelta, dt.timedelta(days=-1, microseconds=5)),
    (UUID, UUID(int=5)),
    (Decimal, Decimal("1.10")),
    (bytes, b"\x00\xff"),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (tuple[()], ()),
    (dict[int, str], {1: "a"}),
    (dict[UUID, dt.date], {UUID(int=1): dt.date(2020, 1, 1)}),
    (dict[float, int], {1.5: 1}),
    (int, 10**300),
    (int, True),
    (list[int], [True, 2]),
    (int | None, False),
    (dict[str, int | None], {"a": True, "b": None}),
    (float | int, 3),
    (float | int, 3.0),
    (UserId, 3),
    (list[UserId], [3]),
    (Literal["a", 1], 1),
    (UserId | int, True),
    (TypeAliasType("Alias", list[int]), [True]),
    (Shape, [1]),
    (dict[str, Point] | Point, {"x": Point(1)}),
    (Annotated[int, "documented"], True),
    (Annotated[int, msgspec.Meta(gt=0)], 3),
    (collections.OrderedDict, collections.OrderedDict(a=1)),
    (collections.OrderedDict[str, int], collections.OrderedDict(a=1)),
    (Text, Text("x")),
    (Iterable[int], [1, 2]),
    # unions that msgspec refuses
    (Point | Named, Named("n")),
    (Point | Named, Point(1)),
    (list[Point | Named], [Named("n"), Point(2)]),
    (dict[str, Point | Named | None], {"a": None, "b": Named("n")}),
    (tuple[dt.datetime | str, int], (dt.datetime(2020, 1, 1), True)),
    (tuple[dt.datetime | str, ...], ("x", dt.datetime(2020, 1, 1))),
    (Optional[Union[dt.date, str]], "not a date"),
    (list[dt.date | str] | Point, ["x", dt.date(2020, 1, 1)]),
    (Model | Point, Point(1, 2.0)),
    (Model | Item | None, Item(1.0)),
    (list[int] | set[str], {"a"}),
    (Event, Event(dt.datetime(2020, 1, 1), Named("n"))),
    (Event, Event("later", None, Event("now", Point(1)))),
    (list[Event | None], [Event("later"), None]),
    (AttrEvent, AttrEvent(dt.date(2020, 1, 1))),
    (TypedEvent, {"when": dt.date(2020, 1, 1)}),
    (PairEvent, PairEvent("soon", 2)),
    # pydantic
    (Model, Model(id=1)),
    (list[Model], [Model(id=1)]),
    (dict[str, Model], {"a": Model(id=1)}),
    (dict[int, Model], {1: Model(id=1)}),
    (Model | None, None),
    (Model | None, Model(id=1)),
    (Outer, Outer(inner=Model(id=1), when=dt.datetime(2020, 1, 1, tzinfo=dt.UTC), by_id={1: Model(id=2)})),
    (Animal | Plant, Plant()),
    (list[Animal | Plant | None], [Plant(), None, Animal()]),
    (Annotated[Animal | Plant, pydantic.Field(discriminator="kind")], Plant()),
    (list[Annotated[Animal | Plant, pydantic.Field(discriminator="kind")]], [Plant(), Animal()]),
    (Annotated[Model, "documented"], Model(id=1)),
    (tuple[Model, bytes, dt.timedelta], (Model(id=1), b"\xff", dt.timedelta(1))),
    (Model | int, True),
    (Model | str, "x"),
    (Model | dt.date, dt.date(2020, 1, 1)),
    (Ids, Ids([1])),
    (Page[Model], Page[Model](items=[Model(id=1)])),
    (list[Page[int]], [Page[int](items=[1])]),
    (Aliased, Aliased(orderId=1)),
    (list[AliasedByName], [AliasedByName(order_id=1)]),
    (OutAliased, OutAliased(order_id=1)),
    (InAliased, InAliased.model_validate({"in": 7})),
    (MixedAliases, MixedAliases(A=1, B=2, c=Aliased(orderId=3))),
    (WithModel, WithModel(Model(id=1), [Model(id=2)], Outer(inner=Model(id=3)))),
    (Box[MixedAliases], Box(MixedAliases(A=1, B=2, c=Aliased(orderId=3)))),
    (Checked, Checked(1, b"\xff")),
    (list[Checked], [Checked(1, b"\xff")]),
    (Checked | None, Checked(1)),
    (Model | Checked, Checked(1, b"\xff")),
    (CheckedEvent, CheckedEvent(dt.date(2020, 1, 1), 2)),
    (Annotated[list[Model], pydantic.Field(max_length=3, examples=[[]])], [Model(id=1)]),
    (Box[Checked], Box(Checked(1, b"\xff"))),
    (CheckedAliased, CheckedAliased(cnt=5)),
    (Annotated[bytes, pydantic.Field(max_length=3)], b"\xff"),
    (pydantic.PositiveInt, 3),
    (pydantic.HttpUrl, pydantic.HttpUrl("http://a.b/")),
    (list[pydantic.HttpUrl | None], [pydantic.HttpUrl("http://a.b/"), None]),
]


@pytest.mark.parametrize(("annotation", "value"), ROUND_TRIPS, ids=repr)
def test_values_come_back_as_they_were(annotation, value):
    codec = codec_for(annotation)
    assert codec is not PLAIN
    back = codec.decode(encode(value))
    assert same(back, value)
    assert type(back) is type(value)
    assert same(codec.adapt(value), value)


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Any, (1, 2), [1, 2]),
        (Any, {1: 2}, {"1": 2}),
        (Any, StrEnum.A, "a"),
        (Any, Point(1), {"x": 1, "y": 0.0}),
        (Any, Text("x"), "x"),
        (object, [True, 1.0], [True, 1.0]),
        (None, (1,), [1]),
        (inspect.Parameter.empty, (1,), [1]),
        (float, 3, 3.0),
        (float, Real(2.5), 2.5),
        (str, StrEnum.A, "a"),
        (dt.datetime | str, "2020-01-01T00:00:00", dt.datetime(2020, 1, 1)),
        (Item | Point, {"x": 1, "more": 2}, Point(1)),
        (Model, {"id": "7"}, Model(id=7)),
        (Aliased, {"orderId": 7}, Aliased(orderId=7)),
        (MixedAliases, {"A": 1, "b": 2, "c": {"orderId": 3}}, MixedAliases(A=1, B=2, c=Aliased(orderId=3))),
        (Event, {"when": "x", "seen": 4}, None),
        (typing.Self, (1,), [1]),
        ("Nowhere", (1,), [1]),
    ],
)
def test_values_that_change_their_type(annotation, value, expected):
    got = codec_for(annotation).adapt(value)
    if expected is None:
        assert got.seen == 4
    else:
        assert same(got, expected)


@pytest.mark.parametrize(
    ("annotation", "raw", "path", "words"),
    [
        (str, b"3", "$", "Expected `str`, got `int`"),
        (int, b'"3"', "$", "the task expects int"),
        (int, b"1.5", "$", "float"),
        (bool, b"1", "$", "int"),
        (type(None), b"1", "$", "expects None"),
        (list[int], b'[1,"a"]', "$[1]", "expects list[int]"),
        (Point, b'{"x":"a"}', "$.x", "expects Point"),
        (Point, b"{}", "$", "x"),
        (dict[int, str], b'{"a":"b"}', "$", "(a key)"),
        (set[list[int]], b"[[1]]", "$", "unhashable"),
        (Custom, b"{}", "$", "use a dataclass"),
        (list[Custom], b"[1]", "$[0]", "cannot be turned into Custom"),
        (Point | Named, b'{"z":1}', "$", "fits none of Point, Named"),
        (list[Point | Named], b'[{"x":1},3]', "$[1]", "fits none of"),
        (Event, b'{"when":3}', "$.when", "fits none of"),
        (Event, b"[]", "$", "got `array`"),
        (Event, b"{}", "$", "missing required field `when`"),
        (list[Event], b'[{"when":"x","next":{"when":1}}]', "$[0].next.when", "fits none"),
        (Model, b'{"id":"x"}', "$.id", "valid integer"),
        (list[Model], b'[{"id":1},{"id":"x","price":"y"}]', "$[1].id", "and 1 more"),
        (WithModel, b'{"model":{"id":"x"}}', "$.model.id", "valid integer"),
        (Checked, b'{"count":0}', "$.count", "greater than 0"),
        (list[Checked | None], b'[{"count":0}]', "$[0].count", "greater than 0"),
        (pydantic.PositiveInt, b"-1", "$", "greater than 0"),
        (list[pydantic.PositiveInt], b"[-1]", "$[0]", "greater than 0"),
        (AllowNan, b'"x"', "$", "float"),
        (AllowNan, b"true", "$", "float"),
    ],
)
def test_decode_refuses_and_names_the_place(annotation, raw, path, words):
    with pytest.raises(DeserializationError, match="validation error") as caught:
        codec_for(annotation).decode(raw)
    assert words in str(caught.value)
    assert path == caught.value.path


def test_a_failing_post_init_is_a_misfit():
    @dataclasses.dataclass
    class Fussy:
        x: int

        def __post_init__(self):
            raise KeyError("fussy")

    with pytest.raises(DeserializationError, match="fussy"):
        codec_for(Fussy).decode(b'{"x":1}')


@pytest.mark.parametrize(
    ("annotation", "fast"),
    [
        (Any, {int, bool, type(None)}),
        (int, {int, bool}),
        (bool, {bool}),
        (type(None), {type(None)}),
        (int | None, {int, bool, type(None)}),
        (float, set()),
        (str, set()),
        (float | int | str | None, {int, bool, type(None)}),
        (UserId, {int, bool}),
        (Annotated[int, "doc"], {int, bool}),
        (Annotated[int, msgspec.Meta(gt=0)], set()),
        (pydantic.PositiveInt, set()),
        (Level, set()),
        (int | Level, set()),
        (list[int], set()),
        (AllowNan, set()),
        (Model, set()),
    ],
)
def test_fast_types(annotation, fast):
    assert fast == codec_for(annotation).fast


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["\ud800", Whole(1), Text("a"), Real("inf"), Level.LOW])
)


def outcome(action):
    try:
        result = action()
    except SerializationError as error:
        return type(error)
    return repr(result), type(result)


@given(
    scalars,
    st.sampled_from([Any, int, bool, float, str, type(None), int | None, float | str, str | None, Level, AllowNan]),
)
def test_shortcuts_of_adapt_equal_the_round_trip(value, annotation):
    codec = codec_for(annotation)
    trip = outcome(lambda: codec.decode(encode(value, allow_nan=codec.allow_nan)))
    assert trip == outcome(lambda: codec.adapt(value))
    if type(value) in codec.fast:
        assert codec.adapt(value) is value


@given(st.floats())
def test_floats_marked_allow_nan_come_back(number):
    for annotation, value in [
        (AllowNan, number),
        (list[AllowNan], [number]),
        (dict[str, AllowNan], {"a": number}),
        (tuple[int, AllowNan], (1, number)),
        (AllowNan | None, number),
        (list[AllowNan | None], [None, number]),
        (Annotated[AllowNan, "x"] | str, number),
        (dict[str, list[AllowNan]] | None, {"a": [number]}),
    ]:
        codec = codec_for(annotation)
        assert codec.allow_nan
        json.loads(encode(value, allow_nan=True), parse_constant=pytest.fail)
        assert repr(codec.adapt(value)) == repr(value)


def test_allow_nan_is_only_for_what_asks_for_it():
    assert encode([math.nan, math.inf, {"a": -math.inf}], allow_nan=True) == b'["NaN","Infinity",{"a":"-Infinity"}]'
    assert not codec_for(list[float]).allow_nan
    assert codec_for(list[AllowNan]).adapt([1.5, math.inf, Real(2)]) == [1.5, math.inf, 2.0]
    assert codec_for(AllowNan).adapt(3) == 3.0
    with pytest.raises(SerializationError):
        codec_for(float).adapt(math.nan)
    with pytest.raises(DeserializationError):
        codec_for(float).decode(b'"NaN"')
    with pytest.raises(SerializationError) as caught:
        encode([math.nan, Point(1, math.nan)], allow_nan=True)
    assert caught.value.path == "$[1].y"


def test_constraints_need_pydantic(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic", None)
    assert not annotations._has_pydantic.__wrapped__()


def test_codecs_are_cached_and_mind_the_order_of_unions():
    assert codec_for(list[int]) is codec_for(list[int])
    assert codec_for(Point) is codec_for(Point)
    assert codec_for(None) is codec_for(Any) is codec_for(object) is codec_for(inspect.Parameter.empty) is PLAIN
    raw = b'"2020-01-01"'
    assert codec_for(dt.date | str).decode(raw) == dt.date(2020, 1, 1)
    assert codec_for(str | dt.date).decode(raw) == "2020-01-01"
    assert codec_for(list[dt.date | str]).decode(b"[%s]" % raw) == [dt.date(2020, 1, 1)]
    assert codec_for(list[str | dt.date]).decode(b"[%s]" % raw) == ["2020-01-01"]
    assert codec_for(Annotated[int, []]).decode(b"1") == 1
    assert codec_for(Annotated[Model, pydantic.Field(), []]).decode(b'{"id":1}') == Model(id=1)
    assert "Point" in repr(codec_for(Point))


def test_computed_fields_are_left_out_and_come_back():
    back = codec_for(Model).adapt(Model(id=4))
    assert back.double == 8


def test_forward_references_of_models_may_be_defined_later():
    class Late(pydantic.BaseModel):
        other: "Later"

    codec = codec_for(list[Late])

    class Later(pydantic.BaseModel):
        x: int

    Late.model_rebuild(_types_namespace={"Later": Later})
    assert codec.adapt([Late(other=Later(x=1))])[0].other.x == 1


def test_neither_pydantic_nor_attrs_is_imported_before_it_is_met():
    code = (
        "import sys, dataclasses; from sayiir.core.values import *\n"
        "P = dataclasses.make_dataclass('P', [('x', int)])\n"
        "assert codec_for(list[P]).adapt([P(1)]) == [P(1)]\n"
        "try: encode({1j})\nexcept TypeError: pass\n"
        "print(sorted({'pydantic', 'pydantic_core', 'attr', 'attrs'} & set(sys.modules)))"
    )
    # This process has sayiir on its path by whatever means; the child gets the same.
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"
