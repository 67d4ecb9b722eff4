"""One action on many instances: first a count, then the deed, in portions with progress.

Rules of this file: nothing happens before somebody saw the count and said yes; a portion is one request, so that it works
without script (a button goes on) and cannot outlive its page; numbers that the page carries along are for show only.
"""

from __future__ import annotations

from typing import cast, get_args

from starlette.requests import Request
from starlette.responses import Response

from sayiir.server.pages.filters import value_of
from sayiir.server.pages.kit import FormError, Kit, posted
from sayiir.service.model import Action, Count, Selection


async def bulk(kit: Kit, request: Request) -> Response:
    """Count what an action would do, or do the next portion of it."""
    if request.method in ("GET", "HEAD"):  # somebody came back to it
        return kit.go(kit.links(request)("instances"))
    pairs = await posted(kit, request)
    form = dict(pairs)
    ids = tuple(dict.fromkeys(value for name, value in pairs if name == "id"))
    action, scope, where = form.get("action", ""), form.get("scope", "ids"), form.get("where", "")
    if action not in get_args(Action) or scope not in ("ids", "where"):
        raise FormError("the request names no action")
    if scope == "where":
        ids = ()
    elif not ids:
        return kit.go(kit.links(request)("instances", q=where, said="none"))
    selection = Selection(where=where) if scope == "where" else Selection(ids=ids)
    sure = form.get("sure") == "yes"
    result = await kit.call(
        kit.service.bulk,
        kit.access_of(request),
        cast("Action", action),
        selection,
        dry_run=not sure,
        reason=form.get("reason", "").strip() or None,
        cursor=form.get("cursor") or None if sure else None,
    )
    before = {name: _number(form, name) if sure else 0 for name in ("done", "seen", "refused")}
    seen = before["seen"] + result.matched
    total = await _total(kit, request, where) if result.next and not sure else Count("", result.matched)
    matched = max(seen, _number(form, "matched") if sure else total.count)
    return kit.page(
        request,
        "bulk.html",
        action=action,
        scope=scope,
        where=where,
        ids=ids,
        reason=form.get("reason", ""),
        result=result,
        matched=matched,
        capped=total.capped or form.get("capped") == "yes",
        seen=seen if not result.dry_run else 0,
        done=before["done"] + (0 if result.dry_run else result.done),
        total_refused=before["refused"] + (0 if result.dry_run else result.matched - result.done),
        finished=not result.dry_run and result.next is None,
        views=await kit.views(request),
    )


async def _total(kit: Kit, request: Request, where: str) -> Count:
    """Return how many fit a filter in all, where one call looks at a portion only."""
    facets = await kit.call(kit.service.facets, kit.access_of(request), where)
    chosen = [name for name in value_of(where, "status").split(",") if name]
    counts = [count for count in facets.statuses if not chosen or count.name in chosen]
    return Count("", sum(count.count for count in counts), any(count.capped for count in counts))


def _number(form: dict[str, str], name: str) -> int:
    text = form.get(name, "")
    return min(int(text), 10**12) if text.isdecimal() and len(text) < 20 else 0
