"""Watchers hear what happens, and cannot disturb it."""

from __future__ import annotations

import logging
from contextlib import contextmanager

import pytest

from sayiir import Flow, InMemoryBackend, TaskError, Worker, WorkflowClient, run_durable_workflow, run_workflow, task
from sayiir.runtime import observe


class Broken(observe.Watcher):
    def __init__(self, where):
        self.where = where

    @contextmanager
    def attempt(self, frame):
        if self.where == "enter":
            raise RuntimeError("broken watcher")
        try:
            yield
        finally:
            if self.where == "exit":
                raise RuntimeError("broken watcher")

    def failed(self, frame, error, *, retried):
        raise RuntimeError("broken watcher")

    def checkpointed(self, seconds, count):
        raise RuntimeError("broken watcher")

    def submitting(self, workflow_id, instance_id):
        raise RuntimeError("broken watcher")

    def signalling(self, name, instance_id, trace):
        raise RuntimeError("broken watcher")


class Listening(observe.Watcher):
    def __init__(self):
        self.heard = []

    @contextmanager
    def attempt(self, frame):
        self.heard.append(("began", frame.op.id, frame.attempt))
        yield
        self.heard.append(("ended", frame.op.id, frame.attempt))

    def failed(self, frame, error, *, retried):
        self.heard.append(("failed", frame.op.id, str(error), retried))

    def checkpointed(self, seconds, count):
        assert seconds >= 0
        self.heard.append(("checkpointed", count))


@pytest.fixture
def watching():
    watched = []

    def start(watcher):
        watched.append(watcher)
        observe.watch(watcher)
        return watcher

    yield start
    for watcher in watched:
        observe.unwatch(watcher)


@task(retries=0)
def bad(value):
    raise ValueError("no")


@task(isolation="process")
def apart(value):
    return value + 1


@pytest.mark.parametrize("where", ["enter", "exit"])
def test_a_broken_watcher_disturbs_nobody(watching, where, caplog):
    watching(Broken(where))
    listening = watching(Listening())
    wf = Flow("w").then(lambda x: x + 1, name="one").wait_for_signal("go").build()
    backend = InMemoryBackend()
    client = WorkflowClient(backend)
    with caplog.at_level(logging.WARNING, "sayiir"), Worker("w", backend).start([wf]):
        client.submit(wf, "a", 1)
        client.wait("a", 20, until="parked")
        client.send_signal("a", "go", 7)
        assert client.result("a", 20) == 7
    assert ("ended", "one", 1) in listening.heard
    with pytest.raises(TaskError, match="no"):
        run_workflow(Flow("w").then(bad).build(), 1)


def test_an_exception_passes_through_watchers(watching):
    listening = watching(Listening())
    status = run_durable_workflow(Flow("w").then(bad).build(), "a", 1)
    assert status.error == "ValueError: no"
    assert listening.heard == [("began", "bad", 1), ("failed", "bad", "no", False), ("checkpointed", 1)]


def test_a_task_in_a_process_of_its_own_is_seen(watching):
    listening = watching(Listening())
    assert run_workflow(Flow("w").then(apart).build(), 1) == 2
    assert listening.heard[:2] == [("began", "apart", 1), ("ended", "apart", 1)]


def test_nobody_watches_twice(watching):
    listening = watching(Listening())
    observe.watch(listening)
    assert observe.watchers.count(listening) == 1
    observe.unwatch(listening)
    observe.unwatch(listening)
    assert listening not in observe.watchers
