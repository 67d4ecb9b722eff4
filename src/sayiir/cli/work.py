"""One worker in this process, until it is told to end.

Everything that happens comes through one queue to one thread: signals (their handlers do nothing but put, which is safe
there), the worker's own end, and the end of a parent.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import threading
from collections.abc import Callable
from enum import Enum

from sayiir.cli.codes import ERROR, GRACEFUL, REPLACE, RefusedError, forced, one_line
from sayiir.cli.find import Found
from sayiir.cli.options import Options
from sayiir.errors import WorkflowError
from sayiir.runtime.invoke import abandoned_tasks
from sayiir.runtime.worker import WorkerHandle
from sayiir.tracing import init_tracing, shutdown_tracing, trace_only

MAX_STUCK = 16
"""So many tasks that ran into their timeout and still sit in their threads are enough: the process should be replaced."""
_LOOK_SECS = 2.0
_FORCED_SECS = 3.0
"""How long a forced end may take to give claims back."""


class Told(Enum):
    """What a worker is told, from whichever side."""

    END = "it was told to end"
    END_NOW = "it was told to end now"
    ORPHAN = "its parent is gone"
    ENDED = "it has ended"
    NOTHING = "nothing for a while"


Events = queue.SimpleQueue[tuple[Told, int]]


def log_to_stderr() -> None:
    """Trace, write the library's log lines to stderr and let those of tasks pass.

    Nothing of it is done where the workflows' own modules have seen to logging.

    Raises:
        RefusedError: SAYIIR_LOG is no level.
    """
    if logging.getLogger().handlers:
        trace_only()
        return
    try:
        init_tracing()
    except ValueError as error:
        raise RefusedError(one_line(error)) from error
    if logging.getLogger().level == logging.WARNING:
        logging.getLogger().setLevel(logging.INFO)  # what tasks say is kept with their instances; nothing prints it


def take_signals(put: Callable[[tuple[Told, int]], None], meanings: Callable[[int], Told]) -> None:
    """Let SIGTERM and SIGINT become events."""

    def note(number: int, _: object) -> None:
        put((meanings(number), number))

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)


def first_then_now() -> Callable[[int], Told]:
    """Return what signals from outside mean: the first to end in good order, any later one to end now."""
    seen: list[int] = []

    def meaning(number: int) -> Told:
        seen.append(number)
        return Told.END if len(seen) == 1 else Told.END_NOW

    return meaning


def work(options: Options, workflows: list[Found], events: Events, meanings: Callable[[int], Told]) -> int:
    """Work until told to end; return the exit code.

    Raises:
        RefusedError: the worker cannot start.
    """
    log = logging.getLogger("sayiir")
    with options.backend() as backend, options.measured(backend):
        take_signals(events.put, meanings)
        options.show_alive()
        try:
            handle = options.worker(backend).start(workflows)
        except WorkflowError as error:
            raise RefusedError(one_line(error), ERROR) from error
        names = ", ".join(sorted({workflow.workflow_id for workflow in workflows}))
        log.info("worker %s (process %d) works on %s at %r", handle.worker_id, os.getpid(), names, backend)
        threading.Thread(target=_watch, args=(handle, events), name="sayiir-watch", daemon=True).start()
        code = _until_end(handle, events, options, log)
    log.info("worker %s (process %d) has ended", handle.worker_id, os.getpid())
    shutdown_tracing()  # here, for the interpreter's own end would wait longer for a collector that is away
    return code


def _watch(handle: WorkerHandle, events: Events) -> None:
    try:
        handle.join()
    except BaseException:  # noqa: BLE001 -- a task raised KeyboardInterrupt or SystemExit; the worker has said so
        events.put((Told.ENDED, ERROR))
    else:
        events.put((Told.ENDED, GRACEFUL))


def _until_end(handle: WorkerHandle, events: Events, options: Options, log: logging.Logger) -> int:
    stuck = False
    while True:
        try:
            told, number = events.get(timeout=_LOOK_SECS)
        except queue.Empty:
            told, number = Told.NOTHING, 0
        match told:
            case Told.NOTHING:
                with contextlib.suppress(RefusedError):  # it was written once; a full disk shall not end the worker
                    options.show_alive()
                if abandoned_tasks() >= MAX_STUCK and not stuck:
                    stuck = True
                    log.error(
                        "worker %s ends, to be replaced: %d of its tasks hang in their threads beyond their timeouts",
                        handle.worker_id, abandoned_tasks(),
                    )  # fmt: skip
                    handle.shutdown()
            case Told.ENDED:
                return REPLACE if stuck and number == GRACEFUL else number
            case Told.END_NOW:
                _end_now(handle, number)
            case _:
                log.info("worker %s ends: %s; running tasks may finish", handle.worker_id, told.value)
                handle.shutdown()


def _end_now(handle: WorkerHandle, number: int) -> None:
    """End without waiting for anything that runs; no clean-up of the interpreter, which would wait for threads."""
    handle.shutdown(now=True)
    logging.getLogger("sayiir").warning("worker %s ends at once", handle.worker_id)
    try:
        handle.join(_FORCED_SECS)
    finally:
        logging.shutdown()
        os._exit(forced(number))
