"""The definition as its author wrote it: an immutable series-parallel tree of nodes.

Pictures, the hash, `iter_nodes` and the compiler read this tree; nothing changes it after `build()`.
Ids are full ids: a node of a child flow is `child_0/task`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from sayiir.core.retry import RetryPolicy

RetryFilter: TypeAlias = "type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]"
NodeKind: TypeAlias = Literal["task", "fork", "delay", "await_signal", "branch", "loop", "child_workflow"]


class _Declared(msgspec.Struct, frozen=True):
    """The fields that are also positional arguments."""

    display_name: str | None = None
    description: str | None = None
    timeout_secs: float | None = None
    retries: RetryPolicy | None = None
    tags: list[str] | None = None
    version: str | None = None
    priority: int | None = None


class TaskMetadata(_Declared, frozen=True, kw_only=True, repr_omit_defaults=True):
    """What is declared about a task; every field is optional.

    Args:
        display_name: name for people.
        description: what the task does.
        timeout_secs: limit of one attempt in seconds.
        retries: retry policy; None for none.
        tags: labels that a worker must have to run the task.
        version: free text; part of the definition's hash.
        priority: 1 (first) to 5 (last); 3 when not given.
        retry_on: exception type, tuple of types, or predicate: only these failures are retried.
        no_retry_on: likewise: these failures are never retried; wins over `retry_on`.
        isolation: "process" runs every attempt in a child process.
    """

    retry_on: RetryFilter | None = None
    no_retry_on: RetryFilter | None = None
    isolation: Literal["process"] | None = None


class NodeInfo(msgspec.Struct, frozen=True):
    """One node of a workflow, as `Workflow.iter_nodes()` lists it."""

    id: str
    kind: NodeKind
    predecessor_id: str | None = None
    timeout_secs: float | None = None
    retry_policy: RetryPolicy | None = None
    priority: int | None = None


class TaskNode(msgspec.Struct, frozen=True):
    """A callable with its metadata."""

    id: str
    function: Callable[[Any], Any]
    is_async: bool = False
    metadata: TaskMetadata = TaskMetadata()


class DelayNode(msgspec.Struct, frozen=True):
    """A wait for a length of time; passes its input on."""

    id: str
    seconds: float


class SignalNode(msgspec.Struct, frozen=True):
    """A wait for a named signal, whose payload becomes the value."""

    id: str
    signal: str
    timeout_secs: float | None = None
    type: Any = None
    on_timeout: Literal["fail", "continue"] = "fail"


class LoopNode(msgspec.Struct, frozen=True):
    """A body repeated until it says done."""

    id: str
    body: TaskNode
    max_iterations: int = 10
    on_max: Literal["fail", "exit_with_last"] = "fail"


class Branch(msgspec.Struct, frozen=True):
    """A named sequence: of a fork (the name is the key in the join's dict) or of a route (key None: the default)."""

    name: str
    nodes: tuple[Node, ...]
    key: str | None = None


class ForkNode(msgspec.Struct, frozen=True):
    """Branches that run side by side, and the task that joins their outputs."""

    id: str
    branches: tuple[Branch, ...]
    join: TaskNode


class RouteNode(msgspec.Struct, frozen=True):
    """A choice of one branch by the key that the key task returns."""

    id: str
    key: TaskNode
    keys: tuple[str, ...]
    branches: tuple[Branch, ...]

    @property
    def default(self) -> Branch | None:
        """The branch for keys that no other branch takes."""
        return next((branch for branch in self.branches if branch.key is None), None)


class ChildNode(msgspec.Struct, frozen=True):
    """Another workflow's nodes in a namespace of their own."""

    id: str
    workflow_id: str
    nodes: tuple[Node, ...]


Node: TypeAlias = TaskNode | DelayNode | SignalNode | LoopNode | ForkNode | RouteNode | ChildNode


class Graph(msgspec.Struct, frozen=True):
    """A whole definition."""

    name: str
    nodes: tuple[Node, ...]
    metadata: Any = None


def prefixed(nodes: tuple[Node, ...], prefix: str) -> tuple[Node, ...]:
    """Return the nodes with `prefix/` before every id, as they stand inside a child workflow node."""

    def task(node: TaskNode) -> TaskNode:
        return replace(node, id=f"{prefix}/{node.id}")

    def branch(item: Branch) -> Branch:
        return replace(item, nodes=prefixed(item.nodes, prefix))

    def one(node: Node) -> Node:
        full = f"{prefix}/{node.id}"
        match node:
            case LoopNode():
                return replace(node, id=full, body=task(node.body))
            case ForkNode():
                return replace(node, id=full, branches=tuple(map(branch, node.branches)), join=task(node.join))
            case RouteNode():
                return replace(node, id=full, branches=tuple(map(branch, node.branches)), key=task(node.key))
            case ChildNode():
                return replace(node, id=full, nodes=prefixed(node.nodes, prefix))
            case _:
                return replace(node, id=full)

    return tuple(map(one, nodes))


def walk(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Yield every node of the tree, parents first, key and body and join tasks included, in execution order."""
    for node in nodes:
        yield node
        match node:
            case LoopNode():
                yield node.body
            case ForkNode():
                for branch in node.branches:
                    yield from walk(branch.nodes)
                yield node.join
            case RouteNode():
                yield node.key
                for branch in node.branches:
                    yield from walk(branch.nodes)
            case ChildNode():
                yield from walk(node.nodes)
            case _:
                pass


def node_infos(nodes: tuple[Node, ...], predecessor: str | None = None) -> Iterator[NodeInfo]:
    """Yield what `iter_nodes()` shows: key tasks are not listed, a join follows its fork, a body its loop."""

    def task(node: TaskNode, before: str | None) -> NodeInfo:
        data = node.metadata
        return NodeInfo(node.id, "task", before, data.timeout_secs, data.retries, data.priority)

    for node in nodes:
        match node:
            case TaskNode():
                yield task(node, predecessor)
            case DelayNode():
                yield NodeInfo(node.id, "delay", predecessor)
            case SignalNode():
                yield NodeInfo(node.id, "await_signal", predecessor, node.timeout_secs)
            case LoopNode():
                yield NodeInfo(node.id, "loop", predecessor)
                yield task(node.body, node.id)
            case ForkNode():
                yield NodeInfo(node.id, "fork", predecessor)
                for branch in node.branches:
                    yield from node_infos(branch.nodes, node.id)
                yield task(node.join, node.id)
            case RouteNode():
                yield NodeInfo(node.id, "branch", predecessor)
                for branch in node.branches:
                    yield from node_infos(branch.nodes, node.id)
            case ChildNode():
                yield NodeInfo(node.id, "child_workflow", predecessor)
                yield from node_infos(node.nodes, node.id)
            case _:
                assert_never(node)
        predecessor = node.join.id if isinstance(node, ForkNode) else node.id
