"""What each verb means, written once over single rows.

A script runs inside one transaction of the store that calls it, with `Rows` as its hands; it looks before it writes, so
a refusal leaves nothing half done. Stores with cheap row access (memory, SQLite) run these scripts as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Literal, Protocol

import msgspec

from sayiir.core import plan
from sayiir.core.lifecycle import TERMINAL, Event, State, next_state
from sayiir.core.records import (
    Arrive,
    Await,
    Complete,
    Fail,
    Fork,
    Move,
    Position,
    Record,
    Ref,
    Run,
    Wait,
    ref_of,
)
from sayiir.core.structure import difference
from sayiir.errors import (
    ClaimLostError,
    DefinitionMismatchError,
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    InvalidStateError,
)
from sayiir.store.port import (
    CLAIM_TTL,
    CONTINUE,
    Beat,
    Claim,
    Claimed,
    ConflictPolicy,
    Created,
    Fence,
    Instance,
    Moved,
    NewInstance,
    Restart,
    Signal,
    Token,
    View,
    Wake,
)

MICROS = 1_000_000


class Census(msgspec.Struct, frozen=True):
    """How an instance's tokens stand: how many are claimed, ready, awaiting a signal, waiting for a time."""

    claimed: int = 0
    ready: int = 0
    awaiting: int = 0
    waiting: int = 0


class Rows(Protocol):
    """Row access inside one open transaction."""

    owner: int

    def now(self) -> int: ...
    def alive(self, owner: int) -> bool: ...
    def owner_name(self, owner: int) -> str | None: ...
    def instance(self, instance_id: str) -> Instance | None: ...
    def instance_by_number(self, number: int) -> Instance | None: ...
    def add_instance(self, new: NewInstance, now: int) -> Instance: ...
    def save_instance(self, instance: Instance) -> None: ...
    def drop_instance(self, instance: Instance) -> None: ...
    def structure(self, workflow_id: str, definition_hash: str) -> str | None: ...
    def add_structure(self, workflow_id: str, definition_hash: str, structure: str) -> None: ...
    def tokens(self, number: int) -> list[Token]: ...
    def token(self, number: int, token: int) -> Token | None: ...
    def census(self, number: int) -> Census: ...
    def open_branches(self, number: int, parent: int) -> int: ...
    def add_tokens(self, tokens: list[Token]) -> None: ...
    def save_token(self, token: Token) -> None: ...
    def step_token(self, fence: Fence, position: Position, now: int) -> bool: ...
    def drop_tokens(self, number: int, parent: int | None = None) -> None: ...
    def mark_tokens(self, number: int, requested: bool) -> None: ...
    def add_records(self, number: int, records: tuple[Record, ...]) -> None: ...
    def oldest_signal(self, instance_id: str, name: str, deadline: int | None) -> Signal | None: ...
    def add_signal(self, instance_id: str, name: str, payload: bytes, dedup_key: str | None, now: int) -> bool: ...
    def consume_signal(self, instance_id: str, signal: Signal, now: int) -> bool: ...
    def drop_signals(self, instance_id: str) -> None: ...
    def value(self, number: int, ref: Ref) -> bytes: ...
    def records(self, number: int) -> list[Record]: ...
    def supersede(self, number: int, refs: tuple[Ref, ...]) -> None: ...


# --- create and claim ---------------------------------------------------------------------------------------------


def create(rows: Rows, new: NewInstance, policy: ConflictPolicy, *, claim: bool) -> Created:
    """Store a new instance, or answer by the policy."""
    existing = rows.instance(new.instance_id)
    if existing is not None:
        if policy != "terminate_existing":
            check_definition(rows, existing, new.definition_hash, new.structure)
            if policy == "use_existing":
                return Created(copy(existing), is_new=False)
            raise InstanceAlreadyExistsError(
                f"instance {new.instance_id!r} already exists and is {existing.status}; use another id, or "
                'conflict_policy="use_existing" or "terminate_existing"',
                instance_id=new.instance_id,
                status=str(existing.status),
            )
        # The number dies with the row, so a late write of the old run finds no token to move.
        rows.drop_signals(new.instance_id)
        rows.drop_instance(existing)
    now = rows.now()
    rows.add_structure(new.workflow_id, new.definition_hash, new.structure)
    instance = rows.add_instance(new, now)
    token = Token(instance.number, 0, "ready" if new.is_task else "standing", new.position.node, moved_at=now)
    if claim:
        _take(rows, token, now)
    rows.add_tokens([token])
    claimed = Claim(_fence(token), new.position, _wake(token), new.input) if claim else None
    return Created(copy(instance), is_new=True, claim=claimed)


