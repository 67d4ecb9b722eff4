"""Several worker processes under one parent, which itself opens no backend and runs no task.

A child that dies is replaced, after a pause that grows with every death in a row (full jitter, so that the children of
many hosts do not come back in step). Deaths that do not stop end the parent with REPLACE: its own supervisor sees the
trouble then. Children have process groups of their own, so Ctrl-C reaches the parent only, which passes it on once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import msgspec

from sayiir.cli.codes import ERROR, GRACEFUL, REPLACE, forced
from sayiir.cli.options import Options
from sayiir.cli.work import Told, first_then_now, take_signals
from sayiir.clock import SYSTEM_CLOCK, Clock

_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 0.2, 15.0
_HEALTHY_SECS = 60.0
"""A child that lived so long has not died "in a row"."""
_FORCED_SECS = 5.0
COMMAND = (sys.executable, "-m", "sayiir.cli.child")


class Place:
    """One of the parent's worker processes, and those that replace it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.deaths = 0
        self.again_at: float | None = None


class Parent:
    """Keeps so many worker processes running until it is told to end.

    Args:
        options: of each of them.
        processes: how many.
        max_restarts: so many deaths of one in a row are replaced.
        clock: for the pauses.
        command: what is started; it gets its options as a line of JSON.
    """

    def __init__(
        self, options: Options, processes: int, max_restarts: int, *, clock: Clock = SYSTEM_CLOCK,
        command: tuple[str, ...] = COMMAND,
    ) -> None:  # fmt: skip
        self._options = options
        self._places = [Place(number) for number in range(1, processes + 1)]
        self._max_restarts = max_restarts
        self._clock = clock
        self._command = command
        self._events: queue.SimpleQueue[tuple[Told | Place, int]] = queue.SimpleQueue()
        """What was told by a signal of a number, or a place whose process ended with a code."""
        self._ending = False
        self._code = GRACEFUL
        self._log = logging.getLogger("sayiir")

    def run(self, meanings: Callable[[int], Told] | None = None) -> int:
        """Run until all have ended; return the exit code."""
        take_signals(self._events.put, meanings or first_then_now())
        for place in self._places:
            self._start(place)
        while any(place.process or place.again_at is not None for place in self._places):
            with contextlib.suppress(queue.Empty):
                told, number = self._events.get(timeout=self._pause())
                if isinstance(told, Place):
                    self._note_end(told, number)
                elif told is Told.END_NOW:
                    return self._end_now(number)
                else:
                    self._log.info("ending %d worker processes; running tasks may finish", len(self._places))
                    self._end()
            self._start_again()
        return self._code

    # --- starting -------------------------------------------------------------------------------------------------

    def _start(self, place: Place) -> None:
        options = self._options.numbered(place.number)
        place.again_at = None
        place.started = self._clock.monotonic()
        own_group = 0 if os.name == "posix" else None
        try:
            process = subprocess.Popen(self._command, stdin=subprocess.PIPE, process_group=own_group)  # noqa: S603 -- ourselves
        except OSError as error:  # no memory, no process numbers: as if it had died at once
            self._log.warning("a worker process could not be started: %s", error)
            self._note_end(place, ERROR)
            return
        place.process = process
        assert process.stdin is not None  # noqa: S101 -- it was asked for
        with contextlib.suppress(BrokenPipeError):  # dead already: its end is on its way
            process.stdin.write(msgspec.json.encode(options) + b"\n")
            process.stdin.flush()
        threading.Thread(target=self._wait, args=(place, process), name="sayiir-child", daemon=True).start()

    def _wait(self, place: Place, process: subprocess.Popen[bytes]) -> None:
        self._events.put((place, process.wait()))

    def _pause(self) -> float | None:
        times = [place.again_at for place in self._places if place.again_at is not None]
        return max(0.0, min(times) - self._clock.monotonic()) if times else None

    def _start_again(self) -> None:
        now = self._clock.monotonic()
        for place in self._places:
            if place.again_at is not None and place.again_at <= now:
                self._start(place)

    # --- ends -----------------------------------------------------------------------------------------------------

    def _note_end(self, place: Place, code: int) -> None:
        process, place.process = place.process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        name, how = f"{self._options.worker_id}-{place.number}", _described(code)
        if self._ending:
            # By our SIGTERM itself: it had not begun yet, and held nothing.
            if code not in (GRACEFUL, -signal.SIGTERM):
                self._log.warning("worker process %s %s while ending", name, how)
                self._code = self._code or ERROR
            return
        now = self._clock.monotonic()
        healthy = code == GRACEFUL or now - place.started >= _HEALTHY_SECS
        place.deaths = 0 if healthy else place.deaths + 1
        if place.deaths > self._max_restarts:
            self._log.error("worker process %s %s, %d times in a row; giving up", name, how, place.deaths)
            self._code = REPLACE
            self._end()
            return
        longest = min(_LONGEST_PAUSE_SECS, _FIRST_PAUSE_SECS * 2 ** max(0, place.deaths - 1))
        place.again_at = now + self._clock.chance() * longest
        self._log.warning("worker process %s %s; another takes its place", name, how)

    def _end(self) -> None:
        self._ending = True
        for place in self._places:
            place.again_at = None
            if place.process is not None:
                place.process.send_signal(signal.SIGTERM)

    def _end_now(self, number: int) -> int:
        self._log.warning("ending all worker processes at once")
        running = [place.process for place in self._places if place.process is not None]
        for process in running:
            process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
        deadline = self._clock.monotonic() + _FORCED_SECS
        for process in running:
            try:
                process.wait(max(0.0, deadline - self._clock.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return forced(number)


def _described(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
