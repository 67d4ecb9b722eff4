"""What the conformance suite stands on: a store on a clock that the test moves, and hands that move its tokens.

The suite speaks to the store through the port alone. It needs no definition: a `Hand` writes the moves that the planner
would plan, so that each test says itself what happens.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from sayiir.core.lifecycle import State
from sayiir.core.plan import COMPLETE, RUN
from sayiir.core.records import (
    Arrive,
    Await,
    Decision,
    Definition,
    Fail,
    Fork,
    Move,
    Position,
    Record,
    Routing,
    Wait,
    ref_of,
)
from sayiir.errors import ClaimLostError
from sayiir.store.port import (
    Beat,
    Claim,
    ConflictPolicy,
    Created,
    Due,
    Instance,
    Lane,
    Moved,
    NewInstance,
    Restart,
    Signal,
    Store,
    Token,
    View,
)
from sayiir.testing.clock import FakeClock

MICROS = 1_000_000
HASH = "hash-1"
STRUCTURE = 'sayiir definition 1\nflow "w"\n  task "one"\n'
ERROR = b'{"error_type":"ValueError","message":"no","task_id":"one","node_id":"one"}'
T = TypeVar("T")

ROUTING: Routing = {}


class Hand:
    """A runner's hand on one token: it makes a move, and remembers where the token stands then."""

    def __init__(self, store: Store, claim: Claim) -> None:
        self.store = store
        self.claim = claim
        self.fence = claim.fence
        self.position = claim.position

    def on(self, store: Store) -> Hand:
        """Return the same right, used through another handle: what a late write does."""
        late = Hand(store, self.claim)
        late.position = self.position
        return late

    def move(
        self, decision: Decision, node: str, *, output: bytes | None = b"null", parts: bytes | None = None,
        consume: Signal | None = None, hold: bool = False, share: bool = False, record: bool = True,
        status: str = "completed",
    ) -> Moved:  # fmt: skip
        """Checkpoint: the node where the token stands has ended, it stands at `node` now, and decides.

        Without `record` nothing has ended: the token only does what it stands for.
        """
        here, now = self.position, self.store.now()
        step = here.step + record
        ref = ref_of(self.fence.token, step) if record and status == "completed" else here.ref
        written = Record(
            ref_of(self.fence.token, step), here.node, "task", here.iteration, here.attempt, status, output, parts,  # type: ignore[arg-type]
            here.ref, None if status == "completed" else ERROR, "me", now, now,
        )  # fmt: skip
        after = Position(node, ref, step, keys=here.keys)
        done = Move((written,) * record, after, decision)
        moved = self.store.checkpoint(self.fence, done, consume=consume, hold=hold, share=share)
        if moved.kind != "again":
            self.position = after
        return moved

    def run(self, node: str = "next", output: bytes = b"null", **more: Any) -> Moved:
        """Go on to another task."""
        return self.move(RUN, node, output=output, **more)

    def wait(self, seconds: float, node: str = "delay") -> Moved:
        """Go on to a delay."""
        return self.move(Wait(seconds), node)

    def fail_once(self, seconds: float, *, hold: bool = False) -> Moved:
        """Fail, to be tried again after a pause."""
        here, now = self.position, self.store.now()
        failed = Record(
            ref_of(self.fence.token, here.step + 1), here.node, "task", here.iteration, here.attempt, "failed",
            source=here.ref, error=ERROR, worker="me", started_at=now, finished_at=now,
        )  # fmt: skip
        again = msgspec.structs.replace(here, step=here.step + 1, attempt=here.attempt + 1)
        moved = self.store.checkpoint(self.fence, Move((failed,), again, Wait(seconds, retry=True)), hold=hold)
        self.position = again
        return moved

    def again(self) -> Moved:
        """Start the task where the token stands: a retry begins."""
        return self.store.checkpoint(self.fence, Move((), self.position, RUN))

    def await_signal(self, signal: str = "go", seconds: float | None = None, node: str = "gate") -> Moved:
        """Go on to a signal's wait."""
        return self.move(Await(signal, seconds), node)

    def await_on(self, signal: str = "go", seconds: float | None = None) -> Moved:
        """Go on waiting where the token stands: the signal was another token's."""
        return self.store.checkpoint(self.fence, Move((), self.position, Await(signal, seconds)))

    def consume(self, signal: Signal | None, node: str = "next") -> Moved:
        """The awaited signal is here: go on to another task with its payload."""
        assert signal is not None
        return self.move(RUN, node, output=signal.payload, consume=signal)

    def fork(
        self, *branches: str, first: int = 1, is_task: bool = True, output: bytes = b"null", share: bool = False
    ) -> list[Hand]:
        """Go on to a fork; the branches get the token numbers from `first` on. Shared ones are anybody's."""
        ref = ref_of(self.fence.token, self.position.step + 1)
        children = tuple(
            (number, Position(name, ref, self.position.step + 1), is_task)
            for number, name in enumerate(branches, start=first)
        )
        moved = self.move(Fork(children), "fork", output=output, share=share)
        assert moved.kind == "forked"
        return [Hand(self.store, claim) for claim in moved.claims]

    def arrive(self, *expected: str, first: int = 1, parent: int = 0, output: bytes = b"null") -> Moved:
        """End this branch at the join."""
        tokens = tuple((number, name) for number, name in enumerate(expected, start=first))
        return self.move(Arrive(parent, "fork", "join", tokens), f"fork::{self.fence.token}", output=output)

    def complete(self, output: bytes = b"null") -> Moved:
        """End the instance."""
        return self.move(COMPLETE, "$end", output=output)

    def fail(self) -> Moved:
        """Fail for good."""
        return self.move(Fail(ERROR), self.position.node, output=None, status="failed")

    def beat(self) -> Beat:
        """Keep the claim alive."""
        (beat,) = self.store.heartbeat([self.fence])
        return beat

    def release(self) -> None:
        """Give the claim back."""
        self.store.release([self.fence])


