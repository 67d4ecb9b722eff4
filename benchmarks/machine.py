"""What the figures depend on: the machine, its disk, and the versions."""

from __future__ import annotations

import datetime as dt
import os
import platform
import sqlite3
import statistics
from pathlib import Path

from benchmarks.measure import timed
from sayiir.store.sqlite.filesystem import file_system


def facts(folder: Path) -> dict[str, str]:
    """Return the facts, with the disk's under `folder`."""
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "processor": f"{os.cpu_count()} × {_processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "file system": file_system(folder) or "unknown",
        "appending 4 KiB and fsync": f"{_synced(folder) * 1e6:.0f} µs (median of 50)",
        "load when it began": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _synced(folder: Path) -> float:
    with (folder / "synced").open("wb", buffering=0) as file:

        def append() -> None:
            file.write(bytes(4096))
            os.fsync(file.fileno())

        return statistics.median(timed(append) for _ in range(50))
