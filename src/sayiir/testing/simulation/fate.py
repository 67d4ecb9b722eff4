"""What befalls one actor: time passes at every moment of its life, and its faults strike at theirs.

Moments are counted over all lives of an actor: a worker that was killed and started again counts on. A fault names the
moments that count for it, since most of a worker's life is idle polling.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sayiir.testing.simulation.loop import Ended, Loop, Process
from sayiir.testing.simulation.plan import Fault, FaultKind

ERRORS: tuple[FaultKind, ...] = ("locked", "rolled_back", "doubt")


class Fate:
    """The moments of an actor's life.

    Args:
        actor: its name.
        loop: where it lives.
        faults: what befalls it.
        latency: the seconds that half a call of the store takes at most.
        strike: does to the actor what only concerns its kind.
        is_busy: whether the actor holds claims now.
        fired: counts the faults of all actors.
        points: likewise, with the moments at which they struck.
        note: is told of every moment.
    """

    def __init__(
        self,
        actor: str,
        loop: Loop,
        faults: list[Fault],
        latency: float,
        strike: Callable[[Fault], None],
        is_busy: Callable[[], bool],
        fired: Counter[str],
        points: Counter[str],
        note: Callable[[str], None],
    ) -> None:
        self.actor = actor
        self.process: Process
        self.is_over = False
        """No more faults."""
        self.disturbed = 0
        """How often something befell it so far."""
        self._loop = loop
        self._faults = faults
        self._latency = latency
        self._strike = strike
        self._is_busy = is_busy
        self._fired = fired
        self._points = points
        self._note = note
        self._armed: list[FaultKind] = []
        self._counts = dict.fromkeys((fault.at for fault in faults), 0)

    def moment(self, what: str) -> None:
        """Let others run, and let happen what is to happen now."""
        loop, chance = self._loop, self.process.chance
        if not self.process.alive:
            raise Ended
        self._note(what)
        busy = self._is_busy()
        struck = [at for at in self._counts if at == "" or (busy and (at == "busy" or what.startswith(at)))]
        for at in struck:
            self._counts[at] += 1
        if struck and not self.is_over:
            for fault in self._faults:
                if fault.at in struck and fault.moment == self._counts[fault.at]:
                    self._befall(fault, what)
        loop.sleep(chance.random() * self._latency if self._latency and chance.random() < 0.5 else 0)

    def error(self) -> FaultKind | None:
        """Return how the transaction that begins now fails."""
        if self._armed and not self.is_over:
            kind = self._armed.pop(0)
            self._fired[kind] += 1
            return kind
        return None

    def _befall(self, fault: Fault, what: str) -> None:
        self.disturbed += 1
        self._note(f"!! {fault.kind} for {fault.seconds:g}s")
        if fault.kind in ERRORS:
            # A longer trouble is met by more than one call.
            for _ in range(3 if fault.seconds >= 1 else 1):
                self._armed.append(fault.kind)
            return
        self._fired[fault.kind] += 1
        self._points[f"{fault.kind} {what}"] += 1
        if fault.kind == "slow":
            self._loop.sleep(fault.seconds)
        elif fault.kind == "stop":
            self.process.stopped_until = self._loop.now + round(fault.seconds * 1_000_000)
        else:
            self._strike(fault)
