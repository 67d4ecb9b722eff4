"""The verbs of workers: what may move now, of all instances, and what the dead have left."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

import msgspec

from sayiir.core.lifecycle import TERMINAL, Event, State
from sayiir.core.records import Definition, Failure
from sayiir.errors import BackendError, DeserializationError
from sayiir.store.port import Claim, ConflictPolicy, Created, Due, Fence, Instance, Lane, NewInstance, Token, Work
from sayiir.store.scripts.basis import (
    MICROS,
    check_definition,
    fence_of,
    halt,
    held,
    is_live,
    mismatch,
    note_crash,
    obey,
    rest,
    settle,
    take,
    turn,
)
from sayiir.store.scripts.rows import Owner, Rows
from sayiir.store.scripts.start import awake_of, create, exists

Key: TypeAlias = tuple[int, int]
"""A token: the number of its instance and its own."""
_ANY = (1 << 31) - 1


def register(rows: Rows, definitions: list[Definition]) -> list[Lane]:
    """Make definitions known and return their lanes."""
    return [lane for definition in definitions for lane in rows.lanes(rows.add_definition(definition))]


def create_many(rows: Rows, news: list[NewInstance], policy: ConflictPolicy) -> list[Created]:
    """Store many instances, or none."""
    if policy != "terminate_existing":
        _check_all(rows, news, policy)
    return [create(rows, new, policy, claim=False) for new in news]


def _check_all(rows: Rows, news: list[NewInstance], policy: ConflictPolicy) -> None:
    """Refuse before anything is written: not every store can take back what it wrote."""
    met = dict[str, Definition]()
    for new in news:
        existing, first = rows.instance(new.instance_id), met.setdefault(new.instance_id, new.definition)
        if existing is not None:
            check_definition(rows, existing, new.definition.definition_hash, new.definition.structure)
        if first.definition_hash != new.definition.definition_hash:
            raise mismatch(new.instance_id, first.workflow_id, first.structure, new.definition.structure)
        if policy == "fail" and existing is not None:
            raise exists(new.instance_id, existing.status)
    if policy == "fail" and len(met) < len(news):
        twice = Counter(new.instance_id for new in news).most_common(1)[0][0]
        raise exists(twice, State.IN_PROGRESS)


def last_chance(max_crashes: int) -> int:
    """Return from how many crashes on a task is kept apart: one more would end its instance."""
    return max(max_crashes - 1, 1)


def most_crashes(beside: int, max_crashes: int) -> int:
    """Return how many crashes a token may have at most that a worker takes beside what it has in hand."""
    last = last_chance(max_crashes)
    return 0 if beside >= last else last - 1 if beside else _ANY


def together(crashes: dict[Key, int], max_crashes: int) -> list[Key]:
    """Return which of these tokens, the most urgent first, a worker may take at once.

    Who has died once or so with others is run beside others again, or all that a dead worker had in hand would wait for one
    another. But before the crash that would be the last, each runs by itself, beside tasks only of which no process has
    died: so it is the one that kills whose instance ends.
    """
    last = last_chance(max_crashes)
    marked = any(0 < count < last for count in crashes.values())
    kept, chosen = list[Key](), False
    for key, count in crashes.items():
        if last <= count < max_crashes:  # what has had its last chance is not run, but ended
            if marked or chosen:
                continue
            chosen = True
        kept.append(key)
    return kept


def claim_these(rows: Rows, crashes: dict[Key, int], max_crashes: int) -> list[Work]:
    """Claim these tokens, as far as they may still move and no process has died with them meanwhile."""
    works, now = list[Work](), rows.now()
    rows.be_there()
    for number, token_number in sorted(crashes):
        try:
            instance = rows.instance_by_number(number)
            token = None if instance is None else rows.token(number, token_number)
        except BackendError as error:
            spoil(rows, number, error)
            continue
        if instance is None or token is None or token.owner is not None or token.wake_at is None or token.wake_at > now:
            continue
        if token.crashes != crashes[number, token_number]:
            continue
        work = _claim_one(rows, instance, token, max_crashes, now)
        works += [] if work is None else [work]
    return works


def give_up(rows: Rows, fence: Fence, error: Exception) -> None:
    """End an instance whose value cannot be read: it would be claimed again and again, by everybody."""
    try:
        instance, token = rows.instance_by_number(fence.instance), held(rows, fence)
    except BackendError as damage:
        spoil(rows, fence.instance, damage)
        return
    if instance is not None and token is not None:
        failure = Failure(type(error).__name__, str(error), token.node, token.node, token.attempt)
        _fail(rows, instance, token, failure, rows.now())


def spoil(rows: Rows, number: int, error: BackendError) -> None:
    """End an instance whose own rows cannot be read: left as it is, it would hold up everybody who looks for work."""
    rows.spoil(number, msgspec.json.encode(Failure(type(error).__name__, str(error), "", "")), rows.now())


def claim_due(
    rows: Rows, lanes: list[Lane], limit: int, aging: float, max_crashes: int, beside: int, before: int | None
) -> Due:
    """Claim the most urgent tokens of these lanes."""
    now, works = rows.now(), list[Work]()
    due = rows.due(lanes, now, limit, aging, most_crashes(beside, max_crashes), before)
    tokens = {(token.instance, token.number): token for token in due}
    for key in together({key: token.crashes for key, token in tokens.items()}, max_crashes):
        token = tokens[key]
        try:
            instance = rows.instance_by_number(token.instance)
        except BackendError as error:
            spoil(rows, token.instance, error)
            continue
        assert instance is not None  # noqa: S101 -- a token never outlives its instance
        if instance.status in TERMINAL:
            continue  # a moment ago, by another token of it
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
    except (BackendError, DeserializationError) as error:
        # It would be claimed again and again, by everybody.
        failure = Failure(type(error).__name__, str(error), token.node, token.node, token.attempt)
        _fail(rows, instance, token, failure, now)
        return None
    parked_at = token.moved_at
    take(rows, token, now)
    rows.save_token(token)
    if instance.status is not State.IN_PROGRESS:
        turn(rows, instance, Event.WAKE, now)
    wake, signal = awake
    claim = Claim(fence_of(token), token.position, wake, value, token.due_at, signal, parked_at)
    return Work(msgspec.structs.replace(instance, input=b""), claim)


# --- what the dead have left --------------------------------------------------------------------------------------


def sweep(rows: Rows, max_crashes: int) -> int:
    """Free the tokens of owners that died or fell silent."""
    now, freed = rows.now(), 0
    for owner, alive in _gone(rows, now):
        for found in rows.owned(owner):
            # Looked at again: a request that took effect, or a quarantine, may have freed it with another one.
            token = rows.token(found.instance, found.number)
            is_held = token is not None and token.owner == owner
            freed += _free(rows, token, max_crashes, now) if token is not None and is_held else 1
        if not alive:
            rows.drop_owner(owner)
    return freed


def _gone(rows: Rows, now: int) -> list[tuple[int, bool]]:
    """Return who died or fell silent, and whether it is alive all the same; of the dead none can claim any more."""
    found = []
    for owner in rows.owners():
        if owner.owner != rows.owner and not _is_there(rows, owner, now):
            alive = rows.alive(owner.owner)
            # Before any token, as those who claim do; and one that is not there any more was another's to sweep up after.
            if alive or rows.hold_owner(owner.owner):
                found.append((owner.owner, alive))
    return found


def free(rows: Rows, keys: list[Key], max_crashes: int) -> int:
    """Free these tokens, as far as no live runner holds them."""
    now, freed = rows.now(), 0
    for number, token_number in sorted(keys):
        instance = rows.instance_by_number(number)
        token = None if instance is None else rows.token(number, token_number)
        freed += token is not None and token.owner is not None and _free(rows, token, max_crashes, now)
    return freed


def _is_there(rows: Rows, owner: Owner, now: int) -> bool:
    return owner.beat_at + rows.claim_ttl * MICROS > now and rows.alive(owner.owner)


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
    made = token.attempt - 1  # the token stands at the next one, which is not made
    failure = Failure(
        "WorkerCrashError", message, token.node, token.node, made, code="worker_crash",
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
