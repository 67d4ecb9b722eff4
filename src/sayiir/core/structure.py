"""What makes two definitions the same: their structure as text, its hash, and the difference between two.

In: names, ids, the order and nesting of nodes, signal names, loop limits and `on_max`, `on_timeout`, route keys, task
versions. Out: timeouts, retries, priorities, tags, the lengths of delays, annotations, metadata and code, which may
change under running instances. The text is stored beside the hash, so that a mismatch can say *what* differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from sayiir.core.graph import ChildNode, DelayNode, ForkNode, Graph, LoopNode, Node, RouteNode, SignalNode, TaskNode

_FORMAT = "sayiir definition 1"


def structure(graph: Graph) -> str:
    """Return the structure as indented lines, one for each node."""
    lines = [f"{_FORMAT}", f"flow {_quoted(graph.name)}"]
    lines += ("  " * depth + text for depth, text in _lines(graph.nodes, 1))
    return "\n".join(lines) + "\n"


def structure_hash(text: str) -> str:
    """Return the definition's hash: 64 hexadecimal digits."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def difference(stored: str, given: str) -> str:
    """Return the lines in which two structures differ, `-` for the stored and `+` for the given one."""
    import difflib

    diff = difflib.unified_diff(stored.splitlines(), given.splitlines(), n=1, lineterm="")
    return "\n".join(line for line in diff if not line.startswith(("---", "+++", "@@")))


def _quoted(value: str | list[str]) -> str:
    import json

    return json.dumps(value)


def _task(word: str, node: TaskNode) -> str:
    version = node.metadata.version
    return f"{word} {_quoted(node.id)}" + (f" version={_quoted(version)}" if version is not None else "")


def _lines(nodes: tuple[Node, ...], depth: int) -> Iterator[tuple[int, str]]:
    for node in nodes:
        match node:
            case TaskNode():
                yield depth, _task("task", node)
            case DelayNode():
                yield depth, f"delay {_quoted(node.id)}"
            case SignalNode():
                signal = f"signal {_quoted(node.id)} of={_quoted(node.signal)}"
                yield depth, f"{signal} on_timeout={node.on_timeout}"
            case LoopNode():
                yield depth, f"loop {_quoted(node.id)} max_iterations={node.max_iterations} on_max={node.on_max}"
                yield depth + 1, _task("task", node.body)
            case ForkNode():
                yield depth, f"fork {_quoted(node.id)}"
                for branch in node.branches:
                    yield depth + 1, f"branch {_quoted(branch.name)}"
                    yield from _lines(branch.nodes, depth + 2)
                yield depth + 1, _task("join", node.join)
            case RouteNode():
                yield depth, f"route {_quoted(node.id)} keys={_quoted(list(node.keys))}"
                yield depth + 1, _task("key", node.key)
                for branch in node.branches:
                    yield depth + 1, "default" if branch.key is None else f"branch {_quoted(branch.key)}"
                    yield from _lines(branch.nodes, depth + 2)
            case ChildNode():
                yield depth, f"child {_quoted(node.id)} of={_quoted(node.workflow_id)}"
                yield from _lines(node.nodes, depth + 1)
            case _:
                assert_never(node)
