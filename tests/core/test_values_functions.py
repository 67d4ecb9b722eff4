"""Annotations of functions, and how values are framed in the store."""

import dataclasses
import datetime as dt
import functools
import math
from collections.abc import Awaitable
from typing import Annotated, Any, Optional

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayiir.core.values import (
    codec_for,
    encode,
    input_annotation,
    output_annotation,
    pack,
    unpack,
)
from sayiir.errors import DeserializationError
from tests.core.values_world import (
    AllowNan,
    Model,
    Point,
)  # fmt: skip

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
