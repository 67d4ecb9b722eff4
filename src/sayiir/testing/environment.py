"""An environment for tests of workflows: real runs on a store in memory, on a clock that skips whatever is waited for.

Time stands still while a task's code runs and leaps over what only waits: delays, backoffs, deadlines of signals. So a
flow that takes a week is tested in milliseconds, in the order in which things would really have happened.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from msgspec.structs import replace

from sayiir.client import WorkflowClient
from sayiir.core.graph import Graph, TaskNode
from sayiir.core.values import encode
from sayiir.errors import WorkflowError
from sayiir.flow.duration import Duration, parse_duration
from sayiir.flow.workflow import Workflow
from sayiir.runtime.engine import resume_workflow, run_durable_workflow
from sayiir.runtime.status import WorkflowStatus
from sayiir.store.memory import InMemoryBackend
from sayiir.testing.clock import MICROS, FakeClock
from sayiir.testing.ledger import changed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT_SECS = 0.001
_MAX_ROUNDS = 100_000


class SkippingClock(FakeClock):
    """A fake clock on which a wait lasts as long as it says, and that a backoff skips as soon as no task runs."""

    def __init__(self, *, start: int, chance: float) -> None:
        super().__init__(start=start, chance=chance)
        self._running = 0
        self._mutex = threading.Lock()

    @contextmanager
    def task(self) -> Generator[None]:
        """Let no time be skipped inside the block."""
        with self._mutex:
            self._running += 1
        try:
            yield
        finally:
            with self._mutex:
                self._running -= 1

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait until a notice, or really for so long (a task's own timeout)."""
        if timeout is None:
            return super().wait(condition, None)
        if condition.wait(timeout):
            return True
        self.advance(max(timeout, 1e-6))
        return False

    def skip(self, condition: threading.Condition, seconds: float) -> None:
        """Let so much time pass at once, unless a notice comes first or a task still runs."""
        if not condition.wait(_MOMENT_SECS) and not self._running:
            self.advance(max(seconds, 1e-6))


class _SkippingStore(InMemoryBackend):
    clock: SkippingClock

    def sleep(self, condition: threading.Condition, seconds: float) -> None:
        self.clock.skip(condition, seconds)


class Environment:
    """Runs workflows at once, whatever they wait for.

    Args:
        start: what the clock shows first; a moment of 2025 when not given.
        chance: what decides the jitter of retries, from 0 up to but not including 1; 0.5 means none.

    >>> from sayiir import Flow
    >>> from sayiir.testing import Environment
    >>> order = Flow("order").delay("a week", "7d").wait_for_signal("paid", timeout="1d").then(lambda p: p * 2, name="book")
    >>> with Environment() as env:
    ...     env.signal_at("7d 3h", "paid", 21)
    ...     status = env.run(order.build(), None)
    ...     status.output, env.passed
    (42, datetime.timedelta(days=7, seconds=10800))
    """

    def __init__(self, *, start: datetime | None = None, chance: float = 0.5) -> None:
        micros = 1_750_000_000 * MICROS if start is None else (start - _EPOCH) // timedelta(microseconds=1)
        self.clock = SkippingClock(start=micros, chance=chance)
        self.backend: InMemoryBackend = _SkippingStore(clock=self.clock, private=True)
        self.client = WorkflowClient(self.backend)
        self._start = micros
        self._script: list[tuple[int, int, str, str, bytes]] = []

    @property
    def now(self) -> datetime:
        """The time that the clock shows."""
        return _EPOCH + timedelta(microseconds=self.clock.now())

    @property
    def passed(self) -> timedelta:
        """How much time has passed since the environment was made."""
        return timedelta(microseconds=self.clock.now() - self._start)

    def signal_at(self, after: Duration, name: str, payload: Any = None, *, instance_id: str = "test") -> None:
        """Have a signal sent at a time.

        Args:
            after: when, counted from the environment's beginning: seconds, a timedelta, or a text as "2h".
            name: the signal's name.
            payload: its value.
            instance_id: the instance that gets it.
        """
        moment = self._start + round(parse_duration(after) * MICROS)
        self._script.append((moment, len(self._script), instance_id, name, encode(payload)))
        self._script.sort()

    def run(self, workflow: Workflow[Any, Any], input_data: Any, *, instance_id: str = "test") -> WorkflowStatus:
        """Start an instance, or go on with it, until it ends, is paused, or waits for a signal that nobody sends.

        Args:
            workflow: what to run.
            input_data: its input; without meaning when the instance exists.
            instance_id: its name.

        Returns:
            The status.
        """
        watched = self._watched(workflow)
        status = run_durable_workflow(watched, instance_id, input_data, self.backend, "use_existing")
        for _ in range(_MAX_ROUNDS):
            if status.is_in_progress():
                status = resume_workflow(watched, instance_id, self.backend)
            if not (status.is_waiting() or status.is_awaiting_signal()):
                return status
            if not self._pass(status):
                return status
            status = resume_workflow(watched, instance_id, self.backend)
        raise WorkflowError(f"instance {instance_id!r} does not come to an end", instance_id=instance_id)

    def advance(self, duration: Duration) -> None:
        """Let time pass; signals that are due on the way are sent in their time."""
        self._go_to(self.clock.now() + round(parse_duration(duration) * MICROS))

    def _pass(self, status: WorkflowStatus) -> bool:
        """Go to the next moment at which anything can happen; False when there is none."""
        moments = [(item.wake_at - _EPOCH) // timedelta(microseconds=1) for item in status.parked if item.wake_at]
        moments += [moment for moment, *_ in self._script[:1]]
        if not moments:
            return False
        self._go_to(min(moments))
        return True

    def _go_to(self, moment: int) -> None:
        while self._script and self._script[0][0] <= moment:
            at, _, instance_id, name, payload = self._script.pop(0)
            self.clock.advance_to(at)
            self.backend.send_signal(instance_id, name, payload)
        self.clock.advance_to(moment)

    def _watched(self, workflow: Workflow[Any, Any]) -> Workflow[Any, Any]:
        """Return the same definition, whose tasks hold the clock while they run."""

        def change(node: TaskNode) -> TaskNode:
            return node if node.metadata.isolation else replace(node, function=self._held(node))

        graph = workflow.graph
        return Workflow(Graph(graph.name, changed(graph.nodes, change), graph.metadata))

    def _held(self, node: TaskNode) -> Callable[[Any], Any]:
        function: Any = node.function

        @functools.wraps(function)
        def sync(value: Any) -> Any:
            with self.clock.task():
                return function(value)

        @functools.wraps(function)
        async def coroutine(value: Any) -> Any:
            with self.clock.task():
                return await function(value)

        return coroutine if node.is_async else sync

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.backend.close()
