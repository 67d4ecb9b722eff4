"""Endpoints: what each takes and gives, how it is found, and how a request becomes a call.

Rules of this file: a path is matched segment by segment as it was sent, before its percent signs are read, so that ids
may hold any character, slashes too. What an endpoint takes is decoded into its Struct before it is called, and unknown names
are refused. Calls that block run in a bounded number of threads. A request's trace context is the parent of what it does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Literal, TypeAlias
from urllib.parse import quote, unquote

import anyio
import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sayiir.core.values import MAX_DEPTH
from sayiir.core.values.nesting import is_too_deep
from sayiir.runtime import observe
from sayiir.server.problems import ProblemError, answer_of, encoded
from sayiir.server.security import access_of
from sayiir.server.watching import Watcher
from sayiir.service import Service
from sayiir.service.model import Access

Method: TypeAlias = Literal["GET", "POST", "PUT", "DELETE"]
THREADS = 16
MAX_BODY = 4 * 1024 * 1024
MAX_QUERY = 16 * 1024


class Answer(msgspec.Struct, frozen=True):
    """What an endpoint gives when it is not simply a value with status 200."""

    value: Any
    status: int = 200
    headers: dict[str, str] = {}


class Call(msgspec.Struct, frozen=True):
    """A request, read.

    Attributes:
        service: what it is about.
        access: who asks.
        path: the values of the path's parameters.
        query: the endpoint's query Struct, decoded.
        body: the endpoint's body Struct, decoded.
        key: the Idempotency-Key.
        request: the request itself.
        site: the app's state.
    """

    service: Service
    access: Access
    path: dict[str, str]
    query: Any
    body: Any
    key: str | None
    request: Request
    site: Site


class Site(msgspec.Struct, frozen=True):
    """What all endpoints of an app share."""

    service: Service
    watcher: Watcher
    max_body: int = MAX_BODY
    threads: Any = None
    """The limiter of threads, made in the event loop that needs it."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a function that blocks in one of the app's threads."""
        return await anyio.to_thread.run_sync(function, *args, limiter=self.threads)


class Endpoint(msgspec.Struct, frozen=True):
    """One method of one path.

    Attributes:
        method: the HTTP method.
        path: below /api/v1, with {names}.
        needs: the method of `Service` whose role it needs.
        summary: one line.
        handler: what does it; a coroutine function runs on the loop, any other in a thread.
        query, body: Structs of what it takes.
        answer: what it gives; None for something that is no JSON.
        statuses: of its good answers, the usual one first.
        media: of its good answers.
        problems: the codes of errors that it is known for.
        keyed: whether it knows the header Idempotency-Key.
    """

    method: Method
    path: str
    needs: str
    summary: str
    handler: Callable[[Call], Any] | Callable[[Call], Awaitable[Any]]
    query: Any = None
    body: Any = None
    answer: Any = None
    statuses: tuple[int, ...] = (200,)
    media: str = "application/json"
    problems: tuple[str, ...] = ()
    keyed: bool = False

    @property
    def segments(self) -> tuple[str, ...]:
        """The parts of the path."""
        return tuple(self.path.strip("/").split("/"))

    @property
    def name(self) -> str:
        """A name for generated clients."""
        return self.handler.__name__

    @property
    def parameters(self) -> list[str]:
        """The names in the path."""
        return [part[1:-1] for part in self.segments if part.startswith("{")]


