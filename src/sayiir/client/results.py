"""What an instance's nodes gave, and everything that happened to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_origin

from sayiir.core.loop import LoopResult
from sayiir.core.values import codec_for, output_annotation, plain
from sayiir.flow.task import declaration_of
from sayiir.runtime.timeline import TimelineEntry, entry_of, find_record, is_loop_body, running_of
from sayiir.store.base import ScriptedStore
from sayiir.store.port import Instance, View


def task_result(
    store: ScriptedStore,
    instance: Instance,
    task: str | Callable[..., Any],
    default: Any,
    *,
    iteration: int | None,
    step: bool,
) -> Any:
    """Return what a node gave (see `WorkflowClient.get_task_result`)."""
    structure = store.structure(instance.workflow_id, instance.definition_hash)
    records = store.history(instance.number)
    # A function means its own result, also where its name is the name of a branch.
    own = step or not isinstance(task, str)
    record = find_record(records, structure, task_name(task), iteration=iteration, step=own)
    if record is None:
        return default
    raw = store.value(instance.number, record.ref)
    if isinstance(task, str):
        return plain(raw)
    annotation = output_annotation(task)
    if is_loop_body(structure, record.node):
        annotation = _value_annotation(annotation)
    return codec_for(annotation).decode(raw)


def timeline(store: ScriptedStore, view: View) -> list[TimelineEntry]:
    """Return each attempt of each node, in order of start (see `WorkflowClient.timeline`)."""
    entries = [entry_of(record) for record in store.history(view.instance.number)]
    entries += [
        running_of(token, store.owner_name(token.owner))
        for token in view.tokens
        if token.owner is not None and token.state == "ready"
    ]
    return sorted(entries, key=lambda entry: 0.0 if entry.started_at is None else entry.started_at.timestamp())


def task_name(task: str | Callable[..., Any]) -> str:
    """Return the id that a task function has when no other was given.

    Raises:
        ValueError: it has no name of its own.
    """
    if isinstance(task, str):
        return task
    declared = declaration_of(task)
    name = declared.name if declared is not None and declared.name else getattr(task, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise ValueError(f"{task!r} has no name of its own; give the task's id")
    return name


def _value_annotation(annotation: Any) -> Any:
    """Return what a loop's body declares about its value, which is stored without the LoopResult around it."""
    return get_args(annotation)[0] if get_origin(annotation) is LoopResult else Any
