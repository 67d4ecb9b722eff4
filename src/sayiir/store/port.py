"""The storage port: what the engine asks of a store, in domain verbs.

A verb is one whole transaction; if two writes must agree they are one verb. Every write of a runner carries its
`Fence`, the right it was given by a claim; a store that finds another epoch writes nothing and raises ClaimLostError.
There is no unfenced variant. A store's clock is the only clock for claims, delays, timeouts and retries. The meaning of
every verb is written once, in `store/scripts/`; the conformance suite (`sayiir.testing.conformance`) holds every
store to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

import msgspec

from sayiir.core.lifecycle import State
from sayiir.core.records import Definition, Move, Position, Record, Ref

ConflictPolicy: TypeAlias = Literal["fail", "use_existing", "terminate_existing"]
POLICIES: tuple[ConflictPolicy, ...] = ("fail", "use_existing", "terminate_existing")
TokenState: TypeAlias = Literal["standing", "ready", "backoff", "waiting", "awaiting", "joining", "done"]
Wake: TypeAlias = Literal["standing", "ready", "backoff", "timer", "signal", "expired"]
"""Why a token may move: nothing done yet, a task to run, the wait of a retry, a time, a signal, a missed deadline."""
CLAIM_TTL = 300.0
"""Seconds until a claim of a live but silent runner is void."""
PRIORITY = 3
"""Of a task that declares none, in an instance that was given none."""
PRIORITIES = (1, 2, 3, 4, 5)
MAX_CRASHES = 3
"""How often a task may take its process with it."""


class Instance(msgspec.Struct):
    """One execution of a workflow, as stored."""

    number: int
    instance_id: str
    definition: int
    """The number of its definition's row."""
    workflow_id: str
    definition_hash: str
    status: State
    input: bytes
    created_at: int
    updated_at: int
    output_ref: Ref | None = None
    error: bytes | None = None
    reason: str | None = None
    actor: str | None = None
    request: Literal["cancel", "pause"] | None = None
    request_reason: str | None = None
    request_actor: str | None = None
    metadata: bytes | None = None
    priority: int | None = None
    halted: bytes | None = None
    """The tokens at the moment the instance failed or was cancelled, for a later retry."""
    trace: str | None = None  # the trace context (W3C traceparent) of its submit, where that was traced


class Token(msgspec.Struct):
    """A position of control, as stored; only unfinished instances have tokens."""

    instance: int
    number: int
    state: TokenState
    node: str
    ref: Ref = 0
    step: int = 0
    attempt: int = 1
    iteration: int = 1
    crashes: int = 0
    keys: tuple[str, ...] = ()
    parent: int | None = None
    due_at: int | None = None
    signal: str | None = None
    owner: int | None = None
    epoch: int = 0
    until: int | None = None
    moved_at: int = 0
    definition: int = 0
    tags: str = ""
    priority: int = PRIORITY
    wake_at: int | None = None
    """When a worker may take it: None while it is claimed, or when only a signal or other branches can move it."""
    avoid: int | None = None  # the owner on which its last attempt failed, while others may have it first

    @property
    def position(self) -> Position:
        """Where the token stands."""
        return Position(self.node, self.ref, self.step, self.attempt, self.iteration, self.crashes, self.keys)

    def place(self, position: Position) -> None:
        """Stand at another position."""
        self.node, self.ref, self.step = position.node, position.ref, position.step
        self.attempt, self.iteration = position.attempt, position.iteration
        self.crashes, self.keys = position.crashes, position.keys


class Signal(msgspec.Struct, frozen=True):
    """A buffered message."""

    id: int
    name: str
    payload: bytes
    sent_at: int


class Fence(msgspec.Struct, frozen=True, gc=False):
    """The right to move one token: any later claim makes it void."""

    instance: int
    token: int
    epoch: int


class Claim(msgspec.Struct, frozen=True):
    """A token that the caller may move now, and why it may."""

    fence: Fence
    position: Position
    wake: Wake
    value: bytes
    due_at: int | None = None
    signal: Signal | None = None
    parked_at: int = 0
    """Since when the token stood there."""


class Lane(msgspec.Struct, frozen=True):
    """The tokens of one definition that ask for the same tags: where a worker looks for work."""

    definition: int
    definition_hash: str
    tags: str


