"""Every test that asks for `backend` runs on each store."""

import pytest

from sayiir import PostgresBackend
from sayiir.testing.clock import FakeClock
from tests.worker.support import STORES, open_store


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(params=[*STORES, "postgres"])
def backend(request, tmp_path):
    if request.param == "postgres":
        store = PostgresBackend(request.getfixturevalue("emptied_url"))
    else:
        store = open_store(request.param, tmp_path)
    with store:
        yield store


@pytest.fixture(params=STORES)
def timed(request, tmp_path, clock):
    """A store whose time is the test's `clock`."""
    with open_store(request.param, tmp_path, clock=clock) as store:
        yield store
