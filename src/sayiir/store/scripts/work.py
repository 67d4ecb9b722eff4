"""The verbs of workers: what may move now, of all instances, and what the dead have left."""

from __future__ import annotations

from copy import copy

import msgspec

from sayiir.core.lifecycle import TERMINAL, Event, State
from sayiir.core.records import Definition, Failure
from sayiir.errors import BackendError
from sayiir.store.port import CLAIM_TTL, Claim, ConflictPolicy, Created, Due, Instance, Lane, NewInstance, Token, Work
from sayiir.store.scripts.basis import MICROS, fence_of, halt, is_live, note_crash, obey, rest, settle, take, turn
from sayiir.store.scripts.rows import Owner, Rows
from sayiir.store.scripts.start import awake_of, create


def register(rows: Rows, definitions: list[Definition]) -> list[Lane]:
    """Make definitions known and return their lanes."""
    return [lane for definition in definitions for lane in rows.lanes(rows.add_definition(definition))]


def create_many(rows: Rows, news: list[NewInstance], policy: ConflictPolicy) -> list[Created]:
    """Store many instances, or none."""
    return [create(rows, new, policy, claim=False) for new in news]


def claim_due(rows: Rows, lanes: list[Lane], limit: int, aging: float, max_crashes: int, suspects: bool) -> Due:
    """Claim the most urgent tokens of these lanes."""
    now, works = rows.now(), list[Work]()
    for token in rows.due(lanes, now, limit, aging, suspects):
        instance = rows.instance_by_number(token.instance)
        assert instance is not None  # noqa: S101 -- a token never outlives its instance
        if token.crashes:
            if not suspects:
                continue
            # One at a time: which of several has killed their process nobody could tell.
            suspects = False
        work = _claim_one(rows, instance, token, max_crashes, now)
        if work is not None:
            works.append(work)
    return Due(tuple(works), None if len(works) == limit else rows.next_wake(lanes))


def _claim_one(rows: Rows, instance: Instance, token: Token, max_crashes: int, now: int) -> Work | None:
    if token.crashes >= max_crashes:
        quarantine(rows, instance, token, now)
        return None
    awake = awake_of(rows, instance, token, now)
    if awake is None:  # another token of the instance took the signal that woke this one
        rest(rows, token, instance)
        rows.save_token(token)
        return None
    try:
        value = rows.value(instance.number, token.ref)
    except BackendError as error:
        # It would be claimed again and again, by everybody.
        _fail(rows, instance, token, Failure("BackendError", str(error), token.node, token.node, token.attempt), now)
        return None
    parked_at = token.moved_at
    take(rows, token, now)
    rows.save_token(token)
    if instance.status is not State.IN_PROGRESS:
        turn(rows, instance, Event.WAKE, now)
    wake, signal = awake
    claim = Claim(fence_of(token), token.position, wake, value, token.due_at, signal, parked_at)
    return Work(copy(instance), claim)


# --- what the dead have left --------------------------------------------------------------------------------------


def sweep(rows: Rows, max_crashes: int) -> int:
    """Free the tokens of owners that died or fell silent."""
    now, freed = rows.now(), 0
    for owner in rows.owners():
        if owner.owner == rows.owner or _is_there(rows, owner, now):
            continue
        alive = rows.alive(owner.owner)
        tokens = rows.owned(owner.owner)
        for token in tokens:
            freed += _free(rows, token, max_crashes, now)
        if not alive:
            rows.drop_owner(owner.owner)
    return freed


def _is_there(rows: Rows, owner: Owner, now: int) -> bool:
    return owner.beat_at + CLAIM_TTL * MICROS > now and rows.alive(owner.owner)


def _free(rows: Rows, token: Token, max_crashes: int, now: int) -> bool:
    instance = rows.instance_by_number(token.instance)
    if instance is None or instance.status in TERMINAL or is_live(rows, token, now):
        return False
    note_crash(rows, token, now)
    rest(rows, token, instance)
    rows.save_token(token)
    if instance.request is not None:
        obey(rows, instance, now)
    elif token.crashes >= max_crashes:
        quarantine(rows, instance, token, now)
    else:
        settle(rows, instance, now)
    return True


def quarantine(rows: Rows, instance: Instance, token: Token, now: int) -> None:
    """End an instance whose task took its process with it again and again."""
    message = (
        f"the process that ran task {token.node!r} died {token.crashes} times while it ran; it is not tried again. "
        "Look why it kills its process (memory, a crash of native code), then retry the instance"
    )
    failure = Failure(
        "WorkerCrashError", message, token.node, token.node, token.attempt, code="worker_crash",
        details={"crashes": token.crashes},
    )  # fmt: skip
    _fail(rows, instance, token, failure, now)


def _fail(rows: Rows, instance: Instance, token: Token, failure: Failure, now: int) -> None:
    if instance.status is not State.IN_PROGRESS:
        turn(rows, instance, Event.WAKE, now)
    instance.error = msgspec.json.encode(failure)
    token.owner = None
    rows.save_token(token)
    halt(rows, instance)
    turn(rows, instance, Event.FAIL, now)
