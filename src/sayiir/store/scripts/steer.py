"""The verbs from outside: steering, signals, claims kept and given back, reading, retrying."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Literal

from sayiir.core.lifecycle import TERMINAL, Event, State, next_state
from sayiir.core.records import Record
from sayiir.errors import BackendError, InvalidStateError
from sayiir.store.columns import fresh_epoch
from sayiir.store.port import Beat, Fence, Instance, Restart, View
from sayiir.store.scripts.basis import MICROS, found, held, is_running, obey, rest, rouse, settle
from sayiir.store.scripts.rows import Rows


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
        rouse(rows, instance)
        return instance.status
    instance.status = next_state(instance.status, Event.UNPAUSE, instance_id)
    instance.reason = instance.actor = None
    instance.updated_at = now
    rows.save_instance(instance)
    rouse(rows, instance)
    settle(rows, instance, now)
    return instance.status


def _request(
    rows: Rows, instance: Instance, what: Literal["cancel", "pause"], reason: str | None, actor: str | None, now: int
) -> None:
    instance.request, instance.request_reason, instance.request_actor = what, reason, actor
    if not any(is_running(rows, token, now) for token in rows.tokens(instance.number)):
        obey(rows, instance, now)
        return
    rows.mark_tokens(instance.number, requested=True)
    rows.save_instance(instance)


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
    if not rows.add_signal(instance_id, name, payload, dedup_key, rows.now()):
        return False
    if instance is not None:
        _wake(rows, instance, name)
    return True


def wake_for(rows: Rows, instance_id: str, name: str) -> None:
    """Let workers look at the tokens that await a signal."""
    instance = rows.instance(instance_id)
    if instance is not None:
        _wake(rows, instance, name)


def _wake(rows: Rows, instance: Instance, name: str) -> None:
    if instance.request is None and instance.status is not State.PAUSED:
        rows.wake_awaiting(instance.number, name, rows.now())


# --- claims kept and given back -----------------------------------------------------------------------------------


def heartbeat(rows: Rows, fences: list[Fence]) -> list[Beat]:
    """Extend claims and report."""
    beats, now = [], rows.now()
    rows.beat(now)
    for fence in fences:
        try:
            token, instance = held(rows, fence), rows.instance_by_number(fence.instance)
        except BackendError:
            token = instance = None  # damaged: its own loss, and not that of all other claims
        if token is None:
            beats.append(Beat(fence, lost=True))
            continue
        token.until = now + int(rows.claim_ttl * MICROS)
        rows.save_token(token)
        beats.append(Beat(fence, lost=False, request=None if instance is None else instance.request))
    return beats


def release(rows: Rows, fences: list[Fence]) -> None:
    """Give claims back; a request that waited for them takes effect."""
    now, touched = rows.now(), dict[int, Instance]()
    for fence in sorted(fences, key=lambda fence: fence.instance):
        instance = touched.get(fence.instance) or rows.instance_by_number(fence.instance)
        token = held(rows, fence)
        if token is not None and instance is not None:
            rest(rows, token, instance)
            rows.save_token(token)
            touched[fence.instance] = instance
    for instance in touched.values():
        if instance.request is not None:
            obey(rows, instance, now)
        else:
            settle(rows, instance, now)


# --- reading and retrying -----------------------------------------------------------------------------------------


def inspect(rows: Rows, number: int) -> tuple[State | None, str | None]:
    """Return status and request."""
    instance = rows.instance_by_number(number)
    return (None, None) if instance is None else (instance.status, instance.request)


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
    epoch = fresh_epoch(instance)
    tokens = [copy(token) for token in restart.tokens]
    for token in tokens:
        # Whatever the design says: nobody holds them, and no fence of the earlier life fits again.
        token.epoch = max(token.epoch, epoch)
        token.moved_at = now
    instance.status, instance.updated_at = following, now
    for token in tokens:
        rest(rows, token, instance)
    rows.add_tokens(tokens)
    instance.error = instance.halted = instance.reason = instance.actor = None
    rows.save_instance(instance)
    settle(rows, instance, now)


def purge(rows: Rows, before: int, limit: int, after: int) -> tuple[int, int]:
    """Delete what ended long ago, with its history and signals."""
    ended, upto = rows.ended(before, limit, after)
    if ended:
        rows.drop_ended(ended)
    return len(ended), upto
