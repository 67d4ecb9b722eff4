"""A run whose instance is replaced under it, by one of another definition, while its branches are at work."""

import threading

import pytest

from sayiir import ClaimLostError, Flow, InMemoryBackend, WorkflowClient, run_durable_workflow
from sayiir.runtime.keeper import Keeper
from sayiir.runtime.run import Run
from sayiir.testing.clock import FakeClock


@pytest.mark.parametrize("other", [True, False], ids=["another definition", "the same definition"])
def test_a_branch_that_becomes_due_in_a_replaced_instance_ends_the_run_and_touches_nothing(monkeypatch, other):
    # Without the keeper, who would call the run off before it looks for what is due.
    monkeypatch.setattr(Keeper, "look", lambda self, store: None)
    clock, at_work, looked, go_on = FakeClock(), threading.Event(), threading.Event(), threading.Event()
    backend = InMemoryBackend(clock=clock)

    def busy(x):
        at_work.set()
        assert go_on.wait(30)
        return x

    take_up = Run._take_up

    def take_up_and_tell(self):
        take_up(self)
        looked.set()

    monkeypatch.setattr(Run, "_take_up", take_up_and_tell)
    pausing = Flow("child").then(lambda x: x, name="first").delay("pause", 10).build()
    draft = Flow("w").fork().branch(busy, name="busy").branch(pausing, name="slow")
    workflow = draft.join(lambda found: found, name="join").build()
    new_workflow = Flow("w").then(lambda x: x, name="only").build() if other else workflow
    ended = []

    def run():
        with pytest.raises(ClaimLostError, match="was replaced") as caught:
            run_durable_workflow(workflow, "a", 1, backend)
        ended.append(caught.value)

    runner = threading.Thread(target=run)
    runner.start()
    assert at_work.wait(30)
    seen = 0
    while not any(token.state == "waiting" for token in backend.load("a").tokens):
        seen = backend.wait_for_hint(seen, None)
    WorkflowClient(backend, conflict_policy="terminate_existing").submit(new_workflow, "a", 2)
    new = backend.load("a")
    looked.clear()
    clock.advance(11)
    assert looked.wait(30)
    go_on.set()
    runner.join(30)
    assert not runner.is_alive()
    assert len(ended) == 1
    left = backend.load("a")
    assert (left.instance.number, left.instance.status) == (new.instance.number, "in_progress")
    assert [token.owner for token in left.tokens] == [None]
    assert backend.history(left.instance.number) == []
