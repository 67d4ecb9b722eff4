"""Everything that the OpenAPI document allows, and much that it does not, against the running app: never a server error."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sayiir import InMemoryBackend, resume_workflow, run_durable_workflow
from sayiir.server import create_app
from tests.server.conftest import ADD, BAD, FLOWS, GATE


def filled():
    """Return a store with an instance of each kind."""
    store = InMemoryBackend()
    run_durable_workflow(ADD, "a", 1, store)
    run_durable_workflow(BAD, "b", 1, store)
    run_durable_workflow(GATE, "0", {"n": 1}, store)
    resume_workflow(GATE, "0", store)
    return store


SCHEMA = schemathesis.openapi.from_asgi("/api/v1/openapi.json", create_app(filled(), FLOWS, allowed_hosts=["testserver"]))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@SCHEMA.exclude(path="/events").parametrize()  # a stream lasts a minute; test_events.py has it
@settings(
    max_examples=8, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@pytest.mark.timeout(120)
def test_no_request_breaks_the_server(case):
    case.call_and_validate(checks=CHECKS)
