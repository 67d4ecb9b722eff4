"""Retries: how often, how long between them, which failures, and what a resume still waits for."""

import threading

import pytest

from sayiir import (
    Flow,
    NonRetryableError,
    RetryPolicy,
    TaskError,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    task,
)
from tests.runtime.support import Calls, JumpClock, await_event, in_thread, open_store, until


def failing(times, error=ValueError, **options):
    """A task that fails so often, and its calls."""
    calls = Calls()

    def work(x):
        calls("work")
        if calls.count("work") <= times:
            raise error(f"failure {calls.count('work')}")
        return "ok"

    return Flow("w").then(task("work", **options)(work)).build(), calls


def test_retries_until_success(timed, clock):
    workflow, calls = failing(2, retries=3)
    status = run_durable_workflow(workflow, "i", 1, timed)
    assert status.output == "ok"
    assert clock.slept == [1.0, 2.0]
    entries = WorkflowClient(timed).timeline("i")
    assert [(entry.attempt, entry.status, entry.error) for entry in entries] == [
        (1, "failed", "ValueError: failure 1"), (2, "failed", "ValueError: failure 2"), (3, "completed", None),
    ]  # fmt: skip


def test_retries_used_up(timed, clock):
    workflow, calls = failing(9, retries=3)
    status = run_durable_workflow(workflow, "i", 1, timed)
    assert status.error == "ValueError: failure 4"
    assert status.error_detail.attempts == 4
    assert clock.slept == [1.0, 2.0, 4.0]
    assert calls.count("work") == 4


@pytest.mark.parametrize("none", [0, None])
def test_no_retries(timed, clock, none):
    workflow, calls = failing(9, retries=none)
    assert run_durable_workflow(workflow, "i", 1, timed).is_failed()
    assert (calls.count("work"), clock.slept) == (1, [])


def test_a_policy_of_no_retries(timed):
    workflow, calls = failing(9, retries=RetryPolicy(0))
    assert run_durable_workflow(workflow, "i", 1, timed).is_failed()
    assert calls.count("work") == 1


def test_cap_and_multiplier(timed, clock):
    workflow, _ = failing(9, retries=RetryPolicy(5, 0.5, 3.0, max_delay_secs=10))
    run_durable_workflow(workflow, "i", 1, timed)
    assert clock.slept == [0.5, 1.5, 4.5, 10.0, 10.0]


@pytest.mark.parametrize(("chance", "slept"), [(0.0, [8.0, 16.0]), (0.5, [10.0, 20.0]), (0.75, [11.0, 22.0])])
def test_jitter(timed, clock, chance, slept):
    clock.drawn = chance
    workflow, _ = failing(9, retries=RetryPolicy(2, 10.0, jitter=0.2))
    run_durable_workflow(workflow, "i", 1, timed)
    assert clock.slept == pytest.approx(slept)


def test_in_memory_runs_retry_too():
    workflow, calls = failing(2, retries=RetryPolicy(2, 0.0))
    assert run_workflow(workflow, 1) == "ok"
    workflow, calls = failing(3, retries=RetryPolicy(2, 0.0))
    with pytest.raises(TaskError, match="^ValueError: failure 3") as caught:
        run_workflow(workflow, 1)
    assert caught.value.attempt == 3


def test_async_tasks_are_retried(timed, clock):
    calls = Calls()

    @task(retries=2)
    async def work(x):
        calls("work")
        if calls.count("work") < 3:
            raise ValueError
        return "ok"

    workflow = Flow("w").then(work).fork().branch(lambda x: x, name="a").join(lambda d: d).build()
    assert run_durable_workflow(workflow, "i", 1, timed).output == {"a": "ok"}
    assert clock.slept == [1.0, 2.0]


class Custom(ValueError):
    pass


@pytest.mark.parametrize(
    ("error", "options", "attempts"),
    [
        (ValueError, {"retry_on": ValueError}, 4),
        (Custom, {"retry_on": ValueError}, 4),
        (KeyError, {"retry_on": ValueError}, 1),
        (KeyError, {"retry_on": (ValueError, KeyError)}, 4),
        (ValueError, {"retry_on": lambda error: "failure" in str(error)}, 4),
        (ValueError, {"retry_on": lambda error: "other" in str(error)}, 1),
        (ValueError, {"no_retry_on": ValueError}, 1),
        (Custom, {"no_retry_on": ValueError}, 1),
        (KeyError, {"no_retry_on": ValueError}, 4),
        (KeyError, {"no_retry_on": (ValueError, KeyError)}, 1),
        (ValueError, {"no_retry_on": lambda error: True}, 1),
        (ValueError, {"no_retry_on": lambda error: False}, 4),
        (Custom, {"retry_on": ValueError, "no_retry_on": Custom}, 1),
        (ValueError, {"retry_on": ValueError, "no_retry_on": Custom}, 4),
        (NonRetryableError, {}, 1),
        (NonRetryableError, {"retry_on": NonRetryableError}, 1),
        (ValueError, {"retry_on": lambda error: 1 / 0}, 1),
        (ValueError, {"no_retry_on": lambda error: 1 / 0}, 4),
    ],
)
def test_which_failures_are_retried(timed, error, options, attempts):
    workflow, calls = failing(9, error, retries=3, **options)
    status = run_durable_workflow(workflow, "i", 1, timed)
    assert calls.count("work") == attempts
    assert status.error_detail.attempts == attempts
    assert status.error_detail.error_type == error.__name__


