"""One in-process run of an instance: which token moves where, and how the run ends.

The caller's thread moves the main token. Branch tokens get threads of their own, or a place on the run's event loop when
they begin with an async task. The last branch to arrive goes on with the parent's token, except that the main token goes
back to the caller's thread, which waits for it; so no thread ever waits for another, and forks nest without bound.
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sayiir.core.program import Program, TaskOp
from sayiir.errors import ClaimLostError, DefinitionMismatchError
from sayiir.runtime.context import Frame
from sayiir.runtime.executor import drive, drive_async
from sayiir.runtime.keeper import Keeper
from sayiir.runtime.log import log
from sayiir.runtime.threads import LOOPS, THREADS, LoopThread, start_on_loop
from sayiir.store.port import Claim, Fence, Moved, View
from sayiir.store.uninterrupted import uninterrupted

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

    from sayiir.core.records import Position
    from sayiir.store.base import ScriptedStore

MAX_SIDE_BY_SIDE = 256
"""Branches of one run that get a thread at once; more of them queue."""
_LOOK_SECS = 0.1
"""How often a run whose branches are at work looks whether a signal came for one that waits."""


class Caller:
    """An asyncio caller: its loop runs the async tasks, and its cancellation calls the run off."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._run: Run | None = None
        self._gone = False

    def attach(self, run: Run) -> None:
        """Note the run that is under way."""
        self._run = run
        if self._gone:
            run.call_off()

    def leave(self) -> None:
        """Call the run off: the caller does not wait for it any more. The instance stays resumable."""
        self._gone = True
        if self._run is not None:
            self._run.call_off()