class StoreSuite:
    """The base of the suite's parts; a store's own tests say here how to open it.

    Each test gets `clock`, a FakeClock that the store must run on, `folder`, an empty folder, and `store`. A store that
    asks a server for the time overrides `pass_time` to shift that, and says with `instant` how exact it is.
    """

    clock: FakeClock
    folder: Path
    store: Store
    instant = 1e-6
    """Seconds: two moments closer than this are the same to the tests. A store whose time flows by itself says more."""

    def open_store(self) -> Store:
        """Open a store on `self.clock` whose data are in `self.folder`, or wherever each test finds its own."""
        raise NotImplementedError

    def reopen(self) -> Store:
        """Open a second handle on the data of `self.store`; where only one object can see them, return that."""
        raise NotImplementedError

    def abandon(self) -> Store:
        """Let the owner of the claims of `self.store` die without a word; return a living store on the same data."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _stage(self, tmp_path: Path) -> Iterator[None]:
        self.clock, self.folder = FakeClock(), tmp_path
        self._opened: list[Store] = []
        self.store = self.opened(self.open_store())
        yield
        for store in self._opened:
            store.close()

    # --- what tests do --------------------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Let the store's time, and that of all its handles, pass."""
        self.clock.advance(seconds)

    def opened(self, store: Store) -> Store:
        """Note a store to be closed at the test's end."""
        self._opened.append(store)
        return store

    def crash(self) -> None:
        """Let the owner die; `self.store` is a living one from now on."""
        self.store = self.opened(self.abandon())

    def second(self) -> Store:
        """Return a second handle on the same data."""
        return self.opened(self.reopen())

    def new(self, instance_id: str = "a", **more: Any) -> NewInstance:
        """Return what `create` is given."""
        definition = Definition(
            more.pop("workflow_id", "w"),
            more.pop("definition_hash", HASH),
            more.pop("structure", STRUCTURE),
            more.pop("routing", ROUTING),
        )
        fields: dict[str, Any] = {"input": b'{"n":1}', "position": Position("one"), "is_task": True, **more}
        return NewInstance(instance_id, definition, **fields)

    def submit(self, instance_id: str = "a", policy: ConflictPolicy = "fail", **more: Any) -> Created:
        """Create an instance that nobody runs yet."""
        return self.store.create(self.new(instance_id, **more), policy, claim=False)

    def start(self, instance_id: str = "a", policy: ConflictPolicy = "fail", **more: Any) -> Hand:
        """Create an instance and begin to run it."""
        created = self.store.create(self.new(instance_id, **more), policy, claim=True)
        assert created.claim is not None
        return Hand(self.store, created.claim)

    def claims(self, instance_id: str = "a") -> list[Hand]:
        """Claim what can move."""
        return [Hand(self.store, claim) for claim in self.store.claim(instance_id, HASH, STRUCTURE).claims]

    def claimed(self, instance_id: str = "a") -> Hand:
        """Claim the one token that can move."""
        (hand,) = self.claims(instance_id)
        return hand

    def lanes(self, routing: Routing = ROUTING, **more: Any) -> list[Lane]:
        """Register the definition of `new` with what its tasks ask for; return where its work stands."""
        return self.store.register([self.new(routing=routing, **more).definition])

    def due(self, limit: int = 100, *, lanes: list[Lane] | None = None, aging: float = 300.0, **more: Any) -> Due:
        """Ask for work as a worker does; in the lanes of the definition of `new` when no others are given."""
        return self.store.claim_due(self.lanes() if lanes is None else lanes, limit, aging=aging, **more)

    def works(self, limit: int = 100, **more: Any) -> list[Hand]:
        """Take work as a worker does (see `due`)."""
        return [Hand(self.store, work.claim) for work in self.due(limit, **more).works]

    def work(self, **more: Any) -> Hand:
        """Take the one token that a worker can have."""
        (hand,) = self.works(**more)
        return hand

    def taken(self, limit: int = 100, **more: Any) -> list[str]:
        """Take work; return the names of its instances in the order given."""
        return [work.instance.instance_id for work in self.due(limit, **more).works]

    def retry(self, instance_id: str = "a", *tokens: Token, **more: Any) -> None:
        """Bring an ended instance back: with these tokens, or one that stands ready at its first task."""
        number = self.view(instance_id).instance.number
        revived = tokens or (Token(number, 0, "ready", "one", step=100),)
        self.store.retry(instance_id, lambda _instance, _records: Restart(revived, **more))

    # --- what tests see -------------------------------------------------------------------------------------------

    def is_now(self, moment: int | None, ahead: float = 0.0) -> bool:
        """Return whether a moment is the present one, or lies so many seconds ahead of it (behind, if negative)."""
        return moment is not None and abs(moment - round(ahead * MICROS) - self.store.now()) < self.instant * MICROS

    def view(self, instance_id: str = "a") -> View:
        """Return the instance as stored."""
        view = self.store.load(instance_id)
        assert view is not None
        return view

    def instance(self, instance_id: str = "a") -> Instance:
        """Return the instance's row."""
        return self.view(instance_id).instance

    def status(self, instance_id: str = "a") -> State:
        """Return the instance's status."""
        return self.instance(instance_id).status

    def token(self, number: int = 0, instance_id: str = "a") -> Token:
        """Return one unfinished token."""
        (token,) = (token for token in self.view(instance_id).tokens if token.number == number)
        return token

    def history(self, instance_id: str = "a") -> list[Record]:
        """Return the instance's records."""
        return self.store.history(self.instance(instance_id).number)

    def facts(self, instance_id: str = "a") -> tuple[Any, ...]:
        """Return everything that can be read of an instance, to compare before and after."""
        view = self.store.load(instance_id)
        return () if view is None else (view.instance, view.tokens, view.output, self.history(instance_id))

    def value(self, instance_id: str = "a") -> bytes:
        """Return the value that the main token goes on from."""
        return self.store.value(self.instance(instance_id).number, self.token(0, instance_id).ref)

    def is_void(self, hand: Hand) -> None:
        """Assert that a hand can do nothing any more: every write of it is refused and changes nothing."""
        before = self.facts()
        for decision in decisions(hand):
            with pytest.raises(ClaimLostError):
                hand.on(self.store).move(decision, "elsewhere")
        assert hand.on(self.store).beat().lost
        hand.on(self.store).release()
        assert self.facts() == before


def decisions(hand: Hand) -> list[Decision]:
    """Return a decision of each kind that a token could take."""
    child = (90, Position("b", hand.position.ref), True)
    return [
        RUN, Wait(1.0), Wait(1.0, retry=True), Await("go"), Await("go", 1.0), Fork((child,)),
        Arrive(0, "fork", "join", ((90, "b"),)), COMPLETE, Fail(ERROR),
    ]  # fmt: skip


def at_once(calls: list[Callable[[], T]]) -> list[T | Exception]:
    """Make all calls at the same time from threads of their own; return their results or errors in order."""
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
    return [failure if isinstance(failure := future.exception(), Exception) else future.result() for future in futures]


def orders(names: str) -> list[tuple[str, ...]]:
    """Return every order of single-letter names."""
    return list(itertools.permutations(names))
