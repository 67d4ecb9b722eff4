"""`wait` and `result` wake when the instance ends: by a hint of the same process, or by looking."""

import threading

import pytest

from sayiir import Flow, TaskError, WorkflowClient, WorkflowError, resume_workflow
from tests.runtime.support import PATIENCE_SECS, in_thread, open_store


def double(x):
    return x * 2


DOUBLE = Flow("double").then(double).build()
BAD = Flow("bad").then(lambda x: 1 / 0, name="bad").build()
GATE = Flow("gate").wait_for_signal("go").build()


def waiting(backend, monkeypatch, *, deaf=False):
    """Return an event that is set when somebody has begun to wait; a deaf one is never told of anything."""
    begun, wait = threading.Event(), backend.wait_for_hint

    def watch(seen, timeout):
        if seen:
            begun.set()
        # Who hears nothing looks now and then; who hears is given no other way to learn of the end.
        return wait(backend.hints.mark, 0.02) if deaf else wait(seen, 2 * PATIENCE_SECS)

    monkeypatch.setattr(backend, "wait_for_hint", watch)
    return begun


ENDS = {
    "completed": (DOUBLE, lambda backend: resume_workflow(DOUBLE, "i", backend)),
    "failed": (BAD, lambda backend: resume_workflow(BAD, "i", backend)),
    "cancelled": (DOUBLE, lambda backend: WorkflowClient(backend).cancel("i")),
}


@pytest.mark.parametrize("deaf", [False, True], ids=["hint", "poll"])
@pytest.mark.parametrize("end", ENDS)
def test_wait_returns_when_it_ends(backend, monkeypatch, end, deaf):
    workflow, make_end = ENDS[end]
    client = WorkflowClient(backend)
    client.submit(workflow, "i", 1)
    begun = waiting(backend, monkeypatch, deaf=deaf)
    with in_thread(client.wait, "i", PATIENCE_SECS) as status:
        assert begun.wait(PATIENCE_SECS)
        make_end(backend)
        assert status.result().status == end


@pytest.mark.parametrize("end", ENDS)
def test_result_returns_or_raises_when_it_ends(backend, monkeypatch, end):
    workflow, make_end = ENDS[end]
    client = WorkflowClient(backend)
    client.submit(workflow, "i", 21)
    begun = waiting(backend, monkeypatch)
    with in_thread(client.result, "i", PATIENCE_SECS) as result:
        assert begun.wait(PATIENCE_SECS)
        make_end(backend)
        if end == "completed":
            assert result.result() == 42
        else:
            with pytest.raises(TaskError if end == "failed" else WorkflowError, match="ZeroDivisionError|cancelled"):
                result.result()


def test_wait_until_it_is_parked(backend, monkeypatch):
    client = WorkflowClient(backend)
    client.submit(GATE, "i", 1)
    begun = waiting(backend, monkeypatch)
    with in_thread(client.wait, "i", PATIENCE_SECS, until="parked") as status:
        assert begun.wait(PATIENCE_SECS)
        resume_workflow(GATE, "i", backend)
        assert status.result().is_awaiting_signal()


@pytest.mark.parametrize("kind", ["sqlite"])
def test_the_end_that_another_handle_makes_is_seen(tmp_path, monkeypatch, kind):
    with open_store(kind, tmp_path) as backend, open_store(kind, tmp_path) as other:
        client = WorkflowClient(backend)
        client.submit(DOUBLE, "i", 1)
        begun = waiting(backend, monkeypatch)
        with in_thread(client.result, "i", PATIENCE_SECS) as result:
            assert begun.wait(PATIENCE_SECS)
            resume_workflow(DOUBLE, "i", other)  # another process's end is found by looking at the file
            assert result.result() == 2


def test_many_wait_for_one(backend):
    client = WorkflowClient(backend)
    client.submit(DOUBLE, "i", 1)
    with in_thread(client.wait, "i", PATIENCE_SECS) as one, in_thread(client.result, "i", PATIENCE_SECS) as two:
        resume_workflow(DOUBLE, "i", backend)
        assert (one.result().output, two.result()) == (2, 2)
