"""`create_app`: the API, the pages and the probes as one ASGI app, to be served or to be mounted in another one."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sayiir.errors import WorkflowError
from sayiir.flow.workflow import Workflow
from sayiir.server.api import ENDPOINTS
from sayiir.server.openapi import document
from sayiir.server.problems import answer_of, encoded
from sayiir.server.routing import MAX_BODY, THREADS, Answer, Api, Call, Endpoint, Site, read_body
from sayiir.server.security import COOKIE, Auth, Guard, access_of, below, cookie_of
from sayiir.server.watching import Watcher
from sayiir.service import DEFAULT_MASKING, Masking, Service
from sayiir.store.base import ScriptedStore


def create_app(
    backend: ScriptedStore,
    workflows: Iterable[Workflow[Any, Any]] = (),
    *,
    auth: Auth = None,
    read_only: bool = False,
    allowed_hosts: Iterable[str] = (),
    mask: Masking = DEFAULT_MASKING,
    trace_url: str | None = None,
    max_body: int = MAX_BODY,
) -> Guard:
    """Return the HTTP API and the pages as an ASGI app.

    Serve it with uvicorn, or mount it in an app of yours under any path. It does not close the backend.

    Args:
        backend: where the instances live.
        workflows: definitions that may be submitted here, and whose forms are shown.
        auth: None lets everybody in who can reach it, as admin: bind it to this machine only. A token, or a dict of tokens
            and the `Access` of their holders, is asked for as `Authorization: Bearer …`, browsers sign in with it. A
            function (sync or async) gets the request and returns an `Access`, or None for nobody.
        read_only: whether everything that changes something is refused.
        allowed_hosts: names under which it is reached, beside this machine's; with `auth` any when none is given.
        mask: what of stored values is not shown.
        trace_url: a link to a trace, with "{trace_id}" in it.
        max_body: bytes of a request's body, or of a posted form.

    Returns:
        The app.

    >>> from sayiir import InMemoryBackend
    >>> app = create_app(InMemoryBackend(), auth="a long secret")
    """
    from sayiir import __version__

    service = Service(backend, workflows=workflows, read_only=read_only, mask=mask, trace_url=trace_url)
    watcher = Watcher(service, backend.clock)
    site = Site(service, watcher, max_body, anyio.CapacityLimiter(THREADS))

    @functools.cache  # made when it is first asked for: the first page does not wait for it
    def described() -> bytes:
        return encoded(document(ENDPOINTS, __version__))

    def openapi(call: Call) -> Any:  # noqa: ARG001 -- as every handler
        return Answer(described())

    own = Endpoint("GET", "/openapi.json", "views", "This", openapi, media="application/vnd.oai.openapi+json")
    api = Api(site, (*ENDPOINTS, own))
    app = Starlette(lifespan=lambda _: _closing(watcher))
    guard = Guard(_beside(api, app), auth, allowed_hosts)
    app.router.routes += [*_probes(site), *(_signing(guard) if guard.signs_in else ()), *_pages(site, guard, __version__)]
    return guard


def _beside(api: Api, app: ASGIApp) -> ASGIApp:
    """Return an app that hands the API's paths to the API, whatever characters they hold, and all else to the other."""

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and f"{below(scope)}/".startswith(f"{Api.prefix}/"):
            root = str(scope.get("root_path", "")).rstrip("/")
            await api({**scope, "root_path": root + Api.prefix}, receive, send)
        else:
            await app(scope, receive, send)

    return either


@contextlib.asynccontextmanager
async def _closing(watcher: Watcher) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await anyio.to_thread.run_sync(watcher.close)


def _pages(site: Site, guard: Guard, version: str) -> list[BaseRoute]:
    """Return the routes of the pages, where what they are made with is installed."""
    if importlib.util.find_spec("jinja2") is None or importlib.util.find_spec("sayiir.server.pages") is None:
        return []
    from sayiir.server.pages import page_routes  # type: ignore[import-not-found, unused-ignore]

    found: list[BaseRoute] = page_routes(
        site.service, access_of, signs_in=guard.signs_in, version=version, max_form=site.max_body
    )
    return found


# --- probes -------------------------------------------------------------------------------------------------------


def _probes(site: Site) -> list[BaseRoute]:
    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        try:
            await site.run(site.service.store.definitions)
        except WorkflowError as error:
            return answer_of(error)
        return JSONResponse({"status": "ready"})

    found: list[BaseRoute] = [Route("/healthz", healthz), Route("/readyz", readyz)]
    if importlib.util.find_spec("prometheus_client") is not None:
        found.append(Route("/metrics", _metrics(site)))
    return found


def _metrics(site: Site) -> Callable[[Request], Awaitable[Response]]:
    """Return the page of the backlog, and of whatever this process measures: its workers, the application itself."""

    @functools.cache  # what it takes is loaded with the first request
    def registry() -> Any:
        from prometheus_client import CollectorRegistry

        from sayiir.telemetry.metrics import Whole, backlog_of

        found = CollectorRegistry()
        found.register(Whole(partial(backlog_of, site.service.store)))
        return found

    def measured() -> tuple[bytes, str]:
        from prometheus_client import generate_latest

        from sayiir.telemetry.metrics import CONTENT_TYPE

        return generate_latest(registry()), CONTENT_TYPE

    async def metrics(request: Request) -> Response:
        access_of(request)
        text, kind = await site.run(measured)
        return Response(text, media_type=kind)

    return metrics


# --- signing in ---------------------------------------------------------------------------------------------------


def _signing(guard: Guard) -> list[BaseRoute]:
    async def login(request: Request) -> Response:
        fields = dict(parse_qsl((await read_body(request, 64 * 1024)).decode("utf-8", "replace")))
        root, token = request.scope.get("root_path", "").rstrip("/"), fields.get("token", "")
        if guard.holder(token) is None:
            return RedirectResponse(f"{root}/login?wrong=1", 303)
        answer = RedirectResponse(_inside(fields.get("next", ""), f"{root}/"), 303)
        answer.set_cookie(
            COOKIE, cookie_of(token), httponly=True, samesite="strict", path=f"{root}/",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    async def logout(request: Request) -> Response:
        root = request.scope.get("root_path", "").rstrip("/")
        answer = RedirectResponse(f"{root}/login", 303)
        answer.delete_cookie(COOKIE, path=f"{root}/")
        return answer

    return [Route("/login", login, methods=["POST"]), Route("/logout", logout, methods=["POST"])]


def _inside(path: str, otherwise: str) -> str:
    """Return a path of ours to go on at, never an address elsewhere."""
    is_ours = path.startswith(otherwise) and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if is_ours else otherwise
