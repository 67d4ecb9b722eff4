"""What a worker does beside its tasks: sweeping up after the dead, and deleting what ended long ago."""

from datetime import timedelta

from sayiir import Flow, SqliteBackend, Worker, WorkflowClient
from sayiir.runtime.engine import new_instance
from sayiir.store.port import Query
from sayiir.testing.clock import FakeClock
from tests.worker.support import ended, eventually, working

FLOW = Flow("w").then(lambda x: x, name="step").build()
DAY = 86_400


def test_finished_instances_are_purged_when_they_are_old_enough(timed, clock):
    waiting = Flow("waiting").wait_for_signal("never", name="never").build()
    client = WorkflowClient(timed)
    with working(timed, [FLOW, waiting], retention=timedelta(days=1)):
        client.submit(FLOW, "old", 1)
        client.submit(waiting, "unfinished", 1)
        ended(timed, "old")
        clock.advance(DAY / 2)
        client.submit(FLOW, "new", 1)
        ended(timed, "new")
        clock.advance(DAY / 2)

        def gone():
            clock.advance(1)
            return timed.load("old") is None

        eventually(gone)
    assert timed.load("new") is not None
    assert timed.load("unfinished") is not None


def test_a_purge_goes_on_in_batches_until_all_is_gone(timed, clock):
    timed.create_many([new_instance(FLOW, f"i{number}", number) for number in range(2500)], "fail")
    with working(timed, [FLOW], concurrency=500, retention=60):
        eventually(lambda: not timed.find(Query(statuses=("in_progress",), limit=1)))
        clock.advance(61)

        def gone():
            clock.advance(1)
            return not timed.find(Query(limit=1))

        eventually(gone)


def test_nothing_is_purged_without_a_retention(timed, clock):
    purged = []
    timed.purge = lambda *arguments: purged.append(arguments) or (0, 0)
    swept = []
    timed.sweep = lambda **options: swept.append(clock.now()) or 0
    with working(timed, [FLOW], retention=None):

        def often():
            clock.advance(61)
            return len(swept) > 5

        eventually(often)
    assert purged == []
    with working(timed, [FLOW]):

        def asked():
            clock.advance(61)
            return purged

        before = eventually(asked)[0][0]
    assert abs(clock.now() - before - 30 * DAY * 1_000_000) <= 3600 * 1_000_000


def test_the_claims_of_a_dead_owner_are_taken_over_without_waiting_for_their_end(tmp_path):
    path, clock = tmp_path / "runs.db", FakeClock()
    with SqliteBackend(path, durability="normal", clock=clock) as dead:
        created = dead.create(new_instance(FLOW, "a", 1), "fail", claim=True)
        assert created.claim is not None
        with SqliteBackend(path, durability="normal", clock=clock) as backend, working(backend, [FLOW]):
            clock.until_waiting(3)
            assert WorkflowClient(backend).status("a").is_in_progress()
            dead.abandon()

            def taken_over():
                clock.advance(0.1)
                return WorkflowClient(backend).status("a").is_completed()

            eventually(taken_over)
            assert clock.monotonic() < 10


def test_lanes_that_another_version_brings_are_found(timed, clock):
    from sayiir import task

    tagged = Flow("w").then(task("step", tags=["gpu"])(lambda x: "done")).build()
    plain = Flow("w").then(task("step")(lambda x: "done")).build()
    assert tagged.definition_hash == plain.definition_hash
    with working(timed, [plain]):
        timed.register([tagged.program.definition])
        WorkflowClient(timed).submit(tagged, "a", 1)

        def found():
            clock.advance(5)
            return WorkflowClient(timed).status("a").is_completed()

        eventually(found)


def test_the_time_of_claims_is_the_workers(timed):
    assert timed.claim_ttl == 300
    with Worker("w1", timed, claim_ttl=7).start([FLOW]):
        assert timed.claim_ttl == 7
        created = timed.create(new_instance(FLOW, "a", 1), "fail", claim=True)
        token = timed.load("a").tokens[0]
        assert token.until == timed.now() + 7_000_000
        timed.release([created.claim.fence])
        ended(timed, "a")
