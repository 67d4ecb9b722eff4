"""What every page needs: templates, links that know where the app is mounted, the caller's rights, forms, errors.

Rules of this file: a page never builds a URL but through `Links`; the service is called in a thread of the pool, as it
blocks; an error that the service raises becomes a page in the same look, with the status its code has; every answer
has an ETag, so that a page that has not changed is not sent again.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from sayiir.picture.icons import KIND_ICONS
from sayiir.server.pages.icons import ICONS
from sayiir.server.pages.plots import frames, line
from sayiir.server.pages.words import FILTERS, exact, machine, path, relative
from sayiir.service.access import may
from sayiir.service.model import Access, SavedView

if TYPE_CHECKING:
    from sayiir.service import Service

T = TypeVar("T")
P = ParamSpec("P")
Page: TypeAlias = Callable[["Kit", Request], Awaitable[Response]]

TEMPLATES = Path(__file__).parent.parent / "templates"
THEMES = ("light", "dark", "system")
THEME_COOKIE = "sayiir_theme"
MAX_FORM = 4 << 20
"""Bytes of a posted form, where nothing else is said."""


SAYING = {
    "cancel": "It is cancelled, or will be as soon as the task that runs has ended.",
    "pause": "It is paused, or will be as soon as the task that runs has ended.",
    "unpause": "It goes on.",
    "retry": "It was brought back to life and goes on as soon as a worker takes it.",
    "signal": "The signal is sent.",
    "submit": "It is submitted.",
    "saved": "The view is saved; it stands beside every page.",
    "dropped": "The view is dropped.",
    "renamed": "The view has its new name.",
    "none": "Nothing was selected, so nothing was done.",
}
"""What is said after an action, by the word that the address carries."""


class FormError(ValueError):
    """A form that no page of ours has sent."""


class FormTooLargeError(FormError):
    """A form of more bytes than are read."""

    code = "body_too_large"


class Links:
    """URLs of the pages, below whatever path the app is mounted at.

    >>> links = Links("/ops")
    >>> links("workers"), links.instance("a b/c?"), links.instance("..")
    ('/ops/workers', '/ops/instances/a%20b/c%3F', '/ops/instance?id=..')
    """

    def __init__(self, root: str) -> None:
        self.root = path(root.rstrip("/"))

    def __call__(self, place: str, **query: str | None) -> str:
        """Return the page at a place."""
        return self._with(f"{self.root}/{place}", query)

    def instance(self, instance_id: str, **query: str | None) -> str:
        """Return the page of an instance, whatever its id is made of."""
        return self._named("instance", instance_id, query)

    def workflow(self, workflow_id: str, **query: str | None) -> str:
        """Return the page of a workflow."""
        return self._named("workflow", workflow_id, query)

    def _named(self, kind: str, name: str, query: dict[str, str | None]) -> str:
        # Browsers resolve dots and drop what looks like nothing before they ask: such ids go into the query.
        if not {".", "..", ""} & set(name.split("/")):
            return self._with(f"{self.root}/{kind}s/{path(name)}", query)
        return self._with(f"{self.root}/{kind}", {"id": name, **query})

    @staticmethod
    def _with(url: str, query: dict[str, str | None]) -> str:
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return f"{url}?{urlencode(given)}" if given else url


class Kit:
    """The service and the look that all pages share.

    Args:
        service: what the pages show.
        access_of: who asks; the server's own middleware has found that out.
        signs_in: whether somebody can sign in and out with a token.
        max_form: bytes of a posted form.
    """

    def __init__(
        self,
        service: Service,
        access_of: Callable[[Request], Access],
        *,
        signs_in: bool = False,
        version: str = "",
        max_form: int = MAX_FORM,
    ) -> None:
        self.service = service
        self.access_of = access_of
        self.signs_in = signs_in
        self.version = version
        self.max_form = max_form
        self._templates = _environment()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what blocks, outside of the event loop."""
        return await run_in_threadpool(function, *args, **kwargs)

    def links(self, request: Request) -> Links:
        """Return the URLs of the pages as this request sees them."""
        return Links(request.scope.get("root_path", ""))

    async def views(self, request: Request) -> tuple[SavedView, ...]:
        """Return the saved views, which stand beside every page."""
        return await self.call(self.service.views, self.access_of(request))

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page; unchanged since the browser's copy, only that it is."""
        now = datetime.now(UTC)
        access: Access = values.pop("access", None) or self.access_of(request)
        theme = request.cookies.get(THEME_COOKIE)
        read_only = self.service.read_only
        text = self._templates.get_template(template).render(
            links=self.links(request),
            access=access,
            may_write=may(access, "bulk", read_only=read_only),
            read_only=read_only,
            signs_in=self.signs_in,
            version=self.version,
            theme=theme if theme in THEMES else "system",
            here=request.url.path.removeprefix(request.scope.get("root_path", "")),
            said=request.query_params.get("said", ""),
            now=now,
            when=functools.partial(_when, now),
            **values,
        )
        body = text.encode("utf-8", "replace")
        if status != 200 or request.method != "GET":
            return HTMLResponse(body, status, {"Cache-Control": "no-store"})
        tag = f'W/"{hashlib.sha256(body).hexdigest()[:24]}"'
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Cookie, Authorization"}
        if request.headers.get("If-None-Match") == tag:
            return Response(status_code=304, headers=headers)
        return HTMLResponse(body, status, headers)

    def go(self, url: str) -> Response:
        """Return the way to another page after a form was posted."""
        return RedirectResponse(url, 303, {"Cache-Control": "no-store"})

    def route(self, place: str, page: Page, *methods: str) -> Route:
        """Return the route of a page; what goes wrong in it becomes a page too."""
        from sayiir.server.pages.errors import guarded

        return Route(place, guarded(self, page), methods=list(methods or ("GET",)), include_in_schema=False)


async def posted(kit: Kit, request: Request) -> list[tuple[str, str]]:
    """Return the fields of a posted form, in order.

    Raises:
        FormError: it is no form, or too large.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise FormError("the request holds no form")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > kit.max_form:
            raise FormTooLargeError(f"a form may have {kit.max_form:,} bytes")
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=5000)
    except ValueError as error:
        raise FormError(f"the form cannot be read: {error}") from None


async def fields_of(kit: Kit, request: Request) -> dict[str, str]:
    """Return the fields of a posted form by name; of several with one name, the last.

    Raises:
        FormError: it is no form, or too large.
    """
    return dict(await posted(kit, request))


@functools.cache
def _environment() -> Environment:
    """Return the templates, which are compiled once in a process."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = found.filters
    filters |= {**FILTERS, "plot": line, "frames": frames}
    names: dict[str, Any] = found.globals
    names |= {"icons": ICONS, "kind_icons": KIND_ICONS, "saying": SAYING, "views": ()}
    return found


def _when(now: datetime, moment: datetime | None, absent: str = "") -> Markup:
    """Return a time as it is seen from now, with the exact one to hover over."""
    if moment is None:
        return Markup("{}").format(absent)
    # Three texts that are made of a time, with nothing in them to escape; `format` of Markup takes ten times as long.
    text = f'<time datetime="{machine(moment)}" title="{exact(moment)}">{relative(moment, now)}</time>'
    return Markup(text)  # noqa: S704