class NewInstance(msgspec.Struct, frozen=True):
    """What `create` stores."""

    instance_id: str
    definition: Definition
    input: bytes
    position: Position
    is_task: bool
    metadata: bytes | None = None
    priority: int | None = None
    trace: str | None = None


class Created(msgspec.Struct, frozen=True):
    """The answer of `create`: the instance, whether it is new, and the main token's claim if one was asked for."""

    instance: Instance
    is_new: bool
    claim: Claim | None = None


class Claimed(msgspec.Struct, frozen=True):
    """The answer of `claim`."""

    instance: Instance
    claims: tuple[Claim, ...]
    busy: bool = False
    """Whether another live runner holds a token of this instance."""
    due_at: int | None = None
    """When the next parked token may move, if a time decides it."""


class Work(msgspec.Struct, frozen=True):
    """A token that a worker got, and the instance it belongs to, without its input."""

    instance: Instance
    claim: Claim


class Due(msgspec.Struct, frozen=True):
    """The answer of `claim_due`."""

    works: tuple[Work, ...]
    next_at: int | None = None
    """When the next token of these lanes may move, if a time decides it."""


class Query(msgspec.Struct, frozen=True):
    """What `find` looks for; None means whatever it is."""

    statuses: tuple[State, ...] | None = None
    workflow_id: str | None = None
    id_prefix: str | None = None
    created_after: int | None = None
    created_before: int | None = None
    metadata: dict[str, object] | None = None
    limit: int = 100
    below: int | None = None
    """Only instances with a smaller number: where the page before ended."""


class Moved(msgspec.Struct, frozen=True):
    """The answer of `checkpoint`.

    `continue`: the token is still the caller's. `signal`: likewise, and the awaited signal is here. `parked`: released
    until `due_at` or a signal. `forked`: the branch tokens are the caller's. `arrived`: waiting for other branches.
    `joined`: the parent token is the caller's. `finished`: the instance ended. `stopped`: a pause or cancel took effect.
    `again`: the signal to be consumed was taken by another token; look again.
    """

    kind: Literal["continue", "signal", "parked", "forked", "arrived", "joined", "finished", "stopped", "again"]
    due_at: int | None = None
    signal: Signal | None = None
    claims: tuple[Claim, ...] = ()
    ended: View | None = None
    """The instance as it ended, with `finished`: it is final, so its runner need not read it again."""


CONTINUE = Moved("continue")


class Order(msgspec.Struct, frozen=True, gc=False):
    """One of many checkpoints that are asked for together."""

    fence: Fence
    move: Move
    consume: Signal | None = None


class Beat(msgspec.Struct, frozen=True):
    """What a heartbeat learned about one claim."""

    fence: Fence
    lost: bool
    request: Literal["cancel", "pause"] | None = None


class View(msgspec.Struct, frozen=True):
    """An instance with its unfinished tokens, and its output when it has one."""

    instance: Instance
    tokens: tuple[Token, ...]
    output: bytes | None = None


