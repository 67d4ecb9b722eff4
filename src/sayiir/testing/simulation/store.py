"""One store's rows, and the handle that each virtual process has on them.

The rows are the production ones: those of the store in memory, and those of SQLite with its SQL in a database in memory.
A handle is the production store of one process: every verb is its base's; it only adds what a network and a disk add,
time before and after each transaction, and faults. It also tells the witness what was committed, at that very moment.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sayiir.core.lifecycle import State
from sayiir.errors import BackendError
from sayiir.store import scripts
from sayiir.store.base import ScriptedStore
from sayiir.store.hints import Hints
from sayiir.store.memory import InMemoryBackend
from sayiir.store.memory.rows import MemoryRows
from sayiir.store.port import Beat, ConflictPolicy, Created, Due, Fence, Instance, Moved, NewInstance, Order, Token
from sayiir.store.scripts.rows import Owner
from sayiir.store.sqlite import SqliteBackend
from sayiir.testing.simulation.loop import SimClock

if TYPE_CHECKING:
    from sayiir.testing.simulation.fate import Fate
    from sayiir.testing.simulation.witness import Witness

T = TypeVar("T")
_FULL = "database or disk is full"


class _SharedRows(MemoryRows):
    """The rows of the store in memory, seen by several owners."""

    def __init__(self, clock: SimClock) -> None:
        super().__init__(clock)
        self.names: dict[int, str] = {}
        self.living: set[int] = set()
        self._beats: dict[int, int] = {}
        self._joined = 0

    def alive(self, owner: int) -> bool:
        return owner in self.living

    def owner_name(self, owner: int) -> str | None:
        return self.names.get(owner)

    def owners(self) -> list[Owner]:
        return [Owner(owner, name, self._beats[owner]) for owner, name in self.names.items()]

    def beat(self, now: int) -> None:
        if self.owner in self._beats:
            self._beats[self.owner] = now

    def drop_owner(self, owner: int) -> None:
        del self.names[owner], self._beats[owner]

    def add_owner(self, name: str, now: int) -> int:
        """Return a new owner, who lives."""
        self._joined += 1
        self.owner = self._joined
        self.names[self.owner], self._beats[self.owner] = name, now
        self.living.add(self.owner)
        return self.owner


class Ground:
    """The rows that all handles share, and a view of them that is not disturbed."""

    def __init__(self, kind: Literal["memory", "sqlite"], clock: SimClock) -> None:
        self.clock = clock
        self._shared: _SharedRows | None = None
        self.backend: InMemoryBackend | SqliteBackend
        if kind == "memory":
            self.backend = InMemoryBackend(clock=clock)
            self._shared = self.backend._rows = _SharedRows(clock)
        else:
            self.backend = SqliteBackend(":memory:", clock=clock)
        self._rows: Any = self.backend._rows

    def join(self, name: str) -> int:
        """Return a new owner of claims."""
        if self._shared is not None:
            return self._shared.add_owner(name, self.clock.now())
        assert isinstance(self.backend, SqliteBackend)
        self.backend.worker_name = name
        self.backend._register()
        return self.backend._owner

    def bury(self, owner: int) -> None:
        """Let an owner be dead for all to see."""
        if self._shared is not None:
            self._shared.living.discard(owner)
        else:
            assert isinstance(self.backend, SqliteBackend)
            assert self.backend._owners is not None
            self.backend._owners.drop(owner)

    def lives(self, owner: int) -> bool:
        """Return whether an owner lives, as all see it."""
        return bool(self._rows.alive(owner))

    def act_as(self, owner: int, claim_ttl: float) -> None:
        """Let what is written next be an owner's."""
        self._rows.owner, self._rows.claim_ttl = owner, claim_ttl

    def read(self, script: Callable[[Any], T]) -> T:
        """Look at the rows."""
        return self.backend._read(script)

    def states(self) -> dict[int, tuple[str, State]]:
        """Return id and status of every instance, by its number."""
        if self._shared is not None:
            return {number: (one.instance_id, one.status) for number, one in self._shared._by_number.items()}
        found = self._rows._execute("SELECT number, instance_id, status FROM sayiir_instances ORDER BY number")
        return {number: (name, State(status)) for number, name, status in found}

    def tokens(self, number: int) -> list[Token]:
        """Return the tokens of an instance."""
        return self.read(lambda rows: list[Token](rows.tokens(number)))

    def standing(self, name: str) -> str:
        """Return how an instance stands, for people."""
        instance: Instance | None = self.read(lambda rows: rows.instance(name))
        return "gone" if instance is None else f"{instance.status}, {instance.request}, {self.tokens(instance.number)}"

    def buffered(self, instance_id: str, name: str) -> list[int]:
        """Return the ids of the signals that wait, in their order."""
        if self._shared is not None:
            return [signal.id for signal in self._shared._queues.get((instance_id, name), ())]
        query = "SELECT id FROM sayiir_signals WHERE instance_id = ? AND name = ? AND consumed_at IS NULL ORDER BY id"
        return [row[0] for row in self._rows._execute(query, (instance_id, name))]

    def is_sound(self) -> bool:
        """Return whether the database finds itself in order."""
        return self._shared is not None or self._rows._execute("PRAGMA integrity_check").fetchone()[0] == "ok"


