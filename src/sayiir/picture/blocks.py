"""The definition tree as blocks: what a picture draws, before anything has a size.

Rules of this file: a block knows its node, its words, its state and its children; sizes and places are the layout's.
The tree is opened breadth first without recursion, so that parents come before their children in the list and the
reversed list serves children first; neither long sequences nor deep nesting can exhaust the stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

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
from sayiir.picture.state import NodeState, group_status
from sayiir.picture.words import Caption, caption, route_key, task_caption

BlockKind: TypeAlias = Literal[
    "start", "end", "task", "join", "delay", "signal", "route", "fork", "loop", "child", "sequence"
]

_KINDS: dict[type, BlockKind] = {
    TaskNode: "task",
    DelayNode: "delay",
    SignalNode: "signal",
    RouteNode: "route",
    ForkNode: "fork",
    LoopNode: "loop",
    ChildNode: "child",
}


@dataclass(slots=True)
class Block:
    """One part of a picture; `x` to `axis` are filled in by the layout.

    Args:
        kind: what it is; a "sequence" is not drawn itself.
        id: the node's full id; empty for what is no node.
        words: the caption; None for a sequence.
        node: the definition's node, if its children have to be opened.
        label: the name of the branch that a sequence is.
        frame: the innermost fork, loop or child around it.
        scope: the child workflow in which its id stands.
    """

    kind: BlockKind
    id: str = ""
    words: Caption | None = None
    node: Node | None = None
    label: str | None = None
    frame: Block | None = None
    scope: str = ""
    nodes: tuple[Node, ...] = ()
    children: list[Block] = field(default_factory=list)
    state: NodeState | None = None
    key_id: str = ""
    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0
    axis: int = 0
    """Where the line enters and leaves, from the left side."""
    head: int = 0
    """Height of a frame's header, of a route's diamond, or of the line above a branch's first node."""

    diamond: int = 0
    """Width of a route's diamond, which stands on the axis at the top."""

    @property
    def middle(self) -> int:
        return self.x + self.axis

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def is_frame(self) -> bool:
        return self.kind in ("fork", "loop", "child")


def open_tree(graph: Graph) -> list[Block]:
    """Return all blocks of a definition, parents before children; the first is the whole."""
    whole = Block("sequence", nodes=graph.nodes)
    whole.children = [Block("start"), *(_block(node, whole) for node in graph.nodes), Block("end")]
    found = [whole]
    for block in found:  # Grows while it is read: breadth first.
        if block is not whole:
            block.children = _children(block)
        found.extend(block.children)
    return found


def _block(node: Node, parent: Block) -> Block:
    frame = parent if parent.is_frame else parent.frame
    kind = _KINDS[type(node)]
    block = Block(kind, node.id, caption(node, parent.scope), node, frame=frame, scope=parent.scope)
    if isinstance(node, RouteNode):
        block.key_id = node.key.id
    elif isinstance(node, ChildNode):
        block.scope = node.id
    return block


def _task(task: TaskNode, parent: Block, kind: BlockKind = "task") -> Block:
    words = task_caption(task, parent.scope, "join" if kind == "join" else "")
    return Block(kind, task.id, words, frame=parent, scope=parent.scope)


def _sequence(nodes: tuple[Node, ...], parent: Block, label: str | None = None) -> Block:
    frame = parent if parent.is_frame else parent.frame
    return Block("sequence", nodes=nodes, label=label, frame=frame, scope=parent.scope)


def _branches(branches: tuple[Branch, ...], parent: Block) -> list[Block]:
    is_route = parent.kind == "route"
    return [_sequence(item.nodes, parent, route_key(item) if is_route else item.name) for item in branches]


def _children(block: Block) -> list[Block]:
    match block.node:
        case ForkNode() as fork:
            return [*_branches(fork.branches, block), _task(fork.join, block, "join")]
        case RouteNode() as route:
            return _branches(route.branches, block)
        case LoopNode() as loop:
            return [_task(loop.body, block)]
        case ChildNode() as child:
            return [_sequence(child.nodes, block)]
        case _:
            return [_block(node, block) for node in block.nodes]


def set_states(blocks: list[Block], states: Mapping[str, NodeState]) -> None:
    """Give every node its state: the given one, else for a group that of its nodes, else pending."""
    # A sequence has no state of its own; it hands the statuses of its nodes up.
    inside: dict[int, list[NodeState]] = {}
    for block in reversed(blocks):
        below = [state for child in block.children for state in inside.pop(id(child), ())]
        if block.kind == "sequence":
            inside[id(block)] = below
        elif block.kind not in ("start", "end"):
            block.state = _state(block, below, states)
            inside[id(block)] = [block.state]


def _state(block: Block, below: list[NodeState], states: Mapping[str, NodeState]) -> NodeState:
    # The diamond of a route stands for its key function first: the route itself still runs while a branch does.
    given = states.get(block.key_id) or states.get(block.id)
    if given is not None or not below:
        return given or NodeState("pending")
    status = group_status(state.status for state in below)
    if block.kind == "route" and status not in ("pending", "skipped"):
        status = "completed"
    return NodeState(status)
