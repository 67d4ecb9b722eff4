"""Retrying an instance that ended because its stored data was damaged: it never stands still, and goes on once it is mended."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sayiir import BackendError, Flow, Worker, WorkflowClient, connect
from sayiir.core.lifecycle import State
from tests.servers.ground import until

Mend = Callable[[str], None]
FLOW = (
    Flow("w").then(lambda x: x + 1, name="one").wait_for_signal("go").then(lambda x: x * 2, name="two").build()
)
AGAIN = {  # what is damaged, and the word of the error
    "node": ("UPDATE {tokens} SET node = 'nowhere'", "no definition leads to"),
    "reference": ("UPDATE {tokens} SET ref = 77", "77"),
}


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: Any, tmp_path: Path) -> Iterator[tuple[str, Mend]]:
    """Give a URL, and a way past the store to its rows."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/runs.db"

        def change(statement: str) -> None:
            with closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as connection:
                connection.execute(statement.format(tokens="sayiir_tokens", instances="sayiir_instances"))

        yield url, change
        return
    url = request.getfixturevalue("pg_url")

    def change_there(statement: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement.format(tokens="sayiir.tokens", instances="sayiir.instances").encode())

    yield url, change_there


def failed(client: WorkflowClient) -> bool:
    """Wait till it has failed; while its rows cannot be read, who asks is told so."""

    def look() -> bool:
        with suppress(BackendError):
            return bool(client.status("i").is_failed())
        return False

    until(look, "the end of the damaged instance")
    return True


def signalled(client: WorkflowClient) -> Any:
    client.send_signal("i", "go", 20)
    return client.wait("i", 60)


@pytest.mark.parametrize("what", AGAIN)
def test_what_is_damaged_still_fails_again_and_says_so(place: tuple[str, Mend], what: str) -> None:
    url, change = place
    statement, word = AGAIN[what]
    with connect(url) as backend:
        client = WorkflowClient(backend)
        client.submit(FLOW, "i", 1)
        change(statement)
        for _ in range(2):
            with Worker("w", backend).start([FLOW]):
                status = client.wait("i", 60)
            assert status.is_failed()
            assert word in str(status.error)
            client.retry("i")
        with Worker("w", backend).start([FLOW]):
            assert client.wait("i", 60).is_failed()
            client.retry("i", from_task="one")
            assert signalled(client).output == 40


def test_an_input_that_was_mended_is_gone_on_with(place: tuple[str, Mend]) -> None:
    url, change = place
    with connect(url) as backend:
        client = WorkflowClient(backend)
        client.submit(FLOW, "i", 1)
        change("UPDATE {instances} SET input = '{{\"a'")
        with Worker("w", backend).start([FLOW]):
            assert failed(client)
            change("UPDATE {instances} SET input = '1'")
            client.retry("i")
            assert signalled(client).output == 40


def test_where_the_place_is_lost_a_retry_asks_for_one(place: tuple[str, Mend]) -> None:
    url, change = place
    with connect(url) as backend:
        client = WorkflowClient(backend)
        client.submit(FLOW, "i", 1)
        change("UPDATE {tokens} SET keys = '[1'")
        with Worker("w", backend).start([FLOW]):
            assert failed(client)
            with pytest.raises(BackendError, match="from_task"):
                client.retry("i")
            view = backend.load("i")
            assert view is not None
            assert (view.instance.status, view.tokens) == (State.FAILED, ()), "nothing was changed"
            client.retry("i", from_task="one")
            assert signalled(client).output == 40


def test_a_fence_of_before_the_damage_never_fits_again(place: tuple[str, Mend]) -> None:
    url, change = place
    with connect(url) as backend:
        client = WorkflowClient(backend)
        client.submit(FLOW, "i", 1)
        change("UPDATE {tokens} SET keys = '[1', epoch = 12")
        with Worker("w", backend).start([FLOW]):
            assert failed(client)
        client.retry("i", from_task="one")
        view = backend.load("i")
        assert view is not None
        assert view.tokens[0].epoch > 12, "nobody knows any more how high it was"
