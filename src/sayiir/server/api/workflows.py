"""The endpoints about workflows."""

from __future__ import annotations

from typing import Any

from sayiir.server.api.asked import VersionQuery
from sayiir.server.api.given import Schemas, Workflows
from sayiir.server.routing import Call, Endpoint
from sayiir.service.model import WorkflowRow


def list_workflows(call: Call) -> Any:
    return Workflows(call.service.workflows(call.access))


def show_workflow(call: Call) -> Any:
    return call.service.workflow(call.access, call.path["workflow_id"])


def workflow_schemas(call: Call) -> Any:
    return Schemas(*call.service.schemas(call.access, call.path["workflow_id"], call.query.definition_hash))


def draw_workflow(call: Call) -> Any:
    return call.service.graph_svg(
        call.access, workflow_id=call.path["workflow_id"], definition_hash=call.query.definition_hash
    )


def draw_workflow_as_mermaid(call: Call) -> Any:
    return call.service.graph_text(call.access, call.path["workflow_id"], definition_hash=call.query.definition_hash)


def draw_workflow_as_text(call: Call) -> Any:
    return call.service.graph_text(
        call.access, call.path["workflow_id"], definition_hash=call.query.definition_hash, form="text"
    )


_ONE = "/workflows/{workflow_id}"
_LOST = ("unknown_workflow",)

WORKFLOWS: tuple[Endpoint, ...] = (
    Endpoint("GET", "/workflows", "workflows", "All workflows with their figures", list_workflows, answer=Workflows),
    Endpoint("GET", _ONE, "workflow", "One workflow", show_workflow, answer=WorkflowRow, problems=_LOST),
    Endpoint("GET", f"{_ONE}/schema", "workflow", "JSON Schemas of its input and signals", workflow_schemas, VersionQuery,
             answer=Schemas, problems=_LOST),
    Endpoint("GET", f"{_ONE}/graph.svg", "graph_svg", "Its picture", draw_workflow, VersionQuery, media="image/svg+xml",
             problems=_LOST),
    Endpoint("GET", f"{_ONE}/graph.mermaid", "graph_text", "Its picture as Mermaid", draw_workflow_as_mermaid, VersionQuery,
             media="text/vnd.mermaid", problems=_LOST),
    Endpoint("GET", f"{_ONE}/graph.txt", "graph_text", "Its nodes as lines of text", draw_workflow_as_text, VersionQuery,
             media="text/plain", problems=_LOST),
)  # fmt: skip
