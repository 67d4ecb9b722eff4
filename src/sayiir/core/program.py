"""The definition compiled for running: every node an operation that knows what follows it.

Compiled once, at `build()`. The tree's nesting becomes marks in the line (`EndRoute`, `EndChild`, `EndBranch`) that the
planner passes through, so that taking a step never searches or recurses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeVar, assert_never

import msgspec

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
    walk,
)
from sayiir.core.records import Definition, Routing
from sayiir.core.values import PLAIN, Codec, codec_for, input_annotation, output_annotation

END = "$end"


class TaskOp:
    """Run a task. `route` or `loop` is set when its result decides where to go."""

    __slots__ = (
        "codec", "fast", "function", "id", "inline", "is_async", "loop", "metadata", "nan", "next", "on_loop",
        "route",
    )  # fmt: skip

    def __init__(self, node: TaskNode, following: Op) -> None:
        self.id = node.id
        self.function: Callable[[Any], Any] = node.function
        self.is_async = node.is_async
        self.metadata: TaskMetadata = node.metadata
        self.next: Op = following
        self.route: RouteSpec | None = None
        self.loop: LoopNode | None = None
        self.codec: Codec = PLAIN
        self.fast: frozenset[type] = PLAIN.fast
        self.nan = False
        data = node.metadata
        self.on_loop = node.is_async and data.isolation is None
        # A task that a run without storage may simply call, one after the other. Not one with retries: its next
        # attempt must get a fresh copy of the input, which a plain call does not keep.
        self.inline = not node.is_async and data.timeout_secs is None and not data.isolation and data.retries is None
        # Nor one at the end of a child workflow, whose mark only the planner passes through.
        self.inline = self.inline and not isinstance(following, EndChild)

    def prepare(self) -> None:
        """Work out the codecs from the function's annotations (late, so that names may be defined after the build)."""
        self.codec = codec_for(input_annotation(self.function))
        self.fast = self.codec.fast
        self.nan = codec_for(output_annotation(self.function)).allow_nan


class RouteSpec:
    """Where each key of a route leads."""

    __slots__ = ("branches", "default", "id", "keys")

    def __init__(self, node: RouteNode, branches: dict[str, Op], default: Op | None) -> None:
        self.id = node.id
        self.keys = node.keys
        self.branches = branches
        self.default = default


class DelayOp:
    """Wait for a length of time."""

    __slots__ = ("id", "next", "seconds")
    inline = False

    def __init__(self, node: DelayNode, following: Op) -> None:
        self.id = node.id
        self.seconds = node.seconds
        self.next = following


class SignalOp:
    """Wait for a signal."""

    __slots__ = ("codec", "id", "next", "node")
    inline = False

    def __init__(self, node: SignalNode, following: Op) -> None:
        self.id = node.id
        self.node = node
        self.next = following
        self.codec: Codec = PLAIN

    def prepare(self) -> None:
        """Work out the payload's codec from the declared type."""
        self.codec = codec_for(self.node.type)


class ForkOp:
    """Start the branches; `branches` are (token number, name, first operation)."""

    __slots__ = ("branches", "id", "join")
    inline = False

    def __init__(self, node: ForkNode, join: TaskOp) -> None:
        self.id = node.id
        self.join = join
        self.branches: tuple[tuple[int, str, Op], ...] = ()


class EndBranch:
    """The end of a fork's branch; `recorded` when the branch's output needs a line of its own under its name."""

    __slots__ = ("fork", "id", "parent", "recorded")
    inline = False

    def __init__(self, fork: ForkOp, branch: Branch, parent: int) -> None:
        self.fork = fork
        self.id = f"{fork.id}::{branch.name}"
        self.parent = parent
        space = fork.id[: fork.id.rfind("/") + 1]
        self.recorded = branch.nodes[0].id != space + branch.name or len(branch.nodes) > 1


class EndRoute:
    """The end of a route's branch: the value becomes the envelope of key and result."""

    __slots__ = ("id", "next")
    inline = False

    def __init__(self, route_id: str, following: Op) -> None:
        self.id = route_id
        self.next = following


class EndChild:
    """The end of a child workflow's nodes."""

    __slots__ = ("id", "next")
    inline = False

    def __init__(self, child_id: str, following: Op) -> None:
        self.id = child_id
        self.next = following


class EndOp:
    """The end of the main line."""

    __slots__ = ("fast", "id")
    inline = False

    def __init__(self) -> None:
        self.id = END
        self.fast = PLAIN.fast


SomeOp = TypeVar("SomeOp", bound="Op")
Op: TypeAlias = TaskOp | DelayOp | SignalOp | ForkOp | EndBranch | EndRoute | EndChild | EndOp


_MARK = "~"


