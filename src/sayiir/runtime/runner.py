"""What the executor asks of whoever moves a token: an in-process run, or one job of a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from sayiir.clock import Clock
    from sayiir.core.program import Program
    from sayiir.core.records import Position
    from sayiir.runtime.context import Frame
    from sayiir.store.base import ScriptedStore


class Runner(Protocol):
    """Moves tokens of one instance.

    Attributes:
        store: where checkpoints go.
        program: the definition.
        clock: for timeouts and chance.
        worker: the name that the timeline shows.
        frame: what tasks see of the instance.
        cause: the exception behind the instance's failure.
        causes: the last exception of each token.
        stopping: called off: no further task starts.
    """

    store: ScriptedStore
    program: Program
    clock: Clock
    worker: str | None
    frame: Frame
    cause: BaseException | None
    causes: dict[int, BaseException]
    stopping: bool

    def keeps(self, position: Position) -> bool:
        """Return whether a token that has just got to this task stays here; else it is left to anybody."""
        ...

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop for async tasks."""
        ...

    def abandon_loop(self) -> None:
        """Leave a loop that a task blocks."""
        ...

    def add_cancel(self, cancel: Callable[[], object]) -> None:
        """Note how to cancel something that is running."""
        ...

    def remove_cancel(self, cancel: Callable[[], object]) -> None:
        """Forget it: it has ended."""
        ...

    def call_off(self) -> None:
        """Stop: no further task starts, async work is cancelled."""
        ...
