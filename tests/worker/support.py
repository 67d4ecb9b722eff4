"""What the tests of workers share."""

import threading
import time
from contextlib import contextmanager

from sayiir import InMemoryBackend, SqliteBackend, Worker, WorkflowClient

STORES = ("memory", "sqlite")
PATIENCE_SECS = 30.0


def open_store(kind, folder, **options):
    if kind == "memory":
        return InMemoryBackend(**options)
    return SqliteBackend(folder / "runs.db", durability="normal", **options)


def await_event(event):
    """Wait for an event that must come."""
    assert event.wait(PATIENCE_SECS), "the event did not come"


def eventually(condition):
    """Look at a real state until it holds, and return what it gave."""
    deadline, pause = time.monotonic() + PATIENCE_SECS, threading.Event()
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition never held"
        pause.wait(0.002)
    return found


def status(backend, instance_id):
    return WorkflowClient(backend).status(instance_id)


def ended(backend, *instance_ids):
    """Wait until these instances have ended and return their statuses; never by the store's own clock."""

    def look():
        found = [status(backend, instance_id) for instance_id in instance_ids]
        return found if all(s.is_completed() or s.is_failed() or s.is_cancelled() for s in found) else None

    found = eventually(look)
    return found[0] if len(found) == 1 else found


def reached(backend, instance_id, name):
    """Wait until an instance has a status."""
    return eventually(lambda: (s := status(backend, instance_id)).status == name and s)


@contextmanager
def working(backend, workflows, worker_id="w1", **options):
    """A worker at work during the block; its end must come."""
    handle = Worker(worker_id, backend, **options).start(workflows)
    try:
        yield handle
    except BaseException:
        handle.shutdown(now=True)
        raise
    else:
        handle.shutdown()
        assert handle.join(PATIENCE_SECS), "the worker did not end"


class Gate:
    """A place where a task waits until the test lets it go on; every arrival is counted."""

    def __init__(self):
        self.open = threading.Event()
        self._changed = threading.Condition()
        self.arrived = []

    def pass_through(self, who=None):
        with self._changed:
            self.arrived.append(who)
            self._changed.notify_all()
        await_event(self.open)

    def await_arrivals(self, count=1):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.arrived) >= count, PATIENCE_SECS), "nobody came"
