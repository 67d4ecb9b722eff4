"""A virtual worker: the production `Shift` with its claimer, writer, heart, chores, slots and jobs, in fibers for threads.

Only what hands work to an operating system's thread or to an event loop is put in place of the production's: the crew and
the coroutines. Both begin a fiber for each piece of work. A worker has many lives: it is killed and started again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

from sayiir.errors import BackendError
from sayiir.runtime.context import FRAME
from sayiir.runtime.executor import Call
from sayiir.runtime.invoke import Outcome
from sayiir.runtime.job import Job
from sayiir.runtime.shift import Shift
from sayiir.runtime.worker import Plan as Options
from sayiir.testing.simulation.loop import Ended, Fiber, Loop, Process, SimClock, SimQueue
from sayiir.testing.simulation.plan import Fault
from sayiir.testing.simulation.store import Handle

if TYPE_CHECKING:
    from sayiir.flow.workflow import Workflow
    from sayiir.testing.simulation.world import World

_GRACE_SECS = 2.0
_LOOK_SECS = 0.1


class _CancelledError(BaseException):
    """Raised in a coroutine that is called off."""


class _Crew:
    """In place of the kept threads: a fiber for each job that goes on, and a queue when there are as many as may be."""

    def __init__(self, loop: Loop, process: Process, limit: int, run: Callable[[Job], None]) -> None:
        self._loop = loop
        self._process = process
        self._limit = limit
        self._run = run
        self._jobs = deque[Job]()
        self._fibers = 0
        self.taken = 0

    def put(self, job: Job) -> None:
        """Let a job go on."""
        self._jobs.append(job)
        if self._fibers < self._limit:
            self._fibers += 1
            self._loop.spawn("task", self._process, self._work)

    def _work(self) -> None:
        while self._jobs:
            self.taken += 1
            self._run(self._jobs.popleft())
        self._fibers -= 1

    def put_all(self, jobs: list[Job]) -> None:
        """Let several jobs go on."""
        for job in jobs:
            self.put(job)

    def withdraw(self, fits: Callable[[Job], bool]) -> list[Job]:
        """Take jobs out of the queue again."""
        found = [job for job in self._jobs if fits(job)]
        self._jobs = deque(job for job in self._jobs if not fits(job))
        return found

    def stop(self) -> None:
        """Nothing is kept."""


class _Coroutines:
    """In place of the event loop: a fiber for each coroutine, which waits as fibers do."""

    def __init__(self, loop: Loop, process: Process, deliver: Callable[[Job], None]) -> None:
        self._loop = loop
        self._process = process
        self._deliver = deliver
        self._running: dict[int, Fiber] = {}

    def begin(self, job: Job, ask: Call) -> None:
        """Run a task; its outcome is delivered."""
        fiber = self._loop.spawn("coroutine", self._process, lambda: job.context.copy().run(self._run, job, ask))
        self._running[id(job)] = fiber
        job.task = fiber  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]

    def cancel(self, job: Job) -> None:
        """Call the job's task off, if it has one now."""
        if id(job) in self._running:
            self._loop.throw(self._running[id(job)], _CancelledError())

    def stop(self) -> None:
        """Call off what is left."""
        for fiber in self._running.values():
            self._loop.throw(fiber, _CancelledError())

    def _run(self, job: Job, ask: Call) -> None:
        FRAME.set(ask.frame)
        try:
            self._loop.sleep(0)
            job.answer = Outcome(_finished(ask.op.function(ask.value)))
        except _CancelledError:
            job.answer = Outcome(stopped=True)
        except Exception as error:  # noqa: BLE001 -- a task may raise anything; it is its outcome
            job.answer = Outcome(error=error)
        del self._running[id(job)]
        job.task = None
        self._deliver(job)


