"""What a flow shares with the builders of its forks and routes: the nodes so far, their names, and the mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from sayiir.core.check import name_problem
from sayiir.core.graph import ChildNode, Node, TaskMetadata, TaskNode, prefixed
from sayiir.errors import DefinitionError
from sayiir.flow.task import declaration_of, is_async_callable
from sayiir.flow.workflow import Workflow


class Draft:
    """A definition in the making."""

    def __init__(self, name: str = "workflow", *, metadata: Any = None) -> None:
        if problem := name_problem("flow name", name, plain=False):
            raise ValueError(problem)
        self._metadata = None if metadata is None else _copied(name, metadata)
        self._name = name
        self._names = Names()
        self._nodes: list[Node] = []
        self._open: dict[object, str] = {}

    def _add(self, node: Node) -> Self:
        self._nodes.append(node)
        return self

    def _check_open(self, builder: object) -> None:
        if builder not in self._open:
            raise DefinitionError(
                f"this fork or route of flow {self._name!r} has ended; start another with .fork() or .route(…)"
            )

    def _close(self, builder: object, node: Node) -> Any:
        del self._open[builder]
        return self._add(node)


def _copied(flow: str, metadata: Any) -> Any:
    import json

    try:
        return json.loads(json.dumps(metadata, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"metadata of flow {flow!r} must be a JSON value: {error}") from error


class Names:
    """Draws the generated names of one flow and remembers its problems."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self.problems: list[str] = []

    def draw(self, stem: str) -> str:
        """Return the next generated name."""
        number = self._counts.get(stem, 0)
        self._counts[stem] = number + 1
        return f"{stem}_{number}"

    def check(self, what: str, name: Any) -> str:
        """Return a given name, and remember what is wrong with it."""
        if problem := name_problem(what, name):
            self.problems.append(problem)
        return str(name)

    def task(self, function: Any, name: str | None, what: str = "task") -> TaskNode:
        """Return the node of a callable."""
        if isinstance(function, Workflow):
            raise TypeError(f"a workflow cannot be the {what}; add it with .then_flow(…) or as a step of a branch")
        if not callable(function):
            raise TypeError(f"{what} must be a callable, not {function!r}")
        declared = declaration_of(function)
        if name is None and declared is not None:
            name = declared.name
        if name is None:
            name = getattr(function, "__name__", None)
            if not isinstance(name, str) or name == "<lambda>":
                name = self.draw("lambda")
        metadata = declared.metadata if declared is not None else TaskMetadata()
        return TaskNode(self.check(f"{what} name", name), function, is_async_callable(function), metadata)

    def child(self, workflow: Any) -> ChildNode:
        """Return the node of a child workflow."""
        if not isinstance(workflow, Workflow):
            raise TypeError(f"then_flow takes a built Workflow, not {workflow!r}; call .build() on the Flow first")
        name = self.draw("child")
        return ChildNode(name, workflow.workflow_id, prefixed(workflow.graph.nodes, name))

    def sequence(self, steps: Sequence[Any], name: str | None) -> tuple[Node, ...]:
        """Return the nodes of a branch; the name is the first one's."""
        nodes: list[Node] = []
        for index, step in enumerate(steps):
            if isinstance(step, Workflow):
                nodes.append(self.child(step))
            else:
                nodes.append(self.task(step, name if index == 0 else None))
        return tuple(nodes)
