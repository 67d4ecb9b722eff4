"""The page of one instance, and what may be done on it.

Rules of this file: the URL says which tab and which node; only what the tab shows is asked of the service; after an
action the browser is sent back to the page, so that loading it again does nothing twice.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sayiir.errors import ForbiddenError, InstanceNotFoundError, SerializationError, WorkflowError
from sayiir.server.pages.answers import read_answers
from sayiir.server.pages.drawn import drawn
from sayiir.server.pages.kit import FormError, Kit, fields_of
from sayiir.server.pages.plots import gantt_of
from sayiir.server.pages.schema import Field, form_of
from sayiir.service.access import may
from sayiir.service.model import Access, AuditLine, InstanceView

TABS = ("graph", "timeline", "table", "logs")
ENDED = ("completed", "failed", "cancelled")
_AUDIT = 5


def name_of(request: Request, parameter: str = "name") -> str:
    """Return the id that the path, or for ids that no path can hold the query, names."""
    return request.path_params.get(parameter) or request.query_params.get("id", "")


async def instance(kit: Kit, request: Request) -> Response:
    """Show an instance, or the form of an action on it; do an action that was posted."""
    if request.method == "POST":
        return await act(kit, request)
    access, instance_id = kit.access_of(request), name_of(request)
    view = await kit.call(kit.service.show, access, instance_id)
    if request.query_params.get("do") == "signal":
        return await _signal_form(kit, request, view, request.query_params.get("signal", ""))
    tab = request.query_params.get("tab", "graph")
    tab = tab if tab in TABS else "graph"
    shown, node, audit, views = await asyncio.gather(
        _tab(kit, request, tab, view),
        _node(kit, access, instance_id, request.query_params.get("node", "")),
        _audit(kit, access, instance_id),
        kit.views(request),
    )
    nothing: dict[str, Any] = {"svg": "", "least": 0, "wide": False, "zoom": False, "gantt": None, "logs": ()}
    signals = {wait.signal: wait for wait in view.waits if wait.kind == "signal" and wait.signal}
    return kit.page(
        request,
        "instance.html",
        view=view,
        row=view.row,
        ended=view.row.status in ENDED,
        tab=tab,
        node=node,
        audit=audit,
        views=views,
        signals=list(signals.values()),
        retry_tasks=[one.node_id for one in view.nodes if one.kind in ("task", "join") and one.attempts],
        **(nothing | shown),
    )


async def _tab(kit: Kit, request: Request, tab: str, view: InstanceView) -> dict[str, Any]:
    access, instance_id = kit.access_of(request), view.row.instance_id
    match tab:
        case "timeline":
            attempts = await kit.call(kit.service.attempts, access, instance_id)
            return {"gantt": gantt_of(attempts, datetime.now(UTC), view.waits)}
        case "logs":
            return {"logs": await kit.call(kit.service.logs, access, instance_id)}
        case "graph":
            svg = await kit.call(kit.service.graph_svg, access, shown=view, standalone=False)
            return drawn(svg, request.query_params.get("zoom", ""))
        case _:
            return {}


async def _node(kit: Kit, access: Access, instance_id: str, node_id: str) -> Any:
    if not node_id:
        return None
    try:
        return await kit.call(kit.service.node, access, instance_id, node_id)
    except InstanceNotFoundError:  # another version's node, or a mistyped one: the page without it says more than an error
        return None


async def _audit(kit: Kit, access: Access, instance_id: str) -> tuple[AuditLine, ...]:
    if not may(access, "audit"):
        return ()
    return (await kit.call(kit.service.audit, access, target=instance_id, limit=_AUDIT))[0]


async def act(kit: Kit, request: Request) -> Response:
    """Do what a form of the page asked for."""
    form, instance_id, access = await fields_of(kit, request), name_of(request), kit.access_of(request)
    links, action = kit.links(request), form.get("action", "")
    reason = form.get("reason", "").strip() or None
    match action:
        case "cancel" | "pause" | "unpause":
            await kit.call(getattr(kit.service, action), access, instance_id, reason=reason)
        case "retry":
            text = form.get("input", "").strip()
            await kit.call(
                kit.service.retry,
                access,
                instance_id,
                from_task=form.get("from") or None,
                input_json=text.encode("utf-8", "replace") if text else None,
                reason=reason,
            )
        case "signal":
            return await _send(kit, request, access, instance_id, form)
        case _:
            raise FormError("the request names no action")
    return kit.go(links.instance(instance_id, said=action))


async def _send(kit: Kit, request: Request, access: Access, instance_id: str, form: dict[str, str]) -> Response:
    name = form.get("signal", "")
    view = await kit.call(kit.service.show, access, instance_id)
    answers = read_answers(_form(view, name), form)
    if answers.errors:
        return await _signal_form(kit, request, view, name, form, answers.errors)
    try:
        await kit.call(kit.service.signal, access, instance_id, name, answers.json)
    except ForbiddenError:
        raise
    except (SerializationError, ValueError) as error:
        return await _signal_form(kit, request, view, name, form, {}, str(error))
    links = kit.links(request)
    return kit.go(
        links("inbox", said="signal") if form.get("back") == "inbox" else links.instance(instance_id, said="signal")
    )


def _form(view: InstanceView, signal: str) -> Field:
    return form_of(next((wait.form for wait in view.waits if wait.signal == signal), None))


async def _signal_form(
    kit: Kit,
    request: Request,
    view: InstanceView,
    signal: str,
    values: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    problem: str = "",
) -> Response:
    if not signal:
        raise WorkflowError("there is no signal to send: the address names none")
    values = values or {}
    return kit.page(
        request,
        "signal.html",
        422 if errors or problem else 200,
        instance_id=view.row.instance_id,
        signal=signal,
        form=_form(view, signal),
        values=values,
        errors=errors or {},
        problem=problem,
        as_json=request.query_params.get("as") == "json" or "raw" in values,
        views=await kit.views(request),
    )