class Store(Protocol):
    """A place where instances live."""

    name: str
    claim_ttl: float
    """Seconds until a claim that was taken or beaten through this object is void."""

    def now(self) -> int:
        """Return the store's time in microseconds since 1970."""
        ...

    def create(self, new: NewInstance, policy: ConflictPolicy, *, claim: bool) -> Created:
        """Store a new instance with its main token, or answer by the policy when the id is taken.

        Raises:
            InstanceAlreadyExistsError: the id is taken and the policy is "fail".
            DefinitionMismatchError: it is taken by another definition and the policy is not "terminate_existing".
        """
        ...

    def claim(self, instance_id: str, definition_hash: str, structure: str) -> Claimed:
        """Claim every token of an instance that can move now; claims of dead owners are taken over.

        Raises:
            InstanceNotFoundError, DefinitionMismatchError.
        """
        ...

    def register(self, definitions: list[Definition]) -> list[Lane]:
        """Make definitions known, with what their tasks ask for now; return all lanes that they ever had."""
        ...

    def create_many(self, news: list[NewInstance], policy: ConflictPolicy) -> list[Created]:
        """Store many instances, or none, in order (see `create`); nothing is claimed."""
        ...

    def claim_due(
        self, lanes: list[Lane], limit: int, *, aging: float, max_crashes: int = MAX_CRASHES, suspects: bool = True
    ) -> Due:
        """Claim tokens that may move now, the most urgent first.

        Args:
            lanes: where to look.
            limit: how many at most.
            aging: seconds of waiting that make up for one step of priority.
            max_crashes: a task that took its process with it so often ends its instance as failed.
            suspects: whether a token whose process died may be among them; never more than one.
        """
        ...

    def sweep(self, *, max_crashes: int = MAX_CRASHES) -> int:
        """Free the tokens of owners that died or fell silent; return how many there were."""
        ...

    def find(self, query: Query) -> list[Instance]:
        """Return the newest instances that fit, without inputs, outputs and errors."""
        ...

    def purge(self, before: int, limit: int, after: int = 0) -> tuple[int, int]:
        """Delete instances that ended before a time; return how many, and where to go on (0: all was looked at)."""
        ...

    def checkpoint(
        self, fence: Fence, move: Move, *, consume: Signal | None = None, hold: bool = False, share: bool = False
    ) -> Moved:
        """Write what happened and move the token; `consume` names the signal that this move uses up.

        With `hold` a retry's wait keeps the claim (the caller sleeps it through). With `share` the branches of a fork
        are anybody's, else they are the caller's.

        Raises:
            ClaimLostError: the fence is void; nothing was written.
        """
        ...

    def checkpoint_many(self, orders: list[Order]) -> list[Moved | Exception]:
        """Write many checkpoints, each for itself and none held, forks shared; each is answered, or refused, alone."""
        ...

    def peek_signal(self, fence: Fence, name: str, deadline: int | None) -> Signal | None:
        """Return the oldest buffered signal of a name that was accepted before the deadline."""
        ...

    def heartbeat(self, fences: list[Fence]) -> list[Beat]:
        """Extend claims, and learn which were lost and what was requested meanwhile."""
        ...

    def inspect(self, number: int) -> tuple[State | None, str | None]:
        """Return an instance's status (None when it was replaced) and what is requested of it; only reads."""
        ...

    def release(self, fences: list[Fence]) -> None:
        """Give claims back so that anybody may move the tokens at once; void fences are ignored."""
        ...

    def send_signal(self, instance_id: str, name: str, payload: bytes, dedup_key: str | None = None) -> bool:
        """Buffer a signal; False when the dedup key was seen before.

        Raises:
            InvalidStateError: the instance has finished.
        """
        ...

    def request_cancel(self, instance_id: str, reason: str | None, actor: str | None) -> State:
        """Cancel at once, or ask the running tasks' runner to; return the resulting status."""
        ...

    def request_pause(self, instance_id: str, reason: str | None, actor: str | None) -> State:
        """Pause at once, or ask the running tasks' runner to; return the resulting status."""
        ...

    def unpause(self, instance_id: str) -> State:
        """Let a paused instance go on, or withdraw a pause that has not taken effect."""
        ...

    def retry(self, instance_id: str, design: Callable[[Instance, list[Record]], Restart]) -> None:
        """Bring a failed or cancelled instance back to life as `design` says, which sees its records."""
        ...

    def load(self, instance_id: str) -> View | None:
        """Return an instance, or None."""
        ...

    def history(self, number: int) -> list[Record]:
        """Return all records of an instance in order of start."""
        ...

    def value(self, number: int, ref: Ref) -> bytes:
        """Return the JSON of a stored value, composed when it is made of others.

        Raises:
            BackendError: nothing is stored under the reference.
        """
        ...

    def structure(self, workflow_id: str, definition_hash: str) -> str:
        """Return the stored text of a definition, "" when it is unknown."""
        ...

    def owner_name(self, owner: int) -> str | None:
        """Return the name of the process behind a claim."""
        ...

    def wait_for_hint(self, seen: int, timeout: float | None) -> int:
        """Block until something may have changed since `seen` (0 at first), or the timeout; return the new mark."""
        ...

    def close(self) -> None:
        """Release everything; idempotent."""
        ...


class Restart(msgspec.Struct, frozen=True):
    """What a retry does: the tokens to live again, the records that no longer count, and perhaps a new value."""

    tokens: tuple[Token, ...]
    superseded: tuple[Ref, ...] = ()
    record: Record | None = None


class Pending(msgspec.Struct, frozen=True):
    """What a database lacks of this release's schema."""

    newest: int
    """The number of this release's newest migration."""
    names: tuple[str, ...]
    """Of the migrations that are not applied yet."""
    sql: str
    """All of them as one script; "" when there are none."""
