"""Sayiir: durable workflows from plain Python functions. Every public name is here.

Rules of this file: what a program may never touch (SQLite, asyncio) is listed in `_LAZY` and loaded when it is asked
for, so that importing the library stays quick; type checkers see those names all the same.
"""

from typing import TYPE_CHECKING

from sayiir.client import WorkflowClient, cancel_workflow, pause_workflow, send_signal, unpause_workflow
from sayiir.core.graph import NodeInfo, TaskMetadata
from sayiir.core.loop import LoopResult, OnMax
from sayiir.core.retry import RetryPolicy
from sayiir.core.values.secret import Secret
from sayiir.errors import (
    BackendError,
    ClaimLostError,
    DefinitionError,
    DefinitionMismatchError,
    DeserializationError,
    FilterError,
    ForbiddenError,
    InstanceAlreadyExistsError,
    InstanceBusyError,
    InstanceNotFoundError,
    InvalidStateError,
    LoopLimitError,
    NonRetryableError,
    RouteError,
    SchemaVersionError,
    SerializationError,
    SignalTimeoutError,
    TaskError,
    TaskTimeoutError,
    UnknownWorkflowError,
    WorkerCrashError,
    WorkflowError,
)
from sayiir.flow.builder import BranchBuilder, Flow, ForkBuilder
from sayiir.flow.duration import parse_duration
from sayiir.flow.task import task
from sayiir.flow.workflow import Workflow
from sayiir.runtime.context import TaskExecutionContext, get_task_context
from sayiir.runtime.engine import resume_workflow, run_durable_workflow, run_workflow
from sayiir.runtime.status import WorkflowStatus
from sayiir.runtime.timeline import TimelineEntry
from sayiir.store.memory import InMemoryBackend
from sayiir.store.url import connect

if TYPE_CHECKING:
    from sayiir.aio import (
        AsyncWorkflowClient,
        acancel_workflow,
        apause_workflow,
        aresume_workflow,
        arun_durable_workflow,
        arun_workflow,
        asend_signal,
        aunpause_workflow,
    )
    from sayiir.store.postgres import PostgresBackend
    from sayiir.store.sqlite import SqliteBackend
    from sayiir.tracing import init_tracing, shutdown_tracing
    from sayiir.worker import Worker, WorkerHandle

__version__ = "0.1.0"

_LAZY = {
    "AsyncWorkflowClient": "sayiir.aio",
    "PostgresBackend": "sayiir.store.postgres",
    "SqliteBackend": "sayiir.store.sqlite",
    "Worker": "sayiir.worker",
    "WorkerHandle": "sayiir.worker",
    "acancel_workflow": "sayiir.aio",
    "apause_workflow": "sayiir.aio",
    "aresume_workflow": "sayiir.aio",
    "arun_durable_workflow": "sayiir.aio",
    "arun_workflow": "sayiir.aio",
    "asend_signal": "sayiir.aio",
    "aunpause_workflow": "sayiir.aio",
    "init_tracing": "sayiir.tracing",
    "shutdown_tracing": "sayiir.tracing",
}

__all__ = [
    "AsyncWorkflowClient",
    "BackendError",
    "BranchBuilder",
    "ClaimLostError",
    "DefinitionError",
    "DefinitionMismatchError",
    "DeserializationError",
    "FilterError",
    "Flow",
    "ForbiddenError",
    "ForkBuilder",
    "InMemoryBackend",
    "InstanceAlreadyExistsError",
    "InstanceBusyError",
    "InstanceNotFoundError",
    "InvalidStateError",
    "LoopLimitError",
    "LoopResult",
    "NodeInfo",
    "NonRetryableError",
    "OnMax",
    "PostgresBackend",
    "RetryPolicy",
    "RouteError",
    "SchemaVersionError",
    "Secret",
    "SerializationError",
    "SignalTimeoutError",
    "SqliteBackend",
    "TaskError",
    "TaskExecutionContext",
    "TaskMetadata",
    "TaskTimeoutError",
    "TimelineEntry",
    "UnknownWorkflowError",
    "Worker",
    "WorkerCrashError",
    "WorkerHandle",
    "Workflow",
    "WorkflowClient",
    "WorkflowError",
    "WorkflowStatus",
    "acancel_workflow",
    "apause_workflow",
    "aresume_workflow",
    "arun_durable_workflow",
    "arun_workflow",
    "asend_signal",
    "aunpause_workflow",
    "cancel_workflow",
    "connect",
    "get_task_context",
    "init_tracing",
    "parse_duration",
    "pause_workflow",
    "resume_workflow",
    "run_durable_workflow",
    "run_workflow",
    "send_signal",
    "shutdown_tracing",
    "task",
    "unpause_workflow",
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value  # found directly from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
