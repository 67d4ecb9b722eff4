"""The processes of workers that the chaos strikes, and what has befallen each of them.

Who is struck, and with what in hand, must be certain, or the tests would prove nothing and excuse too much:

- `struck` has the pids of those that were killed or stopped: only what these had in hand may be executed again.
- A worker that holds stays inside of every task that it begins, so one with a task in hand can be struck for certain.
  These executions are kept: those `cut_short` can have no result, and those `finished` before a shutdown must have one.
- One that was stopped wakes when its claims have run out and somebody else has begun what it had in hand: a zombie.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

from tests.proof import chaos_worker

ROOT = Path(__file__).parents[2]
_PATIENCE_SECS = 60.0
_LOOK_SECS = 0.02
_FEED_SECS = 0.2
Line = dict[str, Any]
"""An execution, as the ledger has it."""


class Crew:
    """The workers' processes, and what has befallen them.

    Args:
        url: the database.
        ledger: the file that executions are written to.
    """

    def __init__(self, url: str, ledger: Path) -> None:
        self.url = url
        self.ledger = ledger
        self.feed: Callable[[], None] = lambda: None
        """Makes work for one that is to have a task in hand."""
        self.pids: set[int] = set()
        self.struck: set[int] = set()
        self.broken = 0
        """How often the server, or a connection to it, was taken from workers: these may lose their claims at work."""
        self.cut_short: list[Line] = []
        self.finished: list[Line] = []
        self.children: list[subprocess.Popen[str]] = []
        self.alive: list[subprocess.Popen[str]] = []
        self.stopped: list[tuple[subprocess.Popen[str], float, list[Line]]] = []
        self.readers: list[threading.Thread] = []
        self.befallen: Counter[str] = Counter()

    def hire(self, skew: float = 0.0) -> None:
        """Start a worker, whose clock is wrong by so many seconds."""
        command = [sys.executable, chaos_worker.__file__, self.url, str(self.ledger), f"w{len(self.pids)}", str(skew)]
        paths = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip
        self.children.append(child)
        assert child.stderr is not None
        while child.stderr.readline() not in ("working\n", ""):
            pass
        # What it logs of its troubles is read on, or it would wait for the pipe.
        reader = threading.Thread(target=drain, args=(child.stderr,), daemon=True)
        reader.start()
        self.readers.append(reader)
        self.pids.add(child.pid)
        self.alive.append(child)

    def kill(self, chance: random.Random, *, in_hand: bool = False) -> None:
        """Kill one, wherever it may be, or while it certainly has a task in hand; another is hired."""
        victim = self._choose(chance)
        begun = self._hold(victim) if in_hand else None
        self.struck.add(victim.pid)
        victim.kill()
        victim.wait()
        if begun is not None:
            self.cut_short += self._held(victim.pid, begun)
        self.befallen["kills"] += 1
        self.hire()

    def stop(self, chance: random.Random) -> None:
        """Stop one that has a task in hand, for longer than its claims are good; another is hired."""
        victim = self._choose(chance)
        begun = self._hold(victim)
        self.struck.add(victim.pid)
        victim.send_signal(signal.SIGSTOP)
        os.waitpid(victim.pid, os.WUNTRACED)  # till it really stands still
        lines = self._held(victim.pid, begun)
        self.cut_short += lines
        self.stopped.append((victim, time.monotonic(), lines))
        self.befallen["stops"] += 1
        self.hire()

    def wake(self) -> None:
        """Let the stopped go on, as zombies: what they had in hand others have begun anew."""
        for child, since, lines in self.stopped:
            # Not to synchronise: beyond its claims is where this fault begins.
            threading.Event().wait(max(0.0, since + chaos_worker.CLAIM_TTL_SECS + 0.5 - time.monotonic()))
            for line in lines:
                self._wait(partial(self._is_taken_over, line), f"somebody who takes over {line}")
            _tell(child, "go on")
            child.send_signal(signal.SIGCONT)
            self.alive.append(child)
        self.stopped = []

    def retire(self, chance: random.Random) -> None:
        """Ask one to end by SIGTERM while it has a task in hand, which it may finish; another is hired."""
        victim = self._choose(chance)
        begun = self._hold(victim)
        victim.terminate()
        assert victim.wait(_PATIENCE_SECS) == 0
        self.finished += self._held(victim.pid, begun)
        self.befallen["retired"] += 1
        self.hire()

    def dismiss(self) -> None:
        """Wake everybody and let them end."""
        self.wake()
        for child in self.alive:
            _let_go(child)
        for child in self.alive:
            assert child.wait(_PATIENCE_SECS) == 0

    def lines(self) -> list[Line]:
        """Return the ledger so far."""
        text = self.ledger.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children:
            if child.poll() is None:  # the test has failed
                child.kill()
                child.wait()
            _let_go(child)
        for reader in self.readers:
            reader.join(_PATIENCE_SECS)

    def _choose(self, chance: random.Random) -> subprocess.Popen[str]:
        return self.alive.pop(chance.randrange(len(self.alive)))

    def _hold(self, victim: subprocess.Popen[str]) -> int:
        """Let it begin a task and stay in it; return the length of the ledger before."""
        begun = self.ledger.stat().st_size
        _tell(victim, "hold")
        self._wait(lambda: bool(self._held(victim.pid, begun)), f"a task in hand of {victim.pid}, among {sorted(self.struck)}", self.feed)
        return begun

    def _held(self, pid: int, begun: int) -> list[Line]:
        with self.ledger.open("rb") as file:
            file.seek(begun)
            lines = [json.loads(line) for line in file if line.endswith(b"\n")]
        return [line for line in lines if line["pid"] == pid and line["held"]]

    def _is_taken_over(self, line: Line) -> bool:
        same = ("instance", "node", "iteration")
        return any(
            other["attempt"] > line["attempt"] and other["pid"] != line["pid"]
            for other in self.lines()
            if all(other[word] == line[word] for word in same)
        )

    def _wait(self, is_so: Callable[[], bool], what: str, feed: Callable[[], None] = lambda: None) -> None:
        pause, began = threading.Event(), time.monotonic()
        fed = began
        while not is_so():
            now = time.monotonic()
            assert now < began + _PATIENCE_SECS, f"waited in vain for {what}"
            if now >= fed + _FEED_SECS:
                fed = now
                feed()
            pause.wait(_LOOK_SECS)


def drain(stream: Any) -> None:
    """Read a stream to its end."""
    with stream:
        stream.read()


def _tell(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdin is not None
    child.stdin.write(f"{word}\n")
    child.stdin.flush()


def _let_go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.close()
