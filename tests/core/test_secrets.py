"""Which places of values are secret: by every kind of annotation, and along the flow."""

from __future__ import annotations

import collections.abc
import json
import typing
from dataclasses import dataclass
from dataclasses import field as part
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
import typing_extensions

from sayiir import Flow, LoopResult, Secret
from sayiir.core.marks import NO_VEIL, NONE, Marks, Veil, together
from sayiir.core.program import is_threadless, tags_text
from sayiir.core.secrets import Finder, live
from sayiir.core.values import codec_for, encode

if TYPE_CHECKING:
    from nowhere import SecretThing, Thing  # type: ignore[import-not-found]

T = TypeVar("T")
Card = NewType("Card", Secret[str])


@dataclass
class Login:
    user: str
    card: Secret[str]
    spare: Secret[str] | None = None


class Camel(msgspec.Struct, rename="camel"):
    api_thing: Secret[str]
    children: list[Camel] = []


class Row(msgspec.Struct, array_like=True, tag="row"):
    name: str
    card: Secret[str]


class Pair(NamedTuple):
    name: str
    card: Secret[int]


class Typed(TypedDict):
    name: str
    card: NotRequired[Secret[str]]


@attrs.define
class Attr:
    card: Secret[str]
    name: str = ""


class Model(pydantic.BaseModel):
    name: str
    card: Secret[str]
    pin: pydantic.SecretStr | None = None
    code: pydantic.Secret[int] = pydantic.Field(alias="theCode")


class Root(pydantic.RootModel[list[pydantic.SecretStr]]):
    pass


@dataclass
class Box(Generic[T]):
    inside: T


@dataclass
class Locked(Box[Secret[str]]):
    width: int = 0


@dataclass
class Unknown:
    thing: SecretThing
    other: Thing
    name: str = ""


@dataclass
class Open:
    name: str
    me: Open | None = None
    parts: list[Open] = part(default_factory=list)


def secret_paths(annotation: Any, value: Any) -> list[str]:
    """Return the paths in a JSON value that are secret under an annotation."""
    finder = Finder()
    shape = live(finder.shape(annotation), finder.types)
    veil = Marks([json.dumps([{"in": {}, "out": {"": shape}, "types": finder.types}])]).output("")
    found: list[str] = []

    def look(one: Any, over: Any, path: str) -> None:
        if over.is_secret:
            found.append(path)
        elif isinstance(one, dict):
            for key, inner in one.items():
                look(inner, over.key(key), f"{path}.{key}")
        elif isinstance(one, list):
            for index, inner in enumerate(one):
                look(inner, over.item(index), f"{path}[{index}]")

    look(value, veil, "$")
    return found


LOGIN = {"user": "ann", "card": "4111", "spare": None}
CASES: list[tuple[Any, Any, list[str]]] = [
    (str, "a", []),
    (Secret[str], "a", ["$"]),
    (Card, "a", ["$"]),
    (Secret[str] | None, "a", ["$"]),
    (int | Secret[str], "a", ["$"]),
    (Annotated[str, "other"], "a", []),
    (Literal["Secret"], "Secret", []),
    (Login, LOGIN, ["$.card", "$.spare"]),
    (list[Login], [LOGIN], ["$[0].card", "$[0].spare"]),
    (dict[str, Login] | None, {"a": LOGIN}, ["$.a.card", "$.a.spare"]),
    (dict[str, Secret[int]], {"a": 1}, ["$.a"]),
    (dict[Secret[str], int], {"a": 1}, ["$"]),
    (collections.abc.Mapping[str, list[Secret[int]]], {"a": [1, 2]}, ["$.a[0]", "$.a[1]"]),
    (tuple[int, Secret[int]], [1, 2], ["$[1]"]),
    (tuple[Secret[int], ...], [1, 2], ["$[0]", "$[1]"]),
    (set[Secret[int]], [1], ["$[0]"]),
    (Login | Open, {"name": "n", "card": "c"}, ["$.card"]),
    (Camel, {"apiThing": "a", "children": [{"apiThing": "b", "children": []}]}, ["$.apiThing", "$.children[0].apiThing"]),
    (Row, ["row", "n", "c"], ["$[2]"]),
    (Pair, ["n", 1], ["$[1]"]),
    (Typed, {"name": "n", "card": "c"}, ["$.card"]),
    (Attr, {"card": "c", "name": "n"}, ["$.card"]),
    (Model, {"name": "n", "card": "c", "pin": "1", "theCode": 1, "code": 1}, ["$.card", "$.pin", "$.theCode", "$.code"]),
    (Root, ["a"], ["$[0]"]),
    (pydantic.SecretStr, "a", ["$"]),
    (pydantic.Json[Login], "{}", ["$"]),
    (Box[Secret[str]], {"inside": "a"}, ["$.inside"]),
    (Box[Login], {"inside": LOGIN}, ["$.inside.card", "$.inside.spare"]),
    (Box[int], {"inside": 1}, []),
    (Locked, {"inside": "a", "width": 1}, ["$.inside"]),
    (LoopResult[Login], LOGIN, ["$.card", "$.spare"]),
    (Unknown, {"thing": 1, "other": 2, "name": "n"}, ["$.thing"]),
    ("list[SecretThing]", [1], ["$"]),
    (Open, {"name": "n", "me": {"name": "m"}, "parts": []}, []),
    (Any, {"card": 1}, []),
]


@pytest.mark.parametrize(("annotation", "value", "paths"), CASES, ids=[str(case[0])[:60] for case in CASES])
def test_what_an_annotation_marks(annotation: Any, value: Any, paths: list[str]) -> None:
    assert sorted(secret_paths(annotation, value)) == sorted(paths)


def test_classes_without_secrets_leave_nothing() -> None:
    finder = Finder()
    assert live(finder.shape(Open), finder.types) is None


