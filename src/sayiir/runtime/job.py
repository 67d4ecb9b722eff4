"""One token in a worker's hands, and what the worker knows of its workflow.

A job is what `Run` is for an in-process run, for a single token: the executor's walk over it is taken up by whichever
thread is free, one at a time, and waits between two steps without a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from sayiir.core.program import TaskOp
from sayiir.errors import ClaimLostError
from sayiir.runtime.context import Frame
from sayiir.runtime.executor import steps
from sayiir.store.port import PRIORITY, Claim, Fence, Instance

if TYPE_CHECKING:
    import asyncio

    from sayiir.core.program import Program
    from sayiir.core.records import Position
    from sayiir.flow.workflow import Workflow
    from sayiir.runtime.shift import Shift

_MUTEX = threading.Lock()
"""Guards the few moments in which a job is called off, of all jobs."""


class Skill:
    """A workflow that a worker can move.

    Args:
        workflow: the definition.
        tags: the worker's; None takes every task.
    """

    def __init__(self, workflow: Workflow[Any, Any], tags: frozenset[str] | None) -> None:
        self.program: Program = workflow.program.prepare()
        self.metadata = workflow.metadata
        tasks = [op for op in self.program.ops.values() if isinstance(op, TaskOp)]
        self.foreign = frozenset(op.id for op in tasks if tags is not None and not tags.issuperset(op.metadata.tags or ()))
        """The tasks that need another worker."""
        self.coroutines = frozenset(op.id for op in tasks if op.on_loop)
        """The tasks that run on the event loop."""
        self.tasks = frozenset(op.id for op in tasks)

    def priority(self, node: str, instance: Instance) -> int:
        """Return how urgent a token of the instance is there, before it waited; 1 comes first."""
        op = self.program.ops.get(node)
        own = op.metadata.priority if isinstance(op, TaskOp) else None
        return own or instance.priority or PRIORITY


class Job:
    """One claimed token, and the walk that moves it."""

    __slots__ = (
        "answer", "attempt", "begun", "cancels", "cause", "causes", "claim", "clock", "context", "crashes", "fence", "frame",
        "instance", "is_async", "node", "program", "shift", "skill", "stopping", "store", "task", "walk", "worker",
        "yielding",
    )  # fmt: skip

    def __init__(self, shift: Shift, skill: Skill, instance: Instance, claim: Claim, context: Context) -> None:
        self.shift = shift
        self.skill = skill
        self.instance = instance
        self.claim = claim
        self.fence: Fence = claim.fence
        self.node = claim.position.node
        self.attempt = claim.position.attempt
        """Which attempt of the task that it stands before."""
        self.crashes = claim.position.crashes
        """How many processes died with the task that it stands before."""
        self.store = shift.store
        self.clock = shift.store.clock
        self.program = skill.program
        self.worker: str | None = shift.worker_id
        self.frame = Frame(
            self.program.name, instance.instance_id, skill.metadata, shift.worker_id, instance.created_at, self,
            instance.trace,
        )
        self.cause: BaseException | None = None
        self.causes: dict[int, BaseException] = {}
        self.stopping = False
        self.yielding = False
        self.begun = False
        self.is_async: bool | None = None
        """Which kind of slot it has; None for none."""
        self.answer: Any = None
        self.task: asyncio.Task[Any] | None = None
        self.cancels: list[Callable[[], object]] = []
        self.context = context.copy()
        self.walk = steps(self, claim, here=shift.calls_here)

    @property
    def wants_async(self) -> bool:
        """Whether it stands before a task that runs on the event loop."""
        return self.node in self.skill.coroutines


    def urgency(self, aging: float) -> float:
        """Return its place in the order of claims; less comes first."""
        return self.claim.parked_at + self.skill.priority(self.node, self.instance) * aging * 1_000_000

    def facts(self) -> dict[str, Any]:
        """Return what log records carry."""
        return {
            "worker_id": self.worker, "instance_id": self.instance.instance_id, "task_id": self.node,
            "attempt": self.attempt,
        }  # fmt: skip

    # --- what the executor asks for -------------------------------------------------------------------------------

    def keeps(self, position: Position) -> bool:
        """Return whether the token goes on here with its next task."""
        self.node = node = position.node
        self.attempt = position.attempt
        if position.crashes < self.crashes:  # the task that processes died with has ended, not only a wait before it
            self.crashes = position.crashes
            self.store.hints.notify()  # what may not run beside such a one may run here now
        skill, shift = self.skill, self.shift
        if self.yielding or shift.closing or node in skill.foreign:
            return False
        wants = node in skill.coroutines
        return wants is self.is_async or shift.slots.change(self, wants)

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the worker's event loop."""
        return self.shift.coroutines.loop()

    def abandon_loop(self) -> None:
        """Nothing: every async task of the worker needs the loop."""

    def add_cancel(self, cancel: Callable[[], object]) -> None:
        """Note how to cancel something that is running."""
        with _MUTEX:
            self.cancels.append(cancel)
            stopping = self.stopping
        if stopping:
            cancel()

    def remove_cancel(self, cancel: Callable[[], object]) -> None:
        """Forget it: it has ended."""
        with _MUTEX:
            if cancel in self.cancels:
                self.cancels.remove(cancel)

    def call_off(self) -> None:
        """Stop: no further task starts, async work is cancelled."""
        with _MUTEX:
            if self.stopping:
                return
            self.stopping = True
            cancels = list(self.cancels)
        for cancel in cancels:
            cancel()
        self.shift.coroutines.cancel(self)

    def cancelled(self) -> bool:
        """Return whether the job is called off (for `ctx.cancelled`)."""
        return self.stopping

    def heartbeat(self, fence: Fence) -> None:
        """Keep the task's claim alive now, and learn at once what was requested."""
        for beat in self.store.heartbeat([fence]):
            if beat.lost:
                raise ClaimLostError("the claim was lost; what this task returns will be refused")
            if beat.request == "cancel":
                self.call_off()