def test_a_subclass_of_non_retryable(timed):
    class Declined(NonRetryableError):
        pass

    workflow, calls = failing(9, Declined, retries=3)
    assert run_durable_workflow(workflow, "i", 1, timed).error == "Declined: failure 1"
    assert calls.count("work") == 1


def test_filters_without_retries_do_nothing(timed):
    workflow, calls = failing(9, retry_on=ValueError)
    assert run_durable_workflow(workflow, "i", 1, timed).is_failed()
    assert calls.count("work") == 1


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_resume_waits_only_what_is_left(kind, tmp_path):
    """The process dies 40 s into a pause of 100 s: the next one waits 60 s more, and the retries go on counting."""
    calls = Calls()

    class DyingClock(JumpClock):
        def wait(self, condition, timeout):
            if timeout == 100.0:
                self.advance(40)
                raise KeyboardInterrupt
            return super().wait(condition, timeout)

    clock = DyingClock()

    def work(x):
        calls("work")
        raise ValueError(f"failure {calls.count('work')}")

    workflow = Flow("w").then(task("work", retries=RetryPolicy(2, 100.0, 2.0))(work)).build()
    with open_store(kind, tmp_path, clock=clock) as backend:
        with pytest.raises(KeyboardInterrupt):
            run_durable_workflow(workflow, "i", 1, backend)
        (parked,) = WorkflowClient(backend).status("i").parked
        assert (parked.node_id, parked.kind) == ("work", "retry")
        assert resume_workflow(workflow, "i", backend).error == "ValueError: failure 3"
    assert clock.slept == [60.0, 200.0]
    assert calls.count("work") == 3


def test_resume_after_the_pause_does_not_wait(timed, clock):
    workflow, calls = failing(1, retries=RetryPolicy(1, 100.0))
    original = clock.wait

    def wait(condition, timeout):
        if timeout == 100.0:
            clock.advance(500)
            raise KeyboardInterrupt
        return original(condition, timeout)

    clock.wait = wait
    with pytest.raises(KeyboardInterrupt):
        run_durable_workflow(workflow, "i", 1, timed)
    assert resume_workflow(workflow, "i", timed).output == "ok"
    assert clock.slept == []


def test_the_state_during_the_pause_is_durable(timed, clock):
    clock.jumps = False
    workflow, _ = failing(1, retries=RetryPolicy(1, 100.0))
    client = WorkflowClient(timed)
    with in_thread(run_durable_workflow, workflow, "i", 1, timed) as running:
        until(timed, lambda: timed.load("i") is not None and client.status("i").parked)
        status = client.status("i")
        (parked,) = status.parked
        assert (status.status, parked.kind) == ("in_progress", "retry")
        assert parked.wake_at.timestamp() == pytest.approx(clock.now() / 1e6 + 100)
        client.cancel("i")  # wakes the pause at once
        assert running.result().is_cancelled()


@pytest.mark.parametrize("steer", ["cancel", "pause"])
def test_steering_wakes_a_pause_at_once_and_the_retry_is_not_made(backend, steer):
    failed = threading.Event()
    calls = Calls()

    @task(retries=RetryPolicy(1, 3_600))
    def work(x):
        calls("work")
        failed.set()
        raise ValueError

    workflow, client = Flow("w").then(work).build(), WorkflowClient(backend)
    with in_thread(run_durable_workflow, workflow, "i", 1, backend) as running:
        await_event(failed)
        getattr(client, steer)("i", reason="enough")
        status = running.result()
    assert (status.status, status.reason) == ({"cancel": "cancelled", "pause": "paused"}[steer], "enough")
    assert calls.count("work") == 1


def test_retries_of_branches_and_joins(timed, clock):
    calls = Calls()

    def flaky(name):
        @task(name, retries=RetryPolicy(1, 1.0))
        def work(x):
            calls(name)
            if calls.count(name) == 1:
                raise ValueError
            return name

        return work

    workflow = Flow("w").fork().branch(flaky("a"), flaky("b")).branch(flaky("c")).join(flaky("j")).build()
    assert run_durable_workflow(workflow, "i", 1, timed).output == "j"
    assert sorted(calls.made) == sorted("aabbccjj")
