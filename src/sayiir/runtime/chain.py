"""Chains of plain sync tasks without storage: nothing is planned or written, values only pass from call to call.

The budget of a run in memory is made here: what is done for each task counts.
"""

from __future__ import annotations

from types import CoroutineType
from typing import Any, Protocol

from sayiir.core.program import EndOp, TaskOp
from sayiir.core.values import PLAIN, encode, plain
from sayiir.runtime.context import FRAME, Frame
from sayiir.runtime.invoke import settle


class Framed(Protocol):
    """The little of a run that a chain of plain calls needs."""

    frame: Frame


def run_chain(run: Framed, op: Any, value: Any) -> tuple[Any, Any]:
    """Call plain sync tasks one after the other, as far as they go without storage or planning.

    Returns:
        The end and the plain result; or the first operation that needs more, and the encoded value it continues from.

    Raises:
        ChainError: a task failed, or a value did not fit; it says at which operation.
    """
    frame = run.frame
    token = FRAME.set(frame)
    phase = 0
    try:
        if type(value) not in op.fast:
            value = op.codec.adapt(value)
        while True:
            frame.op = op
            phase = 1
            value = op.function(value)
            following = op.next
            if following.inline:
                if type(value) not in following.fast:
                    if type(value) is CoroutineType:
                        value = settle(op, value)
                    phase = 2
                    value = following.codec.adapt(value)
                op = following
            else:
                if type(value) is CoroutineType:
                    value = settle(op, value)
                phase = 2
                if type(following) is not EndOp:
                    return following, encode(value, allow_nan=op.nan)
                if type(value) in following.fast:
                    return following, value
                return following, PLAIN.adapt(value) if not op.nan else plain(encode(value, allow_nan=True))
    except Exception as error:
        raise ChainError(op, phase, error) from error
    finally:
        FRAME.reset(token)


class ChainError(Exception):
    """A chain stopped at an operation: phase 0 its input, 1 its function, 2 its result or the next one's input."""

    def __init__(self, op: TaskOp, phase: int, error: Exception) -> None:
        super().__init__(op.id)
        self.op = op
        self.phase = phase
        self.error = error
