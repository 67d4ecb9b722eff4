"""Virtual clients: they ask what their commands say, through the production `WorkflowClient`, and ask again after an error.

The closer is a client of its own, after the faults: it unpauses, sends what is waited for and retries what was given up,
so that everything that can end does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

from sayiir.client import WorkflowClient
from sayiir.core.lifecycle import State
from sayiir.errors import (
    BackendError,
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    InvalidStateError,
)
from sayiir.runtime.failure import read_failure
from sayiir.store.port import ConflictPolicy, View
from sayiir.testing.flows import Step, Turns
from sayiir.testing.simulation.loop import Process, SimClock
from sayiir.testing.simulation.plan import Command, Fault

if TYPE_CHECKING:
    from sayiir.testing.simulation.world import World

_TRIES = 30
_REFUSALS = (InvalidStateError, InstanceNotFoundError, InstanceAlreadyExistsError, ValueError)


class SimClient:
    """One virtual client through its lives.

    Args:
        world: where it is.
        name: its name.
        commands: what it asks, in order.
    """

    def __init__(self, world: World, name: str, commands: list[Command]) -> None:
        self.name = name
        self.fate = world.fate(name, self.strike)
        self._world = world
        self._commands = commands
        self._next = 0

    @property
    def is_done(self) -> bool:
        """Whether it has asked everything."""
        return self._next == len(self._commands)

    def start(self) -> None:
        """Begin a life."""
        world = self._world
        chance = Random(f"{world.plan.seed} {self.name} {self._next}")
        self.process = self.fate.process = Process(self.name, chance)
        self.handle = world.handle(self.fate, SimClock(world.loop, chance))
        world.loop.spawn("client", self.process, self._work)

    def strike(self, fault: Fault) -> None:
        """Die with the command under way, or go on: nothing else concerns a client."""
        if fault.kind == "crash":
            self._next += 1
            self._world.loop.call_later(fault.seconds, self.start)
            self._world.loop.die(self.process)

    def _work(self) -> None:
        loop = self._world.loop
        while not self.is_done:
            command = self._commands[self._next]
            loop.sleep(max(0.0, command.at - loop.seconds))
            self._see_through(command)
            self._next += 1

    def _see_through(self, command: Command) -> None:
        for number in range(_TRIES):
            try:
                self._ask(command, again=number > 0)
            except _REFUSALS:  # they are BackendErrors, too
                return
            except BackendError:
                self._world.loop.sleep(0.2)
            else:
                return

    def _ask(self, command: Command, *, again: bool) -> None:
        world, client = self._world, WorkflowClient(self.handle)
        name = world.names[command.target]
        match command.kind:
            case "submit" | "replace":
                self._submit(command, again=again)
            case "signal":
                places = sorted(world.sketches[command.target].signals())
                if places:
                    signal = places[command.number % len(places)]
                    payload = world.sketches[command.target].signals()[signal][0]
                    client.send_signal(name, signal, payload, dedup_key=str(command.number))
            case "cancel":
                client.cancel(name)
            case "pause":
                client.pause(name)
            case "unpause":
                client.unpause(name)
            case "retry":
                client.retry(name)
            case "retry_from":
                tasks = [place for place, part in world.sketches[command.target].parts() if isinstance(part, Step | Turns)]
                if tasks:
                    client.retry(name, from_task=tasks[command.number % len(tasks)])
            case "purge":
                client.purge(older_than=0.001)

    def _submit(self, command: Command, *, again: bool) -> None:
        world, target = self._world, command.target
        workflow = world.workflows[world.plan.targets[target].flow]
        policy: ConflictPolicy = "use_existing" if again else "fail"
        client = WorkflowClient(self.handle, conflict_policy="terminate_existing" if command.kind == "replace" else policy)
        name, given = world.names[target], world.sketches[target].input
        if command.number == 5:
            client.submit_many(workflow, [(name, given)])
        else:
            client.submit(workflow, name, given, priority=command.number or None)
        world.submitted.add(target)


class Closer:
    """Brings every instance to its end.

    Args:
        world: where they are; nothing befalls the closer.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._fate = world.fate("closer", lambda _: None)
        self.is_done = False
        self.left: list[str] = []
        """The instances that have not ended."""

    def start(self) -> None:
        """Begin."""
        world = self._world
        chance = Random(f"{world.plan.seed} closer")
        process = self._fate.process = Process("closer", chance)
        self._handle = world.handle(self._fate, SimClock(world.loop, chance))
        world.loop.spawn("closer", process, self._work)

    def _work(self) -> None:
        world, count = self._world, 0
        while True:
            count += 1
            self.left = [name for target, name in enumerate(world.names) if not self._has_ended(target, f"closer-{count}")]
            if not self.left:
                self.is_done = True
                return
            world.loop.sleep(0.3)

    def _has_ended(self, target: int, key: str) -> bool:
        world, client = self._world, WorkflowClient(self._handle)
        name = world.names[target]
        view = self._handle.load(name)
        if view is None:
            return True
        ask: Callable[[], object] = lambda: None  # noqa: E731 -- what is done about it, if anything
        with suppress(InvalidStateError, InstanceNotFoundError):
            match view.instance.status:
                case State.COMPLETED | State.CANCELLED:
                    return True
                case State.FAILED:
                    if view.instance.error is None or read_failure(view.instance.error).code != "worker_crash":
                        return True
                    ask = lambda: client.retry(name)  # noqa: E731
                case State.PAUSED:
                    ask = lambda: client.unpause(name)  # noqa: E731
                case _:
                    ask = lambda: self._signal(client, target, view, key)  # noqa: E731
            ask()
        return False

    def _signal(self, client: WorkflowClient, target: int, view: View, key: str) -> None:
        payloads, name = self._world.sketches[target].signals(), self._world.names[target]
        for token in view.tokens:
            if token.state == "awaiting" and token.signal in payloads:
                client.send_signal(name, token.signal, payloads[token.signal][0], dedup_key=key)
