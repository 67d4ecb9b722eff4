"""The environment that skips time: in the order in which things would have happened, and never inside a task."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sayiir import Flow, RetryPolicy, task
from sayiir.testing import Environment


def same(value: Any) -> Any:
    return value


def test_branches_wait_side_by_side() -> None:
    short = Flow("short").delay("an hour", "1h").then(same, name="s").build()
    long = Flow("long").delay("a day", "1d").then(same, name="l").build()
    flow: Any = Flow("w").fork().branch(short, name="short").branch(long, name="long").join(same, name="join").build()
    with Environment() as env:
        assert env.run(flow, 1).output == {"short": 1, "long": 1}
        assert env.passed == timedelta(days=1)


def test_signals_come_in_the_order_of_their_times() -> None:
    flow = Flow("w").wait_for_signal("go", name="one").then(same).wait_for_signal("go", name="two").build()
    with Environment() as env:
        env.signal_at(20, "go", "second")
        env.signal_at(10, "go", "first")
        assert env.run(flow, None).output == "second"
        assert env.client.get_task_result("test", "one") == "first"
        assert env.passed == timedelta(seconds=20)


def test_a_task_that_takes_real_time_is_not_timed_out() -> None:
    @task(timeout=30)
    def slow(value: int) -> int:
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            pass
        return value

    with Environment() as env:
        assert env.run(Flow("w").then(slow).build(), 1).output == 1
        assert env.passed < timedelta(seconds=30)


def test_retries_wait_as_long_as_they_say() -> None:
    @task(retries=RetryPolicy(2, 60.0, 2.0))
    def fails(value: int) -> int:
        raise ValueError(value)

    with Environment() as env:
        assert env.run(Flow("w").then(fails).build(), 1).is_failed()
        assert env.passed == timedelta(seconds=180)


async def aside(value: int) -> int:
    return value + 1


def test_coroutines_and_a_given_start() -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    with Environment(start=start) as env:
        assert env.run(Flow("w").then(aside).delay("d", 5).build(), 1).output == 2
        assert env.now == start + timedelta(seconds=5)


def test_a_paused_instance_goes_on_with_the_next_run() -> None:
    flow = Flow("w").wait_for_signal("go").build()
    with Environment() as env:
        assert env.run(flow, None).is_awaiting_signal()
        env.client.pause("test")
        assert env.run(flow, None).is_paused()
        env.client.unpause("test")
        env.advance("1h")
        env.signal_at("2h", "go", 5)
        assert env.run(flow, None).output == 5


def test_what_is_unknown_is_no_attribute() -> None:
    import sayiir.testing

    with pytest.raises(AttributeError, match="no attribute 'Enviroment'"):
        _ = sayiir.testing.Enviroment  # type: ignore[attr-defined]
