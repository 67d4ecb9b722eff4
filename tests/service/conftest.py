"""Each store in turn, and a service over it."""

from __future__ import annotations

import pytest

from sayiir import InMemoryBackend, SqliteBackend
from sayiir.store.postgres import PostgresBackend


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def backend(request, tmp_path):
    if request.param == "memory":
        store = InMemoryBackend()
    elif request.param == "sqlite":
        store = SqliteBackend(tmp_path / "runs.db")
    else:
        store = PostgresBackend(request.getfixturevalue("emptied_url"))
    with store:
        yield store
