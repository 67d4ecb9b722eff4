"""What a run of the benchmark is given: where files go, how much is measured, which peers there are."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Scale:
    """How much one measurement does: steps (or instances) of each kind, and rounds."""

    rounds: int = 7
    memory: int = 20_000
    buffered: int = 2_000
    synced: int = 1_000
    foreign: int = 100
    threads: int = 50
    each: int = 100
    chains: tuple[int, ...] = (10, 100, 1_000)
    forks: tuple[int, ...] = (10, 100)
    starts: int = 5


QUICK = Scale(
    rounds=2, memory=200, buffered=20, synced=20, foreign=10, threads=4, each=10, chains=(10, 20), forks=(3,), starts=1
)


@dataclass(frozen=True)
class Setting:
    """The setting of a run."""

    folder: Path
    scale: Scale
    peers: Mapping[str, str]
    """Interpreters by the name of the peer's script."""

    def fresh(self) -> Path:
        """Return a new empty folder for one group's files."""
        return Path(tempfile.mkdtemp(dir=self.folder))
