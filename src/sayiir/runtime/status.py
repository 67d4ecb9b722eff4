"""What callers learn about an instance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias, TypeVar, overload

import msgspec

from sayiir.core.records import Failure
from sayiir.core.values import codec_for, encode, plain, unpack
from sayiir.errors import WorkflowError
from sayiir.runtime.failure import read_failure
from sayiir.store.port import Token, View

T = TypeVar("T")
StatusName: TypeAlias = Literal[
    "completed", "failed", "cancelled", "paused", "in_progress", "waiting", "awaiting_signal"
]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(micros: int | None) -> datetime | None:
    """Return an aware time, exact to the microsecond."""
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


class ErrorDetail(msgspec.Struct, frozen=True):
    """Why an instance failed."""

    error_type: str
    message: str
    traceback: str
    task_id: str
    node_id: str
    attempts: int


class Parked(msgspec.Struct, frozen=True):
    """One token that waits: where, for what, and until when."""

    node_id: str
    kind: Literal["delay", "signal", "retry"]
    wake_at: datetime | None = None
    signal_name: str | None = None


class WorkflowStatus(msgspec.Struct, frozen=True):
    """An instance as it stood at one moment.

    `status` is one of completed, failed, cancelled, paused, in_progress, waiting, awaiting_signal; exactly one of the
    `is_…()` methods is true. The other attributes are None where they do not apply.

    >>> from sayiir import Flow, run_durable_workflow
    >>> status = run_durable_workflow(Flow("w").then(lambda x: x + 1).build(), "a", 41)
    >>> status, status.is_completed()
    (WorkflowStatus.Completed(output=42), True)
    """

    status: StatusName
    output: Any = None
    error: str | None = None
    error_detail: ErrorDetail | None = None
    reason: str | None = None
    cancelled_by: str | None = None
    paused_by: str | None = None
    wake_at: datetime | None = None
    delay_id: str | None = None
    signal_id: str | None = None
    signal_name: str | None = None
    instance_id: str = ""
    workflow_id: str = ""
    definition_hash: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    parked: list[Parked] = []

    def is_completed(self) -> bool:
        """Whether it ended with an output."""
        return self.status == "completed"

    def is_failed(self) -> bool:
        """Whether it ended with an error."""
        return self.status == "failed"

    def is_cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.status == "cancelled"

    def is_in_progress(self) -> bool:
        """Whether something runs, or can run as soon as somebody moves it."""
        return self.status == "in_progress"

    def is_paused(self) -> bool:
        """Whether it is paused."""
        return self.status == "paused"

    def is_waiting(self) -> bool:
        """Whether it waits for a time."""
        return self.status == "waiting"

    def is_awaiting_signal(self) -> bool:
        """Whether it waits for a signal."""
        return self.status == "awaiting_signal"

    @overload
    def output_as(self, annotation: type[T]) -> T: ...
    @overload
    def output_as(self, annotation: Any) -> Any: ...
    def output_as(self, annotation: Any) -> Any:
        """Return the output decoded into a type.

        Args:
            annotation: a model, dataclass, or any other type that a task's parameter may have.

        Raises:
            WorkflowError: the instance has not completed.
            DeserializationError: the output does not fit the type.
        """
        if self.status != "completed":
            raise WorkflowError(f"instance {self.instance_id!r} has no output: it is {self.status}")
        return codec_for(annotation).decode(encode(self.output))

    def __repr__(self) -> str:
        words = "".join(part.capitalize() for part in self.status.split("_"))
        shown = {
            "completed": ("output",),
            "failed": ("error",),
            "cancelled": ("reason", "cancelled_by"),
            "paused": ("reason", "paused_by"),
            "waiting": ("wake_at", "delay_id"),
            "awaiting_signal": ("signal_name", "signal_id", "wake_at"),
        }.get(self.status, ())
        return f"WorkflowStatus.{words}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


def status_of(view: View) -> WorkflowStatus:
    """Return the public form of a stored instance."""
    instance = view.instance
    state: StatusName = instance.status.value
    facts: dict[str, Any] = {}
    if state == "completed":
        facts["output"] = plain(view.output if view.output is not None else b"null")
    elif state == "failed" and instance.error is not None:
        failure = read_failure(unpack(instance.error))
        facts["error"], facts["error_detail"] = failure.text, _detail(failure)
    elif state in ("cancelled", "paused"):
        facts["reason"] = instance.reason
        facts["cancelled_by" if state == "cancelled" else "paused_by"] = instance.actor
    parked = _parked(view.tokens)
    if parked:
        facts.update(_waits(state, parked))
    created = moment(instance.created_at)
    return WorkflowStatus(
        state,
        instance_id=instance.instance_id,
        workflow_id=instance.workflow_id,
        definition_hash=instance.definition_hash,
        created_at=created,
        updated_at=created if instance.updated_at == instance.created_at else moment(instance.updated_at),
        parked=parked,
        **facts,
    )


def _detail(failure: Failure) -> ErrorDetail:
    return ErrorDetail(
        failure.error_type, failure.message, failure.traceback, failure.task_id, failure.node_id, failure.attempts
    )


def _parked(tokens: tuple[Token, ...]) -> list[Parked]:
    parked = []
    for token in tokens:
        if token.state == "awaiting":
            parked.append(Parked(token.node, "signal", moment(token.due_at), token.signal))
        elif token.state in ("waiting", "backoff"):
            parked.append(Parked(token.node, "delay" if token.state == "waiting" else "retry", moment(token.due_at)))
    return parked


def _waits(state: StatusName, parked: list[Parked]) -> dict[str, Any]:
    """Return the details of the wait that decides the status: the earliest of its kind."""
    kind = {"awaiting_signal": "signal", "waiting": "delay"}.get(state)
    waits = sorted(
        (item for item in parked if item.kind == kind),
        key=lambda item: (item.wake_at is None, item.wake_at, item.node_id),
    )
    if not waits:
        return {}
    first = waits[0]
    if kind == "delay":
        return {"wake_at": first.wake_at, "delay_id": first.node_id}
    return {"wake_at": first.wake_at, "signal_id": first.node_id, "signal_name": first.signal_name}
