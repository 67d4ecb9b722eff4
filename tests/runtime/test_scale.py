"""Long, wide and big: ten thousand steps, a thousand branches, ten megabytes; correctness, never time."""

import threading

import pytest

from sayiir import (
    Flow,
    LoopResult,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    task,
)
from tests.runtime.support import Calls

STEPS = 10_000


def add(x):
    return x + 1


def chain(interrupt_at=None, calls=None):
    flow = Flow("long")
    for number in range(STEPS):
        if number == interrupt_at:

            def stop(x):
                calls("stop")
                if calls.count("stop") == 1:
                    raise KeyboardInterrupt
                return x + 1

            flow.then(stop)
        else:
            flow.then(add, name=f"t{number}")
    return flow.build()


def test_ten_thousand_steps_in_memory():
    assert run_workflow(chain(), 0) == STEPS


def test_ten_thousand_steps_durably_and_resumed(backend):
    calls = Calls()
    workflow = chain(STEPS // 2, calls)
    with pytest.raises(KeyboardInterrupt):
        run_durable_workflow(workflow, "i", 0, backend)
    assert resume_workflow(workflow, "i", backend).output == STEPS
    assert calls.count("stop") == 2
    client = WorkflowClient(backend)
    assert client.get_task_result("i", "t9999") == STEPS
    completed = [entry.node_id for entry in client.timeline("i") if entry.status == "completed"]
    assert len(completed) == len(set(completed)) == STEPS


def test_ten_thousand_iterations(backend):
    workflow = (
        Flow("w")
        .loop(lambda x: LoopResult.done(x) if x == STEPS else LoopResult.again(x + 1), max_iterations=STEPS + 1)
        .build()
    )
    assert run_workflow(workflow, 0) == STEPS
    assert run_durable_workflow(workflow, "i", 0, backend).output == STEPS


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_thousand_branches_of_a_kind(kind):
    check_a_thousand_branches(kind, None)


def test_a_thousand_branches_of_both_kinds(backend):
    check_a_thousand_branches("both", backend)


def check_a_thousand_branches(kind, backend):
    async def async_add(x):
        return x + 1

    flow = Flow("wide").fork()
    for number in range(1_000):
        flow.branch(async_add if kind == "async" or (kind == "both" and number % 2) else add, name=f"b{number}")
    workflow = flow.join(lambda d: [list(d), sum(d.values())]).build()
    expected = [[f"b{number}" for number in range(1_000)], 2_000]
    assert run_workflow(workflow, 1) == expected
    assert run_durable_workflow(workflow, "i", 1, backend).output == expected
    assert threading.active_count() < 700


def test_many_branches_that_wait_are_parked(timed, clock):
    clock.jumps = False
    pause = Flow("p").delay("d", 60).then(add).build()
    flow = Flow("w").fork()
    for number in range(300):
        flow.branch(pause, name=f"b{number}")
    workflow = flow.join(lambda d: sum(d.values())).build()
    status = run_durable_workflow(workflow, "i", 1, timed)
    assert status.is_waiting()
    assert len(status.parked) == 300
    clock.advance(60)
    assert resume_workflow(workflow, "i", timed).output == 600


def test_ten_megabytes(backend):
    value = {"text": "é\n" * 2_500_000, "rows": [[n, str(n)] for n in range(1_000)]}
    workflow = (
        Flow("w")
        .then(lambda x: x, name="a")
        .fork()
        .branch(lambda x: x, name="b")
        .branch(lambda x: len(x["rows"]), name="c")
        .join(lambda d: d["b"], name="j")
        .build()
    )
    assert run_workflow(workflow, value) == value
    assert run_durable_workflow(workflow, "i", value, backend).output == value
    assert WorkflowClient(backend).get_task_result("i", "a") == value


def test_a_long_flow_of_mixed_structures(backend):
    child = Flow("c").then(add).build()
    flow = Flow("w")
    for number in range(200):
        flow.then(add, name=f"t{number}").then_flow(child).fork().branch(add, name=f"a{number}").join(
            lambda d: next(iter(d.values())), name=f"j{number}"
        )
        flow.route(lambda x: "k", keys=["k"]).branch("k", add, name=f"k{number}").done().then(
            lambda e: e["result"], name=f"u{number}"
        )
        flow.loop(task(f"l{number}")(lambda x: LoopResult.done(x + 1)))
    workflow = flow.build()
    assert run_workflow(workflow, 0) == 1_000
    assert run_durable_workflow(workflow, "i", 0, backend).output == 1_000
