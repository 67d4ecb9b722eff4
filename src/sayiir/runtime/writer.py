"""The one thread through which a worker's checkpoints go: what has come up meanwhile is written in one batch.

A token waits for its answer without a thread. A checkpoint is tried until it is written or refused. A worker with one job
writes it in the job's thread.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from sayiir.errors import ClaimLostError
from sayiir.runtime import observe
from sayiir.runtime.executor import STOPPED, Release, Write
from sayiir.store.port import Moved, Order

if TYPE_CHECKING:
    from sayiir.runtime.job import Job
    from sayiir.runtime.shift import Shift
    from sayiir.runtime.trouble import Trouble

_BATCH = 500
_GOES_ON = frozenset(("continue", "signal", "again"))
Item = tuple["Job", Write | Release]


class Writer:
    """Writes the checkpoints of a shift and brings the answers back."""

    def __init__(self, shift: Shift, trouble: Trouble) -> None:
        self._shift = shift
        self._store = shift.store
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._stopped = False
        self.trouble = trouble

    def start(self) -> None:
        """Begin to write."""
        threading.Thread(target=self._work, name="sayiir-writer", daemon=True).start()

    def put(self, job: Job, ask: Write | Release) -> Moved | None:
        """Queue a checkpoint, or a claim to be given back; the only job's checkpoint is made at once.

        Returns:
            The answer, if the job may go on with it now.
        """
        if self._stopped:
            self._shift.lost(job, ClaimLostError("the worker has ended, and has given the claim back"))
            return None
        if isinstance(ask, Write) and len(self._shift.jobs) == 1 and not self.trouble.active:
            return self._at_once(job, ask)
        self._queue.put((job, ask))
        return None

    def _at_once(self, job: Job, ask: Write) -> Moved | None:
        """Write in the job's own thread: with nobody to share the commit, two threads would only wake each other."""
        try:
            (answer,) = self._checkpoint([Order(ask.fence, ask.move, ask.consume)])
        except Exception as error:  # noqa: BLE001 -- tried again by the writer's thread, which logs it
            answer = error
        if isinstance(answer, Moved) and answer.kind in _GOES_ON:
            return answer
        failed, _ = self._deliver([(job, ask)], [answer])
        for item in failed:
            self._queue.put(item)
        return None

    def stop(self) -> None:
        """End the thread when it has written what is queued."""
        self._stopped = True
        self.trouble.end()
        self._queue.put(None)

    def _work(self) -> None:
        item: Item | None = None
        while True:
            item = self._queue.get()
            batch: list[Item] = []
            try:
                while item is not None:
                    batch.append(item)
                    if len(batch) == _BATCH:
                        break
                    item = self._queue.get_nowait()
            except Empty:
                pass
            if batch:
                self._see_through(batch)
            if item is None:
                return
            del item, batch

    def _see_through(self, pending: list[Item]) -> None:
        while pending:
            pending, error = self._write(pending)
            if error is None:
                self.trouble.over()
            else:
                self.trouble.met(error)
                if not self.trouble.pause():
                    for job, _ in pending:
                        self._shift.ended(job, STOPPED)
                    return

    def _write(self, items: list[Item]) -> tuple[list[Item], Exception | None]:
        """Write these; return those that could not be written, and why."""
        try:
            released = [job for job, ask in items if type(ask) is Release]
            if released:
                self._store.release([job.fence for job in released])
                for job in released:
                    self._shift.ended(job, STOPPED)
                items = [item for item in items if type(item[1]) is not Release]
            orders = [Order(ask.fence, ask.move, ask.consume) for _, ask in items if isinstance(ask, Write)]
            answers = self._checkpoint(orders) if orders else []
        except Exception as error:  # noqa: BLE001 -- the thread must live; it is logged with the trouble
            return items, error
        return self._deliver(items, answers)

    def _checkpoint(self, orders: list[Order]) -> list[Moved | Exception]:
        if not observe.watchers:
            return self._store.checkpoint_many(orders)
        clock = self._store.clock
        began = clock.monotonic()
        answers = self._store.checkpoint_many(orders)
        observe.checkpointed(clock.monotonic() - began, len(orders))
        return answers

    def _deliver(self, items: list[Item], answers: list[Moved | Exception]) -> tuple[list[Item], Exception | None]:
        going: list[Job] = []
        failed: list[Item] = []
        trouble: Exception | None = None
        for item, answer in zip(items, answers, strict=True):
            job = item[0]
            if isinstance(answer, ClaimLostError):
                self._shift.lost(job, answer)
            elif isinstance(answer, Exception):
                failed.append(item)
                trouble = answer
            elif answer.kind in _GOES_ON:
                job.answer = answer
                going.append(job)
            else:
                self._shift.ended(job, answer)
        self._shift.crew.put_all(going)
        return failed, trouble
