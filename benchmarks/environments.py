"""Peers: other engines, each in a virtualenv of its own under `.venv-peers/`, spoken to line by line.

What cannot be installed is passed over with one line of text: the figures of ours do not depend on it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = {"sayiir_real": "sayiir==1.0.0", "dbos_sqlite": "dbos==3.4.0"}


class Peer:
    """A running peer."""

    def __init__(self, python: str, script: str, *arguments: str) -> None:
        # The project's own package has the same name as one of the peers: it must not be found there.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self._process = subprocess.Popen(
            [python, str(ROOT / "benchmarks" / "peers" / f"{script}.py"), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip

    def ask(self, request: str) -> float:
        """Return the answer to one request.

        Raises:
            RuntimeError: the peer ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the peer ended while it was asked {request!r}")
        return float(answer)

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def interpreter(name: str, given: str | None) -> str | None:
    """Return the Python of a peer's environment, made if it must be; None (and a line of text) if it cannot be.

    Args:
        name: the peer's script.
        given: an interpreter that has the peer already; else the variable BENCH_<NAME> may name one.
    """
    given = given or os.environ.get(f"BENCH_{name.upper()}")
    if given:
        return given
    folder = ROOT / ".venv-peers" / name
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    requirement = REQUIREMENTS[name]
    if stamp.exists() and stamp.read_text("utf-8") == requirement:
        return str(python)
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "-q", requirement],
    ):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            print(f"passing over {requirement}: `{' '.join(command[1:])}` failed", flush=True)
            return None
    stamp.write_text(requirement, "utf-8")
    return str(python)
