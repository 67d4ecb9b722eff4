"""New instances: what `submit` stores, checked before anything is stored. Pure, but for the definition's preparation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from sayiir.core.program import DelayOp, ForkOp, Op, TaskOp
from sayiir.core.values import encode
from sayiir.errors import WorkflowError
from sayiir.flow.workflow import Workflow
from sayiir.runtime.checks import checked_id
from sayiir.runtime.engine import new_instance
from sayiir.store import scripts
from sayiir.store.port import PRIORITIES, ConflictPolicy, NewInstance, View
from sayiir.store.scripts import Rows


class Intake:
    """Makes new instances of one workflow.

    Args:
        workflow: what they run.
        priority: 1 (first) to 5 (last), or None.
        max_bytes: the longest input, as JSON.

    Raises:
        TypeError: it is no workflow.
        ValueError: the priority is not allowed.
    """

    def __init__(self, workflow: Workflow[Any, Any], priority: int | None, max_bytes: int) -> None:
        if priority is not None and (isinstance(priority, bool) or priority not in PRIORITIES):
            raise ValueError(f"priority must be an int from 1 to 5, not {priority!r}")
        self.workflow = workflow
        self.priority = priority
        self._template = new_instance(workflow, "template", None, priority)
        first = workflow.program.first
        self.firsts = list(_first_tasks(first))
        """The tasks that get the input."""
        self._nan = isinstance(first, TaskOp) and first.codec.allow_nan
        self._max_bytes = max_bytes

    def one(self, instance_id: Any, input: Any) -> NewInstance:
        """Return what is stored for an instance.

        Raises:
            SerializationError: the input is not JSON, or does not fit the first task.
            ValueError: the id is not allowed.
        """
        name = checked_id(instance_id)
        raw = encode(input, allow_nan=self._nan, max_bytes=self._max_bytes)
        for task in self.firsts:
            task.codec.decode(raw)
        return msgspec.structs.replace(self._template, instance_id=name, input=raw)

    def many(self, items: Iterable[tuple[str, Any]]) -> list[NewInstance]:
        """Return what is stored for (instance_id, input) pairs; an error names the item that it is about."""
        news: list[NewInstance] = []
        for index, item in enumerate(items):
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise ValueError(f"items[{index}] must be a pair (instance_id, input), not {item!r}")
            try:
                news.append(self.one(*item))
            except WorkflowError as error:
                facts = {**vars(error), "instance_id": str(item[0])}
                raise type(error)(f"items[{index}] ({item[0]!r}): {error}", **facts) from error
            except ValueError as error:
                raise ValueError(f"items[{index}]: {error}") from error
        return news


class Intakes:
    """Gives the intake of a workflow, and keeps the last one: many submits in a row are mostly of one workflow."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._last: Intake | None = None

    def of(self, workflow: Workflow[Any, Any], priority: int | None) -> Intake:
        """Return the intake of a workflow.

        Raises:
            TypeError: it is no workflow.
            ValueError: the priority is not allowed.
        """
        last = self._last
        if last is None or last.workflow is not workflow or last.priority is not priority:
            self._last = last = Intake(workflow, priority, self._max_bytes)
        return last


def submitted(rows: Rows, new: NewInstance, policy: ConflictPolicy) -> View:
    """Create an instance inside somebody's transaction; return how it, or the one that is there, stands."""
    created = scripts.create(rows, new, policy, claim=False)
    there = None if created.is_new else scripts.load(rows, new.instance_id)
    return there or View(created.instance, ())


def _first_tasks(op: Op) -> Iterator[TaskOp]:
    """Yield the tasks that get the instance's input, also behind a delay and in the branches of a fork."""
    ops = [op]
    while ops:
        match op := ops.pop():
            case TaskOp():
                yield op
            case DelayOp():
                ops.append(op.next)
            case ForkOp():
                ops += [first for _, _, first in reversed(op.branches)]
            case _:
                pass
