"""What all parts of `Service` have in common: the store, the workflows that are known here, and checks of who asks."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from typing import Any

import msgspec

from sayiir.core.lifecycle import TERMINAL, State
from sayiir.core.values import plain, unpack
from sayiir.errors import UnknownWorkflowError, WorkflowError
from sayiir.flow.workflow import Workflow
from sayiir.runtime.checks import checked_backend, checked_id, checked_workflow, short
from sayiir.service import access as rights
from sayiir.service.masking import DEFAULT_MASKING, Masking
from sayiir.service.model import Access, Action, InstanceRow, WorkerRow
from sayiir.service.words import moment
from sayiir.store import scripts
from sayiir.store.base import ScriptedStore
from sayiir.store.observe_port import AuditEntry, OwnerFacts, Tallies
from sayiir.store.port import Instance, View

_TRACE_ID = re.compile("[0-9a-f]{32}")


class Desk:
    """The common part.

    Args:
        backend: where the instances live.
        workflows: the definitions that are known here, so that they can be submitted and their forms shown.
        read_only: whether everything that changes something is refused.
        mask: what of stored values is not shown.
        trace_url: a link to a trace, with "{trace_id}" in it.
    """

    def __init__(
        self,
        backend: ScriptedStore,
        *,
        workflows: Iterable[Workflow[Any, Any]] = (),
        read_only: bool = False,
        mask: Masking = DEFAULT_MASKING,
        trace_url: str | None = None,
    ) -> None:
        self.store = checked_backend(backend)
        self.read_only = read_only
        self.mask = mask
        self.trace_url = trace_url
        self._counting = threading.Lock()
        self._counted: dict[str, tuple[int, float, Tallies]] = {}
        """Counts of a moment ago: when they were made, and at which mark of changes."""
        self._known = {
            (one.workflow_id, one.definition_hash): one for one in (checked_workflow(given) for given in workflows)
        }

    def registered(self, workflow_id: str, definition_hash: str | None = None) -> Workflow[Any, Any] | None:
        """Return a workflow that is known here; the last one given of its name when no version is said."""
        if definition_hash is not None:
            return self._known.get((workflow_id, definition_hash))
        return next((one for (name, _), one in reversed(self._known.items()) if name == workflow_id), None)

    def _allow(self, access: Access, method: str) -> None:
        """Let somebody through (see `access.check`)."""
        rights.check(access, method, read_only=self.read_only)

    def _view(self, instance_id: str) -> View:
        view = self.store.load(checked_id(instance_id))
        if view is None:
            raise scripts.not_found(instance_id)
        return view

    def _structure(self, workflow_id: str, definition_hash: str) -> str:
        known = self.registered(workflow_id, definition_hash)
        found = known.program.definition.structure if known else self.store.structure(workflow_id, definition_hash)
        if not found:
            raise UnknownWorkflowError(
                f"workflow {workflow_id!r} with definition {definition_hash[:12]}… is not stored; see the list of workflows",
                workflow_id=workflow_id,
            )
        return found

    def _row(self, instance: Instance) -> InstanceRow:
        """Return an instance as lists show it."""
        return InstanceRow(
            instance.instance_id, instance.workflow_id, instance.definition_hash, instance.status.value,
            moment(instance.created_at), moment(instance.updated_at), instance.priority, instance.reason, instance.actor,
            instance.request, self._metadata(instance.metadata),
        )  # fmt: skip

    def _metadata(self, raw: bytes | None) -> dict[str, Any]:
        if raw is None:
            return {}
        try:
            found = self.mask.masked(plain(unpack(raw)))
        except WorkflowError:
            return {}
        return found if isinstance(found, dict) else {"": found}

    def _trace_link(self, instance: Instance) -> str | None:
        """Return where the instance's trace can be seen, if it was traced and somebody said where traces are."""
        parts = (instance.trace or "").split("-")  # W3C traceparent: version, trace id, span id, flags
        if self.trace_url is None or len(parts) < 4 or not _TRACE_ID.fullmatch(parts[1]):
            return None
        return self.trace_url.replace("{trace_id}", parts[1])

    def _possible(self, access: Access, instance: Instance) -> tuple[Action, ...]:
        """Return what somebody may do with an instance now."""
        status, request = instance.status, instance.request
        possible: dict[Action, bool] = {
            "cancel": status not in TERMINAL and request != "cancel",
            "pause": status not in TERMINAL and status is not State.PAUSED and request is None,
            "unpause": status is State.PAUSED or request == "pause",
            "retry": status in (State.FAILED, State.CANCELLED),
            "signal": status not in TERMINAL,
            "submit": self.registered(instance.workflow_id) is not None,
        }
        allowed: list[Action] = [name for name in rights.ACTIONS if possible.get(name)]
        return tuple(name for name in allowed if rights.may(access, name, read_only=self.read_only))

    @staticmethod
    def _entry(
        access: Access, action: str, target: str, reason: str | None, details: dict[str, Any] | None = None
    ) -> AuditEntry:
        shown = {name: value for name, value in (details or {}).items() if value is not None}
        user = short(access.user, 256) or "anonymous"
        return AuditEntry(user, action, target, short(reason), msgspec.json.encode(shown))


def worker_rows(owners: Iterable[OwnerFacts], claims: dict[int, int]) -> tuple[WorkerRow, ...]:
    """Return a row for each worker that told of itself, and for each process without one that holds claims."""
    found: list[WorkerRow] = []
    for owner in owners:
        times = moment(owner.started_at), moment(owner.beat_at), claims.get(owner.owner, 0)
        found += [
            WorkerRow(
                worker_id, owner.owner, owner.alive, *times, "worker",
                facts.get("concurrency"),
                None if facts.get("tags") is None else tuple(facts["tags"]),
                tuple((name, one) for name, one in facts.get("workflows", ())),
            )
            for worker_id, facts in owner.facts.items()
        ]  # fmt: skip
        if not owner.facts and claims.get(owner.owner):
            found.append(WorkerRow(owner.name, owner.owner, owner.alive, *times, "runner"))
    return tuple(found)
