"""The command `sayiir` in a real process: what it says on stderr is waited for line by line."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_SECS = 60.0
WORKS = re.compile(r"worker (\S+) \(process (\d+)\) works on ")


def environment(path=""):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SAYIIR_")}
    places = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    return {**kept, "SAYIIR_TEST_PATH": str(path), "PYTHONPATH": places, "PYTHONUNBUFFERED": "1"}


def run(*arguments, cwd, **more):
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "sayiir.cli", *arguments], cwd=cwd, env={**environment(), **more},
        capture_output=True, text=True, timeout=PATIENCE_SECS,
    )  # fmt: skip


class Command:
    """`sayiir worker …` while it runs; ended, with the children it named, at the end of the block."""

    def __init__(self, path, url, *arguments, targets=("tests.worker.child:ALL",), cwd=ROOT):
        self._words = getattr(self, "_words", ("worker", *targets, "--url", url, *arguments))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sayiir.cli", *self._words], cwd=cwd,
            env={**environment(path), **getattr(self, "_more", {})},
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines = []
        self.closed = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _wait_for(self, condition):
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_SECS), "\n".join(self.lines)

    def await_lines(self, pattern, count=1):
        """Wait until so many lines fit, and return them."""
        found = []

        def look():
            found[:] = [line for line in self.lines if re.search(pattern, line)]
            return len(found) >= count or self.closed

        self._wait_for(look)
        assert len(found) >= count, "\n".join(self.lines)
        return found

    def workers(self, count=1):
        """Wait until so many workers have begun, and return their names and process numbers, in order."""
        return [(m[1], int(m[2])) for line in self.await_lines(WORKS, count) if (m := WORKS.search(line))]

    def send(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def end(self):
        """Wait for its end, and that of all who write to its stderr; return its exit code."""
        code = self.process.wait(PATIENCE_SECS)
        self._wait_for(lambda: self.closed)
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()  # its children end by themselves then
            self.process.wait()
        self._wait_for(lambda: self.closed)
        self.process.stderr.close()