def _finished(coroutine: Any) -> Any:
    """Return what a coroutine gives that awaits nothing: fibers wait without."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a simulated coroutine awaits nothing real")


class _Shift(Shift):
    """The production shift in fibers."""

    def __init__(
        self, loop: Loop, process: Process, store: Handle, options: Options, workflows: list[Workflow[Any, Any]]
    ) -> None:
        super().__init__(store, options, workflows)
        self._loop = loop
        self._process = process
        self.crew = _Crew(loop, process, self.crew._limit, self._advance)  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue, reportIncompatibleVariableOverride]
        self.coroutines = _Coroutines(loop, process, self.crew.put)  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue, reportIncompatibleVariableOverride]
        self.writer._queue = SimQueue(loop)  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]

    def start(self) -> None:
        """Begin to work."""
        for part in (self.writer, self.heart, self.chores, self.claimer):
            self._loop.spawn(type(part).__name__, self._process, part._work)


class SimWorker:
    """One virtual worker through its lives.

    Args:
        world: where it works.
        name: its name.
        skew: by how many seconds its own clock is wrong.
        tags: what it has; None: it takes every task.
    """

    def __init__(self, world: World, name: str, skew: int, tags: tuple[str, ...] | None = None) -> None:
        self.name = name
        self.tags = tags
        self.fate = world.fate(name, self.strike, always_busy=False)
        self.lives = 0
        self.shift: _Shift | None = None
        self._world = world
        self._skew = skew
        self._retired = False

    def start(self) -> None:
        """Begin a life."""
        if self._retired:
            return
        world = self._world
        self.lives += 1
        chance = Random(f"{world.plan.seed} {self.name} {self.lives}")
        self.process = self.fate.process = Process(self.name, chance)
        self.clock = SimClock(world.loop, chance, self._skew * 1_000_000)
        self.handle = world.handle(self.fate, self.clock)
        self.shift = None
        world.loop.spawn("boot", self.process, self._boot)

    def retire(self) -> None:
        """End this life in good order, the last one."""
        self._retired = True
        if self.shift is not None:
            self.shift.close()
        elif self.process.alive:
            self.process.alive = False
            self.handle.close()

    @property
    def is_gone(self) -> bool:
        """Whether its life has ended."""
        return not self.process.alive or (self.shift is not None and self.shift.done.is_set())

    def _boot(self) -> None:
        world, settings = self._world, self._world.plan.settings
        options = Options(
            self.name, poll_interval=1.0, claim_ttl=settings.claim_ttl,
            concurrency={"sync": settings.sync, "async": settings.coroutines}, tags=self.tags, aging_interval=300.0,
            executor=None, task_logs=None, shutdown_grace=_GRACE_SECS, max_crashes=settings.max_crashes,
            retention=settings.retention,
        )  # fmt: skip
        options.limits.ahead = settings.ahead
        while True:
            try:
                shift = _Shift(world.loop, self.process, self.handle, options, world.workflows)
                break
            except BackendError:  # a supervisor starts it again
                world.loop.sleep(0.5)
        self.shift = shift
        shift.start()

    # --- faults ---------------------------------------------------------------------------------------------------

    def strike(self, fault: Fault) -> None:
        """Suffer a fault that only a worker knows, in the middle of what it does."""
        loop, process = self._world.loop, self.process
        if fault.kind == "crash":
            self.handle.close()
            loop.call_later(fault.seconds, self.start)
            loop.die(process)
        elif fault.kind == "presumed":
            self._world.ground.bury(self.handle.owner)
            loop.call_later(fault.seconds, self.handle.rejoin)
        elif fault.kind == "jump":
            self.clock.skew += round(fault.seconds * 1_000_000)
        elif self.shift is not None and not self.shift.closing:  # leave, quit
            self.shift.close(now=fault.kind == "quit")
            loop.spawn("exit", process, lambda: self._exit(fault.seconds))

    def _exit(self, seconds: float) -> None:
        """End the process when its worker has ended, and begin another life."""
        shift, loop = self.shift, self._world.loop
        assert shift is not None
        with suppress(Ended):
            while not shift.done.is_set():
                loop.sleep(_LOOK_SECS)
            self.handle.close()
            loop.call_later(seconds, self.start)
            loop.die(self.process)
