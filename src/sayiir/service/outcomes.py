"""Outputs and results as JSON values, for programs: as stored for those who may steer, with secrets masked for viewers."""

from __future__ import annotations

from typing import Any

import msgspec

from sayiir.core.lifecycle import State
from sayiir.core.marks import NO_VEIL, Veil
from sayiir.core.values import plain, unpack
from sayiir.errors import UnknownWorkflowError
from sayiir.runtime.failure import read_failure
from sayiir.runtime.timeline import find_record
from sayiir.service.forms import input_schema, signal_schemas
from sayiir.service.model import Access, InstanceRow, Role, Trouble
from sayiir.service.nodes import trouble_of
from sayiir.service.veiled import Veiled, scrubbed_failure

_MANY = 100_000


class Outcomes(Veiled):
    """The part of `Service` that gives values."""

    def status(self, access: Access, instance_id: str) -> State:
        """Return only the status of an instance.

        Raises:
            InstanceNotFoundError: nobody has this id.
        """
        self._allow(access, "show")
        return self._view(instance_id).instance.status

    def output(self, access: Access, instance_id: str) -> tuple[InstanceRow, Any, Trouble | None]:
        """Return an instance, its output if it has completed, and its error if it has failed.

        Raises:
            InstanceNotFoundError: nobody has this id.
        """
        self._allow(access, "output")
        view = self._view(instance_id)
        instance, error = view.instance, None
        if instance.error is not None:
            error = trouble_of(scrubbed_failure(read_failure(unpack(instance.error)), self._scrubber(instance)))
        veil = self._marks(instance).input("$end") if access.role is Role.VIEWER else NO_VEIL
        return self._row(instance), None if view.output is None else self._for(access, view.output, veil), error

    def task_result(
        self, access: Access, instance_id: str, task_id: str, *, iteration: int | None = None
    ) -> tuple[bool, Any]:
        """Return whether a task has given something, and what.

        Args:
            access: who asks.
            instance_id: the instance.
            task_id: a full id, a short one that only one node has, or a branch's name.
            iteration: which iteration of a loop; the last when not given.

        Raises:
            InstanceNotFoundError: nobody has this id.
            ValueError: several nodes have this short id.
        """
        self._allow(access, "task_result")
        instance = self._view(instance_id).instance
        lines = self.store.lines(instance.number, _MANY)
        structure = self._structure(instance.workflow_id, instance.definition_hash)
        record = find_record(lines, structure, task_id, iteration=iteration, step=False)
        if record is None:
            return False, None
        veil = self._marks(instance).output(record.node) if access.role is Role.VIEWER else NO_VEIL
        return True, self._for(access, self.store.value(instance.number, record.ref), veil)

    def has_input(self, access: Access, instance_id: str, input_json: bytes) -> bool:
        """Return whether an instance was submitted with this input.

        Raises:
            InstanceNotFoundError: nobody has this id.
        """
        self._allow(access, "submit")
        return bool(plain(unpack(self._view(instance_id).instance.input)) == plain(input_json))

    def schemas(
        self, access: Access, workflow_id: str, definition_hash: str | None = None
    ) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any] | None]]:
        """Return the JSON Schemas of a workflow's input, and of its signals by the id of the node that awaits them.

        Raises:
            UnknownWorkflowError: it is not known here.
        """
        self._allow(access, "workflow")
        known = self.registered(workflow_id, definition_hash)
        if known is None:
            raise UnknownWorkflowError(
                f"the code of workflow {workflow_id!r} is not known to this server, so it cannot tell what it takes",
                workflow_id=workflow_id,
            )
        return input_schema(known), signal_schemas(known)

    def _for(self, access: Access, raw: bytes, veil: Veil) -> Any:
        """Return a value as somebody may see it."""
        unpacked = unpack(raw)
        if access.role is Role.VIEWER:
            return self.mask.masked(plain(unpacked), veil)
        return msgspec.Raw(unpacked)
