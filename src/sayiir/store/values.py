"""What the storage port speaks of: instances, tokens, claims, signals, and the answers of its verbs. Plain values only."""

from __future__ import annotations

from typing import Literal, TypeAlias

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


class Instance(msgspec.Struct, gc=False):
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
    trace: str | None = None  # the W3C trace context of its submit: traceparent, and tracestate after a space


class Token(msgspec.Struct, gc=False):
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


class Signal(msgspec.Struct, frozen=True, gc=False):
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


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A token that the caller may move now, and why it may."""

    fence: Fence
    position: Position
    wake: Wake
    value: bytes
    due_at: int | None = None
    signal: Signal | None = None
    parked_at: int = 0
    """Since when the token stood there."""


class Lane(msgspec.Struct, frozen=True, gc=False):
    """The tokens of one definition that ask for the same tags: where a worker looks for work."""

    definition: int
    definition_hash: str
    tags: str


class NewInstance(msgspec.Struct, frozen=True, gc=False):
    """What `create` stores."""

    instance_id: str
    definition: Definition
    input: bytes
    position: Position
    is_task: bool
    metadata: bytes | None = None
    priority: int | None = None
    trace: str | None = None


class Created(msgspec.Struct, frozen=True, gc=False):
    """The answer of `create`: the instance, whether it is new, and the main token's claim if one was asked for."""

    instance: Instance
    is_new: bool
    claim: Claim | None = None


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """The answer of `claim`."""

    instance: Instance
    claims: tuple[Claim, ...]
    busy: bool = False
    """Whether another live runner holds a token of this instance."""
    due_at: int | None = None
    """When the next parked token may move, if a time decides it."""


class Work(msgspec.Struct, frozen=True, gc=False):
    """A token that a worker got, and the instance it belongs to, without its input."""

    instance: Instance
    claim: Claim


class Due(msgspec.Struct, frozen=True, gc=False):
    """The answer of `claim_due`."""

    works: tuple[Work, ...]
    next_at: int | None = None
    """When the next token of these lanes may move, if a time decides it."""


class Query(msgspec.Struct, frozen=True, gc=False):
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


class Moved(msgspec.Struct, frozen=True, gc=False):
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


class Beat(msgspec.Struct, frozen=True, gc=False):
    """What a heartbeat learned about one claim."""

    fence: Fence
    lost: bool
    request: Literal["cancel", "pause"] | None = None


class View(msgspec.Struct, frozen=True, gc=False):
    """An instance with its unfinished tokens, and its output when it has one."""

    instance: Instance
    tokens: tuple[Token, ...]
    output: bytes | None = None


class Restart(msgspec.Struct, frozen=True, gc=False):
    """What a retry does: the tokens to live again, the records that no longer count, and perhaps a new value."""

    tokens: tuple[Token, ...]
    superseded: tuple[Ref, ...] = ()
    record: Record | None = None


class Pending(msgspec.Struct, frozen=True, gc=False):
    """What a database lacks of this release's schema."""

    newest: int
    """The number of this release's newest migration."""
    names: tuple[str, ...]
    """Of the migrations that are not applied yet."""
    sql: str
    """All of them as one script; "" when there are none."""
