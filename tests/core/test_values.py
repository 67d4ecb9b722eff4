"""Values: what is stored is what comes back, and what cannot come back is refused with its place.

The invariant of the property tests: `codec.adapt(v) == codec.decode(encode(v))`, and plain JSON values are unchanged.
"""

import collections
import dataclasses
import datetime as dt
import enum
import functools
import inspect
import json
import math
import pickle
import subprocess
import sys
import typing
from collections.abc import Awaitable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeAliasType

from sayiir.core.values import (
    MAX_BYTES,
    MAX_DEPTH,
    PLAIN,
    annotations,
    codec_for,
    encode,
    faults,
    input_annotation,
    nesting,
    output_annotation,
    pack,
    plain,
    unpack,
)
from sayiir.errors import DeserializationError, SerializationError

AllowNan = Annotated[float, "allow-nan"]
T = TypeVar("T")
UserId = NewType("UserId", int)


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


@dataclasses.dataclass
class Named:
    name: str


@dataclasses.dataclass
class Box(Generic[T]):
    content: T


@dataclasses.dataclass
class Event:
    when: dt.datetime | str
    what: Point | Named | None = None
    next: "Event | None" = None
    seen: int = dataclasses.field(default=0, init=False)


class Item(msgspec.Struct):
    price: float
    tags: list[str] = []


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    age: int


@attrs.define
class Attr:
    x: int


@attrs.define
class AttrEvent:
    when: dt.date | str
    note: str = "-"


class Typed(TypedDict):
    a: int


class TypedEvent(TypedDict):
    when: dt.date | str
    note: typing.NotRequired[int]


class Pair(NamedTuple):
    left: int
    right: str


class PairEvent(NamedTuple):
    when: dt.date | str
    count: int = 1


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class StrEnum(str, enum.Enum):
    A = "a"


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


class Blob(bytes):
    pass


class Custom:
    pass


class Array:
    def tolist(self): ...


class Shape(typing.Protocol):
    def method(self) -> int: ...


class Model(pydantic.BaseModel):
    id: int
    price: float = 1.0

    @pydantic.computed_field
    @property
    def double(self) -> int:
        return self.id * 2


class Outer(pydantic.BaseModel):
    inner: Model
    when: dt.datetime | None = None
    by_id: dict[int, Model] = {}


class Ids(pydantic.RootModel[list[int]]):
    pass


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


class Aliased(pydantic.BaseModel):
    order_id: int = pydantic.Field(alias="orderId")


class AliasedByName(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True)
    order_id: int = pydantic.Field(alias="orderId")


class OutAliased(pydantic.BaseModel):
    order_id: int = pydantic.Field(0, serialization_alias="out")


class InAliased(pydantic.BaseModel):
    order_id: int = pydantic.Field(0, validation_alias=pydantic.AliasChoices("in", pydantic.AliasPath("ids", 0)))


class MixedAliases(pydantic.BaseModel):
    a: int = pydantic.Field(0, alias="A")
    b: int = pydantic.Field(0, validation_alias="B")
    c: Aliased


class Animal(pydantic.BaseModel):
    kind: Literal["animal"] = "animal"


class Plant(pydantic.BaseModel):
    kind: Literal["plant"] = "plant"


@pydantic.dataclasses.dataclass
class Checked:
    count: int = pydantic.Field(gt=0)
    data: bytes = b""


@pydantic.dataclasses.dataclass
class CheckedEvent:
    when: dt.date | str
    count: int = pydantic.Field(1, gt=0)


@pydantic.dataclasses.dataclass
class CheckedAliased:
    count: int = pydantic.Field(3, alias="cnt")


@dataclasses.dataclass
class WithModel:
    model: Model
    models: list[Model] = dataclasses.field(default_factory=list)
    maybe: Outer | None = None


