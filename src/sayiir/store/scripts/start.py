"""The verbs that give out work: create and claim."""

from __future__ import annotations

from copy import copy

from sayiir.core.lifecycle import TERMINAL, Event, State
from sayiir.errors import InstanceAlreadyExistsError
from sayiir.store.port import Claim, Claimed, ConflictPolicy, Created, Instance, NewInstance, Signal, Token, Wake
from sayiir.store.scripts.basis import (
    check_definition,
    fence_of,
    found,
    is_live,
    is_running,
    note_crash,
    obey,
    rest,
    settle,
    take,
    turn,
    wake_of,
)
from sayiir.store.scripts.rows import Rows


def create(rows: Rows, new: NewInstance, policy: ConflictPolicy, *, claim: bool) -> Created:
    """Store a new instance, or answer by the policy."""
    now = rows.now()
    if claim:
        rows.be_there()
    while (instance := rows.add_instance(new, now)) is None:
        existing = rows.instance(new.instance_id)
        if existing is None:
            continue  # it was replaced or purged at this moment
        if policy != "terminate_existing":
            check_definition(rows, existing, new.definition.definition_hash, new.definition.structure)
            if policy == "use_existing":
                return Created(copy(existing), is_new=False)
            raise exists(existing.instance_id, existing.status)
        # A late write of the old run finds no token to move, since its number is never given again.
        rows.drop_signals(new.instance_id)
        rows.drop_instance(existing)
        instance = rows.add_instance(new, now, above=existing.number)
        if instance is not None:
            break
    token = Token(instance.number, 0, "ready" if new.is_task else "standing", new.position.node, moved_at=now)
    if claim:
        token.definition = instance.definition
        take(rows, token, now)
    else:
        rest(rows, token, instance)
    rows.add_tokens([token])
    claimed = Claim(fence_of(token), new.position, wake_of(token), new.input) if claim else None
    return Created(copy(instance), is_new=True, claim=claimed)


def exists(instance_id: str, status: State) -> InstanceAlreadyExistsError:
    """Return the error for an id that is taken."""
    return InstanceAlreadyExistsError(
        f"instance {instance_id!r} already exists and is {status}; use another id, or "
        'conflict_policy="use_existing" or "terminate_existing"',
        instance_id=instance_id,
        status=str(status),
    )


def claim(rows: Rows, instance_id: str, definition_hash: str, structure: str) -> Claimed:
    """Claim what can move."""
    rows.be_there()
    instance = found(rows, instance_id)
    check_definition(rows, instance, definition_hash, structure)
    if instance.status in TERMINAL or instance.status is State.PAUSED:
        return Claimed(copy(instance), ())
    now, tokens = rows.now(), rows.tokens(instance.number)
    if instance.request is not None:
        return _claim_requested(rows, instance, tokens, now)
    busy, dropped, due = False, False, []
    found_awake: list[tuple[Token, Wake, Signal | None, bytes]] = []
    for token in tokens:
        if token.state in ("joining", "done"):
            continue
        if is_live(rows, token, now):
            busy = True
        elif (awake := awake_of(rows, instance, token, now)) is not None:
            # All values are read before the first write: one that cannot be read refuses the whole claim.
            found_awake.append((token, *awake, rows.value(instance.number, token.ref)))
        else:
            due += [token.due_at] if token.due_at is not None else []
            if token.owner is not None:
                dropped = True
                rest(rows, token, instance)
                rows.save_token(token)
    claims = tuple(_take(rows, *awake, now) for awake in found_awake)
    if claims and instance.status is not State.IN_PROGRESS:
        turn(rows, instance, Event.WAKE, now)
    elif dropped:
        settle(rows, instance, now)
    return Claimed(copy(instance), claims, busy, min(due, default=None))


def _claim_requested(rows: Rows, instance: Instance, tokens: list[Token], now: int) -> Claimed:
    """Nothing starts while a cancel or pause is pending; if the runner that should obey died, it takes effect now."""
    if any(is_running(rows, token, now) for token in tokens):
        return Claimed(copy(instance), (), busy=True)
    obey(rows, instance, now)
    return Claimed(copy(instance), ())


def _take(rows: Rows, token: Token, wake: Wake, signal: Signal | None, value: bytes, now: int) -> Claim:
    note_crash(rows, token, now)
    parked_at = token.moved_at
    take(rows, token, now)
    rows.save_token(token)
    return Claim(fence_of(token), token.position, wake, value, token.due_at, signal, parked_at)


def awake_of(rows: Rows, instance: Instance, token: Token, now: int) -> tuple[Wake, Signal | None] | None:
    """Return why a token may move now, with the signal that came for it; None when it may not."""
    if token.state == "waiting":
        return ("timer", None) if token.due_at is not None and token.due_at <= now else None
    if token.state == "awaiting":
        signal = rows.oldest_signal(instance.instance_id, token.signal or "", token.due_at)
        if signal is not None:
            return "signal", signal
        return ("expired", None) if token.due_at is not None and token.due_at <= now else None
    return wake_of(token), None
