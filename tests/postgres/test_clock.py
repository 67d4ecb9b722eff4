"""The database's clock is the only one: a process whose own clock is wrong changes no time that is stored."""

from __future__ import annotations

import pytest

from sayiir import Flow, WorkflowClient, run_durable_workflow
from sayiir.clock import MICROS, SystemClock
from sayiir.store.postgres import PostgresBackend

HOUR = 3600 * MICROS
MINUTE = 60 * MICROS


class Wrong(SystemClock):
    """A clock that is an hour off."""

    def __init__(self, micros: int) -> None:
        super().__init__()
        self.off = micros

    def now(self) -> int:
        return super().now() + self.off


@pytest.mark.parametrize("off", [-HOUR, HOUR])
def test_a_wrong_clock_changes_no_stored_time(pg_url: str, off: int) -> None:
    flow = Flow("w").then(lambda x: x, name="one").delay("rest", "1d").then(lambda x: x, name="two").build()
    awaits = Flow("awaits").wait_for_signal("go", timeout="1d").build()
    with PostgresBackend(pg_url) as right, PostgresBackend(pg_url, clock=Wrong(off)) as wrong:
        now = right.now()
        assert run_durable_workflow(flow, "a", 1, wrong).is_waiting()
        assert run_durable_workflow(awaits, "b", 1, wrong).is_awaiting_signal()
        WorkflowClient(wrong).submit(flow, "c", 1)
        assert abs(wrong.now() - now) < MINUTE
        for name in ("a", "b"):
            view = right.load(name)
            assert view is not None
            (token,) = view.tokens
            assert token.due_at is not None
            assert abs(token.due_at - now - 24 * HOUR) < MINUTE
        for name in ("a", "b", "c"):
            view = right.load(name)
            assert view is not None
            assert abs(view.instance.created_at - now) < MINUTE
            assert abs(view.instance.updated_at - now) < MINUTE
            assert all(abs(token.moved_at - now) < MINUTE for token in view.tokens)
            for record in right.history(view.instance.number):
                assert abs(record.started_at - now) < MINUTE
                assert abs(record.finished_at - now) < MINUTE
        created = right.load("c")
        assert created is not None
        (token,) = created.tokens
        assert token.wake_at is not None
        assert abs(token.wake_at - now) < MINUTE
