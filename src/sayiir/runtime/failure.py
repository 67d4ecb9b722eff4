"""From an exception to the stored failure, and from the stored failure to the error that callers see."""

from __future__ import annotations

from typing import Any

import msgspec

from sayiir import errors
from sayiir.core.graph import RetryFilter, TaskMetadata
from sayiir.core.program import DelayOp, Program, SignalOp, TaskOp
from sayiir.core.records import Fail, Failure, Move, Position
from sayiir.errors import NonRetryableError, TaskError
from sayiir.store.port import Claim

MAX_ERROR_TEXT = 64 * 1024
MAX_MESSAGE = 16 * 1024

_PLACES: dict[str, Any] = {
    "ready": TaskOp, "backoff": TaskOp, "standing": object, "timer": DelayOp, "signal": SignalOp, "expired": SignalOp,
}  # fmt: skip
"""What a token can stand at that wakes for a reason; `object` for anything that is there."""
_CLASSES: dict[str, type[TaskError]] = {
    cls.code: cls
    for cls in (
        TaskError,
        errors.TaskTimeoutError,
        errors.RouteError,
        errors.LoopLimitError,
        errors.SignalTimeoutError,
        errors.WorkerCrashError,
    )
}


class ChildError(Exception):
    """An exception that a task raised in a child process, as far as text can tell it."""

    def __init__(self, error_type: str, message: str, trace: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.trace = trace
        self.retryable = retryable


def cut(text: str, limit: int) -> str:
    """Return the text, cut with "…" to a number of UTF-8 bytes, and storable (no half surrogate pairs)."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return data.decode()
    return data[: limit - 3].decode("utf-8", "ignore") + "…"


def describe(error: BaseException, op: TaskOp, position: Position) -> Failure:
    """Return what is stored about an exception that a task raised."""
    if isinstance(error, ChildError):
        return Failure(error.error_type, str(error), op.id, op.id, position.attempt, error.trace)
    try:
        message = str(error)
    except Exception as broken:  # noqa: BLE001 -- a user's __str__ may do anything
        message = f"<its text cannot be shown: {type(broken).__name__}>"
    code = error.code if isinstance(error, TaskError) else TaskError.code
    return Failure(
        type(error).__name__,
        cut(message, MAX_MESSAGE),
        op.id,
        op.id,
        position.attempt,
        cut(trace_of(error), MAX_ERROR_TEXT - MAX_MESSAGE),
        code,
    )


def trace_of(error: BaseException) -> str:
    """Return the traceback's text, from the first frame that is not ours."""
    import traceback

    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("sayiir.runtime"):
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, trace))
    except Exception as broken:  # noqa: BLE001 -- a user's exception may refuse to be formatted
        return f"<its traceback cannot be shown: {type(broken).__name__}>"


def is_retryable(error: BaseException, metadata: TaskMetadata) -> bool:
    """Return whether the task's filters let this failure be retried."""
    if isinstance(error, ChildError):
        return error.retryable  # judged in the child, where the exception itself was at hand
    if isinstance(error, NonRetryableError):
        return False
    if metadata.no_retry_on is not None and _matches(error, metadata.no_retry_on):
        return False
    return metadata.retry_on is None or _matches(error, metadata.retry_on)


def _matches(error: BaseException, wanted: RetryFilter) -> bool:
    if isinstance(wanted, type | tuple):
        return isinstance(error, wanted)
    try:
        return bool(wanted(error))
    except Exception as broken:  # noqa: BLE001 -- a broken predicate must not hide the task's own failure
        broken.add_note(f"raised by the retry predicate for {type(error).__name__}; the failure is not retried")
        error.__context__ = broken
        return False


def misplaced(program: Program, claim: Claim) -> Move | None:
    """Return the end of an instance whose token stands where it cannot, since its row was damaged; None for a sound one.

    Left as it is, it would be claimed, and given back, again and again.
    """
    op = program.ops.get(claim.position.node)
    if op is not None and isinstance(op, _PLACES[claim.wake]):
        return None
    node = claim.position.node
    text = f"the token stands at {node!r} and is {claim.wake}, which no definition leads to; the stored data is damaged"
    failure = Failure("BackendError", text, node, node, claim.position.attempt)
    return Move((), claim.position, Fail(msgspec.json.encode(failure)))


def read_failure(raw: bytes) -> Failure:
    """Return a stored failure."""
    try:
        return msgspec.json.decode(raw, type=Failure)
    except (msgspec.MsgspecError, ValueError) as error:
        # What failed cannot be told any more, but that it failed can.
        return Failure("BackendError", f"the stored error cannot be read: {error}; the data is damaged", "", "")


def to_error(failure: Failure, workflow_id: str, instance_id: str, cause: BaseException | None = None) -> TaskError:
    """Return the error that callers get; `cause` is the original exception when it is at hand."""
    data: dict[str, Any] = {
        **failure.details,
        "workflow_id": workflow_id,
        "instance_id": instance_id,
        "task_id": failure.task_id,
        "node_id": failure.node_id,
        "attempt": failure.attempts,
        "error_type": failure.error_type,
        "message": failure.message,
        "traceback": failure.traceback,
    }
    error = _CLASSES.get(failure.code, TaskError)(failure.text, **data)
    error.__cause__ = cause
    return error
