"""What the tests of the server need: flows, an app over each store, and a client for it."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from sayiir import Flow, InMemoryBackend
from sayiir.server import create_app


def double(x: int) -> int:
    return x * 2


def approve(x: dict) -> dict:
    return {**x, "password": "hunter2"}


ADD = Flow("double").then(double, name="double").build()
GATE = Flow("gate").then(approve, name="first").wait_for_signal("go", type=int).then(double, name="last").build()
BAD = Flow("bad").then(lambda x: 1 // 0, name="boom").build()
FLOWS = [ADD, GATE, BAD]


@pytest.fixture
def backend():
    with InMemoryBackend() as store:
        yield store


@pytest.fixture
def client(backend):
    with TestClient(create_app(backend, FLOWS), base_url="http://localhost") as client:
        yield client
