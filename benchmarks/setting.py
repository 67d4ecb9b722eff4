"""What a run of the benchmark is given: where files go, how much is measured, which peers and databases there are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Scale:
    """How much one measurement does: steps (or instances) of each kind, and rounds."""

    rounds: int = 5
    memory: int = 20_000
    buffered: int = 2_000
    synced: int = 1_000
    foreign: int = 100
    threads: int = 50
    each: int = 100
    chains: tuple[int, ...] = (10, 100, 1_000)
    forks: tuple[int, ...] = (10, 100)
    starts: int = 5
    batches: int = 10
    instances: int = 5_000
    foreign_instances: int = 300
    weighed: int = 200
    pings: int = 200
    naps: int = 10
    finished: int = 100_000
    parked: int = 20_000
    crowd: int = 1_000_000
    nodes: tuple[int, ...] = (300, 2_000)
    pages: int = 20
    watched: int = 20_000


QUICK = Scale(
    rounds=2, memory=200, buffered=20, synced=20, foreign=10, threads=4, each=10, chains=(10, 20), forks=(3,), starts=1,
    batches=1, instances=20, foreign_instances=5, weighed=5, pings=5, naps=2, finished=500, parked=100,
    crowd=1_000, nodes=(5, 20), pages=2, watched=20,
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """The setting of a run."""

    folder: Path
    scale: Scale
    peers: Mapping[str, str]
    """Interpreters by the name of the peer's environment."""
    database: Callable[[], str]
    """Returns the URL of a new, empty database of a durable PostgreSQL server, which is started when first asked."""

    def fresh(self) -> Path:
        """Return a new empty folder for one group's files."""
        return Path(tempfile.mkdtemp(dir=self.folder))
