"""What changes something: each action is one transaction with its audit line.

Rules of this file: who may is asked first, then what is asked for is checked, then it is done; nothing is noted that was
refused. A bulk action is many such transactions, at most 1,000 a call, and says how far it came.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec

from sayiir.client.query import KEEP, purge
from sayiir.client.submit import Intake
from sayiir.core.graph import SignalNode, walk
from sayiir.core.lifecycle import TERMINAL, Event, next_state
from sayiir.core.values import codec_for, encode, plain
from sayiir.errors import FilterError, UnknownWorkflowError, WorkflowError
from sayiir.flow.duration import Duration, parse_duration
from sayiir.runtime import observe
from sayiir.runtime.checks import checked_id, checked_policy, checked_signal, short
from sayiir.runtime.retry import restart
from sayiir.service.cursor import cursor_of, place_of
from sayiir.service.ids import new_id
from sayiir.service.lists import MAX_PAGE
from sayiir.service.model import Access, Action, BulkResult, InstanceRow, Selection
from sayiir.service.saved import Saved
from sayiir.store import scripts
from sayiir.store.observe_port import AuditEntry
from sayiir.store.port import ConflictPolicy, Instance, Query

MAX_BULK = 1000
_SHOWN = 100
_REMEMBERED = 200
_EVENTS: dict[str, Event] = {
    "cancel": Event.CANCEL, "pause": Event.PAUSE, "unpause": Event.UNPAUSE, "retry": Event.RETRY,
}  # fmt: skip


class Actions(Saved):
    """The part of `Service` that changes something."""

    def submit(
        self, access: Access, workflow_id: str, instance_id: str | None, input_json: bytes, *, priority: int | None = None,
        policy: ConflictPolicy | None = None, definition_hash: str | None = None,
    ) -> tuple[InstanceRow, bool]:  # fmt: skip
        """Store a new instance of a workflow that is known here.

        Args:
            access: who asks.
            workflow_id: the workflow's name.
            instance_id: its name; None makes one.
            input_json: the input as JSON; it must fit the first task's annotation.
            priority: 1 (first) to 5 (last).
            policy: what to do when the id is taken; "fail" when not given.
            definition_hash: which version; the one given last when not said.

        Returns:
            The instance, and whether it is new.

        Raises:
            UnknownWorkflowError: the workflow, or this version, is not known here.
            SerializationError: the input is no JSON or does not fit.
            InstanceAlreadyExistsError, DefinitionMismatchError: the id is taken.
            ValueError: the id or the priority is not allowed.
        """
        self._allow(access, "submit")
        workflow = self.registered(workflow_id, definition_hash)
        if workflow is None:
            version = f" with definition {definition_hash[:12]}…" if definition_hash else ""
            raise UnknownWorkflowError(
                f"workflow {workflow_id!r}{version} is not known to this server, so it cannot be submitted here; start the "
                "server with the module that has it",
                workflow_id=workflow_id,
            )
        name = new_id(self.store.clock) if instance_id is None else instance_id
        new = Intake(workflow, priority, self.store.max_value_bytes).one(name, plain(input_json))
        rule = checked_policy(policy)
        entry = self._entry(access, "submit", new.instance_id, None, {"workflow": workflow_id})
        with observe.submitting(workflow_id, new.instance_id) as trace:
            traced = msgspec.structs.replace(new, trace=trace)
            created = self.store.audited(
                lambda rows: scripts.create(rows, traced, rule, claim=False), entry, when=lambda answer: answer.is_new
            )
        return self._row(created.instance), created.is_new

    def cancel(
        self, access: Access, instance_id: str, *, reason: str | None = None, key: str | None = None
    ) -> InstanceRow:
        """Cancel an instance: at once, or when the task that runs has ended.

        Raises:
            InstanceNotFoundError, InvalidStateError.
        """
        self._allow(access, "cancel")
        return self._steer(access, "cancel", instance_id, reason, key=key)

    def pause(
        self, access: Access, instance_id: str, *, reason: str | None = None, key: str | None = None
    ) -> InstanceRow:
        """Pause an instance: at once, or when the task that runs has ended.

        Raises:
            InstanceNotFoundError, InvalidStateError.
        """
        self._allow(access, "pause")
        return self._steer(access, "pause", instance_id, reason, key=key)

    def unpause(
        self, access: Access, instance_id: str, *, reason: str | None = None, key: str | None = None
    ) -> InstanceRow:
        """Let a paused instance go on, or withdraw a pause that has not taken effect.

        Raises:
            InstanceNotFoundError, InvalidStateError.
        """
        self._allow(access, "unpause")
        return self._steer(access, "unpause", instance_id, reason, key=key)

    def retry(
        self, access: Access, instance_id: str, *, from_task: str | None = None, input_json: bytes | None = None,
        reason: str | None = None, key: str | None = None,
    ) -> InstanceRow:  # fmt: skip
        """Bring a failed or cancelled instance back to life.

        Args:
            access: who asks.
            instance_id: the instance.
            from_task: an earlier task to go on at; where it ended when not given.
            input_json: another input for that task, as JSON.
            reason: why, for the audit.
            key: what was done with the same key before is not done again.

        Raises:
            InstanceNotFoundError, InvalidStateError.
            SerializationError: the input is no JSON.
            ValueError: the task has not run, or its id is ambiguous.
        """
        self._allow(access, "retry")
        return self._steer(access, "retry", instance_id, reason, from_task=from_task, input_json=input_json, key=key)

    def signal(
        self, access: Access, instance_id: str, name: str, payload_json: bytes, *, dedup_key: str | None = None
    ) -> bool:
        """Send a signal; it may come before its instance.

        Args:
            access: who asks.
            instance_id: the instance.
            name: the signal's name.
            payload_json: the payload as JSON; it must fit the declared type, where the workflow is known here.
            dedup_key: a second signal of the same name and key is dropped.

        Returns:
            False when a signal of this name and key was sent before.

        Raises:
            SerializationError: the payload is no JSON or does not fit.
            InvalidStateError: the instance has finished.
        """
        self._allow(access, "signal")
        target, signal = checked_id(instance_id), checked_signal(name)
        key = None if dedup_key is None else checked_id(dedup_key, "dedup_key")
        raw = encode(plain(payload_json), max_bytes=self.store.max_value_bytes)
        there = self.store.load(target)
        self._check_payload(None if there is None else there.instance, signal, raw)
        entry = self._entry(access, "signal", target, None, {"signal": signal, "dedup_key": key})
        with observe.signalling(signal, target, lambda: None if there is None else there.instance):
            sent = self.store.audited(
                lambda rows: scripts.send_signal(rows, target, signal, raw, key), entry, when=bool
            )
            if there is None:
                # An instance that was being created meanwhile may have parked before it could see the signal.
                self.store.audited(lambda rows: scripts.wake_for(rows, target, signal), _NOTHING, when=lambda _: False)
        return sent

    def _check_payload(self, instance: Instance | None, signal: str, raw: bytes) -> None:
        known = None if instance is None else self.registered(instance.workflow_id, instance.definition_hash)
        if known is None:
            return
        types = [node.type for node in walk(known.graph.nodes) if isinstance(node, SignalNode) and node.signal == signal]
        if types and all(one is not None for one in types):
            problems = [problem for one in types if (problem := _misfit(one, raw)) is not None]
            if len(problems) == len(types):
                raise problems[0]

    def _steer(
        self, access: Access, action: str, instance_id: str, reason: str | None, *, from_task: str | None = None,
        input_json: bytes | None = None, key: str | None = None,
    ) -> InstanceRow:  # fmt: skip
        target = checked_id(instance_id)
        script = self._script(access, action, target, reason, from_task, input_json)
        details: dict[str, Any] = {"key": None if key is None else checked_id(key, "Idempotency-Key")}
        if action == "retry":
            details |= {"from_task": from_task, "new_input": input_json is not None}

        def both(rows: Any) -> tuple[Instance, bool]:
            is_new = key is None or not _was_done(rows, action, target, key)
            if is_new:
                script(rows)
            found: Instance | None = rows.instance(target)
            if found is None:
                raise scripts.not_found(target)
            return msgspec.structs.replace(found), is_new

        entry = self._entry(access, action, target, reason, details)
        return self._row(self.store.audited(both, entry, when=lambda answer: answer[1])[0])

    def _script(
        self, access: Access, action: str, target: str, reason: str | None, from_task: str | None, input_json: bytes | None
    ) -> Callable[[Any], Any]:
        why, who = short(reason), short(access.user)
        match action:
            case "cancel":
                return lambda rows: scripts.request_cancel(rows, target, why, who)
            case "pause":
                return lambda rows: scripts.request_pause(rows, target, why, who)
            case "unpause":
                return lambda rows: scripts.unpause(rows, target)
            case _:
                instance = self._view(target).instance
                structure = self.store.structure(instance.workflow_id, instance.definition_hash)
                limit = self.store.max_value_bytes
                raw = None if input_json is None else encode(plain(input_json), max_bytes=limit)
                return lambda rows: scripts.retry(
                    rows, target, lambda found, records: restart(found, records, structure, from_task, raw)
                )

    # --- many -----------------------------------------------------------------------------------------------------

    def bulk(
        self, access: Access, action: Action, selection: Selection, *, dry_run: bool = False, reason: str | None = None,
        cursor: str | None = None,
    ) -> BulkResult:  # fmt: skip
        """Cancel, pause, unpause or retry many instances, at most 1,000 a call.

        Args:
            access: who asks.
            action: what to do with each.
            selection: their ids, or a filter that they fit.
            dry_run: only say what would be done.
            reason: why, for people and the audit.
            cursor: the `next` of the call before.

        Returns:
            How many were found and done, which were refused, and where to go on.

        Raises:
            FilterError: the action is not one of these, or the selection says nothing, or both.
        """
        self._allow(access, "bulk")
        if action not in _EVENTS:
            raise FilterError(f"a bulk action is one of {', '.join(_EVENTS)}, not {action!r}")
        self._allow(access, action)
        names, following = self._selected(selection, cursor)
        done, refused = 0, list[tuple[str, str]]()
        for name in names:
            try:
                if dry_run:
                    self._could(action, name)
                else:
                    self._steer(access, action, name, reason)
                done += 1
            except (WorkflowError, ValueError) as error:
                refused.append((name, str(error)))
        return BulkResult(action, dry_run, len(names), done, tuple(refused[:_SHOWN]), following)

    def _selected(self, selection: Selection, cursor: str | None) -> tuple[list[str], str | None]:
        if (selection.ids is None) == (selection.where is None):
            raise FilterError("a selection is either ids or a filter (an empty one for all), one of both")
        if selection.ids is not None:
            start = 0 if cursor is None else place_of(cursor, 1)[0]
            names = list(dict.fromkeys(selection.ids))
            end = start + MAX_BULK
            return names[start:end], cursor_of(end) if end < len(names) else None
        query = self._query(selection.where or "", MAX_PAGE)
        if cursor is not None:
            query = msgspec.structs.replace(query, below=place_of(cursor, 1)[0])
        found = self._look(query)
        below = None if found.below is None else cursor_of(found.below)
        return [instance.instance_id for instance in found.instances], below

    def _could(self, action: str, name: str) -> None:
        """Raise what the action would raise."""
        instance = self._view(name).instance
        if action == "unpause" and instance.request == "pause":
            return
        next_state(instance.status, _EVENTS[action], name)

    def purge(self, access: Access, older_than: Duration = KEEP, *, dry_run: bool = False) -> int:
        """Delete instances that ended long ago, with their history, signals and log lines.

        Args:
            access: who asks.
            older_than: how long ago, as for `parse_duration`.
            dry_run: only count them, at most 100,000.

        Returns:
            How many were, or would be, deleted.

        Raises:
            ValueError: the length of time is none.
        """
        self._allow(access, "purge")
        if dry_run:
            return self._old(older_than)
        count = purge(self.store, older_than, 1000)
        seconds = older_than.total_seconds() if isinstance(older_than, timedelta) else older_than
        details = {"older_than": seconds, "deleted": count}
        self.store.audited(lambda _: None, self._entry(access, "purge", "*", None, details))
        return count

    def _old(self, older_than: Duration) -> int:
        before = max(0, self.store.now() - round(parse_duration(older_than) * 1_000_000))
        query, count = Query(tuple(TERMINAL), created_before=before, limit=MAX_PAGE), 0
        while count < 100_000:
            found = self.store.page(query)
            count += sum(instance.updated_at < before for instance in found.instances)
            if found.below is None:
                return count
            query = msgspec.structs.replace(query, below=found.below)
        return count


_NOTHING = AuditEntry("", "", "")


def _was_done(rows: Any, action: str, target: str, key: str) -> bool:
    """Return whether an action was done with this key: among the newest that were done to the instance."""
    done = rows.audit(target, None, _REMEMBERED)
    return any(one.action == action and msgspec.json.decode(one.details).get("key") == key for one in done)


def _misfit(annotation: Any, raw: bytes) -> WorkflowError | None:
    try:
        codec_for(annotation).decode(raw)
    except WorkflowError as error:
        return error
    return None


