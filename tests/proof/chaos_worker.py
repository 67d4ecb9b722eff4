"""A worker's process for the chaos tests: `python chaos_worker.py URL LEDGER NAME SKEW`.

SKEW: seconds by which its machine's clock is wrong. It ends when its input does or at SIGTERM, after what it has in hand.
Lines of its input: "hold" keeps it inside of each task that it begins, and "go on" ends that.
"""

import signal
import sys
from typing import Any

from sayiir import Worker, connect
from sayiir.clock import MICROS, SystemClock
from tests.proof.killed_child import go_on, hold, open_ledger, workflow

CLAIM_TTL_SECS = 3.0
"""Short, since a test waits for its end; long, since whoever gets no processor for this time loses claims, too."""


class Skewed(SystemClock):
    """A clock that is wrong."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._skew = round(seconds * MICROS)

    def now(self) -> int:
        return super().now() + self._skew


class Retired(Exception):  # noqa: N818 -- a wish, and no error
    """Somebody sent SIGTERM."""


def retire(*_: Any) -> None:
    """End the wait for input."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Retired


def obey() -> None:
    """Do what the input says, until it ends or somebody sends SIGTERM."""
    try:
        signal.signal(signal.SIGTERM, retire)
        sys.stderr.write("working\n")
        sys.stderr.flush()
        for word in sys.stdin:
            {"hold\n": hold, "go on\n": go_on}[word]()
    except Retired:
        pass


def main(url: str, ledger: str, name: str, skew: str) -> None:
    """Work until the input ends."""
    open_ledger(ledger)
    with connect(url, clock=Skewed(float(skew))) as backend:
        # Innocent tasks are killed again and again here; the limit on crashes is for tasks that kill.
        worker = Worker(name, backend, poll_interval=0.2, claim_ttl=CLAIM_TTL_SECS, max_crashes=1_000)
        with worker.start([workflow()]) as handle:
            obey()
            handle.shutdown()
            go_on()  # only now, so that what was held ends within the grace of a shutdown


if __name__ == "__main__":
    main(*sys.argv[1:])