# --- encode -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, b"null"),
        (True, b"true"),
        (7, b"7"),
        (-0.0, b"-0.0"),
        ("a\u2028é", '"a\u2028é"'.encode()),
        ((1, [2]), b"[1,[2]]"),
        ({1: 1, "b": {2.5: None}}, b'{"1":1,"b":{"2.5":null}}'),
        (10**300, str(10**300).encode()),
        (Text("x"), b'"x"'),
        (Whole(3), b"3"),
        (Whole(10**30), str(10**30).encode()),
        (Real(1.5), b"1.5"),
        (Blob(b"a"), b'"YQ=="'),
        ({Text("k"): Whole(1)}, b'{"k":1}'),
        ({Whole(1): 2}, b'{"1":2}'),
        (collections.OrderedDict(b=1, a=2), b'{"b":1,"a":2}'),
        (Color.RED, b'"red"'),
        ({Level.LOW: StrEnum.A}, b'{"1":"a"}'),
        (Point(1, 2.0), b'{"x":1,"y":2.0}'),
        (Item(1.5), b'{"price":1.5,"tags":[]}'),
        (Attr(1), b'{"x":1}'),
        (Pair(1, "r"), b'[1,"r"]'),
        (Decimal("1.10"), b'"1.10"'),
        (dt.timedelta(seconds=1), b'"PT1S"'),
        (Model(id=2), b'{"id":2,"price":1.0}'),
        ([{"m": Point(1)}, Ids([1])], b'[{"m":{"x":1,"y":0.0}},[1]]'),
        (Aliased(orderId=1), b'{"orderId":1}'),
        (AliasedByName(order_id=1), b'{"order_id":1}'),
        (OutAliased(order_id=1), b'{"order_id":1}'),
    ],
)
def test_encode_writes_the_expected_text(value, text):
    assert encode(value) == text


def cyclic():
    value = {"a": []}
    value["a"].append(value)
    return value


def nested(depth, inner=1):
    for _ in range(depth):
        inner = [inner]
    return inner


NAN = math.nan


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        (NAN, "$", "nan"),
        (-math.inf, "$", "-inf"),
        (Real("nan"), "$", "nan"),
        ({"items": [{}, 2, None, {"price": NAN}]}, "$.items[3].price", "nan"),
        ({"odd key": (1, math.inf)}, '$["odd key"][1]', "inf"),
        ({"q'\"": 1j}, '$["q\'\\""]', "complex"),
        ([None, {"p": Point(1, NAN)}], "$[1].p.y", "nan"),
        ({"i": Item(NAN)}, "$.i.price", "nan"),
        ({"i": Attr(NAN)}, "$.i.x", "nan"),
        ([Pair(1, NAN)], "$[0][1]", "nan"),
        ({"m": [Model(id=1, price=NAN)]}, "$.m[0].price", "nan"),
        ({"o": Outer(inner=Model(id=1), by_id={3: Model(id=1, price=math.inf)})}, "$.o.by_id[3].price", "inf"),
        (Page[float](items=[NAN]), "$.items[0]", "nan"),
        ([pydantic.RootModel[list[float]]([1, NAN])], "$[0].root[1]", "nan"),
        (Box({Whole(1): NAN}), "$.content[1]", "nan"),
        (Box({Whole(1): None, 2: [Real("nan")]}), "$.content[2][0]", "nan"),
        ([Point(1, Real("inf"))], "$[0].y", "inf"),
        ({NAN: 1}, "$", "key nan"),
        ({"a": {math.inf: 1}}, "$.a", "key inf"),
        ({1: 1, "1": 2}, "$", "same JSON key '1'"),
        ({"a": [{1: 1, 1.5: 2, "1.5": 3}]}, "$.a[0]", "same JSON key '1.5'"),
        ({StrEnum.A: 1, Level.LOW: 1, "1": 2}, "$", "same JSON key '1'"),
        (Box({1: 1, "1": 2}), "$.content", "same JSON key"),
        (Page[Any](items=[{1: 1, "1": 2}]), "$.items[0]", "same JSON key"),
        ({None: 1}, "$", "use string keys"),
        ({"a": {True: 1}}, "$.a", "use string keys"),
        ({"a": {(1, 2): 1}}, "$.a", "use string keys"),
        ([{Custom(): 1}], "$[0]", "use string keys"),
        ({"a": "\ud800"}, "$.a", "surrogate"),
        ("\udfff", "$", "surrogate"),
        ({"a": {"\ud800": 1}}, "$.a", "surrogate"),
        (Model.model_construct(id="\ud800"), "$.id", "surrogate"),
        ([1, {Custom()}], "$[1][0]", "Custom"),
        ({"f": test_encode_writes_the_expected_text}, "$.f", "return data"),
        ({"f": lambda: 1}, "$.f", "function"),
        ([(x for x in ())], "$[0]", "make a list"),
        ([range(3)], "$[0]", "make a list"),
        ([{}.keys()], "$[0]", "make a list"),
        ([int], "$[0]", "return data"),
        ([Path("a")], "$[0]", "str(path)"),
        ([Array()], "$[0]", "item.tolist()"),
        ([1j], "$[0]", "complex"),
        (Point(Custom()), "$.x", "Custom"),
        (Page[Any](items=[Custom()]), "$.items[0]", "Custom"),
        ([msgspec.UNSET], "$[0]", "UnsetType"),
        ([10**5000], "$[0]", "too many digits"),
        ([cyclic()], "$[0].a[0]", "contains itself"),
        (msgspec.Raw(b"{"), "$", "Raw"),
    ],
)
def test_encode_refuses_and_names_the_place(value, path, words):
    with pytest.raises(SerializationError) as caught:
        encode(value)
    assert path == caught.value.path
    assert words in str(caught.value)
    assert not isinstance(caught.value, DeserializationError)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.path, str(copy)) == (path, str(caught.value))


