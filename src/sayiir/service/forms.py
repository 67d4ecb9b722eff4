"""JSON Schemas of what a workflow takes: its input, and the payloads of its signals. From annotations alone."""

from __future__ import annotations

import functools
from typing import Any

from sayiir.client.submit import Intake
from sayiir.core.graph import SignalNode, walk
from sayiir.core.values import MAX_BYTES, PLAIN
from sayiir.flow.workflow import Workflow


def input_schema(workflow: Workflow[Any, Any]) -> dict[str, Any] | None:
    """Return the schema of a workflow's input; None when its first task declares nothing."""
    firsts = Intake(workflow, None, MAX_BYTES).firsts
    codec = next((task.codec for task in firsts if task.codec is not PLAIN), None)
    return None if codec is None else schema_of(codec.annotation)


def signal_schemas(workflow: Workflow[Any, Any]) -> dict[str, dict[str, Any] | None]:
    """Return the schema of each signal's payload, by the id of the node that awaits it."""
    return {node.id: schema_of(node.type) for node in walk(workflow.graph.nodes) if isinstance(node, SignalNode)}


def schema_of(annotation: Any) -> dict[str, Any] | None:
    """Return the JSON Schema of an annotation; None when it says nothing, or nothing that a schema can say.

    >>> schema_of(int)
    {'type': 'integer'}
    """
    if annotation is None or annotation is Any or annotation is object:
        return None
    try:
        return _schema(annotation)
    except TypeError:  # unhashable
        return _schema.__wrapped__(annotation)


@functools.lru_cache(maxsize=512)
def _schema(annotation: Any) -> dict[str, Any] | None:
    return _by_msgspec(annotation) or _by_pydantic(annotation)


def _by_msgspec(annotation: Any) -> dict[str, Any] | None:
    import msgspec

    try:
        return msgspec.json.schema(annotation)
    except Exception:  # noqa: BLE001 -- what msgspec does not know may be pydantic's
        return None


def _by_pydantic(annotation: Any) -> dict[str, Any] | None:
    try:
        from pydantic import TypeAdapter

        return TypeAdapter(annotation).json_schema()
    except Exception:  # noqa: BLE001 -- not there, or it does not know it either: the form is a plain field for JSON
        return None
