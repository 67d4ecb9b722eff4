"""A pause that is withdrawn before it took effect leaves nothing behind, also where a branch has obeyed it already."""

import threading

from sayiir import Flow, WorkflowClient, run_durable_workflow


def test_a_branch_that_stopped_for_a_withdrawn_pause_goes_on_in_the_same_run(backend):
    begun = {name: threading.Event() for name in "ab"}
    end = {name: threading.Event() for name in "ab"}

    def first(name):
        def task(x):
            begun[name].set()
            end[name].wait()
            return name

        return task

    flow = Flow("w").fork().branch(first("a"), lambda x: x + "2", name="a").branch(first("b"), name="b").join(dict, name="j")
    statuses = []
    thread = threading.Thread(target=lambda: statuses.append(run_durable_workflow(flow.build(), "i", 1, backend)))
    thread.start()
    for event in begun.values():
        event.wait()
    client = WorkflowClient(backend)
    client.pause("i")
    end["a"].set()
    seen = 0
    while not any(token.owner is None and token.state == "ready" for token in backend.load("i").tokens):
        seen = backend.wait_for_hint(seen, None)
    client.unpause("i")
    end["b"].set()
    thread.join()
    assert statuses[0].is_completed(), statuses
    assert statuses[0].output == {"a": "a2", "b": "b"}
    assert [entry.status for entry in client.timeline("i") if entry.kind == "task"] == ["completed"] * 4
