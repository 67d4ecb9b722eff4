"""The immutable product of a flow."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Generic, TypeVar

from sayiir.core.graph import Graph, NodeInfo, node_infos
from sayiir.core.program import Program
from sayiir.core.structure import structure, structure_hash

In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)


class Workflow(Generic[In_contra, Out_co]):
    """A compiled definition, made by `Flow.build()`; it never changes."""

    __slots__ = ("__weakref__", "_graph", "_program")

    def __init__(self, graph: Graph) -> None:
        text = structure(graph)
        self._graph = graph
        self._program = Program(graph, structure_hash(text), text)

    @property
    def workflow_id(self) -> str:
        """The flow's name."""
        return self._graph.name

    @property
    def definition_hash(self) -> str:
        """64 hexadecimal digits of the structure; the same in every process and on every machine."""
        return self._program.hash

    @property
    def metadata(self) -> Any:
        """What was given as `Flow(metadata=…)`: a copy, so that nobody changes the definition."""
        metadata = self._graph.metadata
        return deepcopy(metadata) if isinstance(metadata, dict | list) else metadata

    @property
    def graph(self) -> Graph:
        """The definition as a tree of nodes."""
        return self._graph

    @property
    def program(self) -> Program:
        """The definition compiled for running."""
        return self._program

    def iter_nodes(self) -> Iterator[NodeInfo]:
        """Yield every node in execution order.

        >>> from sayiir import Flow
        >>> wf = Flow("w").then(lambda x: x, name="a").delay("pause", "1s").build()
        >>> [(node.id, node.kind, node.predecessor_id) for node in wf.iter_nodes()]
        [('a', 'task', None), ('pause', 'delay', 'a')]
        """
        return node_infos(self._graph.nodes)

    def to_mermaid(self) -> str:
        """Return the definition as a Mermaid flowchart."""
        from sayiir.picture import to_mermaid

        return to_mermaid(self._graph)

    def to_svg(self) -> str:
        """Return the definition as a standalone SVG picture."""
        from sayiir.picture import to_svg

        return to_svg(self._graph)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002
        """Return the pictures that notebooks show."""
        return {"image/svg+xml": self.to_svg(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"Workflow({self.workflow_id!r}, definition_hash={self.definition_hash[:12]}…)"
