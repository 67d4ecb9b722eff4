"""A store that cannot be reached for a while, hints that never come, and what nobody expects."""

import logging
import threading

from sayiir import BackendError, Flow, InMemoryBackend, Worker, WorkflowClient
from tests.worker.support import Gate, ended, eventually, working

VERBS = ("claim_due", "checkpoint_many", "heartbeat", "sweep", "release", "register", "purge")


class Flaky(InMemoryBackend):
    """A store whose worker's verbs can be made to fail; some fail after they have done their work's half."""

    def __init__(self, **options):
        super().__init__(**options)
        self.down = False
        self.refused = {verb: 0 for verb in VERBS}


def refusing(verb):
    def call(self, *arguments, **options):
        if self.down:
            self.refused[verb] += 1
            raise BackendError("the database is away")
        return getattr(InMemoryBackend, verb)(self, *arguments, **options)

    return call


for name in VERBS:
    setattr(Flaky, name, refusing(name))


def test_a_store_that_is_away_for_a_while_delays_and_loses_nothing(caplog):
    backend, gate, ran = Flaky(), Gate(), []

    def first(x):
        gate.pass_through()
        ran.append(x)
        return x

    flow = Flow("w").then(first).then(lambda x: x + 1, name="second").build()
    client = WorkflowClient(backend)
    with caplog.at_level(logging.INFO, "sayiir"), working(backend, [flow]):
        for number in range(5):
            client.submit(flow, f"i{number}", number)
        gate.await_arrivals(5)
        backend.down = True
        gate.open.set()
        eventually(lambda: backend.refused["checkpoint_many"] >= 3 and backend.refused["sweep"] >= 1)
        client.submit(flow, "later", 9)
        backend.down = False
        outputs = [s.output for s in ended(backend, *(f"i{number}" for number in range(5)), "later")]
    assert outputs == [1, 2, 3, 4, 5, 10]
    assert sorted(ran) == [0, 1, 2, 3, 4, 9]
    # Each of the worker's threads says it once, however often it tried.
    said = [record.message for record in caplog.records if "could not write checkpoints" in record.message]
    assert len(said) == 1
    assert "the database is away" in said[0]
    assert any("can write checkpoints again" in record.message for record in caplog.records)


def test_nothing_is_claimed_while_checkpoints_cannot_be_written():
    class NoWrites(InMemoryBackend):
        down = False
        claims = 0
        tries = 0

        def checkpoint_many(self, orders):
            if self.down:
                self.tries += 1
                raise BackendError("read-only")
            return super().checkpoint_many(orders)

        def claim_due(self, *arguments, **options):
            self.claims += 1
            return super().claim_due(*arguments, **options)

    backend, gate = NoWrites(), Gate()
    flow = Flow("w").then(lambda x: gate.pass_through(), name="step").build()
    client = WorkflowClient(backend)
    with working(backend, [flow]):
        client.submit(flow, "a", 1)
        gate.await_arrivals()
        backend.down = True
        gate.open.set()
        eventually(lambda: backend.tries >= 2)
        before = backend.claims
        client.submit(flow, "b", 1)
        eventually(lambda: backend.tries >= 4)
        assert backend.claims - before <= 1
        backend.down = False
        ended(backend, "a", "b")


def test_one_checkpoint_that_cannot_be_written_does_not_hold_up_the_others():
    class Picky(InMemoryBackend):
        refused = 0
        heal = False

        def checkpoint_many(self, orders):
            return [self._one(order) for order in orders]

        def _one(self, order):
            if not self.heal and order.move.records and order.move.records[-1].output == b'"poison"':
                self.refused += 1
                return BackendError("this one cannot be written")
            return InMemoryBackend.checkpoint_many(self, [order])[0]

    backend = Picky()
    flow = Flow("w").then(lambda x: x, name="step").build()
    client = WorkflowClient(backend)
    with working(backend, [flow]):
        client.submit(flow, "bad", "poison")
        eventually(lambda: backend.refused)
        client.submit(flow, "good", "fine")
        backend.heal = True
        assert ended(backend, "good", "bad")[0].output == "fine"


def test_a_worker_that_ends_while_its_store_is_away_ends_all_the_same(caplog):
    backend, gate = Flaky(), Gate()
    flow = Flow("w").then(lambda x: gate.pass_through(), name="step").build()
    WorkflowClient(backend).submit(flow, "a", 1)
    with caplog.at_level(logging.WARNING, "sayiir"):
        handle = Worker("w1", backend, shutdown_grace=0.1).start([flow])
        gate.await_arrivals()
        backend.down = True
        gate.open.set()
        eventually(lambda: backend.refused["checkpoint_many"])
        handle.shutdown()
        assert handle.join(30)
    assert any("could not give claims back" in record.message for record in caplog.records)


def test_everything_works_with_every_hint_dropped(tmp_path):
    class Deaf(InMemoryBackend):
        """Its waits end by their timeout only."""

        def wait_for_hint(self, seen, timeout):
            threading.Event().wait(timeout)
            return seen + 1

        def wait_for_steering(self, seen, timeout):
            threading.Event().wait(timeout)
            return seen

    backend = Deaf()
    flow = (
        Flow("w")
        .then(lambda x: x + 1, name="one")
        .delay("short", 0.01)
        .fork()
        .branch(lambda x: x, name="a")
        .branch(lambda x: x * 2, name="b")
        .join(lambda r: r["a"] + r["b"], name="join")
        .wait_for_signal("go", name="go")
        .build()
    )
    client = WorkflowClient(backend)
    with working(backend, [flow], poll_interval=0.05):
        client.submit(flow, "i", 1)
        eventually(lambda: client.status("i").is_awaiting_signal())
        assert client.get_task_result("i", "join") == 6
        client.send_signal("i", "go", "done")
        assert ended(backend, "i").output == "done"


def test_an_error_of_the_engine_in_one_job_gives_its_claim_back_and_harms_no_other(caplog, monkeypatch):
    from sayiir.runtime import executor

    real, broken = executor.encode, [True]

    def encode(value, **options):
        if value == "break" and broken:
            broken.pop()
            raise RuntimeError("a bug")
        return real(value, **options)

    monkeypatch.setattr(executor, "encode", encode)
    backend = InMemoryBackend()
    flow = Flow("w").then(lambda x: x, name="step").build()
    client = WorkflowClient(backend)
    with caplog.at_level(logging.ERROR, "sayiir"), working(backend, [flow]):
        client.submit(flow, "a", "break")
        client.submit(flow, "b", "fine")
        assert [s.output for s in ended(backend, "a", "b")] == ["break", "fine"]
    assert "could not move a token" in caplog.text
