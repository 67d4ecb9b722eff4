"""A definition as text: one node a line, branches below their fork, with the words that the pictures use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from sayiir.core.graph import ChildNode, ForkNode, Graph, LoopNode, Node, RouteNode
from sayiir.picture.text import one_line
from sayiir.picture.words import caption, route_key, task_caption

_Line: TypeAlias = "tuple[str, list[_Line]]"
"""Words, and what stands below them."""


def to_text(graph: Graph) -> str:
    """Return the definition as lines.

    >>> from sayiir import Flow
    >>> print(to_text(Flow("orders").then(str, name="label").delay("pause", "5m").build().graph))
    orders
    ├─ label
    └─ pause: delay 5 min
    """
    return "\n".join([one_line(graph.name), *_drawn(_lines(graph.nodes, ""), "")])


def _lines(nodes: tuple[Node, ...], scope: str) -> list[_Line]:
    return [(_words(node, scope), _below(node, scope)) for node in nodes]


def _words(node: Node, scope: str) -> str:
    words = caption(node, scope)
    return f"{words.name}: {words.line}" if words.line else words.name


def _below(node: Node, scope: str) -> list[_Line]:
    match node:
        case ForkNode():
            branches = [_branch(branch.name, branch.nodes, scope) for branch in node.branches]
            return [*branches, (f"join: {task_caption(node.join, scope).name}", [])]
        case RouteNode():
            return [_branch(route_key(branch), branch.nodes, scope) for branch in node.branches]
        case LoopNode():
            return _lines((node.body,), scope) if node.body.id != node.id else []
        case ChildNode():
            return _lines(node.nodes, node.id)
        case _:
            return []


def _branch(name: str, nodes: tuple[Node, ...], scope: str) -> _Line:
    lines = _lines(nodes, scope)
    if len(nodes) == 1 and caption(nodes[0], scope).name == name:
        return lines[0]  # a branch of one task has its name
    return (name, lines)


def _drawn(lines: list[_Line], indent: str) -> Iterator[str]:
    for number, (words, below) in enumerate(lines, 1):
        is_last = number == len(lines)
        yield f"{indent}{'└─' if is_last else '├─'} {one_line(words)}"
        yield from _drawn(below, indent + ("   " if is_last else "│  "))
