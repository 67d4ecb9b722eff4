"""One process's life, from its start to its end, played inside the test's own process.

An *effect* is a moment at which a process may die and somebody can tell the difference: before and after each verb of
the store, before and after the code of each task. A `Life` is a store as one process sees it; it counts the effects and
may end at any of them. After its end nothing of it reaches the store and no task of it runs. Before a verb means "not
applied", after it "applied, but nobody got the answer".
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from sayiir.errors import BackendError
from sayiir.store.base import ScriptedStore
from sayiir.store.port import CLAIM_TTL, Fence
from sayiir.testing.clock import MICROS, FakeClock

Moment: TypeAlias = Callable[[int, str], None]
"""Called at each effect with its number and name; raises SimulatedCrash to end the life, or acts from outside."""

_WRITES = (
    "create", "claim", "checkpoint", "heartbeat", "release", "send_signal",
    "request_cancel", "request_pause", "unpause", "retry",
)  # fmt: skip
_MOMENT_SECS = 0.001
_READS = ("peek_signal", "inspect", "load", "history", "value", "structure", "owner_name")


class SimulatedCrash(BaseException):
    """The process dies here. Not an Exception: like a SIGKILL, no task and no handler of errors may survive it."""


class LeapClock(FakeClock):
    """A fake clock on which a timed wait is soon over, having lasted exactly as long as was asked for.

    It really waits for a moment, so that who only looks now and then lets the others work. Waits without a limit are
    real waits. Time stands still otherwise, so that ties are common.

    >>> from sayiir import Flow, InMemoryBackend, RetryPolicy, run_durable_workflow, task
    >>> failures = [ValueError("twice"), ValueError("once")]
    >>> @task(retries=RetryPolicy(5, initial_delay_secs=3600))
    ... def flaky(x):
    ...     if failures:
    ...         raise failures.pop()
    ...     return x
    >>> clock = LeapClock()
    >>> backend = InMemoryBackend(clock=clock, private=True)
    >>> run_durable_workflow(Flow("w").then(flaky).build(), "a", 1, backend).output, clock.monotonic()
    (1, 10800.0)
    """

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Let a timed wait pass unless a notice comes at once; wait for a notice when there is no limit."""
        if timeout is None:
            return super().wait(condition, None)
        if condition.wait(_MOMENT_SECS):
            return True
        self.advance(max(timeout, 1e-6))
        return False


class Life(ScriptedStore):
    """A store as one process sees it from its start to its end.

    Args:
        store: the store itself, which outlives it.
        moment: called at every effect; whatever it raises comes out of the verb or task.
    """

    # No thread watches over its runs, since it would outlive the process; claims are kept alive at every effect.
    private = True

    def __init__(self, store: ScriptedStore, moment: Moment | None = None) -> None:
        super().__init__(store.clock)
        self.store = store
        self.name = store.name
        self.worker_name = store.worker_name
        self.hints = store.hints
        self.effects: list[str] = []
        self.ended = False
        self._moment = moment
        self._fences: dict[tuple[int, int], Fence] = {}
        self._beaten = store.now()
        self._mutex = threading.RLock()

    def effect(self, name: str) -> None:
        """Count an effect, and end here if the moment says so.

        Raises:
            SimulatedCrash: this life ends here, or has ended.
        """
        with self._mutex:
            self._check_alive()
            self._keep()
            self.effects.append(name)
            if self._moment is not None:
                try:
                    self._moment(len(self.effects) - 1, name)
                except SimulatedCrash:
                    self.ended = True
                    raise

    def wait_for_hint(self, seen: int, timeout: float | None) -> int:
        """Block until something may have changed (see the port)."""
        self._check_alive()
        return self.store.wait_for_hint(seen, timeout)

    def close(self) -> None:
        """Nothing of its own is held."""

    def _verb(self, name: str, *args: Any, **options: Any) -> Any:
        # Held throughout, so that at a life's end nothing of it is still on its way to the store.
        with self._mutex:
            self.effect(f"before {name}")
            answer = getattr(self.store, name)(*args, **options)
            self._note(answer)
            if name in _WRITES:
                self.effect(f"after {name}")
            return answer

    def _note(self, answer: Any) -> None:
        """Note the claims that a verb gave."""
        claims = getattr(answer, "claims", ()) or (getattr(answer, "claim", None),)
        for claim in claims:
            if claim is not None:
                self._fences[claim.fence.instance, claim.fence.token] = claim.fence

    def _keep(self) -> None:
        """Keep the claims alive, as a process that lives does in time."""
        now = self.store.now()
        if self._fences and now - self._beaten > CLAIM_TTL / 3 * MICROS:
            self._beaten = now
            self.store.heartbeat(list(self._fences.values()))

    def _check_alive(self) -> None:
        if self.ended:
            raise SimulatedCrash("this life has ended")

    def _write(self, script: Callable[[Any], Any]) -> NoReturn:  # noqa: ARG002 -- the base's signature
        raise BackendError("a Life passes whole verbs on")

    _read = _write


for _name in (*_WRITES, *_READS):
    setattr(Life, _name, functools.partialmethod(Life._verb, _name))
