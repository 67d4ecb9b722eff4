"""Virtual time and virtual threads: everything of a simulation runs in one thread, in an order drawn from its seed.

A *fiber* is a virtual thread (a greenlet); it runs until it sleeps, waits on a condition or ends. A *process* is a group of
fibers that live, stand still and die together. What is due at the same moment goes on in drawn order. Production code
waits through `Clock.wait`, with the condition in its hands: `SimClock.wait` gives the condition a waiter of ours, so
that a plain `notify` of any kind wakes the fiber.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty
from random import Random
from typing import Any

import greenlet  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

MICROS = 1_000_000
_BUSIEST = 50_000
START = 1_750_000_000 * MICROS
Ended = greenlet.GreenletExit
"""Raised in what is left of a fiber when the simulation is over."""


class Process:
    """Fibers that live, stand still and die together."""

    def __init__(self, name: str, chance: Random) -> None:
        self.name = name
        self.chance = chance
        self.alive = True
        self.stopped_until = 0
        """Stands still till then, as after SIGSTOP: a zombie, if its claims run out meanwhile."""
        self.fibers = 0


class Fiber:
    """A virtual thread."""

    __slots__ = ("done", "function", "glet", "name", "process", "thrown", "ticket")

    def __init__(self, name: str, process: Process, function: Callable[[], object]) -> None:
        self.name = name
        self.process = process
        self.function = function
        self.ticket = 0
        self.done = False
        self.thrown: BaseException | None = None
        self.glet: Any = None


class Loop:
    """The scheduler.

    Args:
        chance: decides ties.
    """

    def __init__(self, chance: Random) -> None:
        self.now = START
        self.steps = 0
        self.broken: list[tuple[Fiber, BaseException]] = []
        """Fibers that ended by an exception: no thread of production code may."""
        self._chance = chance
        self._events: list[tuple[int, float, int, Fiber | Callable[[], object], int]] = []
        self._count = 0
        self._hub = greenlet.getcurrent()
        self._current: Fiber | None = None
        self._fibers: list[Fiber] = []
        self._closed = False
        self._second = self._busy = 0

    @property
    def is_spinning(self) -> bool:
        """Whether so much happens within a second that somebody must be turning round and round."""
        return self._busy > _BUSIEST

    @property
    def current(self) -> Fiber:
        """The fiber that runs."""
        assert self._current is not None, "only a fiber may wait or call a store"
        return self._current

    @property
    def seconds(self) -> float:
        """The seconds passed since the start."""
        return (self.now - START) / MICROS

    def spawn(self, name: str, process: Process, function: Callable[[], object]) -> Fiber:
        """Begin a fiber now."""
        fiber = Fiber(name, process, function)
        fiber.glet = greenlet.greenlet(lambda: self._main(fiber), self._hub)
        process.fibers += 1
        self._fibers.append(fiber)
        self.wake(fiber)
        return fiber

    def call_later(self, seconds: float, function: Callable[[], object]) -> None:
        """Call something, that does not wait, when so many seconds have passed."""
        self._push(self.now + round(seconds * MICROS), function, 0)

    def wake(self, fiber: Fiber, at: int = 0) -> None:
        """Let a fiber go on now, or then; whichever comes first counts."""
        self._push(max(at, self.now), fiber, fiber.ticket)

    def throw(self, fiber: Fiber, error: BaseException) -> None:
        """Let a fiber go on now, with an exception."""
        fiber.thrown = error
        self.wake(fiber)

    def sleep(self, seconds: float) -> None:
        """Let the others run for so long; 0 only lets them run."""
        fiber = self.current
        self.wake(fiber, self.now + round(seconds * MICROS))
        self.rest()

    def rest(self) -> None:
        """Run on when somebody wakes this fiber."""
        if self._closed:
            raise Ended
        fiber = self.current
        self._hub.switch()
        if fiber.thrown is not None:
            error, fiber.thrown = fiber.thrown, None
            raise error

    def die(self, process: Process) -> None:
        """End a process here and now; does not return if it is the caller's own."""
        process.alive = False
        if self._current is not None and self._current.process is process:
            self._hub.switch()

    def run(self, until: Callable[[], bool], deadline: int) -> bool:
        """Let time pass till something holds; False when the deadline came first, or nothing is left to happen."""
        while not until():
            if self.is_spinning or not self._events or self._events[0][0] > deadline:
                self.now = max(self.now, min(deadline, self._events[0][0] if self._events else deadline))
                return False
            self._step()
        return True

    def _step(self) -> None:
        at, _, _, target, ticket = heapq.heappop(self._events)
        self.now = max(self.now, at)
        self.steps += 1
        self._busy += 1
        if self.now - self._second > MICROS:
            self._second, self._busy = self.now, 0
        if not isinstance(target, Fiber):
            target()
            return
        process = target.process
        if target.done or not process.alive or ticket != target.ticket:
            return
        if process.stopped_until > self.now:
            self._push(process.stopped_until, target, ticket)
            return
        target.ticket += 1
        self._current = target
        target.glet.switch()
        self._current = None

    def _push(self, at: int, target: Fiber | Callable[[], object], ticket: int) -> None:
        self._count += 1
        heapq.heappush(self._events, (at, self._chance.random(), self._count, target, ticket))

    def _main(self, fiber: Fiber) -> None:
        try:
            fiber.function()
        except Ended:
            pass
        except BaseException as error:  # noqa: BLE001 -- told in the report
            if not self._closed and fiber.process.alive:
                self.broken.append((fiber, error))
        finally:
            fiber.done = True
            fiber.process.fibers -= 1

    def close(self) -> None:
        """End what is left of every fiber; nothing of it reaches a store."""
        self._closed = True
        for fiber in self._fibers:
            self._current = fiber
            while not fiber.done and fiber.glet:
                fiber.glet.throw(Ended)
            self._current = None


