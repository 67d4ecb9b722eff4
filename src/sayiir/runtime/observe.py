"""What the runtime tells whoever watches it: tracing, metrics, the keeping of log lines.

Nobody watches unless asked to; then each place that tells something costs one look at `watchers`. A watcher never
disturbs a run: what it raises is logged, once for each kind of error, and the run goes on. Watchers are told by the very
thread or coroutine that does the work, in the task's own context, so they must be quick.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakSet

from sayiir.runtime.log import log

if TYPE_CHECKING:
    from sayiir.runtime.context import Frame
    from sayiir.runtime.shift import Shift
    from sayiir.store.port import Instance

    Found: TypeAlias = Callable[[], Instance | None]


class Watcher:
    """Hears what happens; a subclass overrides what it is interested in."""

    def attempt(self, frame: Frame) -> AbstractContextManager[object]:  # noqa: ARG002 -- for subclasses
        """Be around one attempt of a task; its exception passes through."""
        return nullcontext()

    def failed(self, frame: Frame, error: BaseException, *, retried: bool) -> None:
        """Hear that an attempt failed, and whether there will be another."""

    def checkpointed(self, seconds: float, count: int) -> None:
        """Hear that so many checkpoints were durable after so many seconds."""

    def claim_lost(self, facts: dict[str, Any]) -> None:
        """Hear that the store refused a late write."""

    def submitting(self, workflow_id: str, instance_id: str | None) -> AbstractContextManager[str | None]:  # noqa: ARG002
        """Be around the creation of an instance (of many: None); the value is the trace context to store with it."""
        return nullcontext()

    def signalling(self, name: str, instance_id: str, found: Found) -> AbstractContextManager[object]:  # noqa: ARG002
        """Be around the sending of a signal; `found` tells its instance, None where it is not there yet."""
        return nullcontext()

    def asked(self, given: str) -> AbstractContextManager[object]:  # noqa: ARG002 -- for subclasses
        """Be around what a request of another process makes happen; `given` is its W3C trace context, unchecked."""
        return nullcontext()


watchers: tuple[Watcher, ...] = ()
"""Who watches; replaced as a whole, never changed in place."""
shifts: WeakSet[Shift] = WeakSet()
"""The workers of this process that are at work."""
_told: set[tuple[type, type]] = set()
_LONGEST_STATE = 512


def watch(watcher: Watcher) -> None:
    """Let somebody watch from now on; idempotent."""
    global watchers  # noqa: PLW0603 -- one process-wide list, read without a lock by every step
    if watcher not in watchers:
        watchers = (*watchers, watcher)


def unwatch(watcher: Watcher) -> None:
    """Let somebody watch no more; idempotent."""
    global watchers  # noqa: PLW0603 -- likewise
    watchers = tuple(other for other in watchers if other is not watcher)


@contextmanager
def attempt(frame: Frame) -> Generator[None]:
    """Let all watchers be around an attempt."""
    with _around([(one, partial(one.attempt, frame)) for one in watchers]):
        yield


@contextmanager
def submitting(workflow_id: str, instance_id: str | None) -> Generator[str | None]:
    """Let all watchers be around the creation of an instance; give the trace context to store with it."""
    with _around([(one, partial(one.submitting, workflow_id, instance_id)) for one in watchers]) as values:
        yield next((value for value in values if value is not None), None)


@contextmanager
def signalling(name: str, instance_id: str, found: Found) -> Generator[None]:
    """Let all watchers be around the sending of a signal."""
    with _around([(one, partial(one.signalling, name, instance_id, found)) for one in watchers]):
        yield


@contextmanager
def asked(given: str | None) -> Generator[None]:
    """Let all watchers be around what a request makes happen, if it came with a trace context."""
    with _around([(one, partial(one.asked, given)) for one in watchers] if given is not None else []):
        yield


def trace_text(parent: str | None, state: str | None) -> str | None:
    """Return a W3C trace context (`traceparent`, `tracestate`) as the one text that is stored.

    A state longer than what all must carry on (512 characters) is left out; https://www.w3.org/TR/trace-context/ allows it.

    >>> trace_text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1")
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 vendor=1'
    """
    return f"{parent} {state}" if parent and state and len(state) <= _LONGEST_STATE else parent


def failed(frame: Frame, error: BaseException, *, retried: bool) -> None:
    """Tell all watchers that an attempt failed."""
    _tell(lambda watcher: watcher.failed(frame, error, retried=retried))


def checkpointed(seconds: float, count: int) -> None:
    """Tell all watchers that checkpoints are durable."""
    _tell(lambda watcher: watcher.checkpointed(seconds, count))


def claim_lost(facts: dict[str, Any]) -> None:
    """Tell all watchers that a late write was refused."""
    _tell(lambda watcher: watcher.claim_lost(facts))


def _tell(call: Callable[[Watcher], None]) -> None:
    for watcher in watchers:
        try:
            call(watcher)
        except Exception as error:  # noqa: BLE001 -- a watcher never disturbs a run
            _note(watcher, error)


class _Guard:
    """A watcher's context manager that cannot disturb what it is around: its own errors are noted, others pass."""

    def __init__(self, watcher: Watcher, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self._watcher = watcher
        self._make = make
        self._inner: AbstractContextManager[Any] | None = None

    def __enter__(self) -> Any:
        try:
            inner = self._make()
            value = inner.__enter__()
        except Exception as error:  # noqa: BLE001 -- a watcher never disturbs a run
            _note(self._watcher, error)
            return None
        self._inner = inner
        return value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._inner is None:
            return
        try:
            self._inner.__exit__(kind, error, trace)
        except BaseException as raised:
            if raised is error:
                return  # a generator's way of letting it pass
            if not isinstance(raised, Exception):
                raise
            _note(self._watcher, raised)


@contextmanager
def _around(parts: list[tuple[Watcher, Callable[[], AbstractContextManager[Any]]]]) -> Generator[list[Any]]:
    with ExitStack() as stack:
        yield [stack.enter_context(_Guard(watcher, make)) for watcher, make in parts]


def _note(watcher: Watcher, error: Exception) -> None:
    key = type(watcher), type(error)
    if key not in _told:
        _told.add(key)
        log().warning("%s failed; the run goes on, and this is not said again", type(watcher).__name__, exc_info=error)
