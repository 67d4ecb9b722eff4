"""Workflows whose tasks end, or fork, the process that runs them; imported by `sayiir worker` in test_poison.py."""

import ctypes
import os
import resource
import signal
import sys
from typing import Any

from sayiir import Flow, get_task_context
from tests.worker.child import note

_ROOM = 600 * 2**20
"""Bytes of addresses that a process may still get, beside what it has, once a task of it wants too much."""


def begin(name: str) -> None:
    """Note that a task has begun."""
    context = get_task_context()
    assert context is not None
    note(name, context.instance_id)


def segfault(_: Any) -> None:
    """Read where nothing is."""
    begin("segfault")
    ctypes.string_at(0)


def leave(_: Any) -> None:
    """End the process past all of Python."""
    begin("leave")
    os._exit(3)


def killed(_: Any) -> None:
    """Be ended as the system ends who has taken all memory."""
    begin("killed")
    os.kill(os.getpid(), signal.SIGKILL)


def abort(_: Any) -> None:
    """End as native code does that cannot get memory."""
    begin("abort")
    os.abort()


def overflow(_: Any) -> Any:
    """Use up the stack, through C."""
    begin("overflow")
    sys.setrecursionlimit(10**9)

    def deeper(value: int) -> int:
        return max([value], key=deeper)

    return deeper(1)


def greedy(_: Any) -> int:
    """Ask for more memory than the process may have."""
    begin("greedy")
    with open("/proc/self/statm", encoding="ascii") as file:
        has = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (has + _ROOM, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return len(b"x" * (2 * _ROOM))


def endless(value: int) -> Any:
    """Call itself for ever, in Python."""
    return endless(value + 1)


def forking(_: Any) -> int:
    """Fork a process that goes on with the task as if it were the worker; its parent's result is the one that counts."""
    begin("forking")
    number = os.fork()
    if number == 0:
        begin("copy")
        return 0
    return 1


async def forking_too(_: Any) -> int:
    """Fork likewise, in a coroutine."""
    begin("forking")
    number = os.fork()
    if number == 0:
        begin("copy")
        return 0
    return 1


def well(value: int) -> int:
    """Do what tasks do."""
    begin("well")
    return value + 1


DEADLY = {task.__name__: Flow(task.__name__).then(task).build() for task in (segfault, leave, killed, abort, overflow)}
"""They end the process, each time."""
FAILING = {task.__name__: Flow(task.__name__).then(task).build() for task in (greedy, endless)}
"""They end themselves, by an error."""
FORKING = Flow("forking").then(forking).then(forking_too).build()
WELL = Flow("well").then(well, name="one").then(well, name="two").build()
ALL = [*DEADLY.values(), *FAILING.values(), FORKING, WELL]
