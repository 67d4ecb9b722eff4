"""The keeper of in-process runs: a task may take longer than a claim lasts, and stays the only one that runs."""

from __future__ import annotations

import threading

from sayiir import Flow, InstanceBusyError, resume_workflow, run_durable_workflow
from tests.runtime.support import await_event, in_thread, until


def test_a_task_longer_than_its_claim_keeps_it(backend):
    began, end = threading.Event(), threading.Event()

    def long(x):
        began.set()
        await_event(end)
        return x

    workflow = Flow("w").then(long).build()
    backend.use_claim_ttl(0.6)
    with in_thread(run_durable_workflow, workflow, "i", 1, backend) as run:
        await_event(began)

        def ends_at():
            (token,) = backend.load("i").tokens
            return token.until

        first = ends_at()
        # Past its first end the claim is as good as at its beginning, and nobody else gets the token.
        until(backend, lambda: ends_at() > first + 600_000 and backend.now() > first)
        try:
            resume_workflow(workflow, "i", backend)
        except InstanceBusyError:
            pass
        else:
            raise AssertionError("the token was given to another run")
        end.set()
    assert run.result().output == 1
    assert [record.status for record in backend.history(backend.load("i").instance.number)] == ["completed"]