class Run:
    """The live state of one run."""

    def __init__(
        self,
        store: ScriptedStore,
        program: Program,
        instance_id: str,
        number: int,
        metadata: Any,
        *,
        salt: int = 0,
        trace: str | None = None,
        caller: Caller | None = None,
    ) -> None:
        self.store = store
        self.program = program
        self.number = number
        self.clock = store.clock
        self.worker: str | None = store.worker_name
        self.frame = Frame(program.name, instance_id, metadata, self.worker, salt, self, trace)
        self.cause: BaseException | None = None
        self.causes: dict[int, BaseException] = {}
        self.ended: View | None = None
        self.stopping = False
        self._changed = threading.Condition()
        self._fences: dict[int, Fence] = {}
        self._cancels: list[Callable[[], object]] = []
        self._inbox: deque[Claim] = deque()
        self._queue: deque[Claim] = deque()
        self._active = 0
        self._stopped = False
        self._over = False
        self._error: BaseException | None = None
        self._caller_loop = None if caller is None else caller.loop
        self._loop_thread: LoopThread | None = None
        self._blocked_loops: list[LoopThread] = []
        self._due: int | None = None
        self._seen = store.hints.mark
        self._awaiting = False
        self._left = False
        self._context = contextvars.copy_context()
        if caller is not None:
            caller.attach(self)

    # --- what the executor asks for -------------------------------------------------------------------------------

    def hold(self, fence: Fence) -> None:
        """Note a claim that this run holds, so that it is kept alive and given back."""
        self._fences[fence.token] = fence

    def let_go(self, fence: Fence) -> None:
        """Forget a claim."""
        if self._fences.get(fence.token) == fence:
            del self._fences[fence.token]

    def fences(self) -> list[Fence]:
        """Return the claims that this run holds."""
        return list(self._fences.values())

    def keeps(self, position: Position) -> bool:  # noqa: ARG002 -- as a worker is asked, which may leave a token
        """Return whether a token goes on here with its next task: always."""
        return True

    def sleep(self, until: int) -> None:
        """Wait until a time of the store; a cancel, a pause or the end of the run wakes it at once."""
        with self._changed:
            while not self.stopping and (left := until - self.store.now()) > 0:
                self.store.sleep(self._changed, left / 1_000_000)

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop that this run's async tasks share."""
        if self._caller_loop is not None:
            return self._caller_loop
        with self._changed:
            if self._loop_thread is None:
                self._loop_thread = LOOPS.take()
            return self._loop_thread.loop

    def abandon_loop(self) -> None:
        """Leave a loop that a task blocks; later tasks get another. What else runs on it goes on when it can."""
        with self._changed:
            thread, self._loop_thread = self._loop_thread, None
            if thread is not None:
                self._blocked_loops.append(thread)

    def add_cancel(self, cancel: Callable[[], object]) -> None:
        """Note how to cancel something that is running."""
        with self._changed:
            self._cancels.append(cancel)
            stopping = self.stopping
        if stopping:
            cancel()

    def remove_cancel(self, cancel: Callable[[], object]) -> None:
        """Forget it: it has ended."""
        with self._changed:
            if cancel in self._cancels:
                self._cancels.remove(cancel)

    def cancelled(self) -> bool:
        """Return whether the run is called off (for `ctx.cancelled`)."""
        return self.stopping

    def heartbeat(self, fence: Fence) -> None:
        """Keep a task's claim alive now, and learn at once what was requested."""
        for beat in self.store.heartbeat([fence]):
            if beat.lost:
                raise ClaimLostError("the claim was lost; what this task returns will be refused")
            if beat.request == "cancel":
                self.call_off()

    def call_off(self) -> None:
        """Stop: no further task starts, sleeping and async work is woken and cancelled."""
        with self._changed:
            self.stopping = True
            cancels = list(self._cancels)
            self._changed.notify_all()
        for cancel in cancels:
            cancel()

    # --- the run as a whole ---------------------------------------------------------------------------------------

    def execute(self, claims: tuple[Claim, ...]) -> None:
        """Move these tokens, and all that come of them, until nothing can move.

        Raises:
            BackendError: the store failed; the instance can be resumed.
            KeyboardInterrupt, SystemExit: likewise.
        """
        # Nobody can steer a run whose store only it knows.
        keeper = None if self.store.private else Keeper.of(self.store)
        try:
            if keeper is not None:
                keeper.add(self)
            if len(claims) == 1:
                self._inbox.append(claims[0])
            else:
                self._start_all(claims)
            while (claim := self._next()) is not None:
                self._after(self._drive(claim))
        except BaseException:
            self._left = True  # before the claims are given back: whoever gets one later gives it back himself
            self.call_off()
            self._give_back()
            raise
        finally:
            if keeper is not None:
                keeper.remove(self)
            self._end_loop()
        self._left = True
        if self._fences and not self._over:
            self._give_back()  # called off, or failed: what was claimed and not begun is anybody's
        if self._error is not None:
            raise self._error

    def _next(self) -> Claim | None:
        """Wait for the next token of this thread, starting beside it what becomes due; None when all has ended."""
        while True:
            with self._changed:
                if self._over or self._error is not None:
                    return None
                if self._inbox:
                    return self._inbox.popleft()
                if not self._active:
                    if not self._stopped or self.stopping:
                        return None
                    # A token was given back for a pause; if that was withdrawn meanwhile, it goes on here.
                    self._stopped = False
                elif not self._something_due():
                    self.clock.wait(self._changed, self._patience())
                    continue
            self._take_up()

    def _something_due(self) -> bool:
        if self.stopping:
            return False
        if self._due is not None and self._due <= self.store.now():
            return True
        return self._awaiting and self.store.hints.mark != self._seen

    def _patience(self) -> float | None:
        if self.stopping or (self._due is None and not self._awaiting):
            return None
        left = _LOOK_SECS if self._due is None else max(0.0, (self._due - self.store.now()) / 1_000_000)
        return min(left, _LOOK_SECS) if self._awaiting else left

    def _take_up(self) -> None:
        """Claim what became due while other branches are at work: branches do not wait for each other."""
        self._seen = self.store.hints.mark
        # First of all the claims of the branches at work are extended, or this run could take them for a dead one's.
        self.store.heartbeat(self.fences())
        try:
            with uninterrupted:
                claimed = self.store.claim(self.frame.instance_id, self.program.hash, self.program.structure)
                if claimed.instance.number == self.number:
                    for claim in claimed.claims:
                        self.hold(claim.fence)
        except DefinitionMismatchError:
            self.call_off()  # replaced, by an instance of another definition
            return
        if claimed.instance.number != self.number:
            # Another instance took this one's place; its tokens are not this run's to move.
            self.store.release([claim.fence for claim in claimed.claims])
            self.call_off()
            return
        with self._changed:
            self._due = claimed.due_at
        self._start_all(claimed.claims)

    def _drive(self, claim: Claim) -> Moved:
        try:
            return drive(self, claim)
        except ClaimLostError:
            # Cancelled, paused, replaced or taken over: whoever did it has written the instance's state.
            self.let_go(claim.fence)
            return Moved("stopped")

    def _after(self, moved: Moved) -> None:
        if self._left and moved.claims:
            self.store.release([claim.fence for claim in moved.claims])
            return
        match moved.kind:
            case "forked":
                self._start_all(moved.claims)
            case "joined":
                self._continue(moved.claims[0])
            case "parked":
                with self._changed:
                    if moved.due_at is not None:
                        self._due = moved.due_at if self._due is None else min(self._due, moved.due_at)
                    self._awaiting = True
                    self._changed.notify_all()
            case "finished":
                with self._changed:
                    self._over = True
                    self.ended = moved.ended
                self.call_off()
            case "stopped":
                with self._changed:
                    self._stopped = True
            case _:
                pass

    def _continue(self, claim: Claim) -> None:
        if claim.fence.token == 0:
            with self._changed:
                self._inbox.append(claim)
                self._changed.notify_all()
        else:
            self._start_all((claim,))

    def _start_all(self, claims: tuple[Claim, ...]) -> None:
        for claim in claims:
            self.hold(claim.fence)
        with self._changed:
            self._queue.extend(claims)
            starting = self._take_from_queue()
        for claim in starting:
            self._start(claim)

    def _take_from_queue(self) -> list[Claim]:
        starting = []
        while self._queue and self._active < MAX_SIDE_BY_SIDE and not self._over and not self.stopping:
            self._active += 1
            starting.append(self._queue.popleft())
        return starting

    def _start(self, claim: Claim) -> None:
        op = self.program.ops.get(claim.position.node)
        context = self._context.copy()
        if isinstance(op, TaskOp) and op.is_async and op.metadata.isolation is None:
            future, cancel = start_on_loop(self.loop(), self._branch_async(claim), context)
            self.add_cancel(cancel)

            def ended(_: Future[Any]) -> None:
                # Counted by the task's end, not by its body's: a task cancelled before its first step has no body.
                self.remove_cancel(cancel)
                self._branch_ended()

            future.add_done_callback(ended)
        else:
            THREADS.start(lambda: context.run(self._branch, claim))

    def _branch(self, claim: Claim) -> None:
        try:
            self._after(self._drive(claim))
        except BaseException as error:  # noqa: BLE001 -- carried to the thread that waits for the run
            self._report(error)
        self._branch_ended()

    async def _branch_async(self, claim: Claim) -> None:
        import asyncio

        try:
            try:
                moved = await drive_async(self, claim)
            except ClaimLostError:
                self.let_go(claim.fence)
                moved = Moved("stopped")
            self._after(moved)
        except asyncio.CancelledError:
            self.call_off()
        except BaseException as error:  # noqa: BLE001 -- carried to the thread that waits for the run
            self._report(error)

    def _report(self, error: BaseException) -> None:
        with self._changed:
            if self._over:
                # The instance has ended; what an abandoned branch still meets concerns nobody.
                log().debug("an abandoned branch of %r ended with %r", self.frame.instance_id, error)
            elif self._error is None:
                self._error = error
        self.call_off()

    def _branch_ended(self) -> None:
        with self._changed:
            self._active -= 1
            starting = self._take_from_queue()
            self._changed.notify_all()
        for claim in starting:
            self._start(claim)

    def _give_back(self) -> None:
        try:
            with uninterrupted:
                self.store.release(self.fences())
        except Exception:  # noqa: BLE001 -- see the line below
            # The claims run out by themselves; the error that brought us here matters more.
            log().exception("could not give back the claims of %r", self.frame.instance_id)

    def _end_loop(self) -> None:
        with self._changed:
            threads = [*self._blocked_loops, *([] if self._loop_thread is None else [self._loop_thread])]
            self._loop_thread = None
            self._blocked_loops = []
        for thread in threads:
            LOOPS.give(thread)
