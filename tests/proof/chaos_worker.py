"""A worker's process for test_chaos.py: `python chaos_worker.py URL LEDGER NAME SKEW`; ends when its input does.

SKEW: seconds by which its machine's clock is wrong.
"""

import sys

from sayiir import Worker, connect
from sayiir.clock import MICROS, SystemClock
from tests.proof.killed_child import open_ledger, workflow


class Skewed(SystemClock):
    """A clock that is wrong."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._skew = round(seconds * MICROS)

    def now(self) -> int:
        return super().now() + self._skew


def main(url: str, ledger: str, name: str, skew: str) -> None:
    """Work until the input ends."""
    open_ledger(ledger)
    with connect(url, clock=Skewed(float(skew))) as backend:
        # Innocent tasks are killed again and again here; the limit on crashes is for tasks that kill.
        worker = Worker(name, backend, poll_interval=0.2, claim_ttl=2, max_crashes=1_000)
        with worker.start([workflow()]):
            sys.stderr.write("working\n")
            sys.stderr.flush()
            sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
