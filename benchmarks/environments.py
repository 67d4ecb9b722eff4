"""Peers: other engines, each in a virtualenv of its own under `.venv-peers/`, spoken to line by line.

What cannot be installed is passed over with one line of text: the figures of ours do not depend on it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = {
    "sayiir_real": "sayiir==1.0.0",
    "dbos": "dbos==3.4.0",
    "absurd": "absurd-sdk==0.5.1 absurdctl==0.5.1",
    "pgqueuer": "pgqueuer==1.6.0 asyncpg",
}
"""What is installed, by the name of the environment. Absurd's schema is in the package of its command line."""


@dataclass(frozen=True)
class Engine:
    """Another engine on PostgreSQL.

    Attributes:
        key: its name in a group.
        label: its name in the table.
        environment: where it is installed.
        runs_here: whether it can run a chain in the calling process.
    """

    key: str
    label: str
    environment: str
    runs_here: bool = True

    @property
    def script(self) -> str:
        """Its program in `peers`."""
        return f"{self.environment.removesuffix('_real')}_postgres"


ENGINES = (
    Engine("real", "real sayiir 1.0.0", "sayiir_real"),
    Engine("dbos", "DBOS 3.4.0", "dbos"),
    Engine("absurd", "Absurd 0.5.1", "absurd"),
    Engine("pgqueuer", "PgQueuer 1.6.0", "pgqueuer", runs_here=False),
)
OURS = sys.executable
"""The interpreter of what is measured from this source tree."""


class Peer:
    """A running program of `benchmarks/peers`.

    Args:
        python: its interpreter; `OURS` also finds this project.
        script: the program's name.
        arguments: of its command line.
    """

    def __init__(self, python: str, script: str, *arguments: str) -> None:
        # The project's own package has the same name as one of the peers: it must not be found there.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        if python == OURS:
            environment["PYTHONPATH"] = str(ROOT / "src")
        self._script = script
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with the process
        self._process = subprocess.Popen(
            [python, str(ROOT / "benchmarks" / "peers" / f"{script}.py"), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=environment,
        )  # fmt: skip

    def tell(self, request: str) -> None:
        """Send a request, whose answer is read later."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._problem(request) from None

    def answer(self, request: str) -> float:
        """Return the answer to a request.

        Raises:
            RuntimeError: the peer ended.
        """
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise self._problem(request)
        return float(answer)

    def ask(self, request: str) -> float:
        """Return the answer to one request.

        Raises:
            RuntimeError: the peer ended.
        """
        self.tell(request)
        return self.answer(request)

    def _problem(self, request: str) -> RuntimeError:
        self._process.wait()
        self._errors.seek(0)
        last = self._errors.read()[-2_000:].decode("utf-8", "replace")
        return RuntimeError(f"{self._script} ended while it was asked {request!r}\n{last}")

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()


def interpreter(name: str, given: str | None) -> str | None:
    """Return the Python of a peer's environment, made if it must be; None (and a line of text) if it cannot be.

    Args:
        name: the environment's.
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
        [str(python), "-m", "pip", "install", "-q", *requirement.split()],
    ):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            print(f"passing over {requirement}: `{' '.join(command[1:])}` failed", flush=True)
            return None
    stamp.write_text(requirement, "utf-8")
    return str(python)