def test_encode_refuses_an_open_file():
    with Path(__file__).open() as file, pytest.raises(SerializationError, match=r"\$\.f:"):
        encode({"f": file})


def test_a_pydantic_cycle_is_refused():
    page = Page[Any](items=[])
    page.items.append(page)
    with pytest.raises(SerializationError, match="contains itself"):
        encode(page)


def test_a_model_whose_own_rule_writes_nan_is_accepted():
    class Loose(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(ser_json_inf_nan="strings")
        x: float
        y: int | None = None

    assert math.isnan(codec_for(Loose).adapt(Loose(x=NAN)).x)


def test_pydantic_text_that_is_spelled_differently_is_accepted():
    assert encode([Model(id=1, price=1e20), None]) == b'[{"id":1,"price":1e+20},null]'


def test_models_may_hold_types_that_only_pydantic_writes():
    class Files(pydantic.BaseModel):
        path: Path
        flags: dict[bool, float]

    value = [Files(path=Path("a"), flags={True: 1e20}), None]
    assert codec_for(list[Files | None]).adapt(value) == value


def test_models_that_only_write_json_are_accepted():
    class JsonOnly(pydantic.BaseModel):
        x: int | None

        @pydantic.field_serializer("x")
        def write(self, x: int | None, info: pydantic.FieldSerializationInfo) -> Any:
            if info.mode == "python":
                raise ValueError("only JSON")
            return x

    assert encode([JsonOnly(x=None)]) == b'[{"x":null}]'


def test_an_object_that_lies_about_equality_is_still_written():
    @dataclasses.dataclass
    class Odd:
        x: int

        def __eq__(self, other):
            raise ValueError("ambiguous")

        __hash__ = None

    with pytest.raises(SerializationError):
        encode([Odd(NAN)])


def test_raw_json_inside_objects_is_taken_as_it_is():
    assert encode([Real(1.5), Box(msgspec.Raw(b"null"))]) == b'[1.5,{"content":null}]'


def test_depth_limit():
    deepest = nested(MAX_DEPTH - 1, [1])
    assert plain(encode(deepest)) == deepest
    with pytest.raises(SerializationError, match="too deep") as caught:
        encode({"a": deepest})
    assert MAX_DEPTH == caught.value.limit
    assert caught.value.path.startswith("$.a[0][0]")
    with pytest.raises(SerializationError, match="too deep"):
        encode(nested(100_000))
    with pytest.raises(SerializationError, match="too deep"):
        encode(Box(nested(MAX_DEPTH)))


def test_a_full_stack_is_called_too_deep():
    assert faults.explain(1, RecursionError()).limit == MAX_DEPTH


def test_many_containers_and_brackets_in_texts_are_not_deep():
    wide = [{"a": ['[[["', "\\", '\\"[{' * 300, {}]} for _ in range(300)]
    assert plain(encode(wide)) == wide


@given(st.recursive(st.text('[]{}"\\,a') | st.none(), lambda c: st.lists(c) | st.dictionaries(st.text('[{"\\'), c)))
def test_depth_is_counted_exactly(value):
    def depth(v):
        inner = v.values() if isinstance(v, dict) else v if isinstance(v, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    assert depth(value) == nesting.depth_of(encode(value))


def test_size_limit():
    with pytest.raises(SerializationError, match="too large") as caught:
        encode("x" * 100, max_bytes=101)
    assert (102, 101) == (caught.value.size, caught.value.limit)
    assert len(encode("x" * 100, max_bytes=102)) == 102
    with pytest.raises(SerializationError, match="too large"):
        PLAIN.adapt("x" * MAX_BYTES)
    with pytest.raises(SerializationError, match="too large"):
        codec_for(str).adapt("x" * MAX_BYTES)


# --- plain and malformed text -------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), children),
    max_leaves=20,
)


def same(a, b):
    """Equal to the last type and sign; pydantic's UTC only reads differently."""
    return repr(a).replace("TzInfo(0)", "datetime.timezone.utc") == repr(b)


@given(json_values)
def test_plain_json_comes_back_unchanged(value):
    raw = encode(value)
    assert same(json.loads(raw), value)
    assert same(plain(raw), value)
    assert same(PLAIN.adapt(value), value)
    assert unpack(pack(raw)) == raw == unpack(raw.decode())


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.just("\ud800")
    | st.sampled_from([Color.RED, Level.LOW, StrEnum.A, Text("t"), Whole(2), Real("nan"), 1j, Custom(), Model(id=1)])
    | st.binary(max_size=3)
    | st.dates()
    | st.builds(Point, st.integers(), st.floats()),
    lambda children: (
        st.lists(children, max_size=3)
        | st.tuples(children)
        | st.dictionaries(st.text(max_size=2) | st.integers(0, 9) | st.floats() | st.none(), children, max_size=3)
        | st.builds(Box, children)
        | st.builds(lambda c: Page[Any](items=[c]), children)
    ),
    max_leaves=8,
)


