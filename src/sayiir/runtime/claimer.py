"""The thread of a worker that asks the store for due tokens: no more than there are free slots, the most urgent first.

It looks again when a hint comes, when a time comes, when slots are freed while more was due, and at worst after the
polling time. Coroutines and waits need no thread and stand in lanes of their own, so that neither they nor sync tasks are
claimed while only slots of the other kind are free. The mark of hints is read before looking, so that one which comes
meanwhile is not slept over.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sayiir.core.program import is_threadless
from sayiir.runtime.executor import Release
from sayiir.store.port import Due, Lane

if TYPE_CHECKING:
    from sayiir.runtime.job import Job
    from sayiir.runtime.shift import Shift
    from sayiir.runtime.trouble import Trouble

_LONGEST_POLL_SECS = 1.0
_URGENT_LOOK_SECS = 1.0
_STANDSTILL_SECS = 0.5
_PLENTY = 16
"""With so many free slots of each kind, one look for both is enough."""
_NEVER = 1 << 62
_SHORTEST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 0.05, 1.0


class Claimer:
    """Claims for a shift, and ends it."""

    def __init__(self, shift: Shift, trouble: Trouble) -> None:
        self._shift = shift
        self._store = shift.store
        self._clock = shift.store.clock
        self.trouble = trouble
        self._seen = 0
        self._pause = 0.0
        self._ahead: Job | None = None
        """The most urgent of the tokens that wait, while every slot is taken: it gets the next one."""
        self._looked = self._clock.monotonic()
        self._taken, self._moved = 0, self._looked
        self._poll = min(shift.plan.poll_interval, _LONGEST_POLL_SECS)

    def start(self) -> None:
        """Begin to claim."""
        threading.Thread(target=self._work, name="sayiir-claimer", daemon=True).start()

    def _work(self) -> None:
        shift = self._shift
        while not shift.closing:
            try:
                if shift.writer.trouble.active:
                    self.trouble.pause()  # what is claimed now could not be written later
                    continue
                if self.trouble.active:
                    self.trouble.pause()
                self._round()
            except Exception as error:  # noqa: BLE001 -- the thread must live; it is logged there
                self.trouble.met(error)
        if self._ahead is not None:
            self._give_back([self._ahead])
        shift.wind_down()

    def _round(self) -> None:
        if not self._place_ahead():
            return
        asked, looks, more, next_at = self._store.now(), self._looks(), False, _NEVER
        for limit, lanes in looks:
            due = self._claim(lanes, limit)
            if not self._place(due):
                return
            more = more or len(due.works) >= limit
            next_at = min(next_at, _NEVER if due.next_at is None else due.next_at)
        if not looks:
            self._wait_for_slots()
        elif not more:
            self._sleep(next_at, asked)

    def _place(self, due: Due) -> bool:
        """Let what was claimed begin; False when there was something that had no slot, and time has passed since."""
        misfits = [job for job in map(self._shift.accept, due.works) if not self._shift.place(job)]
        if misfits:
            # Somebody else may have a slot for them; to look again at once would only claim the same ones.
            self._pause = min(_LONGEST_PAUSE_SECS, max(_SHORTEST_PAUSE_SECS, self._pause * 2))
            self._give_back(misfits)
            self._wait_for_other_slots(self._pause)
            return False
        self._pause = 0.0
        return True

    def _claim(self, lanes: list[Lane], limit: int, before: int | None = None) -> Due:
        plan = self._shift.plan
        beside = max((job.crashes for job in list(self._shift.jobs.values())), default=0)
        due = self._store.claim_due(
            lanes, limit, aging=plan.aging_interval, max_crashes=plan.max_crashes, beside=beside, before=before
        )
        self.trouble.over()
        return due

    def _sleep(self, next_at: int, asked: int) -> None:
        """Wait for a hint, the next due time or the polling time."""
        if self._shift.closing:
            return
        seconds = self._poll
        # One that was due when it was asked for and was not given, this worker cannot have now; a later one may have become
        # due since.
        if next_at > asked:
            seconds = min(seconds, max((next_at - self._store.now()) / 1_000_000, 0.0))
        if seconds > 0:
            self._seen = self._store.wait_for_hint(self._seen, seconds)

    def _looks(self) -> list[tuple[int, list[Lane]]]:
        """Return how many tokens to ask for, and where: no more than can be placed, of each kind.

        One look serves both kinds while there is room for either, or while they share their slots: then what is most urgent
        comes first, whatever it is.
        """
        slots, lanes = self._shift.slots, self._shift.lanes
        slots.look_ahead()
        threadless = [lane for lane in lanes if is_threadless(lane.tags)]
        sync = slots.room(False)
        if not threadless:
            return [(sync, lanes)] if sync else []
        coroutines = slots.room(True)
        least = min(sync, coroutines)
        if least and (sync == coroutines or least >= _PLENTY):
            return [(least, lanes)]
        others = [lane for lane in lanes if lane not in threadless]
        return [look for look in ((sync, others), (coroutines, threadless)) if look[0]]

    # --- when every slot is taken ---------------------------------------------------------------------------------

    def _wait_for_slots(self) -> None:
        self._look_for_urgent()
        shift = self._shift
        with shift.slots.changed:
            if not self._looks() and not shift.closing:
                shift.slots.wait(_URGENT_LOOK_SECS)
        self._withdraw()

    def _withdraw(self) -> None:
        """Give back what was claimed ahead, if no thread has come to take any of it for a while."""
        crew, now = self._shift.crew, self._clock.monotonic()
        if crew.taken != self._taken:
            self._taken, self._moved = crew.taken, now
        elif now - self._moved >= _STANDSTILL_SECS:
            self._give_back(crew.withdraw(lambda job: not job.begun))

    def _wait_for_other_slots(self, seconds: float) -> None:
        """Wait until there are other slots than now, or so long; that a misfit was given back changes none."""
        slots, deadline = self._shift.slots, self._clock.monotonic() + seconds
        with slots.changed:
            free = slots.free(False), slots.free(True)
            while not self._shift.closing and (slots.free(False), slots.free(True)) == free:
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    return
                slots.wait(left)

    def _place_ahead(self) -> bool:
        """Let the token that goes before all others begin; False when it still waits."""
        job = self._ahead
        if job is None:
            return True
        if self._shift.place(job):
            self._ahead = None
            return True
        shift = self._shift
        with shift.slots.changed:
            if not shift.slots.free(job.wants_async) and not shift.closing:
                shift.slots.wait(_URGENT_LOOK_SECS)
        return False

    def _look_for_urgent(self) -> None:
        """Now and then, ask the least urgent job to leave its slot to a token that goes before it."""
        shift, aging, now = self._shift, self._shift.plan.aging_interval, self._clock.monotonic()
        if now - self._looked < _URGENT_LOOK_SECS:
            return
        self._looked = now
        jobs = [job for job in list(shift.jobs.values()) if not job.yielding]
        if not jobs:
            return
        # Nothing else: a token that is no more urgent would wait here, while another worker may have a slot for it.
        works = self._claim(shift.lanes, 1, round(max(job.urgency(aging) for job in jobs))).works
        if not works:
            return
        ahead = shift.accept(works[0])
        rivals = [job for job in jobs if job.is_async is ahead.wants_async]
        last = max(rivals, key=lambda job: job.urgency(aging), default=None)
        if last is None or ahead.urgency(aging) >= last.urgency(aging):
            self._give_back([ahead])
            return
        self._ahead, last.yielding = ahead, True

    def _give_back(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._shift.writer.put(job, Release(job.fence))