def check_definition(rows: Rows, instance: Instance, definition_hash: str, structure: str) -> None:
    """Refuse a workflow that is not the one the instance was started with, and say what differs."""
    if instance.definition_hash == definition_hash:
        return
    stored = rows.structure(instance.workflow_id, instance.definition_hash) or ""
    differing = difference(stored, structure)
    raise DefinitionMismatchError(
        f"instance {instance.instance_id!r} was started with another definition of workflow "
        f"{instance.workflow_id!r} (- stored, + given); use the stored one, or another instance id:\n{differing}",
        instance_id=instance.instance_id,
        workflow_id=instance.workflow_id,
        difference=differing,
    )


def found(rows: Rows, instance_id: str) -> Instance:
    """Return the instance or raise InstanceNotFoundError."""
    instance = rows.instance(instance_id)
    if instance is None:
        raise not_found(instance_id)
    return instance


def not_found(instance_id: str) -> InstanceNotFoundError:
    """Return the error for an unknown id."""
    return InstanceNotFoundError(
        f"instance {instance_id!r} not found; check the id and the backend", instance_id=instance_id
    )


def claim(rows: Rows, instance_id: str, definition_hash: str, structure: str) -> Claimed:
    """Claim what can move."""
    instance = found(rows, instance_id)
    check_definition(rows, instance, definition_hash, structure)
    if instance.status in TERMINAL or instance.status is State.PAUSED:
        return Claimed(copy(instance), ())
    now, claims, busy = rows.now(), [], False
    due: list[int] = []
    for token in rows.tokens(instance.number):
        if token.state in ("joining", "done"):
            continue
        if token.owner is not None and _is_live(rows, token, now):
            busy = True
            continue
        awake = _awake(rows, instance, token, now)
        if awake is None:
            due += [token.due_at] if token.due_at is not None else []
            continue
        if token.owner is not None:
            _note_crash(rows, token, now)
        parked_at, (wake, signal) = token.moved_at, awake
        _take(rows, token, now)
        value = rows.value(instance.number, token.ref)
        claims.append(Claim(_fence(token), token.position, wake, value, token.due_at, signal, parked_at))
        rows.save_token(token)
    if instance.request is not None and not busy:
        # The runner that should have obeyed died: the request takes effect now, before anything runs.
        _obey(rows, instance, now)
        return Claimed(copy(instance), ())
    if claims and instance.status is not State.IN_PROGRESS:
        _turn(rows, instance, Event.WAKE, now)
    return Claimed(copy(instance), tuple(claims), busy, min(due, default=None))


def _awake(rows: Rows, instance: Instance, token: Token, now: int) -> tuple[Wake, Signal | None] | None:
    if token.state == "waiting":
        return ("timer", None) if token.due_at is not None and token.due_at <= now else None
    if token.state == "awaiting":
        signal = rows.oldest_signal(instance.instance_id, token.signal or "", token.due_at)
        if signal is not None:
            return "signal", signal
        return ("expired", None) if token.due_at is not None and token.due_at <= now else None
    return _wake(token), None


def _wake(token: Token) -> Wake:
    return token.state if token.state == "standing" or token.state == "backoff" else "ready"


def _note_crash(rows: Rows, token: Token, now: int) -> None:
    """Count and record an execution whose process died; a token that merely slept or stood is not blamed."""
    if token.state != "ready":
        return
    assert token.owner is not None  # noqa: S101 -- only called for claimed tokens
    token.step += 1
    rows.add_records(
        token.instance,
        (
            Record(
                ref_of(token.number, token.step), token.node, "task", token.iteration, token.attempt, "crashed",
                source=token.ref, worker=rows.owner_name(token.owner), started_at=token.moved_at, finished_at=now,
            ),
        ),
    )  # fmt: skip
    token.attempt += 1
    token.crashes += 1


def _take(rows: Rows, token: Token, now: int) -> None:
    token.owner, token.until = rows.owner, now + int(CLAIM_TTL * MICROS)
    token.epoch += 1
    token.moved_at = now


def _drop_claim(token: Token) -> None:
    token.owner = token.until = None


def _fence(token: Token) -> Fence:
    return Fence(token.instance, token.number, token.epoch)


def _is_live(rows: Rows, token: Token, now: int) -> bool:
    return token.owner is not None and (token.until or 0) > now and rows.alive(token.owner)


# --- checkpoint ---------------------------------------------------------------------------------------------------


