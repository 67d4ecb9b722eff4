"""The verbs of the port over a store's transaction: open it, run the script, tell who waits."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from sayiir.clock import Clock
from sayiir.core.lifecycle import State
from sayiir.core.records import Definition, Move, Record, Ref
from sayiir.core.values import MAX_BYTES
from sayiir.errors import BackendError
from sayiir.store import scripts
from sayiir.store.hints import Hints
from sayiir.store.observing import Observing
from sayiir.store.port import (
    CLAIM_TTL,
    MAX_CRASHES,
    Beat,
    Claimed,
    ConflictPolicy,
    Created,
    Due,
    Fence,
    Instance,
    Lane,
    Moved,
    NewInstance,
    Order,
    Query,
    Restart,
    Signal,
    View,
)

T = TypeVar("T")


class ScriptedStore(Observing):
    """A store that runs the shared scripts; a subclass supplies transactions over `Rows`."""

    name: str
    worker_name: str
    claim_ttl = CLAIM_TTL
    """Seconds until a claim that was taken or extended through this object is void (see `use_claim_ttl`)."""
    sweep_secs = 0.5
    """How often a worker sweeps up after the dead, if nobody alarms it (see `Hints.alarm`)."""
    private = False
    """Whether only one run knows this store."""
    max_value_bytes = MAX_BYTES
    """The longest input, result or payload that it takes, as JSON."""

    def __init__(self, clock: Clock, max_value_bytes: int = MAX_BYTES) -> None:
        if isinstance(max_value_bytes, bool) or not isinstance(max_value_bytes, int) or max_value_bytes < 1:
            raise ValueError(f"max_value_bytes must be an int of 1 or more, not {max_value_bytes!r}")
        self.max_value_bytes = max_value_bytes
        self.clock = clock
        self.hints = Hints(clock)

    @abstractmethod
    def _write(self, script: Callable[[Any], T]) -> T:
        """Run a script in one writing transaction and return when it is durable."""

    @abstractmethod
    def _read(self, script: Callable[[Any], T]) -> T:
        """Run a script on one consistent view."""

    @abstractmethod
    def close(self) -> None:
        """Release everything; idempotent."""

    def use_claim_ttl(self, seconds: float) -> None:
        """Let claims that are taken or extended through this object be void after so many seconds of silence."""
        self.claim_ttl = seconds

    def now(self) -> int:
        """Return the store's time in microseconds since 1970."""
        return self.clock.now()

    def create(self, new: NewInstance, policy: ConflictPolicy, *, claim: bool) -> Created:
        """Store a new instance (see the port)."""
        created = self._write(lambda rows: scripts.create(rows, new, policy, claim=claim))
        if policy == "terminate_existing":
            self.hints.steer()
        elif not claim:
            self.hints.notify()
        return created

    def claim(self, instance_id: str, definition_hash: str, structure: str) -> Claimed:
        """Claim what can move (see the port)."""
        return self._write(lambda rows: scripts.claim(rows, instance_id, definition_hash, structure))

    def create_many(self, news: list[NewInstance], policy: ConflictPolicy) -> list[Created]:
        """Store many instances, or none (see the port)."""
        created = self._write(lambda rows: scripts.create_many(rows, news, policy))
        if policy == "terminate_existing":
            self.hints.steer()
        else:
            self.hints.notify()
        return created

    def register(self, definitions: list[Definition]) -> list[Lane]:
        """Make definitions known and return their lanes (see the port)."""
        return self._write(lambda rows: scripts.register(rows, definitions))

    def claim_due(
        self, lanes: list[Lane], limit: int, *, aging: float, max_crashes: int = MAX_CRASHES, beside: int = 0,
        before: int | None = None,
    ) -> Due:
        """Claim what may move now, of all instances (see the port)."""
        return self._write(lambda rows: scripts.claim_due(rows, lanes, limit, aging, max_crashes, beside, before))

    def sweep(self, *, max_crashes: int = MAX_CRASHES) -> int:
        """Free what the dead have left (see the port)."""
        freed = self._write(lambda rows: scripts.sweep(rows, max_crashes))
        if freed:
            self.hints.notify()
        return freed

    def find(self, query: Query) -> list[Instance]:
        """Return the newest instances that fit (see the port)."""
        return self._read(lambda rows: rows.find(query))

    def purge(self, before: int, limit: int, after: int = 0) -> tuple[int, int]:
        """Delete instances that ended before a time (see the port)."""
        return self._write(lambda rows: scripts.purge(rows, before, limit, after))

    def checkpoint(
        self, fence: Fence, move: Move, *, consume: Signal | None = None, hold: bool = False, share: bool = False
    ) -> Moved:
        """Write what happened and move the token (see the port)."""
        moved = self._write(lambda rows: scripts.checkpoint(rows, fence, move, consume, hold, share))
        self._tell((moved,))
        return moved

    def checkpoint_many(self, orders: list[Order]) -> list[Moved | Exception]:
        """Write many checkpoints (see the port)."""
        return self._told_together(
            [
                lambda rows, one=order: scripts.checkpoint(rows, one.fence, one.move, one.consume, False, True)  # type: ignore[misc]
                for order in orders
            ]
        )

    def _told_together(self, work: list[Callable[[Any], Moved]]) -> list[Moved | Exception]:
        answers = self._write_many(work)
        self._tell(answers)
        return answers

    def _tell(self, answers: Sequence[Moved | Exception]) -> None:
        """Wake whoever these checkpoints concern; an instance that fails ends what other branches still do."""
        moves = [answer for answer in answers if isinstance(answer, Moved) and answer.kind != "continue"]
        if any(move.ended is not None and move.ended.instance.status is State.FAILED for move in moves):
            self.hints.steer()
        elif moves:
            self.hints.notify()

    def _write_many(self, work: list[Callable[[Any], T]]) -> list[T | Exception]:
        """Run scripts, in as few transactions as the store can; each has its own result or error."""
        answers: list[T | Exception] = []
        for script in work:
            try:
                answers.append(self._write(script))
            except Exception as error:  # noqa: BLE001 -- handed to whom it belongs
                answers.append(error)
        return answers

    def peek_signal(self, fence: Fence, name: str, deadline: int | None) -> Signal | None:
        """Return the oldest buffered signal (see the port)."""

        def script(rows: Any) -> Signal | None:
            instance = rows.instance_by_number(fence.instance)
            found: Signal | None = rows.oldest_signal(instance.instance_id, name, deadline) if instance else None
            return found

        return self._read(script)

    def heartbeat(self, fences: list[Fence]) -> list[Beat]:
        """Extend claims (see the port)."""
        return self._write(lambda rows: scripts.heartbeat(rows, fences))

    def inspect(self, number: int) -> tuple[State | None, str | None]:
        """Return status and request of an instance (see the port)."""
        return self._read(lambda rows: scripts.inspect(rows, number))

    def release(self, fences: list[Fence]) -> None:
        """Give claims back (see the port)."""
        if fences:
            self._write(lambda rows: scripts.release(rows, fences))
            self.hints.notify()

    def send_signal(self, instance_id: str, name: str, payload: bytes, dedup_key: str | None = None) -> bool:
        """Buffer a signal (see the port)."""
        return self._told(lambda rows: scripts.send_signal(rows, instance_id, name, payload, dedup_key))

    def request_cancel(self, instance_id: str, reason: str | None, actor: str | None) -> State:
        """Cancel or ask for it (see the port)."""
        return self._steer(lambda rows: scripts.request_cancel(rows, instance_id, reason, actor))

    def request_pause(self, instance_id: str, reason: str | None, actor: str | None) -> State:
        """Pause or ask for it (see the port)."""
        return self._steer(lambda rows: scripts.request_pause(rows, instance_id, reason, actor))

    def unpause(self, instance_id: str) -> State:
        """Let a paused instance go on (see the port)."""
        return self._told(lambda rows: scripts.unpause(rows, instance_id))

    def retry(self, instance_id: str, design: Callable[[Instance, list[Record]], Restart]) -> None:
        """Bring an ended instance back to life (see the port)."""
        self._told(lambda rows: scripts.retry(rows, instance_id, design))

    def load(self, instance_id: str) -> View | None:
        """Return an instance, or None (see the port)."""
        return self._read(lambda rows: scripts.load(rows, instance_id))

    def history(self, number: int) -> list[Record]:
        """Return all records of an instance in order of start."""
        return self._read(lambda rows: rows.records(number))

    def value(self, number: int, ref: Ref) -> bytes:
        """Return the JSON of a stored value."""
        value: bytes = self._read(lambda rows: rows.value(number, ref))
        return value

    def structure(self, workflow_id: str, definition_hash: str) -> str:
        """Return the stored text of a definition, "" when it is unknown."""
        return self._read(lambda rows: rows.structure(workflow_id, definition_hash)) or ""

    def owner_name(self, owner: int) -> str | None:
        """Return the name of the process behind a claim."""
        name: str | None = self._read(lambda rows: rows.owner_name(owner))
        return name

    def within(self, connection: Any, script: Callable[[Any], T]) -> T:  # noqa: ARG002 -- a store on a database uses them
        """Run a script in the open transaction of a caller's own connection; it is the caller who commits.

        Nobody is told: who waits finds it by polling, after the commit. If the script fails nothing of it is left, and
        the caller's transaction goes on.

        Raises:
            BackendError: the connection does not lead to this store's database, or has no open transaction.
        """
        raise BackendError(
            f"{self!r} has no transactions that others could take part in; connection= needs a SqliteBackend on a file, "
            "or PostgreSQL"
        )

    def sleep(self, condition: threading.Condition, seconds: float) -> None:
        """Wait out a retry's backoff on an acquired condition, or until somebody notifies it; tests pass it in no time."""
        self.clock.wait(condition, seconds)

    def wait_for_hint(self, seen: int, timeout: float | None) -> int:
        """Block until something may have changed (see the port)."""
        return self.hints.wait(seen, timeout)

    def wait_for_steering(self, seen: int, timeout: float | None) -> int:
        """Block until runners must look: likewise, but not woken by what the runners themselves do."""
        return self.hints.wait_steered(seen, timeout)

    def _steer(self, script: Callable[[Any], T]) -> T:
        result = self._write(script)
        self.hints.steer()
        return result

    def _told(self, script: Callable[[Any], T]) -> T:
        result = self._write(script)
        self.hints.notify()
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