@given(anything)
def test_adapt_is_always_decode_of_encode(value):
    try:
        expected = plain(encode(value))
    except SerializationError as error:
        assert error.path.startswith("$")
        with pytest.raises(SerializationError):
            PLAIN.adapt(value)
    else:
        assert same(PLAIN.adapt(value), expected)
        assert "NaN" not in json.dumps(expected)


@given(st.binary(max_size=40) | st.text(max_size=40).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_decoding_any_bytes_never_raises_anything_else(raw):
    for annotation in (Any, int, Point, Model, list[Point | Named]):
        try:
            codec_for(annotation).decode(unpack(raw))
        except DeserializationError as error:
            assert error.path.startswith("$")


@pytest.mark.parametrize("annotation", [Any, int, list[int], Point, Model, list[Model], Event, dt.date | str, AllowNan])
@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"a":1', b'"\xff"', b"nul", b"[1]x", b"NaN", b"1e400", b"[" * 500, b"[" * 201 + b"]" * 201]
)
def test_malformed_and_deep_texts_are_refused(annotation, raw):
    with pytest.raises(DeserializationError):
        codec_for(annotation).decode(raw)


def test_a_number_too_large_for_a_float_is_refused_in_models():
    for text in (b"1e400", b"-1E+0999", b"1" * 400 + b".5"):
        with pytest.raises(DeserializationError):
            codec_for(Model).decode(b'{"id":1,"price":' + text + b"}")
    assert codec_for(Model).decode(b'{"id":1,"price":1e300}').price == 1e300


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


# --- annotations of functions -------------------------------------------------------------------------------------


def plain_function(x: Point, *, flag: bool = False) -> list[int]: ...
def text_function(x: "list[Point]") -> "Optional[Model]": ...
async def async_function(x: None) -> int: ...
def awaitable_function(x: int) -> Awaitable[str]: ...
def half_known(x: "Nowhere", y: int = 0) -> int: ...  # noqa: F821
def bare(x): ...
def no_parameters() -> None: ...
def only_keywords(*, x: int) -> int: ...
def variadic(*xs: int) -> str: ...
def two(a: str, b: Point) -> int: ...
def marked(x: AllowNan) -> Annotated[int, "m"]: ...


@functools.wraps(text_function)
def wrapped(*args, **kwargs): ...


class Methods:
    def __init__(self, seed: str = "") -> None: ...
    def __call__(self, x: "Point") -> "int": ...
    def method(self, x: Model) -> str: ...
    @classmethod
    def made(cls, x: float) -> "Methods": ...
    @staticmethod
    def static(x: bytes) -> None: ...


class Heir(Methods): ...


