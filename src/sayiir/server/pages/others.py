"""The small pages: inbox, workers, comparison, audit, and the switch of the theme."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sayiir.errors import InstanceNotFoundError
from sayiir.server.pages.instance import ENDED
from sayiir.server.pages.kit import THEME_COOKIE, THEMES, Kit, fields_of
from sayiir.server.pages.schema import form_of
from sayiir.service.model import Access

_YEAR = 365 * 86_400


async def inbox(kit: Kit, request: Request) -> Response:
    """Show what waits for a person."""
    (items, following), views = await asyncio.gather(
        kit.call(kit.service.inbox, kit.access_of(request), cursor=request.query_params.get("cursor") or None),
        kit.views(request),
    )
    shown = [
        {
            "instance_id": item.instance_id,
            "workflow_id": item.workflow_id,
            "wait": item.wait,
            "form": form_of(item.wait.form),
        }
        for item in items
    ]
    return kit.page(request, "inbox.html", items=shown, next=following, views=views)


async def workers(kit: Kit, request: Request) -> Response:
    """Show who moves instances."""
    rows, views = await asyncio.gather(kit.call(kit.service.workers, kit.access_of(request)), kit.views(request))
    rows = tuple(sorted(rows, key=lambda one: (not one.alive, -one.beat_at.timestamp())))
    return kit.page(request, "workers.html", rows=rows, views=views)


async def compare(kit: Kit, request: Request) -> Response:
    """Show two instances side by side."""
    ids = [*dict.fromkeys(text.strip() for text in request.query_params.getlist("id") if text.strip())][:2]
    both: Any = None
    problem = ""
    if len(ids) == 2:
        try:
            both = await kit.call(kit.service.compare, kit.access_of(request), ids[0], ids[1])
        except InstanceNotFoundError as error:
            problem = str(error)
    first = next((one.node_id for one in both.nodes if one.same_output is False), "") if both else ""
    return kit.page(
        request,
        "compare.html",
        ids=[*ids, "", ""][:2],
        both=both,
        ended=ENDED,
        first=first,
        problem=problem,
        swapped=urlencode([("id", one) for one in reversed(ids)]),
        views=await kit.views(request),
    )


async def audit(kit: Kit, request: Request) -> Response:
    """Show what people did."""
    target = request.query_params.get("target", "").strip()
    lines, following = await kit.call(
        kit.service.audit,
        kit.access_of(request),
        target=target or None,
        cursor=request.query_params.get("cursor") or None,
    )
    return kit.page(request, "audit.html", lines=lines, next=following, target=target, views=await kit.views(request))


async def theme(kit: Kit, request: Request) -> Response:
    """Keep the theme that was chosen, and go back."""
    chosen = (await fields_of(kit, request)).get("theme", "")
    links = kit.links(request)
    answer = kit.go(_back(request, links("instances")))
    answer.set_cookie(
        THEME_COOKIE, chosen if chosen in THEMES else "system", max_age=_YEAR, path=links.root or "/", samesite="strict"
    )
    return answer


async def login(kit: Kit, request: Request) -> Response:
    """Show the way in; what it sends is read by the server's own route."""
    wrong = "This is not a token of this server." if request.query_params.get("wrong") else ""
    return kit.page(request, "login.html", access=Access(), problem=wrong, next=request.query_params.get("next", ""))


async def missing(kit: Kit, request: Request) -> Response:  # noqa: ARG001 -- as every page
    """Say that there is no such page."""
    raise HTTPException(404)


def _back(request: Request, other: str) -> str:
    """Return the page that the browser came from, if it is one of ours."""
    came = urlsplit(request.headers.get("referer", ""))
    if came.netloc != request.url.netloc or not came.path.startswith("/") or came.path.startswith("//"):
        return other
    return came.path + (f"?{came.query}" if came.query else "")
