"""Two threads of a worker that user code never holds up: the heart keeps its claims alive, the chores keep the store clean.

Like the keeper of in-process runs, the heart's view may be late: the fence at the next checkpoint is what protects.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sayiir.runtime.shift import Shift
    from sayiir.runtime.trouble import Trouble

_LOOK_SECS = 0.5
_BETWEEN_LOOKS_SECS = 0.25
"""Other processes' writes look like steering on some stores; to follow each of them would cost too much."""
_BEAT_SECS = 10.0
"""Between two heartbeats at most: so long a cancel may take whose hint was lost."""
_LANES_SECS = 30.0
_PURGE_SECS = 60.0
_PURGE_PAUSE_SECS = 0.2
_PURGE_BATCH = 1000


class _Part:
    """A thread that does the same again and again until it is stopped."""

    def __init__(self, shift: Shift, trouble: Trouble, name: str) -> None:
        self._shift = shift
        self._store = shift.store
        self._clock = shift.store.clock
        self._trouble = trouble
        self._name = name
        self._stopped = False
        self._changed = threading.Condition()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """End after what is under way."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._trouble.end()

    def _work(self) -> None:
        while not self._stopped:
            try:
                self._round()
                self._trouble.over()
            except Exception as error:  # noqa: BLE001 -- the thread must live; it is logged there
                if not self._stopped:
                    self._trouble.met(error)
                    self._trouble.pause()

    def _round(self) -> None:
        raise NotImplementedError

    def _rest(self, seconds: float) -> None:
        with self._changed:
            if not self._stopped and seconds > 0:
                self._clock.wait(self._changed, seconds)


class Heart(_Part):
    """Extends the claims of all jobs, and brings cancels and lost claims to those they concern."""

    def __init__(self, shift: Shift, trouble: Trouble) -> None:
        super().__init__(shift, trouble, "sayiir-heart")
        self._steered = 0
        self._beaten = self._clock.monotonic()

    def stop(self) -> None:
        """End at once: whoever waits for steering is woken."""
        super().stop()
        self._store.hints.steer()

    def _round(self) -> None:
        between = min(self._store.claim_ttl / 3, _BEAT_SECS)
        steered = self._store.wait_for_steering(self._steered, min(_LOOK_SECS, between))
        passed = self._clock.monotonic() - self._beaten
        if steered != self._steered and self._shift.jobs:
            self._rest(_BETWEEN_LOOKS_SECS - passed)
        elif passed < between:
            self._steered = steered
            return
        self._steered = steered
        self._beaten = self._clock.monotonic()
        self._beat()

    def _beat(self) -> None:
        jobs = {job.fence: job for job in list(self._shift.jobs.values())}
        if not jobs:
            return
        for beat in self._store.heartbeat(list(jobs)):
            if beat.lost or beat.request == "cancel":
                jobs[beat.fence].call_off()


class Chores(_Part):
    """Sweeps up after dead owners, learns of new lanes, and deletes what ended long ago."""

    def __init__(self, shift: Shift, trouble: Trouble) -> None:
        super().__init__(shift, trouble, "sayiir-chores")
        now = self._clock.monotonic()
        self._lanes_at = now + _LANES_SECS
        self._purge_at = now + self._clock.chance() * _PURGE_SECS
        self._alarmed = 0

    def stop(self) -> None:
        """End at once: whoever waits for an alarm is woken."""
        super().stop()
        self._store.hints.alarm()

    def _round(self) -> None:
        if self._shift.keeper is not None:
            self._shift.keeper.start()  # whoever configured logging meanwhile has taken it out
        self._store.sweep(max_crashes=self._shift.plan.max_crashes)
        now = self._clock.monotonic()
        if now >= self._lanes_at:
            # Other versions of these workflows, in other processes, may ask for other tags.
            self._lanes_at = now + _LANES_SECS
            self._shift.lanes = self._shift.register()
        if self._shift.plan.retention is not None and now >= self._purge_at:
            self._purge_at = now + _PURGE_SECS
            self._purge(self._shift.plan.retention)
        if not self._stopped:
            between = self._store.sweep_secs * (0.75 + self._clock.chance() / 2)
            self._alarmed = self._store.hints.wait_alarmed(self._alarmed, between)

    def _purge(self, retention: float) -> None:
        before, after = self._store.now() - round(retention * 1_000_000), 0
        while not self._stopped:
            _, after = self._store.purge(before, _PURGE_BATCH, after)
            if not after:
                return
            self._rest(_PURGE_PAUSE_SECS)