class Api:
    """The endpoints as an ASGI app.

    Args:
        site: what they share.
        endpoints: all of them.
    """

    prefix: ClassVar[str] = "/api/v1"

    def __init__(self, site: Site, endpoints: Sequence[Endpoint]) -> None:
        self._site = site
        self.endpoints = tuple(endpoints)
        self._by_length: dict[int, list[Endpoint]] = {}
        for endpoint in endpoints:
            self._by_length.setdefault(len(endpoint.segments), []).append(endpoint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        try:
            endpoint, path = self._found(scope)
            with observe.asked(_trace_of(request)):
                answer = await self._answer(endpoint, path, request)
        except Exception as error:  # noqa: BLE001 -- all become problems
            answer = answer_of(error)
        await answer(scope, receive, send)

    def _found(self, scope: Scope) -> tuple[Endpoint, dict[str, str]]:
        parts = _segments(scope)
        fitting = [one for one in self._by_length.get(len(parts), ()) if _fits(one.segments, parts)]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        for endpoint in fitting:
            if endpoint.method == method:
                values = zip(endpoint.segments, parts, strict=True)
                return endpoint, {name[1:-1]: value for name, value in values if name.startswith("{")}
        if fitting:
            allowed = ", ".join(sorted({one.method for one in fitting}))
            raise ProblemError("method_not_allowed", f"this path knows {allowed}", {"Allow": allowed})
        raise ProblemError("not_found", "the API has no such path; GET /api/v1/openapi.json has them all")

    async def _answer(self, endpoint: Endpoint, path: dict[str, str], request: Request) -> Response:
        access = access_of(request)
        for value in path.values():
            _storable(value)
        query = _query(endpoint, request)
        body = await self._body(endpoint, request)
        key = request.headers.get("idempotency-key") if endpoint.keyed else None
        call = Call(self._site.service, access, path, query, body, key, request, self._site)
        if _is_async(endpoint.handler):
            found = await endpoint.handler(call)
        else:
            found = await self._site.run(_done, endpoint.handler, call)
        if isinstance(found, Response):
            return found
        answer = found if isinstance(found, Answer) else Answer(found, endpoint.statuses[0])
        if endpoint.media != "application/json":
            return Response(answer.value, answer.status, answer.headers, endpoint.media)
        return Response(await self._site.run(encoded, answer.value), answer.status, answer.headers, endpoint.media)

    async def _body(self, endpoint: Endpoint, request: Request) -> Any:
        if endpoint.body is None:
            return None
        media = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media != "application/json":
            raise ProblemError("unsupported_media_type", f"send application/json, not {media}")
        raw = await read_body(request, self._site.max_body)
        if not raw.strip():
            raw = b"{}"
        if is_too_deep(raw):
            raise ProblemError("bad_request", f"the body nests deeper than {MAX_DEPTH} levels")
        try:
            return msgspec.json.decode(raw, type=endpoint.body)
        except msgspec.MsgspecError as error:
            raise ProblemError("bad_request", f"the body cannot be read: {error}") from None
        except UnicodeDecodeError:
            raise ProblemError("bad_request", "the body is no UTF-8") from None


async def read_body(request: Request, most: int) -> bytes:
    """Return the body of a request.

    Raises:
        ProblemError: it is longer than `most` bytes, or says so.
    """
    too_large = ProblemError("body_too_large", f"a body may have {most:,} bytes")
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > most:
        raise too_large
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > most:
            raise too_large
    return bytes(found)


def _done(handler: Callable[[Call], Any], call: Call) -> Any:
    return handler(call)


def _is_async(handler: Any) -> bool:
    import inspect

    return inspect.iscoroutinefunction(handler)


def _trace_of(request: Request) -> str | None:
    parent, state = request.headers.get("traceparent"), ",".join(request.headers.getlist("tracestate"))
    return None if parent is None or " " in parent else observe.trace_text(parent, state)


def _query(endpoint: Endpoint, request: Request) -> Any:
    if len(request.scope.get("query_string", b"")) > MAX_QUERY:
        raise ProblemError("bad_request", f"a query may have {MAX_QUERY:,} characters")
    pairs = request.query_params.multi_items()
    given = dict(pairs)
    if len(given) < len(pairs):
        raise ProblemError("bad_request", "a query parameter is given twice")
    if endpoint.query is None:
        if given:
            raise ProblemError("bad_request", f"this path takes no query parameters, not {next(iter(given))!r}")
        return None
    for value in given.values():
        _storable(value)
    try:
        return msgspec.convert(given, endpoint.query, strict=False)
    except msgspec.ValidationError as error:
        raise ProblemError("bad_request", f"a query parameter cannot be read: {error}") from None


def _storable(text: str) -> None:
    """Refuse what no database can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ProblemError("bad_request", "the address holds bytes that are no UTF-8") from None
    if "\0" in text:
        raise ProblemError("bad_request", "the address holds a NUL")


def _segments(scope: Scope) -> list[str]:
    """Return the parts of the path below where the API is mounted, each decoded by itself."""
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    parts = raw.decode("ascii", "surrogateescape").partition("?")[0].strip("/").split("/")
    mounted = [part for part in scope.get("root_path", "").split("/") if part]
    return [unquote(part, errors="surrogateescape") for part in parts[len(mounted) :]]


def _fits(pattern: tuple[str, ...], parts: list[str]) -> bool:
    return all(
        bool(part) if name.startswith("{") else name == part for name, part in zip(pattern, parts, strict=True)
    )