def checkpoint(rows: Rows, fence: Fence, move: Move, consume: Signal | None, hold: bool) -> Moved:  # noqa: FBT001
    """Write what happened and move the token."""
    if consume is None and type(move.decision) is Run and rows.step_token(fence, move.position, rows.now()):
        # The hot path: fence, request flag and position in one update, then the history.
        rows.add_records(fence.instance, move.records)
        return CONTINUE
    token = rows.token(fence.instance, fence.token)
    if token is None or token.epoch != fence.epoch or token.owner is None:
        raise lost(fence)
    instance = rows.instance_by_number(fence.instance)
    assert instance is not None  # noqa: S101 -- a token never outlives its instance
    now = rows.now()
    if consume is not None and not rows.consume_signal(instance.instance_id, consume, now):
        return Moved("again", due_at=token.due_at)
    rows.add_records(fence.instance, move.records)
    if not (token.state == "awaiting" and token.node == move.position.node):
        token.due_at = None  # a wait that is taken up again keeps its deadline
    token.place(move.position)
    token.signal = None
    token.moved_at = now
    if instance.request == "cancel":
        rows.save_token(token)
        _cancel(rows, instance, now)
        return Moved("stopped")
    if instance.request == "pause" and not isinstance(move.decision, Fail):
        return _move_and_pause(rows, instance, token, move, now)
    return _decide(rows, instance, token, move, now, hold=hold)


def lost(fence: Fence) -> ClaimLostError:
    """Return the error for a void fence."""
    return ClaimLostError(
        "the claim was lost: another runner took this instance over, or it was cancelled, paused or replaced; "
        f"nothing was written (instance number {fence.instance}, token {fence.token}, epoch {fence.epoch})"
    )


def _decide(rows: Rows, instance: Instance, token: Token, move: Move, now: int, *, hold: bool) -> Moved:
    decision = move.decision
    match decision:
        case Run():
            token.state, token.due_at = "ready", None
            rows.save_token(token)
            return CONTINUE
        case Wait():
            return _park_wait(rows, instance, token, decision, now, hold=hold)
        case Await():
            return _park_await(rows, instance, token, decision, now)
        case Fork():
            return _fork(rows, token, decision, now)
        case Arrive():
            return _arrive(rows, instance, token, decision, now)
        case Complete():
            instance.output_ref = token.ref
            rows.drop_tokens(instance.number)
            _turn(rows, instance, Event.COMPLETE, now)
            return Moved("finished")
        case Fail():
            instance.error = decision.error
            rows.save_token(token)
            _halt(rows, instance)
            _turn(rows, instance, Event.FAIL, now)
            return Moved("finished")


def _park_wait(rows: Rows, instance: Instance, token: Token, wait: Wait, now: int, *, hold: bool) -> Moved:
    token.state = "backoff" if wait.retry else "waiting"
    token.due_at = now + round(wait.seconds * MICROS)
    if not (wait.retry and hold):
        _drop_claim(token)
    rows.save_token(token)
    if token.owner is not None:
        return Moved("continue", due_at=token.due_at)
    _settle(rows, instance, now)
    return Moved("parked", due_at=token.due_at)


def _park_await(rows: Rows, instance: Instance, token: Token, awaited: Await, now: int) -> Moved:
    # Looking and parking are one transaction, so a signal cannot slip in between and be overlooked.
    token.state, token.signal = "awaiting", awaited.signal
    if token.due_at is None and awaited.seconds is not None:
        token.due_at = now + round(awaited.seconds * MICROS)
    signal = rows.oldest_signal(instance.instance_id, awaited.signal, token.due_at)
    if signal is None:
        _drop_claim(token)
    rows.save_token(token)
    if signal is not None:
        return Moved("signal", signal=signal, due_at=token.due_at)
    _settle(rows, instance, now)
    return Moved("parked", due_at=token.due_at)


def _fork(rows: Rows, token: Token, fork: Fork, now: int) -> Moved:
    owner, until = token.owner, token.until
    token.state = "joining"
    _drop_claim(token)
    rows.save_token(token)
    children = [
        Token(
            token.instance, number, "ready" if is_task else "standing", position.node, position.ref, position.step,
            parent=token.number, owner=owner, until=until, epoch=token.epoch + 1, moved_at=now,
        )
        for number, position, is_task in fork.children
    ]  # fmt: skip
    rows.add_tokens(children)
    value = rows.value(token.instance, token.ref)
    claims = tuple(Claim(_fence(child), child.position, _wake(child), value) for child in children)
    return Moved("forked", claims=claims)


