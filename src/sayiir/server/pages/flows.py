"""Workflows: how they do, their pictures, and the form that submits an instance."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sayiir.errors import ForbiddenError, InstanceAlreadyExistsError, SerializationError, WorkflowError
from sayiir.server.pages.answers import read_answers
from sayiir.server.pages.drawn import drawn
from sayiir.server.pages.instance import name_of
from sayiir.server.pages.kit import Kit, fields_of
from sayiir.server.pages.schema import form_of
from sayiir.service.filter import format_filter
from sayiir.service.model import Count, WorkflowRow


class _Counted(Count, frozen=True):
    """A count with the filter that lists what was counted."""

    where: str = ""


def _counted(flow: WorkflowRow) -> list[_Counted]:
    return [
        _Counted(one.name, one.count, one.capped, format_filter({"workflow": flow.workflow_id, "status": one.name}))
        for one in flow.statuses
    ]


def _known(flow: WorkflowRow) -> bool:
    return any(version.registered for version in flow.versions)


async def workflows(kit: Kit, request: Request) -> Response:
    """Show all workflows."""
    found, views = await asyncio.gather(kit.call(kit.service.workflows, kit.access_of(request)), kit.views(request))
    rows = [
        msgspec.structs.asdict(flow)
        | {
            "statuses": _counted(flow),
            "known": _known(flow),
            "old": sum(bool(v.unfinished.count) and not v.registered for v in flow.versions) if _known(flow) else 0,
        }
        for flow in found
    ]
    return kit.page(request, "workflows.html", rows=rows, views=views)


async def workflow(kit: Kit, request: Request) -> Response:
    """Show one workflow, or submit an instance of it."""
    if request.method == "POST":
        return await submit(kit, request)
    return await _show(kit, request, {}, {}, "")


async def submit(kit: Kit, request: Request) -> Response:
    """Submit what the form says; what is wrong is told in the form."""
    form, name, access = await fields_of(kit, request), name_of(request), kit.access_of(request)
    flow = await kit.call(kit.service.workflow, access, name)
    answers = read_answers(form_of(flow.form), form)
    if answers.errors:
        return await _show(kit, request, form, answers.errors, "")
    priority = form.get("priority", "")
    try:
        row, _ = await kit.call(
            kit.service.submit,
            access,
            name,
            form.get("instance_id", "").strip() or None,
            answers.json,
            priority=int(priority) if priority.isdecimal() else None,
        )
    except ForbiddenError:
        raise
    except (InstanceAlreadyExistsError, SerializationError, ValueError) as error:
        return await _show(kit, request, form, {}, str(error))
    return kit.go(kit.links(request).instance(row.instance_id, said="submit"))


async def _show(kit: Kit, request: Request, values: dict[str, str], errors: dict[str, str], problem: str) -> Response:
    access, name = kit.access_of(request), name_of(request)
    flow = await kit.call(kit.service.workflow, access, name)
    asked = request.query_params.get("version", "")
    version = asked or next((v.definition_hash for v in flow.versions if v.registered), "")
    version = version or (flow.versions[0].definition_hash if flow.versions else "")
    picture: dict[str, Any] = {"svg": "", "least": 0, "wide": False, "zoom": False}
    if version:
        picture |= await _picture(kit, request, name, version)
    return kit.page(
        request,
        "workflow.html",
        422 if errors or problem else 200,
        flow=flow,
        statuses=_counted(flow),
        where_all=format_filter({"workflow": name}),
        known=_known(flow),
        form=form_of(flow.form),
        values=values,
        errors=errors,
        problem=problem,
        as_json=request.query_params.get("as") == "json" or "raw" in values,
        version_shown=version,
        version_asked=asked or None,
        views=await kit.views(request),
        **picture,
    )


async def _picture(kit: Kit, request: Request, name: str, version: str) -> dict[str, Any]:
    try:
        svg = await kit.call(
            kit.service.graph_svg, kit.access_of(request), None, workflow_id=name, definition_hash=version, standalone=False
        )
    except WorkflowError as error:
        if getattr(error, "code", "") == "backend_error":
            raise
        return {}
    return drawn(svg, request.query_params.get("zoom", ""))
