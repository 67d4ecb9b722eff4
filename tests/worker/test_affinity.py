"""A retry prefers another process than the one on which its task failed, and does not depend on there being one."""

import pytest

from sayiir import (
    Flow,
    PostgresBackend,
    RetryPolicy,
    SqliteBackend,
    WorkflowClient,
    get_task_context,
    run_durable_workflow,
    task,
)
from sayiir.store.postgres import claims
from sayiir.store.postgres import rows as postgres_rows
from sayiir.store.sqlite import rows as sqlite_rows
from tests.worker.support import ended, working

HOLDERS = (claims, postgres_rows, sqlite_rows)


@pytest.fixture
def long_grace(monkeypatch):
    """The moment for others never ends, so that no slow machine can change who comes."""
    for module in HOLDERS:
        monkeypatch.setattr(module, "GRACE", 3_600_000_000)


@pytest.fixture(params=["sqlite", "postgres"])
def opener(request, tmp_path):
    """What opens one more store on the same data, as another process would."""
    if request.param == "postgres":
        url = request.getfixturevalue("pg_url")
        return lambda: PostgresBackend(url)
    return lambda: SqliteBackend(tmp_path / "runs.db", durability="normal")


def failing(times, tags=None):
    """Return a workflow whose task fails so often, and the ids of the workers that tried it."""
    tried = []

    @task(retries=RetryPolicy(times, 0.001), tags=tags)
    def fragile(value):
        tried.append(get_task_context().worker_id)
        if len(tried) <= times:
            raise ConnectionError("not from here")
        return value

    return Flow("affinity").then(fragile).build(), tried


def test_each_retry_runs_on_the_other_worker(opener, long_grace):
    workflow, tried = failing(3)
    with opener() as one, opener() as two, working(one, [workflow], "w1"), working(two, [workflow], "w2"):
        WorkflowClient(one).submit(workflow, "a", 1)
        assert ended(one, "a").is_completed()
    assert tried in (["w1", "w2"] * 2, ["w2", "w1"] * 2)


def test_a_lone_worker_retries_itself(opener, long_grace):
    workflow, tried = failing(3)
    with opener() as one, working(one, [workflow], "w1"):
        WorkflowClient(one).submit(workflow, "a", 1)
        assert ended(one, "a").is_completed()
    assert tried == ["w1"] * 4


def test_workers_of_one_process_on_one_backend_do_not_wait_for_each_other(backend, long_grace):
    workflow, tried = failing(3)
    with working(backend, [workflow], "w1"), working(backend, [workflow], "w2"):
        WorkflowClient(backend).submit(workflow, "a", 1)
        assert ended(backend, "a").is_completed()
    assert len(tried) == 4


def test_if_the_others_cannot_take_it_the_same_does(opener):
    workflow, tried = failing(2, tags=["gpu"])
    with opener() as one, opener() as two:
        able, unable = working(one, [workflow], "w1", tags=["gpu"]), working(two, [workflow], "w2", tags=["cpu"])
        with able, unable:
            WorkflowClient(one).submit(workflow, "a", 1)
            assert ended(one, "a").is_completed()
    assert tried == ["w1"] * 3


def test_a_run_in_process_retries_itself(opener, long_grace):
    workflow, tried = failing(2)
    with opener() as one, opener() as two, working(two, [workflow], "w2"):
        assert run_durable_workflow(workflow, "a", 1, one).output == 1
    assert len(tried) == 3
    assert "w2" not in tried
