"""The checkpoint: what happened is written and the token moves, in one transaction."""

from __future__ import annotations

from copy import copy

from sayiir.core import plan
from sayiir.core.lifecycle import Event
from sayiir.core.records import Arrive, Await, Complete, Fail, Fork, Move, Run, Wait
from sayiir.core.values import unpack
from sayiir.store.port import CONTINUE, Claim, Fence, Instance, Moved, Signal, Token, View
from sayiir.store.scripts.basis import (
    MICROS,
    cancel,
    fence_of,
    halt,
    held,
    lost,
    obey,
    rest,
    settle,
    turn,
    wake_of,
)
from sayiir.store.scripts.rows import Rows


def checkpoint(
    rows: Rows, fence: Fence, move: Move, consume: Signal | None, hold: bool, share: bool = False
) -> Moved:
    """Write what happened and move the token."""
    if consume is None and type(move.decision) is Run and rows.step(fence, move):
        # The hot path: fence, request flag, position and history in as few writes as the store can.
        return CONTINUE
    if consume is None and type(move.decision) is Complete:
        # The other hot path; who waits for the end gets it with the answer.
        ended = rows.finish(fence, move)
        if ended is not None:
            return Moved("finished", ended=View(ended, (), output_of(rows, fence.instance, move)))
    instance = rows.instance_by_number(fence.instance)
    token = held(rows, fence)
    if token is None or instance is None:
        raise lost(fence)
    now = rows.now()
    if consume is not None and not rows.consume_signal(instance.instance_id, consume, now):
        return Moved("again", due_at=token.due_at)
    # Only who holds the fence can have brought it there: a write that was done though its COMMIT reported an error.
    if not move.records or token.step != move.position.step:
        rows.add_records(fence.instance, move.records)
    if not (token.state == "awaiting" and token.node == move.position.node):
        token.due_at = None  # a wait that is taken up again keeps its deadline
    token.place(move.position)
    token.signal = None
    token.moved_at = now
    if instance.request == "cancel":
        # This token has come to rest, perhaps where no task stands; it must not look as if its process had died.
        token.state = "ready" if isinstance(move.decision, Run) else "standing"
        token.owner = None
        rows.save_token(token)
        cancel(rows, instance, now)
        return Moved("stopped")
    if instance.request == "pause" and not isinstance(move.decision, Fail):
        return _move_and_pause(rows, instance, token, move, now)
    return _decide(rows, instance, token, move, now, hold=hold, share=share)


def _decide(
    rows: Rows, instance: Instance, token: Token, move: Move, now: int, *, hold: bool, share: bool = False
) -> Moved:
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
            return _fork(rows, instance, token, decision, now, share=share)
        case Arrive():
            return _arrive(rows, instance, token, decision, now)
        case Complete():
            instance.output_ref = token.ref
            rows.drop_tokens(instance.number)
            turn(rows, instance, Event.COMPLETE, now)
            return Moved("finished", ended=View(copy(instance), (), output_of(rows, instance.number, move)))
        case Fail():
            instance.error = decision.error
            rows.save_token(token)
            halt(rows, instance)
            turn(rows, instance, Event.FAIL, now)
            return Moved("finished", ended=View(copy(instance), ()))


def output_of(rows: Rows, number: int, move: Move) -> bytes:
    """Return the value that a completed token stands at."""
    found = output_at_hand(move)
    return rows.value(number, move.position.ref) if found is None else found


def output_at_hand(move: Move) -> bytes | None:
    """Return the value that a move leads to if the task has just returned it; mostly it has."""
    last = move.records[-1] if move.records else None
    if last is None or last.ref != move.position.ref or last.output is None:
        return None
    return unpack(last.output)


def _park_wait(rows: Rows, instance: Instance, token: Token, wait: Wait, now: int, *, hold: bool) -> Moved:
    token.state = "backoff" if wait.retry else "waiting"
    token.due_at = now + round(wait.seconds * MICROS)
    if not (wait.retry and hold):
        rest(rows, token, instance)
    rows.save_token(token)
    if token.owner is not None:
        return Moved("continue", due_at=token.due_at)
    settle(rows, instance, now)
    return Moved("parked", due_at=token.due_at)


