"""A ledger of what really ran, kept beside the store and independent of it.

A workflow is watched by wrapping the functions of its tasks; its definition, and so its hash, stays the same. Lines are
written before a task's own code, as an effect on the outside world would be.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from sayiir.core.graph import Branch, ChildNode, ForkNode, Graph, LoopNode, Node, RouteNode, TaskNode
from sayiir.core.values import encode
from sayiir.flow.workflow import Workflow
from sayiir.runtime.context import get_task_context


class Execution(msgspec.Struct, frozen=True):
    """One execution of a task's code: which task of which instance, iteration and attempt, on which input (as JSON)."""

    instance_id: str
    node: str
    iteration: int
    attempt: int
    input: bytes


class Ledger:
    """Notes every execution, beside and independent of the store.

    >>> from sayiir import Flow, run_workflow
    >>> ledger = Ledger()
    >>> run_workflow(ledger.watch(Flow("w").then(lambda x: x + 1, name="inc").build()), 1)
    2
    >>> ledger.lines
    [Execution(instance_id='w', node='inc', iteration=1, attempt=1, input=b'1')]
    """

    def __init__(self) -> None:
        self.lines: list[Execution] = []

    def watch(self, workflow: Workflow[Any, Any], effect: Callable[[str], None] = lambda _: None) -> Workflow[Any, Any]:
        """Return the same definition with its tasks watched.

        Args:
            workflow: the definition; tasks with isolation="process" run elsewhere and stay as they are.
            effect: called with a name right before and right after the code of a task.
        """

        def change(node: TaskNode) -> TaskNode:
            return node if node.metadata.isolation else replace(node, function=self._watched(node, effect))

        graph = workflow.graph
        return Workflow(Graph(graph.name, changed(graph.nodes, change), graph.metadata))

    def add(self, line: Execution) -> None:
        """Note an execution, inside the context of its task."""
        self.lines.append(line)

    def _watched(self, node: TaskNode, effect: Callable[[str], None]) -> Callable[[Any], Any]:
        function: Any = node.function

        def note(value: Any) -> None:
            effect(f"before task {node.id}")
            context = get_task_context()
            assert context is not None, "tasks run inside their context"
            self.add(Execution(context.instance_id, node.id, context.iteration, context.attempt, encode(value)))

        @functools.wraps(function)
        def sync(value: Any) -> Any:
            note(value)
            result = function(value)
            effect(f"after task {node.id}")
            return result

        @functools.wraps(function)
        async def coroutine(value: Any) -> Any:
            note(value)
            result = await function(value)
            effect(f"after task {node.id}")
            return result

        return coroutine if node.is_async else sync


def changed(nodes: tuple[Node, ...], change: Callable[[TaskNode], TaskNode]) -> tuple[Node, ...]:
    """Return the tree with every task of it changed."""

    def branches(items: tuple[Branch, ...]) -> tuple[Branch, ...]:
        return tuple(replace(item, nodes=changed(item.nodes, change)) for item in items)

    def one(node: Node) -> Node:
        match node:
            case TaskNode():
                return change(node)
            case LoopNode():
                return replace(node, body=change(node.body))
            case ForkNode():
                return replace(node, branches=branches(node.branches), join=change(node.join))
            case RouteNode():
                return replace(node, branches=branches(node.branches), key=change(node.key))
            case ChildNode():
                return replace(node, nodes=changed(node.nodes, change))
            case _:
                return node

    return tuple(map(one, nodes))
