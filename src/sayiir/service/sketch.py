"""A stored definition as a graph that can be drawn, by those who do not have its code.

Rules of this file: pure. The text of `core.structure` has names and nesting; lengths of delays, retries and the like are
not part of a definition, so they are missing here, as are the functions: nothing of this graph can run.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

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
    TaskNode,
)
from sayiir.core.outline import Item, outline


def sketch(structure: str) -> Graph:
    """Return the graph of a definition's stored text."""
    root = outline(structure)
    lines = structure.splitlines()[1:]
    facts = {id(item): line.strip() for item, line in zip(root.walk(), lines, strict=False)}
    return Graph(root.name, _nodes(root.items, facts))


def _nodes(items: list[Item], facts: dict[int, str]) -> tuple[Node, ...]:
    return tuple(_node(item, facts) for item in items if item.word not in ("key", "join"))


def _node(item: Item, facts: dict[int, str]) -> Node:
    fact = facts[id(item)]
    match item.word:
        case "delay":
            return DelayNode(item.name, math.nan)
        case "signal":
            return SignalNode(item.name, str(_value(fact, "of", item.name)))
        case "loop":
            found = re.search(r" max_iterations=(\d+) on_max=\w+$", fact)
            return LoopNode(item.name, _task(item.items[0]), int(found[1]) if found else 0)
        case "fork":
            join = next(inner for inner in item.items if inner.word == "join")
            return ForkNode(item.name, _branches(item, facts), _task(join))
        case "route":
            key = next(inner for inner in item.items if inner.word == "key")
            return RouteNode(item.name, _task(key), tuple(_value(fact, "keys", [])), _branches(item, facts))
        case "child":
            return ChildNode(item.name, str(_value(fact, "of", item.name)), _nodes(item.items, facts))
        case _:
            return _task(item)


def _branches(item: Item, facts: dict[int, str]) -> tuple[Branch, ...]:
    is_route = item.word == "route"
    return tuple(
        Branch(inner.name, _nodes(inner.items, facts), inner.name if is_route and inner.word == "branch" else None)
        for inner in item.items
        if inner.word in ("branch", "default")
    )


def _task(item: Item) -> TaskNode:
    return TaskNode(item.name, _absent)


def _absent(value: Any) -> Any:
    raise NotImplementedError("this definition was read from its stored text; its functions are elsewhere")


def _value(fact: str, name: str, missing: Any) -> Any:
    """Return the JSON after ` name=` of a line; names before it are JSON texts themselves, so they are passed by."""
    decoder = json.JSONDecoder()
    rest = fact.partition(" ")[2]
    if not rest.startswith('"'):
        return missing
    _, end = decoder.raw_decode(rest)
    mark = f" {name}="
    return decoder.raw_decode(rest[end + len(mark) :])[0] if rest[end:].startswith(mark) else missing
