"""The nodes of an instance that has ended: nothing of it runs any more."""

from sayiir import Flow, InMemoryBackend, LoopResult, RetryPolicy, run_durable_workflow, task
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


def test_a_loop_takes_as_long_as_all_its_rounds():
    flow = Flow("rounds").loop(lambda x: LoopResult.done(x) if x > 2 else LoopResult.again(x + 1), name="body").build()
    with InMemoryBackend() as backend:
        run_durable_workflow(flow, "a", 1, backend)
        loop, body = Service(backend).show(Access(), "a").nodes
    assert (loop.kind, body.iterations) == ("loop", 3)
    assert (loop.started_at, loop.finished_at) == (body.started_at, body.finished_at)