def test_secret_is_its_type_for_values() -> None:
    assert codec_for(Login).decode(encode(Login("ann", "4111"))) == Login("ann", "4111")
    assert codec_for(Secret[int]).fast == codec_for(int).fast
    assert codec_for(Secret[int | bool]).decode(b"true") is True
    assert typing.get_type_hints(Login)["card"] is str


def test_schemas_say_it_of_msgspec_and_pydantic_alike() -> None:
    assert msgspec.json.schema(Secret[str]) == {"type": "string", "writeOnly": True}
    assert pydantic.TypeAdapter(Model).json_schema()["properties"]["card"]["writeOnly"] is True


# --- along a flow -------------------------------------------------------------------------------------------------


def login(x: Login) -> Open: ...
def anything(x): ...
def taking(x: Login): ...
def giving(x) -> Secret[str]: ...
def key(x: dict) -> str: ...
def joined(x: dict[str, Any]) -> int: ...
def again(x: Open) -> LoopResult[Login]: ...


def marks_of(flow: Any) -> Marks:
    return Marks([flow.build().program.stored().secrets])


def shown(veil: Any) -> Any:
    return True if veil.is_secret else veil.key("card").is_secret


def test_nothing_is_marked_where_nothing_is_declared() -> None:
    assert Flow("w").then(anything, name="a").build().program.stored().secrets == NONE


def test_a_value_is_secret_where_its_giver_or_its_taker_says_so() -> None:
    marks = marks_of(Flow("w").then(anything, name="a").delay("d", 1).then(taking, name="b").then(giving, name="c"))
    assert [shown(marks.output(node)) for node in ("", "a", "d", "b", "c")] == [False, True, True, False, True]
    assert [shown(marks.input(node)) for node in ("a", "d", "b", "c", "$end")] == [False, True, True, False, True]
    assert marks.givers == ["a", "c", "d"]


def test_the_input_and_what_signals_bring() -> None:
    marks = marks_of(
        Flow("w").then(login, name="a").wait_for_signal("go", type=Login, timeout=5, on_timeout="continue").then(anything, name="z")
    )
    assert (shown(marks.output("")), shown(marks.output("a"))) == (True, False)
    assert shown(marks.input("z"))


def test_forks_routes_loops_and_child_workflows() -> None:
    child = Flow("child").then(giving, name="g").build()
    flow = Flow("w").then(anything, name="a").fork()
    flow = flow.branch(giving, name="left").branch(anything, name="right").join(joined)
    flow = flow.loop(again, name="l").then_flow(child)
    fork = next(node.id for node in flow.build().graph.nodes if node.id not in ("a", "l"))
    marks = marks_of(flow)
    assert marks.input("joined").key("left").is_secret
    assert not marks.input("joined").key("right").is_secret
    assert marks.output(fork).key("left").is_secret
    assert shown(marks.output("l"))
    assert shown(marks.output("loop_0"))
    assert marks.input("$end").is_secret


def test_what_a_join_declares_of_its_parts_is_said_of_the_branches() -> None:
    def join(x: dict[str, Secret[str]]) -> int: ...

    flow = Flow("w").fork().branch(anything, name="left").branch(anything, name="right").join(join)
    assert marks_of(flow).output("left").is_secret


def test_an_end_of_a_route_is_inside_its_envelope() -> None:
    flow = Flow("w").route(key, keys=["a"]).branch("a", giving).default_branch(anything).done()
    assert marks_of(flow).input("$end").key("result").is_secret


def test_marks_that_were_stored_are_never_taken_back() -> None:
    first = Flow("w").then(login, name="a").build().program.stored().secrets
    second = Flow("w").then(giving, name="a").build().program.stored().secrets
    both = Marks([together(first, second)])
    assert both.output("").key("card").is_secret
    assert both.output("a").is_secret
    assert together(together(first, second), first) == together(first, second)
    assert together(first, NONE) == first == together(first, "")
    many = first
    for number in range(30):
        many = together(many, json.dumps([{"in": {}, "out": {str(number): True}, "types": {}}]))
    assert len(json.loads(many)) == 20


Bound = TypeVar("Bound", bound=Secret[str])
Both = typing_extensions.TypeAliasType("Both", list[Secret[str]])
Each = typing_extensions.TypeAliasType("Each", list[T], type_params=(T,))


class Unresolved(msgspec.Struct):
    """Names what only type checkers see."""

    key: Secret[NoSuchName]  # type: ignore[name-defined]  # noqa: F821
    free: NoSuchName  # type: ignore[name-defined]  # noqa: F821


def test_aliases_bounds_and_names_that_cannot_be_resolved() -> None:
    finder = Finder()
    assert finder.shape(Both) == {"each": True}
    assert finder.shape(Each[Secret[int]]) == {"each": True}
    assert finder.shape(Bound) is True
    assert finder.shape(Unresolved) is not None
    assert "true" in json.dumps(finder.types)


def test_veils_go_inside_and_together() -> None:
    types = {"a": {"any": [{"ref": "a"}, {"fields": {"x": True}}]}}
    inside = Veil([({"ref": "a"}, types), ({"at": [None, True]}, types)])
    assert inside.key("x").key("y").item(3).is_secret
    assert not inside.key("z").is_secret
    assert inside.item(1).is_secret
    assert not inside.item(7).is_secret
    assert (NO_VEIL | inside).key("x").is_secret


def test_a_definition_is_marked_once() -> None:
    program = Flow("w").delay("d", "1s").then(lambda x: x, name="one").build().program
    assert program.stored() is program.stored()


def test_what_needs_no_thread_has_a_mark() -> None:
    assert is_threadless(tags_text(["a"], threadless=True))
    assert not is_threadless(tags_text(["a"]))
