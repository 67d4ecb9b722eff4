"""What is written: the text, its limits, and what cannot be written is refused with its place."""

import collections
import dataclasses
import datetime as dt
import json
import math
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayiir.core.values import (
    MAX_BYTES,
    MAX_DEPTH,
    PLAIN,
    codec_for,
    encode,
    faults,
    nesting,
    pack,
    plain,
    unpack,
)
from sayiir.errors import DeserializationError, SerializationError
from tests.core.values_world import (
    Aliased,
    AliasedByName,
    AllowNan,
    Array,
    Attr,
    Blob,
    Box,
    Color,
    Custom,
    Event,
    Ids,
    Item,
    Level,
    Model,
    Named,
    OutAliased,
    Outer,
    Page,
    Pair,
    Point,
    Real,
    StrEnum,
    Text,
    Whole,
    same,
)  # fmt: skip

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
