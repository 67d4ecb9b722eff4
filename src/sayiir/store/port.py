"""The storage port: what the engine asks of a store, in domain verbs.

A verb is one whole transaction; if two writes must agree they are one verb. Every write of a runner carries its
`Fence`, the right it was given by a claim; a store that finds another epoch writes nothing and raises ClaimLostError.
There is no unfenced variant. A store's clock is the only clock for claims, delays, timeouts and retries. The meaning of
every verb is written once, in `store/scripts/`; the conformance suite (`sayiir.testing.conformance`) holds every
store to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sayiir.core.lifecycle import State
from sayiir.core.records import Definition, Move, Record, Ref
from sayiir.store.values import (
    CLAIM_TTL,
    CONTINUE,
    MAX_CRASHES,
    POLICIES,
    PRIORITIES,
    PRIORITY,
    Beat,
    Claim,
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
    Pending,
    Query,
    Restart,
    Signal,
    Token,
    TokenState,
    View,
    Wake,
    Work,
)

__all__ = [
    "CLAIM_TTL",
    "CONTINUE",
    "MAX_CRASHES",
    "POLICIES",
    "PRIORITIES",
    "PRIORITY",
    "Beat",
    "Claim",
    "Claimed",
    "ConflictPolicy",
    "Created",
    "Due",
    "Fence",
    "Instance",
    "Lane",
    "Moved",
    "NewInstance",
    "Order",
    "Pending",
    "Query",
    "Restart",
    "Signal",
    "Store",
    "Token",
    "TokenState",
    "View",
    "Wake",
    "Work",
]


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
        self, lanes: list[Lane], limit: int, *, aging: float, max_crashes: int = MAX_CRASHES, beside: int = 0,
        before: int | None = None,
    ) -> Due:
        """Claim tokens that may move now, the most urgent first.

        Args:
            lanes: where to look.
            limit: how many at most.
            aging: seconds of waiting that make up for one step of priority.
            max_crashes: a task that took its process with it so often ends its instance as failed.
            beside: the most crashes of any token that the caller has in hand; what it may not have beside that is left out.
            before: only what comes before this place in the order, which is (time since when + priority × aging).
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
