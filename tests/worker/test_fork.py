"""The branches of one instance are moved by whoever has a slot, and the join runs once."""

import asyncio
import threading

from sayiir import Flow, SqliteBackend, WorkflowClient, get_task_context
from tests.worker.support import PATIENCE_SECS, ended, working


def who(barrier):
    def branch(x):
        barrier.wait(PATIENCE_SECS)
        return get_task_context().worker_id

    return branch


def test_branches_run_on_two_workers_at_once_and_join_once(backend):
    barrier, joins = threading.Barrier(2), []

    def join(results):
        joins.append(results)
        return results

    flow = Flow("w").fork().branch(who(barrier), name="left").branch(who(barrier), name="right").join(join).build()
    with working(backend, [flow], "w1", concurrency=1), working(backend, [flow], "w2", concurrency=1):
        WorkflowClient(backend).submit(flow, "a", 1)
        found = ended(backend, "a").output
    assert sorted(found.values()) == ["w1", "w2"]
    assert len(joins) == 1


def test_branches_run_on_the_workers_of_two_backends_of_one_file(tmp_path):
    barrier, joins = threading.Barrier(4), []

    def join(results):
        joins.append(1)
        return results

    draft = Flow("w").fork()
    for number in range(4):
        draft = draft.branch(who(barrier), name=f"b{number}")
    flow = draft.join(join).build()
    path = tmp_path / "runs.db"
    with SqliteBackend(path, durability="normal") as one, SqliteBackend(path, durability="normal") as two:
        with working(one, [flow], "w1", concurrency=2), working(two, [flow], "w2", concurrency=2):
            WorkflowClient(one).submit(flow, "a", 1)
            found = ended(two, "a").output
    assert sorted(found.values()) == ["w1", "w1", "w2", "w2"]
    assert joins == [1]


def test_a_hundred_branches_of_many_instances_on_two_workers(backend):
    joined = []

    async def double(x):
        await asyncio.sleep(0)
        return x * 2

    draft = Flow("w").fork()
    for number in range(100):
        draft = draft.branch(double if number % 2 else (lambda x: x + 1), name=f"b{number}")

    def total(results):
        joined.append(1)
        return sum(results.values())

    flow = draft.join(total).then(lambda x: x, name="end").build()
    client = WorkflowClient(backend)
    with working(backend, [flow], "w1", concurrency=4), working(backend, [flow], "w2"):
        for number in range(5):
            client.submit(flow, f"i{number}", number)
        outputs = [s.output for s in ended(backend, *(f"i{number}" for number in range(5)))]
    assert outputs == [50 * (number * 2) + 50 * (number + 1) for number in range(5)]
    assert len(joined) == 5


def test_forks_in_forks_by_one_slot(backend):
    inner = (
        Flow("inner").fork().branch(lambda x: x + 1, name="a").branch(lambda x: x + 2, name="b")
        .join(lambda r: sum(r.values()), name="sum").build()
    )  # fmt: skip
    flow = Flow("outer").fork().branch(inner, name="l").branch(inner, name="r").join(lambda r: r, name="both").build()
    with working(backend, [flow], concurrency=1):
        WorkflowClient(backend).submit(flow, "a", 1)
        assert ended(backend, "a").output == {"l": 5, "r": 5}
