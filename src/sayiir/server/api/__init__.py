"""The endpoints of the API, by what they are about."""

from sayiir.server.api.events import EVENTS
from sayiir.server.api.instances import INSTANCES
from sayiir.server.api.operations import OPERATIONS
from sayiir.server.api.workflows import WORKFLOWS
from sayiir.server.routing import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (*INSTANCES, *WORKFLOWS, *OPERATIONS, *EVENTS)
"""All of them; the tests of roles and the OpenAPI document read this."""

__all__ = ["ENDPOINTS"]
