"""Random definitions and hostile texts for the tests of pictures.

Rules of this file: graphs are built directly from the core's dataclasses; ids are numbered, so they are unique.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import strategies as st

from sayiir.core.graph import (
    Branch,
    ChildNode,
    DelayNode,
    ForkNode,
    Graph,
    LoopNode,
    Node,
    RouteNode,
    SignalNode,
    TaskMetadata,
    TaskNode,
    prefixed,
)
from sayiir.core.retry import RetryPolicy

HOSTILE = (
    "<script>alert(1)</script>",
    "</title></svg><img src=x onerror=alert(1)>",
    "\"double\" 'single' `back`",
    "]]> <!-- -- --> <![CDATA[",
    "a&b &lt; &#0; #35; #quot;",
    "\x00\x01\x0b\x1f\x7f\x85\ufffe\uffff",
    "\ud800 lone \udfff surrogates",
    "line\nbreak\r\ntab\t",
    "%%{init: {'theme':'dark'}}%%",
    "n1 --> n2; click n0 href",
    "[x](y) {z} |w| \\n $$x$$ fa:fa-car",
    "end",
    "",
    "   ",
    "日本語の名前 · emoji 👩‍👩‍👧 · ägypten",
    "\u202egnitrow\u202c",
    "x" * 5000,
)


def _identity(value: Any) -> Any:
    return value


def _tuples(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    sequence = st.lists(inner, max_size=4)
    lanes = st.lists(st.tuples(st.text(max_size=24), sequence), max_size=5)
    return st.one_of(
        st.tuples(st.just("fork"), lanes),
        st.tuples(st.just("route"), lanes),
        st.tuples(st.just("child"), sequence),
    )


_LEAVES = st.tuples(st.sampled_from(["task", "delay", "signal", "loop"]), st.text(max_size=60))


def _task(name: str, display: str | None = None) -> TaskNode:
    retries = RetryPolicy(len(name) % 4)
    return TaskNode(name, _identity, metadata=TaskMetadata(display or None, "about it", 30.0, retries))


def _leaf(kind: str, text: str, number: int) -> Node:
    name = f"{kind}_{number}"
    match kind:
        case "task":
            return _task(name, text)
        case "delay":
            return DelayNode(name, number * 7.5)
        case "signal":
            return SignalNode(name, text, 60.0 if number % 2 else None)
        case _:
            return LoopNode(name, _task(f"body_{number}", text), number + 1)


def _node(shape: Any, numbers: Iterator[int]) -> Node:
    kind, inside = shape
    if isinstance(inside, str):
        return _leaf(kind, inside, next(numbers))
    number = next(numbers)
    name = f"{kind}_{number}"
    if kind == "child":
        return ChildNode(name, f"flow {number}", prefixed(_nodes(inside, numbers), name))
    lanes = [(text, _nodes(sequence, numbers)) for text, sequence in inside]
    if kind == "fork":
        return ForkNode(name, tuple(Branch(text, nodes) for text, nodes in lanes), _task(f"join_{number}"))
    # The last branch of every second route is the default.
    keys = [None if number % 2 and index == len(lanes) - 1 else text for index, (text, _) in enumerate(lanes)]
    branches = tuple(Branch(text, nodes, key) for (text, nodes), key in zip(lanes, keys, strict=True))
    return RouteNode(name, _task(f"{name}::key_fn"), tuple(key for key in keys if key is not None), branches)


def _nodes(shapes: Any, numbers: Iterator[int]) -> tuple[Node, ...]:
    return tuple(_node(shape, numbers) for shape in shapes)


def _graph(shapes: Any) -> Graph:
    return Graph("random flow", _nodes(shapes, count()))


@pytest.fixture(scope="session")
def graphs() -> st.SearchStrategy[Graph]:
    """Return a strategy of definitions with every kind of node, nested."""
    shape = st.recursive(_LEAVES, _tuples, max_leaves=25)
    return st.lists(shape, max_size=5).map(_graph)


@pytest.fixture(params=range(len(HOSTILE)))
def hostile(request: pytest.FixtureRequest) -> str:
    """Return one text that breaks careless output."""
    return HOSTILE[request.param]


@pytest.fixture
def hostile_graph(hostile: str) -> Graph:
    """Return a definition with the hostile text in every place that takes text."""
    task = TaskNode(f"a{hostile}", _identity, metadata=TaskMetadata(hostile, hostile))
    inner: tuple[Node, ...] = (SignalNode(f"b{hostile}", hostile), DelayNode(f"c{hostile}", 1))
    return Graph(
        hostile,
        (
            task,
            ForkNode(f"d{hostile}", (Branch(hostile, inner),), TaskNode(f"e{hostile}", _identity)),
            RouteNode(f"f{hostile}", _task(f"g{hostile}"), (hostile,), (Branch(hostile, (), hostile),)),
            LoopNode(f"h{hostile}", TaskNode(f"i{hostile}", _identity)),
            ChildNode(f"j{hostile}", hostile, (TaskNode(f"j{hostile}/k", _identity),)),
        ),
    )


@pytest.fixture(scope="session")
def chain() -> Graph:
    """Return a sequence of 10,000 tasks."""
    return Graph("chain", tuple(TaskNode(f"step_{number}", _identity) for number in range(10_000)))


@pytest.fixture(scope="session")
def wide() -> Graph:
    """Return a fork of 1,000 branches."""
    branches = tuple(Branch(f"b{number}", (TaskNode(f"task_{number}", _identity),)) for number in range(1000))
    return Graph("wide", (ForkNode("||".join(b.name for b in branches), branches, TaskNode("join", _identity)),))


@pytest.fixture(scope="session")
def deep() -> Graph:
    """Return 300 child workflows, each inside the one before."""
    nodes: tuple[Node, ...] = (TaskNode("deepest", _identity),)
    for number in range(300):
        nodes = (ChildNode(f"c{number}", "nested", nodes),)
    return Graph("deep", nodes)
