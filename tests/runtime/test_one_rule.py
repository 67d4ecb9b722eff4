"""One rule for all runs: the next task receives decode(encode(value)), in memory, durably, and after a resume."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from typing import Any, NamedTuple

import pydantic
import pytest

from sayiir import Flow, RetryPolicy, TaskError, resume_workflow, run_durable_workflow, run_workflow, task
from tests.runtime.support import JumpClock, open_store


class Color(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Text(str):
    __slots__ = ()


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


class Pair(NamedTuple):
    a: int
    b: str


class Model(pydantic.BaseModel):
    n: int
    when: dt.date | None = None


PLAIN = [
    None, True, 0, -(10**40), 1.5, 1e300, "", "é\u2028\x00", [], {}, {"b": 1, "a": [1, {"c": None}]}, [1, "x", None, 2.0],
    (1, 2), {1: "a", 2: "b"}, Color.RED, Level.HIGH, Text("t"), collections.OrderedDict(z=1, a=2),
    Point(1), Pair(1, "b"), Model(n=1, when=dt.date(2024, 1, 2)), dt.datetime(2024, 1, 2, tzinfo=dt.UTC), dt.date(2024, 1, 2),
    uuid.UUID(int=5), decimal.Decimal("1.10"), b"bytes", {"k": {3}}, [Point(1), Pair(2, "x")], True, {"m": [Model(n=2)]},
]  # fmt: skip
TYPED = [
    (Point(1, 2.0), Point), ([Point(1)], list[Point]), ({"a": Model(n=1)}, dict[str, Model]), (Model(n=1), Model | None), (None, Model | None),
    ((1, "a"), tuple[int, str]), ({1: 2.0}, dict[int, float]), ({3}, set[int]), (Color.RED, Color), (b"x", bytes), (Pair(1, "b"), Pair),
    (dt.timedelta(seconds=5), dt.timedelta), (decimal.Decimal("1.10"), decimal.Decimal), (uuid.UUID(int=5), uuid.UUID), (5, float), (True, int),
    (dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC), dt.datetime), (10**30, int), ("x", str), ([1, 2], Any),
]  # fmt: skip


def runs(value, annotation, folder):
    """Yield what the second task saw in each kind of run."""
    seen = []

    def give(_):
        return value

    def look(x):
        seen.append(x)
        return 0

    if annotation is not None:
        look.__annotations__["x"] = annotation

    async def give_async(_):
        return value

    async def look_async(x):
        return look(x)

    @task(timeout=60)
    def look_bounded(x):
        return look(x)

    for looker in (look_async, look_bounded):
        looker.__annotations__.update(look.__annotations__)
    give_again = task(retries=1)(lambda _: value)
    for giver, looker in ((give, look), (give_again, look), (give_async, look_async), (give, look_bounded)):
        plain = Flow("w").then(giver, name="give").then(looker, name="look").build()
        run_workflow(plain, 0)
        run_durable_workflow(plain, "i", 0)
        apart = Flow("w").then(giver, name="give").delay("d", 60).then(looker, name="look").build()
        for kind in ("memory", "sqlite"):
            clock = JumpClock(jumps=False)
            with open_store(kind, folder, clock=clock) as backend:
                status = run_durable_workflow(apart, "i", 0, backend, "terminate_existing")
                assert status.is_waiting()
            if kind == "sqlite":
                backend = open_store(kind, folder, clock=clock)
            clock.advance(60)
            with backend:
                assert resume_workflow(apart, "i", backend).is_completed()
    run_workflow(
        Flow("w").fork().branch(give).join(lambda d: d["give"], name="pick").then(look, name="look").build(), 0
    )
    run_workflow(Flow("w").then_flow(Flow("c").then(give).build()).then(look, name="look").build(), 0)
    return seen


def shape(value):
    """A value with the types all the way down."""
    if isinstance(value, dict):
        return (type(value), [(shape(key), shape(item)) for key, item in value.items()])
    if isinstance(value, list | tuple | set):
        return (type(value), [shape(item) for item in value])
    return (type(value), repr(value))


@pytest.mark.parametrize("value", PLAIN, ids=range(len(PLAIN)))
def test_without_annotations_every_run_shows_the_same_plain_json(value, tmp_path):
    seen = runs(value, None, tmp_path)
    assert len(seen) == 18
    assert len({repr(shape(item)) for item in seen}) == 1
    assert isinstance(seen[0], type(None) | bool | int | float | str | list | dict)
    assert type(seen[0]) in (type(None), bool, int, float, str, list, dict)


@pytest.mark.parametrize(("value", "annotation"), TYPED, ids=range(len(TYPED)))
def test_with_annotations_every_run_shows_the_same_typed_value(value, annotation, tmp_path):
    seen = runs(value, annotation, tmp_path)
    assert len({repr(shape(item)) for item in seen}) == 1
    assert seen[0] == value


def test_a_task_cannot_change_what_another_one_got():
    def spoil(x):
        x["items"].append("spoiled")
        return 1

    def look(x):
        return x["items"]

    workflow = (
        Flow("w")
        .then(lambda x: {"items": [x]})
        .fork()
        .branch(spoil)
        .branch(look)
        .branch(look, name="b")
        .join(lambda d: d)
        .build()
    )
    for output in (run_workflow(workflow, 1), run_durable_workflow(workflow, "i", 1).output):
        assert output == {"spoil": 1, "look": [1], "b": [1]}


@pytest.mark.parametrize("durable", [False, True])
def test_a_retry_gets_the_input_anew(durable):
    lengths = []

    @task(retries=RetryPolicy(2, 0.0))
    def spoil(x):
        x.append(1)
        lengths.append(len(x))
        raise ValueError

    workflow = Flow("w").then(spoil).build()
    with pytest.raises(TaskError):
        run_workflow(workflow, [], instance_id="i") if durable else run_workflow(workflow, [])
    assert lengths == [1, 1, 1]


def test_the_input_of_the_caller_is_never_changed():
    given = {"a": [1]}
    run_workflow(Flow("w").then(lambda x: x["a"].append(2)).build(), given)
    run_durable_workflow(Flow("w").then(lambda x: x["a"].append(2)).build(), "i", given)
    assert given == {"a": [1]}


def test_dict_order_and_big_ints_survive(backend):
    value = {"z": 10**50, "a": {"y": 1, "b": 2}, "m": -1}
    status = run_durable_workflow(Flow("w").then(lambda x: x).build(), "i", value, backend)
    assert list(status.output) == ["z", "a", "m"]
    assert list(status.output["a"]) == ["y", "b"]
    assert status.output == value
