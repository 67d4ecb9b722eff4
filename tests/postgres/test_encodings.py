"""Databases that do not store UTF-8: bytes as they are will do; those that cannot keep every character are refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from uuid import uuid4

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from sayiir import BackendError, Flow, PostgresBackend, Worker, WorkflowClient, run_durable_workflow
from tests.servers.postgres import PostgresServer

FLOW = Flow("grüße").then(lambda text: text + "ß", name="größer").then(lambda text: text * 2, name="zweimal").build()


@contextlib.contextmanager
def encoded(server: PostgresServer, encoding: str) -> Iterator[str]:
    name = f"test_{uuid4().hex[:12]}"
    with server.connect() as admin:
        statement = "CREATE DATABASE {} ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        admin.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(encoding)))
    try:
        yield server.url(name)
    finally:
        server.drop_database(name)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "UTF8"])
@pytest.mark.parametrize("wanted", [None, "LATIN1"])
def test_what_is_stored_comes_back(postgres, encoding, wanted):
    with encoded(postgres, encoding) as url:
        # Whatever a URL says of the client's encoding, we speak ours.
        place = url if wanted is None else make_conninfo(url, client_encoding=wanted)
        with PostgresBackend(place) as backend:
            client = WorkflowClient(backend)
            assert run_durable_workflow(FLOW, "ä", "ü", backend).output == "üßüß"
            client.submit(FLOW, "ö", "é")
            client.submit_many(FLOW, [("ñ", "ÿ")])
            with Worker("Jürgen", backend).start([FLOW]):
                assert [client.result(name, 20) for name in "öñ"] == ["éßéß", "ÿßÿß"]
            assert [one.instance_id for one in client.find_all()] == ["ñ", "ö", "ä"]
            assert [entry.node_id for entry in client.timeline("ö")] == ["größer", "zweimal"]


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "EUC_JP"])
def test_a_database_that_cannot_keep_every_character_is_refused(postgres, encoding):
    with encoded(postgres, encoding) as url, pytest.raises(BackendError, match=f"stores text as {encoding}.*ENCODING 'UTF8'"):
        PostgresBackend(url)
