"""The dashboard: pages made on the server, which work without script.

schema.py, answers.py   a form out of a JSON Schema, and the JSON out of a filled form
words.py, plots.py, filters.py, drawn.py, icons.py   how things are said and drawn
kit.py, errors.py       templates, links, rights; errors as pages
listing.py, bulk.py, instance.py, flows.py, others.py   the pages
assets.py               style sheets, scripts, vendored files
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sayiir.server.pages.assets import asset_routes
from sayiir.server.pages.bulk import bulk
from sayiir.server.pages.flows import workflow, workflows
from sayiir.server.pages.instance import instance
from sayiir.server.pages.kit import MAX_FORM, Kit
from sayiir.server.pages.listing import instances, save_view
from sayiir.server.pages.others import audit, compare, inbox, login, missing, theme, workers
from sayiir.service.model import Access

if TYPE_CHECKING:
    from sayiir.service import Service

__all__ = ["Kit", "page_routes"]


def page_routes(
    service: Service,
    access_of: Callable[[Request], Access],
    *,
    signs_in: bool = False,
    version: str = "",
    max_form: int = MAX_FORM,
) -> list[BaseRoute]:
    """Return the routes of all pages and of what they load.

    Args:
        service: what they show.
        access_of: who asks; called for every request.
        signs_in: whether there are routes to sign in and out (see `server.security`).
        version: of the program; a new one makes browsers load style sheets and scripts again.
        max_form: bytes of a posted form.
    """
    kit = Kit(service, access_of, signs_in=signs_in, version=version, max_form=max_form)
    both = ("GET", "POST")
    return [
        Route("/", _home(kit), include_in_schema=False),
        kit.route("/instances", instances),
        kit.route("/instances/{name:path}", instance, *both),
        kit.route("/instance", instance, *both),
        kit.route("/bulk", bulk, *both),
        kit.route("/views", save_view, "POST"),
        kit.route("/inbox", inbox),
        kit.route("/workflows", workflows),
        kit.route("/workflows/{name:path}", workflow, *both),
        kit.route("/workflow", workflow, *both),
        kit.route("/workers", workers),
        kit.route("/compare", compare),
        kit.route("/audit", audit),
        kit.route("/theme", theme, "POST"),
        *([kit.route("/login", login)] if signs_in else []),
        *asset_routes(),
        kit.route("/{rest:path}", missing),
    ]


def _home(kit: Kit) -> Callable[[Request], Response]:
    def home(request: Request) -> Response:
        return kit.go(kit.links(request)("instances"))

    return home