class _Echo(Hints):
    """A process's hints, which are also told to the other processes."""

    def __init__(self, clock: SimClock, tell: Callable[[bool], None]) -> None:
        super().__init__(clock)
        self._tell = tell

    def notify(self) -> None:
        super().notify()
        self._tell(False)

    def steer(self) -> None:
        self._steer_here()
        super().notify()
        self._tell(True)

    def hear(self, steering: bool) -> None:
        """Be told by another process."""
        if steering:
            self._steer_here()
        super().notify()


class Handle(ScriptedStore):
    """The store as one process has it.

    Args:
        ground: the rows.
        fate: the process's troubles.
        witness: is told of what was committed.
        clock: the process's own, right or wrong; the store's time is the ground's.
        tell: carries hints to the others.
    """

    def __init__(
        self, ground: Ground, fate: Fate, witness: Witness, clock: SimClock, tell: Callable[[bool], None] = lambda _: None
    ) -> None:
        super().__init__(clock)
        self.name = ground.backend.name
        self.worker_name = fate.actor
        self.ground = ground
        self.fate = fate
        self.hints = self.echo = _Echo(clock, tell)
        self.owner = ground.join(fate.actor)
        self._closed = False
        self._witness = witness
        self._note: Callable[[Any], object] | None = None

    def now(self) -> int:
        """Return the store's time."""
        return self.ground.clock.now()

    def rejoin(self) -> None:
        """Become another owner, as who was taken for dead does when it finds out."""
        if self._closed or self.ground.lives(self.owner):
            return
        self.ground.bury(self.owner)
        self.owner = self.ground.join(self.fate.actor)

    def close(self) -> None:
        """Let the owner be dead."""
        self._closed = True
        self.ground.bury(self.owner)

    # --- what the witness is told ---------------------------------------------------------------------------------

    def create(self, new: NewInstance, policy: ConflictPolicy, *, claim: bool) -> Created:
        """Store a new instance (see the port)."""
        self._note = lambda created: self._witness.created(policy, [created])
        return super().create(new, policy, claim=claim)

    def create_many(self, news: list[NewInstance], policy: ConflictPolicy) -> list[Created]:
        """Store many instances, or none (see the port)."""
        self._note = partial(self._witness.created, policy)
        return super().create_many(news, policy)

    def claim_due(self, *args: Any, **options: Any) -> Due:
        """Claim what may move now (see the port)."""
        self._note = partial(self._witness.claimed, self)
        return super().claim_due(*args, **options)

    def checkpoint_many(self, orders: list[Order]) -> list[Moved | Exception]:
        """Write many checkpoints (see the port)."""
        self._note = partial(self._witness.moved, self, orders)
        if isinstance(self.ground.backend, SqliteBackend):  # which has a shorter way for plain steps
            return self._told_together([self.ground.backend._work_of(order) for order in orders])
        return super().checkpoint_many(orders)

    def release(self, fences: list[Fence]) -> None:
        """Give claims back (see the port)."""
        self._note = partial(self._witness.released, fences)
        super().release(fences)

    def heartbeat(self, fences: list[Fence]) -> list[Beat]:
        """Extend claims (see the port)."""
        self._note = partial(self._witness.beaten, self)
        return super().heartbeat(fences)

    def send_signal(self, instance_id: str, name: str, payload: bytes, dedup_key: str | None = None) -> bool:
        """Buffer a signal (see the port)."""
        self._note = partial(self._witness.signalled, instance_id, name, dedup_key)
        return super().send_signal(instance_id, name, payload, dedup_key)

    def request_cancel(self, instance_id: str, reason: str | None, actor: str | None) -> State:
        """Cancel or ask for it (see the port)."""
        self._note = partial(self._witness.cancelled, instance_id)
        return super().request_cancel(instance_id, reason, actor)

    # --- transactions ---------------------------------------------------------------------------------------------

    def _write(self, script: Callable[[Any], T]) -> T:
        run: Callable[[Callable[[Any], Any]], T] = lambda turn: self.ground.backend._write(turn(script))  # noqa: E731
        return self._transact(script.__qualname__, run)  # type: ignore[no-any-return]

    def _write_many(self, work: list[Callable[[Any], T]]) -> list[T | Exception]:
        def run(turn: Callable[[Any], Any]) -> list[T | Exception]:
            return self.ground.backend._write_many([turn(script) for script in work])

        answers: list[T | Exception] = self._transact("ScriptedStore.checkpoint_many", run)
        return answers

    def _transact(self, name: str, run: Callable[[Callable[[Any], Any]], Any]) -> Any:
        """Run scripts as a transaction, as it goes today."""
        # Taken at once: the process's other fibers may call other verbs while this one waits.
        note, self._note = self._note, None
        verb = name.split(".")[1] if "." in name else name
        self.fate.moment(f"before {verb}")
        error = self.fate.error()
        if error == "locked":
            raise BackendError(f"simulated: {verb} found the database locked")
        if verb == "claim_due":
            self.rejoin()  # who was taken for dead may claim again, as an owner that is shown as living
        self.ground.act_as(self.owner, self.claim_ttl)
        answer = run(self._failing if error == "rolled_back" else _as_it_is)
        if note is not None:
            note(answer)
        self._witness.look(verb)
        self.fate.moment(f"after {verb}")
        return self._doubtful(verb, answer) if error == "doubt" else answer

    def _doubtful(self, verb: str, answer: Any) -> Any:
        """Do what a store must do when the answer to a COMMIT was lost: find out, or give back what nobody knows of.

        Who asked a client's verb gets an error, though it was done, and may ask again.
        """
        if verb in ("checkpoint_many", "release", "heartbeat", "register", "sweep"):
            self.fate.moment(f"asking again for {verb}")
            return answer
        if isinstance(answer, Due):
            fences = [work.claim.fence for work in answer.works]
            self.ground.act_as(self.owner, self.claim_ttl)
            self.ground.backend._write(lambda rows: scripts.release(rows, fences))
            self._witness.released(fences, None)
            self._witness.look("release")
        raise BackendError(f"simulated: the answer to {verb} was lost")

    def _failing(self, script: Callable[[Any], T]) -> Callable[[Any], T]:
        """Return the script with an error at its end; without transactions that can go back, at its beginning."""

        def run(rows: Any) -> T:
            if self.name == "sqlite":
                script(rows)
            raise sqlite3.OperationalError(_FULL) if self.name == "sqlite" else BackendError(f"simulated: {_FULL}")

        return run

    def _read(self, script: Callable[[Any], T]) -> T:
        self.fate.moment("before reading")
        if self.fate.error() == "locked":
            raise BackendError("simulated: the database is away")
        answer = self.ground.read(script)
        self.fate.moment("after reading")
        return answer


def _as_it_is(script: T) -> T:
    return script
