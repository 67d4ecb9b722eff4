"""Pictures of definitions and instances: groups are folded above 300 nodes, and nothing is drawn beyond 2,000. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from sayiir.core.graph import ChildNode, ForkNode, Graph, LoopNode, Node, RouteNode, TaskMetadata, TaskNode, walk
from sayiir.picture import NodeState, to_inline, to_svg
from sayiir.picture.state import group_status

MAX_OPEN = 300
MAX_DRAWN = 2000


def picture(
    graph: Graph, states: Mapping[str, NodeState] | None, title: str | None = None, *, standalone: bool = True
) -> str:
    """Return a graph as SVG, folded as far as its size asks for.

    Args:
        graph: the definition.
        states: how its nodes stand, by full id; None draws the plain definition.
        title: accessible name.
        standalone: whether it has its own style sheet; not so for the midst of a page.
    """
    drawn, shown = folded(graph, states)
    return (to_svg if standalone else to_inline)(drawn, states=shown, title=title)


def folded(
    graph: Graph, states: Mapping[str, NodeState] | None
) -> tuple[Graph, Mapping[str, NodeState] | None]:
    """Return the graph with as few of its groups folded as its size asks for, and states that fit it."""
    if sum(1 for _ in walk(graph.nodes)) <= MAX_OPEN:
        return graph, states
    shown = None if states is None else dict(states)
    depth = _depth(graph.nodes)
    nodes = graph.nodes
    while depth > 0 and sum(1 for _ in walk(nodes)) > MAX_OPEN:
        depth -= 1
        nodes = _fold(graph.nodes, depth, shown)
    if len(nodes) > MAX_DRAWN:
        rest = TaskNode("…", _nothing, metadata=TaskMetadata(display_name=f"… and {len(nodes) - MAX_DRAWN:,} more nodes"))
        nodes = (*nodes[:MAX_DRAWN], rest)
    return Graph(graph.name, nodes, graph.metadata), shown


def _depth(nodes: tuple[Node, ...]) -> int:
    return max((1 + max((_depth(inner) for inner in _inside(node)), default=0) for node in nodes), default=0)


def _inside(node: Node) -> list[tuple[Node, ...]]:
    match node:
        case ForkNode() | RouteNode():
            return [branch.nodes for branch in node.branches]
        case ChildNode():
            return [node.nodes]
        case LoopNode():
            return [(node.body,)]
        case _:
            return []


def _fold(nodes: tuple[Node, ...], depth: int, states: dict[str, NodeState] | None) -> tuple[Node, ...]:
    """Return the nodes with the groups deeper than `depth` as one node each."""
    from msgspec.structs import replace

    found: list[Node] = []
    for node in nodes:
        if not _inside(node):
            found.append(node)
        elif depth == 0:
            found.append(_one(node, states))
        elif isinstance(node, ForkNode | RouteNode):
            branches = tuple(replace(branch, nodes=_fold(branch.nodes, depth - 1, states)) for branch in node.branches)
            found.append(replace(node, branches=branches))
        elif isinstance(node, ChildNode):
            found.append(replace(node, nodes=_fold(node.nodes, depth - 1, states)))
        else:
            found.append(node)
    return tuple(found)


def _one(node: Node, states: dict[str, NodeState] | None) -> TaskNode:
    """Return a group as one node, with the status of what is in it."""
    inner = [one.id for one in walk((node,))][1:]
    words: dict[type, str] = {ForkNode: "fork", RouteNode: "route", ChildNode: "child workflow", LoopNode: "loop"}
    word = words[type(node)]
    if states is not None:
        done = sum(1 for name in inner if name in states and states[name].status == "completed")
        status = group_status(states[name].status if name in states else "pending" for name in inner)
        states[node.id] = NodeState(status, f"{done:,} of {len(inner):,} nodes done")
    name = node.id if len(node.id) <= 60 else word
    about = TaskMetadata(display_name=f"{name} · {len(inner):,} nodes", description=f"a folded {word}")
    return TaskNode(node.id, _nothing, metadata=about)


def _nothing(value: object) -> object:
    return value