class _Waiter:
    """Stands among a condition's waiters for a fiber."""

    __slots__ = ("fiber", "loop", "notified")

    def __init__(self, loop: Loop, fiber: Fiber) -> None:
        self.loop = loop
        self.fiber = fiber
        self.notified = False

    def release(self) -> None:
        """Be notified."""
        self.notified = True
        self.loop.wake(self.fiber)


class SimClock:
    """A process's `sayiir.clock.Clock`: its wall clock may be wrong and jump, the seconds pass for all alike.

    Args:
        loop: the scheduler.
        chance: what `chance` draws from.
        skew: microseconds by which `now` is wrong.
    """

    def __init__(self, loop: Loop, chance: Random, skew: int = 0) -> None:
        self.skew = skew
        self._loop = loop
        self._chance = chance

    def now(self) -> int:
        """Return what this clock shows, in microseconds since 1970."""
        return self._loop.now + self.skew

    def monotonic(self) -> float:
        """Return the seconds since the start."""
        return self._loop.seconds

    def chance(self) -> float:
        """Return a number drawn from [0, 1)."""
        return self._chance.random()

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on a condition that the caller holds."""
        loop = self._loop
        waiter = _Waiter(loop, loop.current)
        waiters: deque[Any] = condition._waiters  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        waiters.append(waiter)
        if timeout is not None:
            loop.wake(loop.current, loop.now + max(1, round(timeout * MICROS)))
        held = condition._release_save()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        try:
            loop.rest()
        finally:
            condition._acquire_restore(held)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
            if waiter in waiters:
                waiters.remove(waiter)
        return waiter.notified


class SimQueue:
    """A queue whose reader waits as a fiber, in place of `queue.SimpleQueue`."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._items: deque[Any] = deque()
        self._reader: Fiber | None = None

    def put(self, item: Any) -> None:
        """Add an item."""
        self._items.append(item)
        if self._reader is not None:
            self._loop.wake(self._reader)

    def get(self) -> Any:
        """Take the first item, waiting for it."""
        while not self._items:
            self._reader = self._loop.current
            self._loop.rest()
        self._reader = None
        return self._items.popleft()

    def get_nowait(self) -> Any:
        """Take the first item.

        Raises:
            Empty: there is none.
        """
        if not self._items:
            raise Empty
        return self._items.popleft()
