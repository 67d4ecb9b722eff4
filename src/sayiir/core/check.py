"""The rules a whole definition must keep; every breach is reported, each with the node and the fix."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from sayiir.core.graph import ChildNode, ForkNode, Graph, Node, RouteNode, TaskNode, walk

MAX_NAME = 256
MAX_NESTING = 100
_FORBIDDEN = ("/", "||", "::", "\0")


def name_problem(what: str, name: Any, *, plain: bool = True) -> str | None:
    """Return what is wrong with a name of a task, branch, signal or workflow, or None.

    Args:
        what: how the text calls it, such as "task name".
        name: the name.
        plain: whether the separators of full ids are forbidden too.
    """
    if not isinstance(name, str) or not name:
        return f"{what} must be a non-empty string, not {name!r}"
    if len(name) > MAX_NAME:
        return f"{what} {name[:40]!r}… has {len(name)} characters; at most {MAX_NAME} are allowed"
    try:
        name.encode()
    except UnicodeEncodeError:
        return f"{what} {name!r} holds half a surrogate pair, which cannot be stored; use whole characters"
    for mark in _FORBIDDEN if plain else ("\0",):
        if mark in name:
            return f"{what} {name!r} must not contain {mark!r}; give another name with name="
    return None


def problems(graph: Graph) -> list[str]:
    """Return every mistake of a built tree."""
    found: list[str] = []
    if not graph.nodes:
        found.append(f"Workflow must have at least one task: flow {graph.name!r} is empty; add one with .then(…)")
    if _depth(graph.nodes) > MAX_NESTING:
        # The walks below recurse by nesting, so nothing more can be said safely.
        return [*found, f"flow {graph.name!r} is nested deeper than {MAX_NESTING} levels; flatten it or split it up"]
    found += _clashes(graph)
    found += _isolation(graph)
    return found


def _children(node: Node) -> list[tuple[Node, ...]]:
    match node:
        case ForkNode() | RouteNode():
            return [branch.nodes for branch in node.branches]
        case ChildNode():
            return [node.nodes]
        case _:
            return []


def _depth(nodes: tuple[Node, ...]) -> int:
    level, depth = [nodes], 0
    while level:
        depth += 1
        level = [inner for sequence in level for node in sequence for inner in _children(node)]
    return depth


def _clashes(graph: Graph) -> list[str]:
    ids = Counter(node.id for node in walk(graph.nodes))
    for node in walk(graph.nodes):
        if isinstance(node, ForkNode):
            # A branch's name lives in the namespace of its fork, as its first task's id does.
            space = node.id[: node.id.rfind("/") + 1]
            ids.update(space + branch.name for branch in node.branches if branch.nodes[0].id != space + branch.name)
    return [
        f"id {name!r} is used {count} times in flow {graph.name!r}; give the others a name of their own with name="
        for name, count in ids.items()
        if count > 1
    ]


def _isolation(graph: Graph) -> list[str]:
    return [
        f'task {node.id!r} has isolation="process" but its function cannot be imported by name; '
        "define it at the top level of a module"
        for node in walk(graph.nodes)
        if isinstance(node, TaskNode) and node.metadata.isolation == "process" and not importable(node.function)
    ]


def importable(function: Any) -> bool:
    """Return whether another process finds the same function by module and qualified name."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    found: Any = module
    for part in getattr(function, "__qualname__", "<none>").split("."):
        found = getattr(found, part, None)
    return found is function and found is not None
