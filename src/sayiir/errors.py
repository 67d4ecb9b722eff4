"""Every error a user can meet, as one tree.

    WorkflowError (RuntimeError)
    ├─ DefinitionError (also ValueError)         mistakes of a definition, all at once
    ├─ DefinitionMismatchError                   the stored instance was made by another definition
    ├─ InstanceAlreadyExistsError
    ├─ TaskError                                 a task failed, its retries used up
    │   ├─ TaskTimeoutError
    │   ├─ RouteError
    │   ├─ LoopLimitError
    │   ├─ SignalTimeoutError
    │   └─ WorkerCrashError
    ├─ SerializationError (also TypeError)       a value that JSON cannot hold
    │   └─ DeserializationError                  a stored value that does not fit the annotation
    ├─ NonRetryableError                         raised by users: do not retry
    ├─ ForbiddenError                            whoever asks has not the role for it
    ├─ FilterError (also ValueError)             a filter of instances that cannot be read
    ├─ UnknownWorkflowError                      nobody here knows a workflow of this name
    └─ BackendError
        ├─ InstanceNotFoundError
        ├─ InvalidStateError
        ├─ InstanceBusyError
        ├─ ClaimLostError
        └─ SchemaVersionError

Rules of this file: an error has a stable `code`, its data as attributes, and survives pickling with them.
The text names the thing and the fix. No error is defined anywhere else.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "BackendError",
    "ClaimLostError",
    "DefinitionError",
    "DefinitionMismatchError",
    "DeserializationError",
    "FilterError",
    "ForbiddenError",
    "InstanceAlreadyExistsError",
    "InstanceBusyError",
    "InstanceNotFoundError",
    "InvalidStateError",
    "LoopLimitError",
    "NonRetryableError",
    "RouteError",
    "SchemaVersionError",
    "SerializationError",
    "SignalTimeoutError",
    "TaskError",
    "TaskTimeoutError",
    "UnknownWorkflowError",
    "WorkerCrashError",
    "WorkflowError",
]


def _rebuild(cls: type[WorkflowError], message: str, data: dict[str, Any]) -> WorkflowError:
    error = cls(message)
    error.__dict__.update(data)
    return error


class WorkflowError(RuntimeError):
    """The root of all errors of this library.

    Keyword arguments become attributes, so that a handler reads `error.instance_id` instead of parsing text.

    >>> error = WorkflowError("instance 'a' did not complete", instance_id="a")
    >>> error.code, error.instance_id
    ('workflow_error', 'a')
    """

    code: ClassVar[str] = "workflow_error"

    def __init__(self, message: str = "", /, **data: Any) -> None:
        super().__init__(message)
        self.__dict__.update(data)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self), dict(self.__dict__))

    def __getattr__(self, name: str) -> Any:
        # Data attributes that were not given read as None; private names stay errors, as pickling asks for them.
        if name.startswith("_"):
            raise AttributeError(name)
        if name in _DATA:
            return None
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


_DATA = frozenset(
    (
        "workflow_id",
        "instance_id",
        "task_id",
        "node_id",
        "attempt",
        "attempts",
        "error_type",
        "message",
        "traceback",
        "iteration",
        "path",
        "problems",
        "difference",
        "status",
        "signal_name",
        "waited_secs",
        "timeout_secs",
        "key",
        "keys",
        "max_iterations",
        "limit",
        "size",
    )
)


class DefinitionError(WorkflowError, ValueError):
    """A workflow cannot be built; `problems` lists every mistake, each with the node and the fix."""

    code = "definition_error"


class DefinitionMismatchError(WorkflowError):
    """The instance was started by another definition; `difference` says what differs, line by line."""

    code = "definition_mismatch"


class InstanceAlreadyExistsError(WorkflowError):
    """The instance id is taken and the conflict policy is "fail"."""

    code = "instance_already_exists"


class TaskError(WorkflowError):
    """A task failed and has no retries left; `str(error)` starts with "ErrorType: message".

    `__cause__` is the original exception when it happened in this process. Attributes: `workflow_id`,
    `instance_id`, `task_id`, `attempt`, `error_type`, `traceback`.
    """

    code = "task_failed"


class TaskTimeoutError(TaskError):
    """A task did not end within its timeout."""

    code = "task_timeout"


class RouteError(TaskError):
    """A route's key function returned a key that no branch takes."""

    code = "route_unmatched"


class LoopLimitError(TaskError):
    """A loop reached `max_iterations` without being done."""

    code = "loop_limit"


class SignalTimeoutError(TaskError):
    """A signal did not arrive before the deadline of its wait."""

    code = "signal_timeout"


class WorkerCrashError(TaskError):
    """The process that ran the task died."""

    code = "worker_crash"


class SerializationError(WorkflowError, TypeError):
    """A value cannot be stored as JSON; `path` says where inside the value."""

    code = "serialization_error"


class DeserializationError(SerializationError):
    """A stored value does not fit the annotation that asks for it; `path` says where inside the value."""

    code = "deserialization_error"


class NonRetryableError(WorkflowError):
    """Raise it (or a subclass) in a task to fail at once, whatever retries are left.

    >>> raise NonRetryableError("the card was declined")
    Traceback (most recent call last):
    sayiir.errors.NonRetryableError: the card was declined
    """

    code = "non_retryable"


class ForbiddenError(WorkflowError):
    """Whoever asks may not do this: the role is not enough, or nothing may be changed here."""

    code = "forbidden"


class FilterError(WorkflowError, ValueError):
    """A filter of instances cannot be read; the text names the word and how it is written."""

    code = "bad_filter"


class UnknownWorkflowError(WorkflowError):
    """No workflow of this name, or no such version of it, is known here."""

    code = "unknown_workflow"


class BackendError(WorkflowError):
    """A storage operation was refused or failed."""

    code = "backend_error"


class InstanceNotFoundError(BackendError):
    """No instance has this id."""

    code = "instance_not_found"


class InvalidStateError(BackendError):
    """The operation is not allowed in the instance's present state, which `status` names."""

    code = "invalid_state"


class InstanceBusyError(BackendError):
    """Another live runner moves this instance right now."""

    code = "instance_busy"


class ClaimLostError(BackendError):
    """The right to move this instance went to somebody else; what was computed meanwhile was not written."""

    code = "claim_lost"


class SchemaVersionError(BackendError):
    """The stored data is of a newer format than this release reads, or not ours at all."""

    code = "schema_version"