def _arrive(rows: Rows, instance: Instance, token: Token, arrive: Arrive, now: int, *, claim: bool = True) -> Moved:
    owner, until = token.owner, token.until
    token.state = "done"
    _drop_claim(token)
    rows.save_token(token)
    if rows.open_branches(instance.number, arrive.parent):
        _settle(rows, instance, now)
        return Moved("arrived")
    # Distinct finished branch tokens, not a counter: a branch cannot be counted twice, and none is forgotten.
    done = {branch.number: branch.ref for branch in rows.tokens(instance.number) if branch.parent == arrive.parent}
    refs = {name: done[number] for number, name in arrive.expected}
    parent = rows.token(instance.number, arrive.parent)
    assert parent is not None  # noqa: S101 -- the parent waits at its fork until this moment
    attempt = plan.Attempt(parent.number, rows.owner_name(rows.owner), parent.moved_at, now)
    record, position = plan.joined(arrive, refs, parent.position, attempt)
    rows.drop_tokens(instance.number, arrive.parent)
    rows.add_records(instance.number, (record,))
    parent.place(position)
    parent.state, parent.moved_at = "ready", now
    # Above every epoch of the branches, so that no fence of theirs can ever fit again.
    parent.epoch = max(parent.epoch, token.epoch) + 1
    if claim:
        parent.owner, parent.until = owner, until
    rows.save_token(parent)
    value = rows.value(instance.number, parent.ref)
    return Moved("joined", claims=(Claim(_fence(parent), position, "ready", value),))


def _move_and_pause(rows: Rows, instance: Instance, token: Token, move: Move, now: int) -> Moved:
    """Make the move as far as it needs no runner, then give the token back and pause."""
    decision = move.decision
    if isinstance(decision, Fork | Complete):
        token.state = "standing"  # both are done when the instance goes on
    elif isinstance(decision, Arrive):
        _arrive(rows, instance, token, decision, now, claim=False)
    else:
        _decide(rows, instance, token, move, now, hold=False)
    if token.owner is not None:
        _drop_claim(token)
        rows.save_token(token)
    _obey(rows, instance, now)
    return Moved("stopped")


# --- steering -----------------------------------------------------------------------------------------------------


def request_cancel(rows: Rows, instance_id: str, reason: str | None, actor: str | None) -> State:
    """Cancel now or at the next boundary."""
    instance, now = found(rows, instance_id), rows.now()
    next_state(instance.status, Event.CANCEL, instance_id)
    if instance.status is State.CANCELLED or instance.request == "cancel":
        return instance.status
    _request(rows, instance, "cancel", reason, actor, now)
    return instance.status


def request_pause(rows: Rows, instance_id: str, reason: str | None, actor: str | None) -> State:
    """Pause now or at the next boundary."""
    instance, now = found(rows, instance_id), rows.now()
    next_state(instance.status, Event.PAUSE, instance_id)
    if instance.status is State.PAUSED or instance.request is not None:
        return instance.status
    _request(rows, instance, "pause", reason, actor, now)
    return instance.status


def unpause(rows: Rows, instance_id: str) -> State:
    """Go on, or withdraw the request."""
    instance, now = found(rows, instance_id), rows.now()
    if instance.request == "pause":
        instance.request = instance.request_reason = instance.request_actor = None
        rows.mark_tokens(instance.number, requested=False)
        rows.save_instance(instance)
        return instance.status
    instance.status = next_state(instance.status, Event.UNPAUSE, instance_id)
    instance.reason = instance.actor = None
    instance.updated_at = now
    rows.save_instance(instance)
    _settle(rows, instance, now)
    return instance.status


def _request(  # noqa: PLR0913
    rows: Rows, instance: Instance, what: Literal["cancel", "pause"], reason: str | None, actor: str | None, now: int
) -> None:
    instance.request, instance.request_reason, instance.request_actor = what, reason, actor
    running = any(
        token.state in ("ready", "standing") and _is_live(rows, token, now) for token in rows.tokens(instance.number)
    )
    if not running:
        _obey(rows, instance, now)
        return
    rows.mark_tokens(instance.number, requested=True)
    rows.save_instance(instance)


def _obey(rows: Rows, instance: Instance, now: int) -> None:
    """Let a request take effect; a pause waits until no other task of the instance is running."""
    if instance.request == "cancel":
        _cancel(rows, instance, now)
        return
    tokens = rows.tokens(instance.number)
    if any(token.state in ("ready", "standing") and _is_live(rows, token, now) for token in tokens):
        return
    for token in tokens:
        if token.owner is not None:
            # A runner that sleeps through a backoff, or died: its fence must not fit any more.
            _drop_claim(token)
            token.epoch += 1
            rows.save_token(token)
    rows.mark_tokens(instance.number, requested=False)
    instance.reason, instance.actor = instance.request_reason, instance.request_actor
    instance.request = instance.request_reason = instance.request_actor = None
    _turn(rows, instance, Event.PAUSE, now)