def _park_await(rows: Rows, instance: Instance, token: Token, awaited: Await, now: int) -> Moved:
    # Looking and parking are one transaction, so a signal cannot slip in between and be overlooked.
    token.state, token.signal = "awaiting", awaited.signal
    deadline = token.due_at
    if deadline is None and awaited.seconds is not None:
        token.due_at = now + round(awaited.seconds * MICROS)
    # When the wait begins, whatever is buffered came before its deadline, however short the wait.
    signal = rows.oldest_signal(instance.instance_id, awaited.signal, deadline)
    if signal is None:
        rest(rows, token, instance)
    rows.save_token(token)
    if signal is not None:
        return Moved("signal", signal=signal, due_at=token.due_at)
    settle(rows, instance, now)
    return Moved("parked", due_at=token.due_at)


def _fork(rows: Rows, instance: Instance, token: Token, fork: Fork, now: int, *, share: bool) -> Moved:
    owner, until = rows.owner, token.until
    token.state = "joining"
    rest(rows, token, instance)
    rows.save_token(token)
    children = [
        Token(
            token.instance, number, "ready" if is_task else "standing", position.node, position.ref, position.step,
            parent=token.number, owner=owner, until=until, epoch=token.epoch + 1, moved_at=now,
        )
        for number, position, is_task in fork.children
    ]  # fmt: skip
    if share:
        for child in children:
            rest(rows, child, instance)
    rows.add_tokens(children)
    if share:
        return Moved("forked")
    value = rows.value(token.instance, token.ref)
    claims = tuple(Claim(fence_of(child), child.position, wake_of(child), value) for child in children)
    return Moved("forked", claims=claims)


def _arrive(rows: Rows, instance: Instance, token: Token, arrive: Arrive, now: int, *, claim: bool = True) -> Moved:
    owner, until = rows.owner, token.until
    token.state = "done"
    rest(rows, token, instance)
    rows.save_token(token)
    if rows.open_branches(instance.number, arrive.parent):
        settle(rows, instance, now)
        return Moved("arrived")
    return join(rows, instance, arrive, owner, until, now, claim=claim)


def join(
    rows: Rows, instance: Instance, arrive: Arrive, owner: int | None, until: int | None, now: int, *, claim: bool = True
) -> Moved:
    """Let the parent go on, all of whose branches have arrived, in the hands of the last one's runner."""
    # Distinct finished branch tokens, not a counter: a branch cannot be counted twice, and none is forgotten.
    tokens = rows.tokens(instance.number)
    branches = [branch for branch in tokens if branch.parent == arrive.parent]
    done = {branch.number: branch.ref for branch in branches}
    refs = {name: done[number] for number, name in arrive.expected}
    (parent,) = (token for token in tokens if token.number == arrive.parent)  # it waits at its fork until this moment
    attempt = plan.Attempt(parent.number, rows.owner_name(rows.owner), parent.moved_at, now)
    record, position = plan.joined(arrive, refs, parent.position, attempt)
    rows.drop_tokens(instance.number, arrive.parent)
    rows.add_records(instance.number, (record,))
    parent.place(position)
    parent.state, parent.moved_at = "ready", now
    # Above every epoch of the branches: should a retry fork here again, no fence of theirs may fit.
    parent.epoch = max(parent.epoch, *(branch.epoch for branch in branches)) + 1
    if claim:
        parent.owner, parent.until = owner, until
    else:
        rest(rows, parent, instance)
    rows.save_token(parent)
    value = rows.value(instance.number, parent.ref)
    return Moved("joined", claims=(Claim(fence_of(parent), position, "ready", value),))


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
        rest(rows, token, instance)
        rows.save_token(token)
    obey(rows, instance, now)
    return Moved("stopped")
