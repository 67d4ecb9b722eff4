"""The life of an instance: one table, state × event → state.

Everything about which status may follow which stands here: the stores obey it, the conformance suite makes its cases
from it, and `docs/lifecycle.md` is drawn from it. A pair that is not in the table is refused.
"""

from __future__ import annotations

import enum

from sayiir.errors import InvalidStateError


class State(enum.StrEnum):
    """The status of an instance."""

    IN_PROGRESS = "in_progress"
    WAITING = "waiting"
    AWAITING_SIGNAL = "awaiting_signal"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Event(enum.StrEnum):
    """What happens to an instance as a whole."""

    WAKE = "wake"
    WAIT = "wait"
    AWAIT = "await"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    CANCEL = "cancel"
    COMPLETE = "complete"
    FAIL = "fail"
    RETRY = "retry"


_S, _E = State, Event
_LIVE = {
    _E.WAKE: _S.IN_PROGRESS,
    _E.WAIT: _S.WAITING,
    _E.AWAIT: _S.AWAITING_SIGNAL,
    _E.PAUSE: _S.PAUSED,
    _E.CANCEL: _S.CANCELLED,
}

TRANSITIONS: dict[State, dict[Event, State]] = {
    _S.IN_PROGRESS: {**_LIVE, _E.COMPLETE: _S.COMPLETED, _E.FAIL: _S.FAILED},
    _S.WAITING: _LIVE,
    _S.AWAITING_SIGNAL: _LIVE,
    # A pause that is already there and a cancel that already happened are answered, not refused.
    _S.PAUSED: {_E.PAUSE: _S.PAUSED, _E.UNPAUSE: _S.IN_PROGRESS, _E.CANCEL: _S.CANCELLED},
    _S.COMPLETED: {},
    _S.FAILED: {_E.RETRY: _S.IN_PROGRESS},
    _S.CANCELLED: {_E.CANCEL: _S.CANCELLED, _E.RETRY: _S.IN_PROGRESS},
}

TERMINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})

_FIXES = {
    Event.PAUSE: "only an instance that has not finished can be paused",
    Event.UNPAUSE: "only a paused instance can be unpaused",
    Event.CANCEL: "only an instance that has not finished can be cancelled",
    Event.RETRY: "only a failed or cancelled instance can be retried",
}


def next_state(state: State, event: Event, instance_id: str = "") -> State:
    """Return the state that follows.

    Raises:
        InvalidStateError: the table has no such move; the error names the instance, its state and what is allowed.

    >>> next_state(State.WAITING, Event.PAUSE)
    <State.PAUSED: 'paused'>
    """
    following = TRANSITIONS[state].get(event)
    if following is None:
        raise InvalidStateError(
            f"cannot {event} instance {instance_id!r}: it is {state}; {_FIXES.get(event, 'the move is not allowed')}",
            instance_id=instance_id,
            status=str(state),
        )
    return following


def mermaid() -> str:
    """Return the table as a Mermaid state diagram, for the docs."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.IN_PROGRESS}: create"]
    for state, moves in TRANSITIONS.items():
        lines += [f"    {state} --> {following}: {event}" for event, following in moves.items()]
        if state in TERMINAL:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines) + "\n"