def _cancel(rows: Rows, instance: Instance, now: int) -> None:
    instance.reason, instance.actor = instance.request_reason, instance.request_actor
    instance.request = instance.request_reason = instance.request_actor = None
    _halt(rows, instance)
    _turn(rows, instance, Event.CANCEL, now)


def _halt(rows: Rows, instance: Instance) -> None:
    """Take the tokens out of the hot table and keep them with the instance, for a retry."""
    instance.halted = msgspec.json.encode(rows.tokens(instance.number))
    rows.drop_tokens(instance.number)


def _turn(rows: Rows, instance: Instance, event: Event, now: int) -> None:
    instance.status = next_state(instance.status, event, instance.instance_id)
    instance.updated_at = now
    rows.save_instance(instance)


def _settle(rows: Rows, instance: Instance, now: int) -> None:
    """Let the status say what the tokens wait for, once none of them can move."""
    if instance.status is State.PAUSED or instance.status in TERMINAL:
        return
    census = rows.census(instance.number)
    if census.claimed or census.ready:
        return
    event = Event.AWAIT if census.awaiting else Event.WAIT if census.waiting else None
    if event is not None and instance.status is not next_state(instance.status, event):
        _turn(rows, instance, event, now)


def send_signal(rows: Rows, instance_id: str, name: str, payload: bytes, dedup_key: str | None) -> bool:
    """Buffer a signal."""
    instance = rows.instance(instance_id)
    if instance is not None and instance.status in TERMINAL:
        raise InvalidStateError(
            f"cannot send signal {name!r} to instance {instance_id!r}: it is {instance.status}; "
            "only an instance that has not finished takes signals",
            instance_id=instance_id,
            status=str(instance.status),
            signal_name=name,
        )
    return rows.add_signal(instance_id, name, payload, dedup_key, rows.now())


# --- claims kept and given back -----------------------------------------------------------------------------------


def heartbeat(rows: Rows, fences: list[Fence]) -> list[Beat]:
    """Extend claims and report."""
    beats, now = [], rows.now()
    for fence in fences:
        token = rows.token(fence.instance, fence.token)
        if token is None or token.epoch != fence.epoch or token.owner is None:
            beats.append(Beat(fence, lost=True))
            continue
        token.until = now + int(CLAIM_TTL * MICROS)
        rows.save_token(token)
        instance = rows.instance_by_number(fence.instance)
        beats.append(Beat(fence, lost=False, request=None if instance is None else instance.request))
    return beats


def inspect(rows: Rows, number: int) -> tuple[State | None, str | None]:
    """Return status and request."""
    instance = rows.instance_by_number(number)
    return (None, None) if instance is None else (instance.status, instance.request)


def release(rows: Rows, fences: list[Fence]) -> None:
    """Give claims back; a request that waited for them takes effect."""
    now, touched = rows.now(), set()
    for fence in fences:
        token = rows.token(fence.instance, fence.token)
        if token is not None and token.epoch == fence.epoch and token.owner is not None:
            _drop_claim(token)
            rows.save_token(token)
            touched.add(fence.instance)
    for number in touched:
        instance = rows.instance_by_number(number)
        if instance is not None and instance.request is not None:
            _obey(rows, instance, now)
        elif instance is not None:
            _settle(rows, instance, now)


# --- reading and retrying -----------------------------------------------------------------------------------------


def load(rows: Rows, instance_id: str) -> View | None:
    """Return the instance, its tokens and its output."""
    instance = rows.instance(instance_id)
    if instance is None:
        return None
    output = None if instance.output_ref is None else rows.value(instance.number, instance.output_ref)
    return View(copy(instance), tuple(copy(token) for token in rows.tokens(instance.number)), output)


def retry(rows: Rows, instance_id: str, design: Callable[[Instance, list[Record]], Restart]) -> None:
    """Bring a failed or cancelled instance back to life."""
    instance, now = found(rows, instance_id), rows.now()
    following = next_state(instance.status, Event.RETRY, instance_id)
    restart = design(copy(instance), rows.records(instance.number))
    rows.supersede(instance.number, restart.superseded)
    if restart.record is not None:
        rows.add_records(instance.number, (restart.record,))
    rows.add_tokens([copy(token) for token in restart.tokens])
    instance.status, instance.updated_at = following, now
    instance.error = instance.halted = instance.reason = instance.actor = None
    rows.save_instance(instance)
    _settle(rows, instance, now)
