"""What several verbs need: finding an instance, claims, the status, and requests that take effect."""

from __future__ import annotations

import msgspec

from sayiir.core.lifecycle import TERMINAL, Event, State, next_state
from sayiir.core.records import Record, ref_of
from sayiir.core.structure import difference
from sayiir.errors import ClaimLostError, DefinitionMismatchError, InstanceNotFoundError
from sayiir.store.port import PRIORITY, Fence, Instance, Token, Wake
from sayiir.store.scripts.rows import Rows

MICROS = 1_000_000
GRACE = 100_000
"""Microseconds for which a retry that is due is left to others than the owner on which the task failed."""

# --- finding ------------------------------------------------------------------------------------------------------


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


def lost(fence: Fence) -> ClaimLostError:
    """Return the error for a void fence."""
    return ClaimLostError(
        "the claim was lost: another runner took this instance over, or it was cancelled, paused or replaced; "
        f"nothing was written (instance number {fence.instance}, token {fence.token}, epoch {fence.epoch})"
    )


def check_definition(rows: Rows, instance: Instance, definition_hash: str, structure: str) -> None:
    """Refuse a workflow that is not the one the instance was started with, and say what differs."""
    if instance.definition_hash != definition_hash:
        stored = rows.structure(instance.workflow_id, instance.definition_hash) or ""
        raise mismatch(instance.instance_id, instance.workflow_id, stored, structure)


def mismatch(instance_id: str, workflow_id: str, stored: str, given: str) -> DefinitionMismatchError:
    """Return the error for a workflow that is not the one of the instance."""
    differing = difference(stored, given)
    return DefinitionMismatchError(
        f"instance {instance_id!r} was started with another definition of workflow "
        f"{workflow_id!r} (- stored, + given); use the stored one, or another instance id:\n{differing}",
        instance_id=instance_id,
        workflow_id=workflow_id,
        difference=differing,
    )


# --- claims -------------------------------------------------------------------------------------------------------


def fence_of(token: Token) -> Fence:
    """Return the right that the token's present claim gives."""
    return Fence(token.instance, token.number, token.epoch)


def held(rows: Rows, fence: Fence) -> Token | None:
    """Return the token if the fence is still good, else None."""
    token = rows.token(fence.instance, fence.token)
    return None if token is None or token.epoch != fence.epoch or token.owner is None else token


def take(rows: Rows, token: Token, now: int) -> None:
    """Claim a token; its new epoch makes every earlier fence void."""
    token.owner, token.until, token.wake_at = rows.owner, now + int(rows.claim_ttl * MICROS), None
    token.avoid = None
    token.epoch += 1
    token.moved_at = now


def rest(rows: Rows, token: Token, instance: Instance) -> None:
    """Leave a token to anybody, where workers find it; its epoch stays, as the next claim will raise it."""
    if token.state != "backoff":
        token.avoid = None
    elif token.owner is not None:
        # What is wrong may be wrong with this process or its host: its memory, its disk, its network.
        token.avoid = token.owner if rows.in_company() else None
    token.owner = token.until = None
    token.definition = instance.definition
    priority, token.tags = rows.routing(instance.definition).get(token.node, (None, ""))
    token.priority = priority or instance.priority or PRIORITY
    hushed = instance.request is not None or instance.status is State.PAUSED
    token.wake_at = None if hushed else wake_time(rows, token, instance)


def wake_time(rows: Rows, token: Token, instance: Instance) -> int | None:
    """Return from when on a token that nobody holds may be taken; None when only an event can tell."""
    if token.state in ("ready", "standing"):
        return token.moved_at
    # A signal that was found and not consumed, or came in a pause, wakes nobody a second time.
    if token.state == "awaiting" and rows.oldest_signal(instance.instance_id, token.signal or "", token.due_at):
        return token.moved_at
    return None if token.state in ("joining", "done") else token.due_at


def rouse(rows: Rows, instance: Instance) -> None:
    """Let workers find the tokens again that a pause or a request has hidden from them."""
    for token in rows.tokens(instance.number):
        if token.owner is None:
            rest(rows, token, instance)
            rows.save_token(token)


def is_live(rows: Rows, token: Token, now: int) -> bool:
    """Return whether a live runner holds the token."""
    return token.owner is not None and (token.until or 0) > now and rows.alive(token.owner)


def is_running(rows: Rows, token: Token, now: int) -> bool:
    """Return whether a live runner does something there, rather than sleep through a wait."""
    return token.state in ("ready", "standing") and is_live(rows, token, now)


def wake_of(token: Token) -> Wake:
    """Return why a token that waits for nothing may move."""
    return token.state if token.state == "standing" or token.state == "backoff" else "ready"  # noqa: PLR1714 -- for the type checkers


def note_crash(rows: Rows, token: Token, now: int) -> None:
    """Count and record an execution whose process died; a token that merely slept or stood is not blamed."""
    if token.state != "ready" or token.owner is None:
        return
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


# --- status -------------------------------------------------------------------------------------------------------


def turn(rows: Rows, instance: Instance, event: Event, now: int) -> None:
    """Change the status as the table says."""
    instance.status = next_state(instance.status, event, instance.instance_id)
    if instance.status in TERMINAL:
        # What was requested of it and did not come to pass is over with it, or a retry would meet it again.
        instance.request = instance.request_reason = instance.request_actor = None
    instance.updated_at = now
    rows.save_instance(instance)


def settle(rows: Rows, instance: Instance, now: int) -> None:
    """Let the status say what the tokens wait for, once none of them can move."""
    if instance.status is State.PAUSED or instance.status in TERMINAL:
        return
    census = rows.census(instance.number)
    if census.claimed or census.ready:
        return
    event = Event.AWAIT if census.awaiting else Event.WAIT if census.waiting else None
    if event is not None and instance.status is not next_state(instance.status, event):
        turn(rows, instance, event, now)


def halt(rows: Rows, instance: Instance) -> None:
    """Take the tokens out of the hot table and keep them with the instance, for a retry."""
    instance.halted = msgspec.json.encode(rows.tokens(instance.number))
    rows.drop_tokens(instance.number)


# --- requests that take effect ------------------------------------------------------------------------------------


def obey(rows: Rows, instance: Instance, now: int) -> None:
    """Let a request take effect; a pause waits until no other task of the instance is running."""
    if instance.request == "cancel":
        cancel(rows, instance, now)
        return
    if any(is_running(rows, token, now) for token in rows.tokens(instance.number)):
        return
    _void_claims(rows, instance, now)
    rows.mark_tokens(instance.number, requested=False)  # and hidden from workers, until it goes on
    _apply_reason(instance)
    turn(rows, instance, Event.PAUSE, now)


def cancel(rows: Rows, instance: Instance, now: int) -> None:
    """Cancel now, whatever runs: a runner's next write finds no token."""
    _void_claims(rows, instance, now)
    _apply_reason(instance)
    halt(rows, instance)
    turn(rows, instance, Event.CANCEL, now)


def _apply_reason(instance: Instance) -> None:
    instance.reason, instance.actor = instance.request_reason, instance.request_actor
    instance.request = instance.request_reason = instance.request_actor = None


def _void_claims(rows: Rows, instance: Instance, now: int) -> None:
    """Make the fences void of runners that sleep through a backoff or died; what died is recorded."""
    for token in rows.tokens(instance.number):
        if token.owner is not None:
            if not is_live(rows, token, now):
                note_crash(rows, token, now)
            rest(rows, token, instance)
            rows.save_token(token)
