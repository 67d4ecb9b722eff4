"""Workers in real processes on one database: they share the work, and one that dies is taken over."""

import signal

import pytest

from sayiir import WorkflowClient
from sayiir.service import Access, Service
from tests.worker.child import CHAIN, FORK, POISON, QUICK, Process, noted, open_backend, open_gate
from tests.worker.support import ended, eventually, status


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.db"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    return request.getfixturevalue("pg_url") if request.param == "postgres" else None


@pytest.fixture
def backend(path, url):
    with open_backend(path, url) as store:
        yield store


@pytest.fixture
def start(path, url):
    """Start a worker's process on the test's database."""
    return lambda name, **options: Process(path, name, url=url, **options)


def test_two_processes_share_the_branches_and_join_once(path, start, backend):
    with start("one", concurrency=2) as one, start("two", concurrency=2) as two:
        WorkflowClient(backend).submit(FORK, "a", 1)
        eventually(lambda: len(noted(path)) == 4)
        open_gate(path)
        found = ended(backend, "a").output
        assert sorted(found.values()) == sorted([one.process.pid, two.process.pid] * 2)
        assert [words[0] for words in noted(path)].count("join") == 1
        assert one.end() == two.end() == 0


def test_two_processes_run_every_task_once(path, start, backend):
    client = WorkflowClient(backend)
    with start("one") as one, start("two") as two:
        for number in range(150):
            client.submit(QUICK, f"i{number}", number)
        outputs = [s.output for s in ended(backend, *(f"i{number}" for number in range(150)))]
        assert one.end() == two.end() == 0
    assert outputs == [number + 3 for number in range(150)]
    ran = noted(path)
    assert len(ran) == 450
    assert {int(words[2]) for words in ran} <= {one.process.pid, two.process.pid}


def test_a_killed_worker_is_taken_over_by_another(path, start, backend):
    client = WorkflowClient(backend)
    with start("first", concurrency=2) as first, start("second", concurrency=1) as second:
        client.submit(CHAIN, "a", 1)
        client.submit(CHAIN, "b", 1)
        client.submit(CHAIN, "c", 1)
        eventually(lambda: [words[0] for words in noted(path)].count("slow") == 3)
        victims = {words[1] for words in noted(path) if words[0] == "slow" and int(words[2]) == first.process.pid}
        assert len(victims) == 2
        first.kill()
        open_gate(path)
        assert [s.output for s in ended(backend, "a", "b", "c")] == [5, 5, 5]
        assert second.end() == 0
    again = [words[1] for words in noted(path) if words[0] == "slow"]
    assert sorted(again) == sorted(["a", "b", "c", *victims])
    assert [words[0] for words in noted(path)].count("quick") == 6
    crashed = [entry for entry in client.timeline(victims.pop()) if entry.status == "crashed"]
    assert [entry.task_id for entry in crashed] == ["slow"]


def test_a_stopped_worker_is_taken_over_at_the_end_of_its_claims_and_writes_nothing_late(path, start, backend):
    client = WorkflowClient(backend)
    with start("first", claim_ttl=1, concurrency=1) as first:
        client.submit(CHAIN, "a", 1)
        eventually(lambda: [words[0] for words in noted(path)] == ["quick", "slow"])
        first.process.send_signal(signal.SIGSTOP)
        with start("second", claim_ttl=1) as second:
            eventually(lambda: [words[0] for words in noted(path)].count("slow") == 2)
            open_gate(path)
            assert ended(backend, "a").output == 5
            first.process.send_signal(signal.SIGCONT)
            assert first.end() == 0
            assert second.end() == 0
    done = [entry.status for entry in client.timeline("a")]
    assert done == ["completed", "crashed", "completed", "completed"]


def test_a_healthy_task_longer_than_its_claims_runs_once(path, start, backend):
    with start("first", claim_ttl=0.3) as first, start("second", claim_ttl=0.3) as second:
        client = WorkflowClient(backend)
        client.submit(CHAIN, "a", 1)
        eventually(lambda: len(noted(path)) == 2)
        begun = backend.now()
        eventually(lambda: backend.now() - begun > 1_000_000)
        open_gate(path)
        assert ended(backend, "a").output == 5
        assert first.end() == second.end() == 0
    assert [words[0] for words in noted(path)] == ["quick", "slow", "quick"]


def test_a_poison_task_ends_failed_after_three_crashes_while_others_complete(path, start, backend):
    client = WorkflowClient(backend)
    client.submit(POISON, "poison", 1)
    submitted = deaths = 0
    while not status(backend, "poison").is_failed():
        with start(f"worker-{deaths}") as worker:
            for _ in range(5):
                client.submit(QUICK, f"i{submitted}", 1)
                submitted += 1

            def over(worker=worker):
                return worker.process.poll() is not None or status(backend, "poison").is_failed()

            eventually(over)
            if worker.process.poll() is not None:
                deaths += 1
            else:
                assert worker.end() == 0  # not a kill: an innocent task may have been beside the poison twice
    assert deaths == 3
    with start("last") as last:
        assert {s.output for s in ended(backend, *(f"i{number}" for number in range(submitted)))} == {4}
        assert last.end() == 0
    found = status(backend, "poison")
    assert found.error.startswith("WorkerCrashError: the process that ran task 'kill' died 3 times while it ran")
    told = Service(backend).why(Access(), "poison")
    assert (told.code, "quarantined after 3 crashes of the process" in told.sentence) == ("quarantined", True)
    assert [words[0] for words in noted(path)].count("kill") == 3
