"""The nodes of an instance that has ended: nothing of it runs any more."""

from sayiir import Flow, InMemoryBackend, RetryPolicy, run_durable_workflow, task
from sayiir.service import Access, Service


@task(retries=RetryPolicy(max_retries=2, initial_delay_secs=0.001))
def boom(value: int) -> int:
    raise ValueError(value)


def test_a_failed_task_has_the_attempts_that_it_had_and_an_end():
    flow = Flow("bad").then(boom).build()
    with InMemoryBackend() as backend:
        status = run_durable_workflow(flow, "a", 1, backend)
        node = next(one for one in Service(backend).show(Access(), "a").nodes if one.node_id == "boom")
    assert status.error_detail.attempts == 3
    assert (node.status, node.attempts) == ("failed", 3)
    assert node.started_at <= node.finished_at
