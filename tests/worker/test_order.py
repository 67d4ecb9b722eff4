"""Who goes first: priorities with aging, fairness to more urgent work, and tags."""

from sayiir import Flow, RetryPolicy, WorkflowClient, get_task_context, task
from tests.worker.support import Gate, ended, eventually, working


def recorder():
    order = []

    def note(x):
        order.append(x)
        return x

    return order, note


def looks_again(store, clock, count):
    """Wait until a worker without a free slot has looked so many times for what goes before its own work."""
    claim, looks = store.claim_due, []

    def look(lanes, limit, **more):
        looks.append(more["before"])
        return claim(lanes, limit, **more)

    def looked():
        clock.advance(0.5)
        return looks.count(None) == 0 and len(looks) >= count

    store.claim_due = look
    eventually(looked)
    store.claim_due = claim


def test_the_most_urgent_goes_first_and_equals_in_order_of_coming(timed, clock):
    order, note = recorder()
    flow = Flow("w").then(note).build()
    client = WorkflowClient(timed)
    for number, priority in enumerate((5, 3, 1, 3, None, 1)):
        client.submit(flow, f"i{number}", f"{number}:{priority}", priority=priority)
        clock.advance(1)
    with working(timed, [flow], concurrency=1):
        ended(timed, *(f"i{number}" for number in range(6)))
    assert order == ["2:1", "5:1", "1:3", "3:3", "4:None", "0:5"]


def test_waiting_makes_up_for_priority(timed, clock):
    order, note = recorder()
    flow = Flow("w").then(note).build()
    client = WorkflowClient(timed)
    client.submit(flow, "old", "old", priority=3)
    clock.advance(25)
    client.submit(flow, "new", "new", priority=1)
    clock.advance(10)
    client.submit(flow, "late", "late", priority=1)
    with working(timed, [flow], concurrency=1, aging_interval=15):
        ended(timed, "old", "new", "late")
    # `old` waited 25 s, less than the 30 s that two steps are worth, when `new` came, and more when `late` did.
    assert order == ["new", "old", "late"]


def test_the_priority_of_a_task_in_the_middle_counts(timed, clock):
    order, note = recorder()

    @task(priority=1, retries=RetryPolicy(1, 60))
    def urgent(x):
        order.append("urgent")
        if order.count("urgent") == 1:
            raise ConnectionError("down")

    client = WorkflowClient(timed)
    middle = Flow("middle").then(lambda x: x, name="start").then(urgent).build()
    plain = Flow("plain").then(note).build()
    with working(timed, [middle]):
        client.submit(middle, "a", None)
        eventually(lambda: timed.load("a").tokens[0].state == "backoff")
    for number in range(3):
        client.submit(plain, f"i{number}", number)
    clock.advance(61)
    with working(timed, [middle, plain], concurrency=1):
        ended(timed, "a", "i0", "i1", "i2")
    # The retry came a minute after the others, and goes first.
    assert order == ["urgent", "urgent", 0, 1, 2]


def test_a_long_chain_gives_its_slot_to_more_urgent_work(timed, clock):
    order, gate = [], Gate()

    def first(x):
        gate.pass_through()
        order.append("first")

    chain = Flow("chain").then(first).then(lambda x: order.append("second"), name="second").build()
    urgent = Flow("urgent").then(lambda x: order.append("urgent"), name="urgent").build()
    client = WorkflowClient(timed)
    with working(timed, [chain, urgent], concurrency=1):
        client.submit(chain, "chain", None, priority=4)
        gate.await_arrivals()
        client.submit(urgent, "urgent", None, priority=1)

        def claimed():
            clock.advance(0.5)
            return timed.load("urgent").tokens[0].owner

        eventually(claimed)
        gate.open.set()
        ended(timed, "chain", "urgent")
    assert order == ["first", "urgent", "second"]


def test_a_chain_keeps_its_slot_before_work_that_is_not_more_urgent(timed, clock):
    order, gate = [], Gate()

    def first(x):
        gate.pass_through()
        order.append("first")

    chain = Flow("chain").then(first).then(lambda x: order.append("second"), name="second").build()
    other = Flow("other").then(lambda x: order.append("other"), name="other").build()
    client = WorkflowClient(timed)
    with working(timed, [chain, other], concurrency=1):
        client.submit(chain, "chain", None)
        gate.await_arrivals()
        clock.advance(0.001)
        client.submit(other, "other", None)
        looks_again(timed, clock, 3)
        assert timed.load("other").tokens[0].owner is None
        gate.open.set()
        ended(timed, "chain", "other")
    assert order == ["first", "second", "other"]


# --- tags ---------------------------------------------------------------------------------------------------------


def tagged():
    def note(x):
        return [*x, get_task_context().worker_id]

    plain = task("plain")(lambda x: note(x))
    gpu = task("gpu", tags=["gpu"])(lambda x: note(x))
    both = task("both", tags=["gpu", "eu"])(lambda x: note(x))
    return Flow("w").then(plain).then(gpu).then(both).then(plain, name="end").build()


def test_tags_route_tasks_to_workers_that_have_them(backend):
    flow = tagged()
    with (
        working(backend, [flow], "plain", tags=["cpu"]),
        working(backend, [flow], "gpu", tags=["gpu"]),
        working(backend, [flow], "both", tags=["eu", "gpu"]),
    ):
        WorkflowClient(backend).submit(flow, "a", [])
        _, gpu, both, _ = ended(backend, "a").output
    assert gpu in ("gpu", "both")
    assert both == "both"


def test_a_task_waits_for_a_worker_with_its_tags(backend):
    flow = tagged()
    client = WorkflowClient(backend)
    with working(backend, [flow], "plain", tags=["cpu"]):
        client.submit(flow, "a", [])
        eventually(lambda: client.get_task_result("a", "plain") == ["plain"])
        eventually(lambda: backend.load("a").tokens[0].owner is None)
        assert client.get_task_result("a", "gpu") is None
    with working(backend, [flow], "all"):
        assert ended(backend, "a").output == ["plain", "all", "all", "all"]


def test_a_join_that_needs_other_tags_is_left_to_its_worker(backend):
    @task(tags=["big"])
    def join(results):
        return [*results.values(), get_task_context().worker_id]

    flow = Flow("w").fork().branch(lambda x: 1, name="a").branch(lambda x: 2, name="b").join(join).build()
    client = WorkflowClient(backend)
    with working(backend, [flow], "small", tags=["none"]):
        client.submit(flow, "i", 0)
        eventually(lambda: client.get_task_result("i", "b") == 2 and backend.load("i").tokens[0].tags)
    with working(backend, [flow], "big", tags=["big"]):
        assert ended(backend, "i").output == [1, 2, "big"]


def test_a_worker_without_a_free_slot_leaves_work_to_others(timed, clock):
    gate = Gate()
    flow = Flow("w").then(lambda x: gate.pass_through()).build()
    client = WorkflowClient(timed)
    client.submit(flow, "a", None)
    with working(timed, [flow], "full", concurrency=1) as handle:
        gate.await_arrivals()
        clock.advance(0.001)
        client.submit(flow, "b", None)
        looks_again(timed, clock, 3)
        assert timed.load("b").tokens[0].owner is None
        assert len(handle._shift.jobs) == 1
        with working(timed, [flow], "idle", concurrency=1):
            gate.await_arrivals(2)
            gate.open.set()
            ended(timed, "a", "b")