@pytest.mark.parametrize(
    ("function", "first", "returned"),
    [
        (plain_function, Point, list[int]),
        (text_function, list[Point], Optional[Model]),
        (async_function, type(None), int),
        (awaitable_function, int, str),
        (half_known, Any, int),
        (bare, Any, Any),
        (no_parameters, Any, type(None)),
        (only_keywords, Any, int),
        (variadic, int, str),
        (functools.partial(two, "x"), Point, int),
        (functools.partial(functools.partial(two), "x"), Point, int),
        (functools.partial(plain_function, flag=True), Point, list[int]),
        (functools.partial(Methods().method), Model, str),
        (wrapped, list[Point], Optional[Model]),
        (Methods(), Point, int),
        (functools.partial(Methods()), Point, int),
        (Methods().method, Model, str),
        (Methods.made, float, Methods),
        (Methods.static, bytes, type(None)),
        (Methods, str, Methods),
        (Heir, str, Heir),
        (Point, int, Point),
        (marked, AllowNan, Annotated[int, "m"]),
        (lambda x: x, Any, Any),
        (len, Any, Any),
        (print, Any, Any),
        (int, Any, int),
        ("a".upper, Any, Any),
        (math.sqrt, Any, Any),
        (3, Any, Any),
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0],  # no addresses: ids must be alike in every process
)
def test_annotations_of_callables(function, first, returned):
    assert first == input_annotation(function)
    assert returned == output_annotation(function)


def test_closure_names_that_are_not_assigned_yet_are_unknown():
    def function(x: "Later") -> "int":
        return Later(x)

    assert input_annotation(function) is Any
    assert output_annotation(function) is int

    class Later(int): ...

    assert input_annotation(function) is Later


def test_annotations_see_the_names_a_closure_holds():
    class Local: ...

    def function(x: "Local") -> "Local":
        return x or Local()

    assert input_annotation(function) is Local
    assert output_annotation(function) is Local


# --- envelope -----------------------------------------------------------------------------------------------------


def test_json_is_stored_bare():
    assert pack(b'{"a":1}') == b'{"a":1}' == unpack(b'{"a":1}') == unpack('{"a":1}')
    assert unpack('"é"') == '"é"'.encode()
    assert unpack(b"\x00\x01\x04json[1]") == b"[1]"


@given(st.binary(max_size=20), st.text("abz-09", min_size=1, max_size=255))
def test_other_codecs_are_framed_and_named_when_unknown(payload, name):
    stored = pack(payload, name)
    assert stored == b"\x00\x01" + bytes([len(name)]) + name.encode() + payload
    with pytest.raises(DeserializationError, match="newer release") as caught:
        unpack(stored)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("stored", [b"\x00", b"\x00\x01", b"\x00\x01\x05zs", b"\x00\x02\x04json1", "\ud800"])
def test_broken_and_newer_envelopes(stored):
    with pytest.raises(DeserializationError):
        unpack(stored)


@pytest.mark.parametrize("name", ["", "x" * 256, "é"])
def test_bad_codec_names(name):
    with pytest.raises(ValueError):  # noqa: PT011 -- UnicodeEncodeError is one
        pack(b"", name)


def test_pydantic_secrets_come_back_whole_instead_of_as_asterisks():
    class Inner(pydantic.BaseModel):
        codes: list[pydantic.SecretStr] = []
        when: dict[str, pydantic.Secret[dt.date]] = {}

    class Model(pydantic.BaseModel):
        pin: pydantic.SecretStr
        raw: pydantic.SecretBytes | None = None
        many: pydantic.Secret[list[int]] = pydantic.Field(alias="theMany")
        inner: Inner | None = None
        name: str = "a"

    @dataclasses.dataclass
    class Record:
        pin: pydantic.SecretStr
        url: pydantic.HttpUrl | None = None

    inner = Inner(codes=["a", "b"], when={"x": dt.date(2030, 1, 31)})
    model = Model(pin="needle", raw=b"bytes", theMany=[1, 2], inner=inner)
    record = Record(pydantic.SecretStr("needle"), pydantic.HttpUrl("https://a.example/"))
    for value, annotation in (
        (model, Model), (record, Record), (pydantic.SecretStr("needle"), pydantic.SecretStr),
        ([pydantic.SecretStr("a")], list[pydantic.SecretStr]), ({"k": model}, dict[str, Model]),
    ):  # fmt: skip
        raw = encode(value)
        assert b"***" not in raw
        assert codec_for(annotation).decode(raw) == value
        assert codec_for(annotation).adapt(value) == value
