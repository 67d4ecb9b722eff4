"""The list of instances, and the views that are saved of it.

Rules of this file: the URL is the only state; a filter that cannot be read is told beside the box, with the list left
out; rows, counts and saved views are asked for at the same time.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sayiir.errors import FilterError
from sayiir.server.pages.filters import toggled, value_of, with_word
from sayiir.server.pages.kit import Kit, fields_of
from sayiir.server.pages.words import amount
from sayiir.service.model import Count, Facets, InstancePage

PAGE = 50
MOST_FACETS = 12
STATUSES = ("in_progress", "waiting", "awaiting_signal", "paused", "failed", "cancelled", "completed")


async def instances(kit: Kit, request: Request) -> Response:
    """Show the instances that fit the filter, the newest first."""
    access, links = kit.access_of(request), kit.links(request)
    where, cursor = request.query_params.get("q", "").strip(), request.query_params.get("cursor")
    wrong = ""
    page, facets = InstancePage(()), Facets((), ())
    views = asyncio.ensure_future(kit.views(request))
    try:
        page, facets = await asyncio.gather(
            kit.call(kit.service.find, access, where, cursor=cursor or None, limit=PAGE),
            kit.call(kit.service.facets, access, where),
        )
    except FilterError as error:
        wrong = str(error)
    finally:
        saved = await views
    return kit.page(
        request,
        "instances.html",
        status=400 if wrong else 200,
        where=where,
        wrong=wrong,
        rows=page.items,
        facets=None if wrong else shown_facets(where, facets, lambda text: links("instances", q=text)),
        next=links("instances", q=where, cursor=page.next) if page.next else "",
        paged=bool(cursor),
        views=saved,
        saved=next((view.name for view in saved if view.where == where), ""),
    )


def shown_facets(where: str, facets: Facets, href: Any) -> dict[str, list[dict[str, Any]]]:
    """Return the facets with their links: statuses add up, a workflow replaces the one before."""
    counts = {count.name: count for count in facets.statuses}
    chosen = value_of(where, "status").split(",")
    statuses = [
        {
            "name": name,
            "count": amount(counts.get(name) or Count(name, 0)),
            "chosen": name in chosen,
            "href": href(toggled(where, "status", name)),
        }
        for name in STATUSES
        if name in chosen or name in counts
    ]
    flow = value_of(where, "workflow")
    workflows = [
        {
            "name": count.name,
            "count": amount(count),
            "chosen": count.name == flow,
            "href": href(with_word(where, "workflow", "" if count.name == flow else count.name)),
        }
        for count in facets.workflows[:MOST_FACETS]
    ]
    return {"statuses": statuses, "workflows": workflows if len(workflows) > 1 or flow else []}


async def save_view(kit: Kit, request: Request) -> Response:
    """Keep the filter under a name, rename its view, or drop the view of that name."""
    form = await fields_of(kit, request)
    access, where = kit.access_of(request), form.get("where", "")
    if drop := form.get("drop"):
        await kit.call(kit.service.drop_view, access, drop)
        return kit.go(kit.links(request)("instances", q=where, said="dropped"))
    replaces = form.get("replaces") or None
    await kit.call(kit.service.save_view, access, form.get("name", "").strip(), where, replaces=replaces)
    return kit.go(kit.links(request)("instances", q=where, said="renamed" if replaces else "saved"))
