"""What the programs of this folder share: requests on standard input, steps that are counted, and a bell.

Every engine is asked in the same words, so that each is measured in the same way:

    ready                nothing: it answers when everything is set up
    submit COUNT         leave so many instances of four steps to the workers
    work                 begin to work, and answer while working
    done, last           how many instances have finished here, and when the last one did (seconds, monotonic)
    bell, hear PORT      open a bell and answer its port; ring that bell from now on
    pick_up COUNT        submit instances one by one; the median of milliseconds until their task's first line
    percentile P         of what was measured last

An engine's own words are given to `serve`. A task's first line rings: it sends the time, by the clock that all processes
of a machine share, to whoever waits for it, who need not ask again and again and so disturb what is measured.
"""

# mypy: ignore-errors
# It is run in environments of all engines.

from __future__ import annotations

import os
import random
import socket
import struct
import sys
import time
from collections.abc import Callable

_FORMAT = struct.Struct("qdd")
_WARM_UP, _PATIENCE = 5, 60.0
_bell = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
_finished: list[float] = []
_samples: list[float] = []
_rung: dict[int, list[float]] = {}
_ports: list[int] = []


def finished() -> None:
    """Note that an instance has come to its last step."""
    _finished.append(time.monotonic())


def ring(number: int) -> None:
    """Tell the waiting process that the task of an instance has begun."""
    _bell.sendto(_FORMAT.pack(number, time.monotonic(), time.time()), ("127.0.0.1", _ports[-1]))


def heard(number: int) -> tuple[float, float]:
    """Wait for an instance's task; return when it began, by the monotonic clock and by the clock on the wall."""
    while number not in _rung:
        other, *times = _FORMAT.unpack(_bell.recv(_FORMAT.size))
        _rung[other] = times
    monotonic, wall = _rung.pop(number)
    return monotonic, wall


def reactions(count: int, act: Callable[[int], object], prepare: Callable[[int], object] = lambda number: None) -> float:
    """Measure how long tasks take to begin, in milliseconds, and return the median.

    Args:
        count: how many are measured, after some to warm up.
        act: what makes the task of an instance run.
        prepare: what is done with the instance before.
    """
    _samples.clear()
    for number in range(count + _WARM_UP):
        prepare(number)
        # Workers become idle; not in step with anybody's polling.
        time.sleep(random.uniform(0.01, 0.03))
        began = time.monotonic()
        act(number)
        took = heard(number)[0] - began
        if number >= _WARM_UP:
            _samples.append(took * 1e3)
    return percentile(50)


def keep(samples: list[float]) -> None:
    """Keep what was measured, for `percentile`."""
    _samples[:] = samples


def percentile(rank: int) -> float:
    """Return a percentile of what was measured last."""
    ordered = sorted(_samples)
    return ordered[min(len(ordered) - 1, len(ordered) * rank // 100)]


def serve(**commands: Callable[..., object]) -> None:
    """Answer requests until the input ends, and then end the process, whatever else runs in it."""

    def bell() -> int:
        _bell.bind(("127.0.0.1", 0))
        _bell.settimeout(_PATIENCE)
        return _bell.getsockname()[1]

    words = {
        "ready": lambda: 0, "done": lambda: len(_finished), "last": lambda: max(_finished), "bell": bell,
        "hear": _ports.append, "percentile": percentile, **commands,
    }  # fmt: skip
    for line in sys.stdin:
        word, *numbers = line.split()
        print(repr(float(words[word](*map(int, numbers)) or 0)), flush=True)
    os._exit(0)