def tags_text(tags: Iterable[str] | None, *, threadless: bool = False) -> str:
    """Return a set of tags as one text, the same for the same set; "" for none.

    Args:
        tags: the tags.
        threadless: whether the text begins with the mark of what needs no thread, so that workers can tell it apart.
    """
    return _MARK * threadless + (msgspec.json.encode(sorted(set(tags))).decode() if tags else "")


def tags_of(text: str) -> frozenset[str]:
    """Return the tags of such a text."""
    text = text.removeprefix(_MARK)
    return frozenset(msgspec.json.decode(text, type=list[str])) if text else frozenset()


def is_threadless(text: str) -> bool:
    """Return whether such a text has the mark."""
    return text.startswith(_MARK)


class Program:
    """A compiled definition."""

    __slots__ = (
        "_numbers", "_prepared", "definition", "end", "first", "first_signal", "hash", "name", "nodes", "ops", "structure",
    )  # fmt: skip

    def __init__(self, graph: Graph, definition_hash: str, structure: str) -> None:
        self.name = graph.name
        self.nodes = graph.nodes
        self.hash = definition_hash
        self.structure = structure
        self.ops: dict[str, Op] = {}
        # Branch tokens are numbered by the definition, in the order of the text, so that every run, every worker and a
        # later retry name a branch's token alike.
        forks = (node for node in walk(graph.nodes) if isinstance(node, ForkNode))
        branches = ((node.id, index) for node in forks for index in range(len(node.branches)))
        self._numbers = {branch: number for number, branch in enumerate(branches, 1)}
        self.end = EndOp()
        self.ops[END] = self.end
        self._prepared = False
        self.first = self._sequence(graph.nodes, self.end, 0)
        self.definition = Definition(self.name, self.hash, self.structure, self._routing())
        self.first_signal = next((node.id for node in walk(graph.nodes) if isinstance(node, SignalNode)), None)

    def prepare(self) -> Program:
        """Resolve annotations on first use; cheap afterwards."""
        if not self._prepared:
            for op in self.ops.values():
                if isinstance(op, TaskOp | SignalOp):
                    op.prepare()
            self._prepared = True
        return self

    def stored(self) -> Definition:
        """Return the definition as stores keep it, with the marks of what is secret; worked out on first use."""
        if not self.definition.secrets:
            from sayiir.core.marks import marks_of  # only what is stored needs marks

            tasks = [op for op in self.ops.values() if isinstance(op, TaskOp)]
            attempts = {op.id: op.metadata.retries.max_retries + 1 for op in tasks if op.metadata.retries is not None}
            self.definition = msgspec.structs.replace(
                self.definition, secrets=marks_of(self.nodes), attempts=attempts
            )
        return self.definition

    def _routing(self) -> Routing:
        mixed = any(isinstance(op, TaskOp) and op.on_loop for op in self.ops.values())
        routing: Routing = {}
        for op in self.ops.values():
            priority, tags, threadless = None, None, isinstance(op, DelayOp | SignalOp)
            if isinstance(op, TaskOp):
                priority, tags, threadless = op.metadata.priority, op.metadata.tags, op.on_loop
            text = tags_text(tags, threadless=threadless and mixed)
            if priority is not None or text:
                routing[op.id] = priority, text
        return routing

    def _sequence(self, nodes: tuple[Node, ...], following: Op, token: int) -> Op:
        for node in reversed(nodes):
            following = self._compile(node, following, token)
        return following

    def _add(self, op: SomeOp) -> SomeOp:
        self.ops[op.id] = op
        return op

    def _compile(self, node: Node, following: Op, token: int) -> Op:
        match node:
            case TaskNode():
                return self._add(TaskOp(node, following))
            case DelayNode():
                return self._add(DelayOp(node, following))
            case SignalNode():
                return self._add(SignalOp(node, following))
            case LoopNode():
                body = self._add(TaskOp(node.body, following))
                body.loop, body.inline = node, False
                return body
            case ChildNode():
                return self._sequence(node.nodes, EndChild(node.id, following), token)
            case RouteNode():
                return self._route(node, following, token)
            case ForkNode():
                return self._fork(node, following, token)
            case _:
                assert_never(node)

    def _route(self, node: RouteNode, following: Op, token: int) -> Op:
        end = EndRoute(node.id, following)
        firsts = {branch.key: self._sequence(branch.nodes, end, token) for branch in node.branches}
        default = firsts.pop(None, None)
        key = self._add(TaskOp(node.key, following))
        key.route, key.inline = RouteSpec(node, {k: op for k, op in firsts.items() if k is not None}, default), False
        return key

    def _fork(self, node: ForkNode, following: Op, token: int) -> Op:
        fork = self._add(ForkOp(node, self._add(TaskOp(node.join, following))))
        branches: list[tuple[int, str, Op]] = []
        for index, branch in enumerate(node.branches):
            number = self._numbers[node.id, index]
            end = self._add(EndBranch(fork, branch, token))
            branches.append((number, branch.name, self._sequence(branch.nodes, end, number)))
        fork.branches = tuple(branches)
        return fork
