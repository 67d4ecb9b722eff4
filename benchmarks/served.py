"""The dashboard in a process of its own, as people start it, and one client that asks it for pages."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Self

from benchmarks.environments import ROOT

_PATIENCE = 60.0
_BYTECODE = tempfile.TemporaryDirectory(prefix="sayiir-bench-")


def environment() -> dict[str, str]:
    """Return the variables of our programs: this source tree, with bytecode as an installed library has it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SAYIIR"))}
    return kept | {"PYTHONPATH": str(ROOT / "src"), "PYTHONPYCACHEPREFIX": _BYTECODE.name}


class Served:
    """A running `sayiir server`, or `sayiir dev`; it ends at the end of `with`.

    Args:
        words: of the command line, after `sayiir` and before the address.
        folder: where it runs.
    """

    def __init__(self, words: list[str], folder: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port = found.getsockname()[1]
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sayiir.cli", *words, "--bind", f"127.0.0.1:{self._port}"],
            cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def base(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        try:
            deadline = time.monotonic() + _PATIENCE
            while True:
                try:
                    socket.create_connection(("127.0.0.1", self._port)).close()
                except OSError:
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError("the dashboard did not start") from None
                    time.sleep(0.002)
                else:
                    return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def page(self, path: str) -> str:
        """Return a page.

        Raises:
            RuntimeError: it is none.
        """
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)) as client:
            client.request("GET", path)
            answer = client.getresponse()
            text = answer.read().decode()
        if answer.status != 200:
            raise RuntimeError(f"{path} is answered with {answer.status}: {text[:200]}")
        return text

    def millis(self, path: str) -> float:
        """Return the milliseconds from asking for a page until its last byte is there."""
        began = time.perf_counter()
        self.page(path)
        return (time.perf_counter() - began) * 1e3

    def link(self, path: str, pattern: str) -> str:
        """Return the first address on a page that fits a pattern, as it is asked for."""
        found = re.search(f'href="({pattern})"', self.page(path))
        if found is None:
            raise RuntimeError(f"{path} has no link {pattern}")
        return found[1].replace("&amp;", "&")


def server(url: str, folder: Path) -> Served:
    """Return `sayiir server` over a database."""
    return Served(["server", "--url", url], folder)
