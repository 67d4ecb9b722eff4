"""Holds Ctrl-C back while a change and the note of it must stay together.

Python runs signal handlers in the main thread, between any two of its instructions. A KeyboardInterrupt between a commit
and the line that remembers what was committed would leave a claim that nobody gives back, and one in the middle of a
change to the memory store would leave half of it. Inside `with uninterrupted:` the handler of SIGINT is put off to the
end of the block; blocks are short, and nest. Other threads never run handlers and pass through.
"""

from __future__ import annotations

# The C functions: the wrappers of `signal` turn every number into an enum, which costs ten times as much.
import _signal as signal  # type: ignore[import-not-found]  # the type checkers know only `signal`
import threading
from types import FrameType, TracebackType
from typing import Any

_MAIN = threading.main_thread().ident


class _Uninterrupted:
    """The one block of the main thread, counted."""

    def __init__(self) -> None:
        self._depth = 0
        self._handler: Any = None
        self._held: list[FrameType | None] = []

    def __enter__(self) -> None:
        if threading.get_ident() != _MAIN:
            return
        if self._depth == 0:
            handler = signal.getsignal(signal.SIGINT)
            # Not a Python function: SIG_DFL ends the process, SIG_IGN does nothing; neither runs between lines.
            self._handler = handler if callable(handler) else None
            if self._handler is not None:
                signal.signal(signal.SIGINT, self._hold)
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.get_ident() != _MAIN:
            return
        self._depth -= 1
        if self._depth or self._handler is None:
            return
        handler, self._handler = self._handler, None
        signal.signal(signal.SIGINT, handler)
        held, self._held = self._held, []  # only now: one that came in the line before is delivered too
        if held:
            handler(signal.SIGINT, held[0])

    def _hold(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- a signal handler takes both
        self._held.append(frame)


uninterrupted = _Uninterrupted()
