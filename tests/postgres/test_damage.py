"""A row that cannot be read ends its own instance and holds up nobody else."""

from __future__ import annotations

import psycopg
import pytest

from sayiir import Flow, PostgresBackend, Worker, WorkflowClient
from sayiir.core.lifecycle import State

FLOW = Flow("w").then(lambda x: x, name="one").then(lambda x: x, name="two").build()
DAMAGE = {
    "keys": "UPDATE sayiir.tokens SET keys = '[1' WHERE instance = %s",
    "node": "UPDATE sayiir.tokens SET node = 'nowhere' WHERE instance = %s",
    "reference": "UPDATE sayiir.tokens SET ref = 77 WHERE instance = %s",
    "input": "UPDATE sayiir.instances SET input = '{\"a' WHERE number = %s",
    "wait": "UPDATE sayiir.tokens SET state = 'waiting', due_at = 1 WHERE instance = %s",
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_row_ends_its_own_instance_alone(pg_url: str, what: str) -> None:
    with PostgresBackend(pg_url) as store, psycopg.connect(pg_url, autocommit=True) as connection:
        client = WorkflowClient(store)
        client.submit(FLOW, "damaged", 1)
        view = store.load("damaged")
        assert view is not None
        connection.execute(DAMAGE[what].encode(), (view.instance.number,))
        client.submit(FLOW, "healthy", 1)
        with Worker("w", store).start([FLOW]):
            assert client.wait("healthy", 60).output == 1
            status = client.wait("damaged", 60)
        assert status.is_failed()
        assert status.error
        after = store.load("damaged")
        assert after is not None
        assert (after.instance.status, after.tokens) == (State.FAILED, ())
