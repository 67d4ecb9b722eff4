"""What the tests of runs share: a clock that jumps over waits, stores under test, and a record of calls."""

import contextlib
import threading

from sayiir import InMemoryBackend, resume_workflow
from sayiir.clock import MICROS
from sayiir.store.sqlite import SqliteBackend

STORES = ("memory", "sqlite")
PATIENCE_SECS = 30.0


class JumpClock:
    """Time stands still until the test advances it; whoever would wait for it jumps to the end of the wait at once.

    The store's keeper is the exception: it waits for changes, for as long as its store lives. With `jumps=False` the
    others wait likewise, as tasks with a timeout need it.
    """

    def __init__(self, chance=0.5, *, jumps=True):
        self.jumps = jumps
        self.time = 1_750_000_000 * MICROS
        self.slept = []
        self.drawn = chance

    def now(self):
        return self.time

    def monotonic(self):
        return self.time / MICROS

    def wait(self, condition, timeout):
        if timeout is None or not self.jumps or threading.current_thread().name == "sayiir-keeper":
            return condition.wait(timeout)
        self.slept.append(timeout)
        self.time += round(timeout * MICROS)
        return False

    def chance(self):
        return self.drawn

    def advance(self, seconds):
        self.time += round(seconds * MICROS)


def open_store(kind, folder, **options):
    """Open a store of a kind; SQLite's lives in a real file, so that it can be opened again."""
    if kind == "memory":
        return InMemoryBackend(**options)
    return SqliteBackend(folder / "runs.db", durability="normal", **options)


def await_event(event):
    """Wait for an event that must come."""
    assert event.wait(PATIENCE_SECS), "the event did not come"


class Calls:
    """Counts calls by name, from any thread."""

    def __init__(self):
        self._mutex = threading.Lock()
        self.made = []

    def __call__(self, name):
        with self._mutex:
            self.made.append(name)

    def count(self, name):
        return self.made.count(name)


@contextlib.contextmanager
def in_thread(function, *arguments, **keywords):
    """Run a function in a thread beside the block; the block ends when it has ended."""
    box = Future(function, arguments, keywords)
    try:
        yield box
    finally:
        box.thread.join(PATIENCE_SECS)
        assert not box.thread.is_alive(), "the thread did not end"


class Future:
    """What the function beside came to."""

    def __init__(self, function, arguments, keywords):
        self.value = self.error = None
        self._job = function, arguments, keywords
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        function, arguments, keywords = self._job
        try:
            self.value = function(*arguments, **keywords)
        except BaseException as error:
            self.error = error

    def result(self):
        self.thread.join(PATIENCE_SECS)
        assert not self.thread.is_alive(), "the thread did not end"
        if self.error is not None:
            raise self.error
        return self.value


def until(backend, condition):
    """Wait until a condition of the store holds; not every change of it is announced, so it is looked at anew."""
    seen, rounds = 0, 0
    while not condition():
        seen = backend.wait_for_hint(seen, 0.01)
        rounds += 1
        assert rounds < 10_000, "the condition never held"


def finish(workflow, instance_id, backend, clock=None):
    """Resume through delays until the instance ends or waits for a signal."""
    status = resume_workflow(workflow, instance_id, backend)
    while status.is_waiting():
        if clock is not None:
            clock.advance(max(0.0, status.wake_at.timestamp() - clock.now() / MICROS) + 0.001)
        status = resume_workflow(workflow, instance_id, backend)
    return status
