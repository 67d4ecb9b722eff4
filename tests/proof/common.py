"""What the proofs share: how much to prove, and stores that can be opened again.

`SAYIIR_PROVE=1` (set by `make prove`) asks for the long proofs; without it they are long enough for every push.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings

from sayiir import InMemoryBackend
from sayiir.clock import Clock
from sayiir.store.sqlite import SqliteBackend
from sayiir.testing.crash import OpenStore

PROVE = os.environ.get("SAYIIR_PROVE") == "1"
KINDS = ("memory", "sqlite")
_QUICK = "/dev/shm"


def examples(count: int, long: int) -> settings:
    """Return hypothesis settings for so many examples, and so many when proving."""
    return settings(
        max_examples=long if PROVE else count,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        phases=[phase for phase in Phase if phase is not Phase.explain],
    )


@contextmanager
def reopenable(kind: str) -> Iterator[OpenStore]:
    """Give a function that opens a store, each time on the same data."""
    if kind == "memory":
        stores: list[InMemoryBackend] = []

        def same(clock: Clock) -> InMemoryBackend:
            if not stores:
                stores.append(InMemoryBackend(clock=clock, private=True))
            return stores[0]

        yield same
        return
    # The processes of these proofs only pretend to die: their files may lie in memory, where opening them is quick.
    with tempfile.TemporaryDirectory(dir=_QUICK if os.path.isdir(_QUICK) else None) as folder:
        yield lambda clock: SqliteBackend(Path(folder) / "runs.db", durability="normal", clock=clock)
