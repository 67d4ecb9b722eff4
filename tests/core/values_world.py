"""Types of every kind that values can have, for the tests of values."""

import dataclasses
import datetime as dt
import enum
import typing
from typing import Annotated, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar

import attrs
import msgspec
import pydantic

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


def same(a, b):
    """Equal to the last type and sign; pydantic's UTC only reads differently."""
    return repr(a).replace("TzInfo(0)", "datetime.timezone.utc") == repr(b)
