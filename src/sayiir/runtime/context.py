"""What a running task can learn about itself.

One context variable holds the frame of the task that runs; contexts are copied into threads, coroutines and their
subtasks by whoever starts them, so the frame is found wherever the task's own code runs.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol

import msgspec

from sayiir.clock import SYSTEM_CLOCK
from sayiir.core.graph import TaskMetadata


class Live(Protocol):
    """The run behind a task."""

    def cancelled(self) -> bool:
        """Return whether the run is called off."""
        ...

    def heartbeat(self, fence: Any) -> None:
        """Keep one claim alive, or raise ClaimLostError."""
        ...


class Link:
    """A task's tie to its run: its own claim and no other's, since those beside it come and go."""

    __slots__ = ("_fence", "_run")

    def __init__(self, run: Live, fence: Any) -> None:
        self._run = run
        self._fence = fence

    def cancelled(self) -> bool:
        """Return whether the run is called off."""
        return self._run.cancelled()

    def heartbeat(self) -> None:
        """Keep the task's claim alive."""
        self._run.heartbeat(self._fence)


class TaskExecutionContext(msgspec.Struct, frozen=True):
    """Read-only facts about the task that is running.

    Attributes:
        workflow_id: the workflow's id.
        instance_id: the instance's id; in a run without storage the workflow's id.
        task_id: the task's full id.
        metadata: what the task declared.
        workflow_metadata: what was given as `Flow(metadata=…)`.
        attempt: 1 for the first attempt.
        iteration: 1 for the first iteration of a loop, and outside loops.
        worker_id: who runs the task: host and process in a durable run.
        idempotency_key: the same over retries and crashes of this task and iteration; give it to outside services.
    """

    workflow_id: str
    instance_id: str
    task_id: str
    metadata: TaskMetadata
    workflow_metadata: Any = None
    attempt: int = 1
    iteration: int = 1
    worker_id: str | None = None
    idempotency_key: str = ""
    _link: Link | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the instance was asked to cancel, or its claim was lost; long sync tasks look now and then."""
        return self._link is not None and self._link.cancelled()

    def heartbeat(self) -> None:
        """Say that a long task is alive, and refresh `cancelled`.

        Raises:
            ClaimLostError: another runner has taken the instance over; whatever this task returns will be refused.
        """
        if self._link is not None:
            self._link.heartbeat()

    def __reduce__(self) -> tuple[Any, ...]:
        return TaskExecutionContext, self._facts()

    # The link to the live run is no fact about the task: it is neither copied, compared nor shown.

    def _facts(self) -> tuple[Any, ...]:
        return msgspec.structs.astuple(self)[:-1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskExecutionContext) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash((self.instance_id, self.task_id, self.attempt, self.iteration))

    def __repr__(self) -> str:
        shown = zip(self.__struct_fields__, self._facts(), strict=False)
        return f"TaskExecutionContext({', '.join(f'{name}={fact!r}' for name, fact in shown)})"


class Frame:
    """The running task, as the executor knows it; the public context is made from it when somebody asks."""

    __slots__ = (
        "attempt",
        "fence",
        "instance_id",
        "iteration",
        "op",
        "run",
        "salt",
        "trace",
        "worker_id",
        "workflow_id",
        "workflow_metadata",
    )

    def __init__(
        self,
        workflow_id: str,
        instance_id: str,
        workflow_metadata: Any,
        worker_id: str | None,
        salt: int,
        run: Live | None,
        trace: str | None = None,
    ) -> None:
        self.workflow_id = workflow_id
        self.instance_id = instance_id
        self.workflow_metadata = workflow_metadata
        self.worker_id = worker_id
        self.salt = salt
        self.run = run
        self.trace = trace
        self.fence: Any = None
        self.op: Any = None
        self.attempt = 1
        self.iteration = 1

    def at(self, op: Any, attempt: int, iteration: int, fence: Any) -> Frame:
        """Return a frame of its own for one attempt, which later steps do not change."""
        frame = Frame(
            self.workflow_id, self.instance_id, self.workflow_metadata, self.worker_id, self.salt, self.run, self.trace
        )
        frame.op, frame.attempt, frame.iteration, frame.fence = op, attempt, iteration, fence
        return frame

    def context(self) -> TaskExecutionContext:
        """Return the public context."""
        if not self.salt:
            # A run without storage has no birth to tell it from the next one; drawn only when somebody asks.
            self.salt = SYSTEM_CLOCK.now() << 53 | int(SYSTEM_CLOCK.chance() * 2**53)
        import hashlib  # only for those who ask

        link = None if self.run is None else Link(self.run, self.fence)
        parts = f"{self.workflow_id}\0{self.instance_id}\0{self.salt}\0{self.op.id}\0{self.iteration}"
        return TaskExecutionContext(
            self.workflow_id, self.instance_id, self.op.id, self.op.metadata, self.workflow_metadata, self.attempt,
            self.iteration, self.worker_id, hashlib.sha256(parts.encode()).hexdigest()[:32], link,
        )  # fmt: skip


FRAME: ContextVar[Frame | TaskExecutionContext | None] = ContextVar("sayiir_frame", default=None)


def get_task_context() -> TaskExecutionContext | None:
    """Return the context of the running task, or None outside of one.

    >>> get_task_context() is None
    True
    """
    frame = FRAME.get()
    return frame.context() if isinstance(frame, Frame) else frame
