"""Who asks, from where, and what every answer carries.

Rules of this file: a request passes the guard before anything else sees it.
- Without `auth` only names of this machine, addresses, and `allowed_hosts` may stand in Host: a page elsewhere that gives
  its own name our address (DNS rebinding) reads nothing.
- What changes something must come from our own pages (Sec-Fetch-Site, else Origin), unless it carries a bearer token,
  which no other page can know.
- Tokens are compared in constant time. A browser keeps a cookie that is made from the token, not the token.
- Answers carry a strict content security policy; nothing of ours is framed elsewhere, sniffed or kept by caches.
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sayiir.server.problems import ProblemError, answer_of
from sayiir.service.model import Access, Role

Resolver: TypeAlias = Callable[[Request], "Access | Awaitable[Access | None] | None"]
Auth: TypeAlias = "str | Mapping[str, Access] | Resolver | None"
COOKIE = "sayiir_session"
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
PROBES = frozenset(("/healthz", "/readyz"))
SIGNING = frozenset((("GET", "/login"), ("HEAD", "/login"), ("POST", "/login"), ("POST", "/logout")))
"""What anybody may ask for where browsers sign in; all else there is a page, and pages are for somebody."""
LOCAL = Access("local", Role.ADMIN)
"""Who asks where nobody need say who they are."""
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
_HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Lets a request through to the app, with `scope["state"]["access"]` set, or answers it.

    Args:
        app: what is guarded.
        auth: None, a token, tokens with what their holders may do, or a function that says who asks.
        allowed_hosts: names that may stand in Host, beside those of this machine.
    """

    def __init__(self, app: ASGIApp, auth: Auth = None, allowed_hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._tokens = _tokens(auth)
        self._resolve: Resolver | None = auth if callable(auth) else None
        self._hosts = frozenset(host.lower() for host in allowed_hosts)

    @property
    def signs_in(self) -> bool:
        """Whether browsers sign in with a token."""
        return bool(self._tokens)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        hardened = _hardened(send)
        try:
            self._check_host(request)
            access, by_token = await self._who(request)
            if request.method not in SAFE and not by_token:
                check_origin(request)
            if access is None and not self._is_open(request.method, below(scope)):
                raise ProblemError("unauthorized", "give a token: Authorization: Bearer …")  # noqa: TRY301
            scope.setdefault("state", {})["access"] = access
        except ProblemError as error:
            answer: ASGIApp = answer_of(error)
            if error.code == "unauthorized" and self.signs_in and _wants_page(request):
                answer = _to_sign_in(request)
            await answer(scope, receive, hardened)
            return
        await self._app(scope, receive, hardened)

    # --- who ------------------------------------------------------------------------------------------------------

    async def _who(self, request: Request) -> tuple[Access | None, bool]:
        """Return who asks, and whether a token that no page elsewhere can know says so."""
        if self._resolve is not None:
            found = self._resolve(request)
            access = await found if inspect.isawaitable(found) else found
            return access, False
        if not self._tokens:
            return LOCAL, False
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.holder(given.strip()), True
        return self._by_cookie(request.cookies.get(COOKIE, "")), False

    def holder(self, given: str) -> Access | None:
        """Return whose token this is; all are compared, in constant time."""
        found = None
        for token, access in self._tokens.items():
            if hmac.compare_digest(token.encode(), given.encode("utf-8", "replace")):
                found = access
        return found

    def _by_cookie(self, given: str) -> Access | None:
        found = None
        for token, access in self._tokens.items():
            if hmac.compare_digest(cookie_of(token).encode(), given.encode("utf-8", "replace")):
                found = access
        return found

    def _is_open(self, method: str, path: str) -> bool:
        """Return whether anybody may ask: the probes, the way in, and what its page is made with."""
        return path in PROBES or path.startswith("/static/") or (self.signs_in and (method, path) in SIGNING)

    # --- from where -----------------------------------------------------------------------------------------------

    def _check_host(self, request: Request) -> None:
        host = _name(request.headers.get("host", ""))
        if self._hosts and host in self._hosts:
            return
        open_to_names = (self._tokens or self._resolve is not None) and not self._hosts
        if open_to_names or _is_local(host):
            return
        raise ProblemError("unknown_host", f"host {host!r} is not served here; start the server with allowed_hosts")


def check_origin(request: Request) -> None:
    """Refuse what a page elsewhere makes a browser send.

    Raises:
        ProblemError: it does not come from our own pages, or from no page at all.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise ProblemError("cross_site", "another site asked your browser to do this; nothing was done")
        return
    origin = request.headers.get("origin")
    if origin is None:
        return  # not a browser
    if origin == "null" or urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise ProblemError("cross_site", "another site asked your browser to do this; nothing was done")


def cookie_of(token: str) -> str:
    """Return what a browser keeps instead of a token."""
    return hmac.new(token.encode(), b"sayiir session", hashlib.sha256).hexdigest()


def access_of(request: Request) -> Access:
    """Return who the guard found to ask.

    Raises:
        ProblemError: nobody.
    """
    found = request.scope.get("state", {}).get("access")
    if not isinstance(found, Access):
        raise ProblemError("unauthorized", "give a token: Authorization: Bearer …")
    return found


def _tokens(auth: Auth) -> dict[str, Access]:
    if auth is None or callable(auth):
        return {}
    tokens = {auth: Access("token", Role.ADMIN)} if isinstance(auth, str) else dict(auth)
    if not tokens or any(not isinstance(token, str) or not token for token in tokens):
        raise ValueError("auth must be a token, a dict of tokens and what their holders may do, or a function")
    return tokens


def _name(host: str) -> str:
    """Return a Host header without its port."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0].lstrip("[")
    return host.partition(":")[0]


def _is_local(host: str) -> bool:
    """Return whether a name is this machine's, or an address: a page elsewhere can have neither."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def below(scope: Scope) -> str:
    """Return the path below where the app is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and (path == root or path.startswith(f"{root}/")) else path


def _wants_page(request: Request) -> bool:
    return request.method in SAFE and "text/html" in request.headers.get("accept", "")


def _to_sign_in(request: Request) -> ASGIApp:
    from urllib.parse import quote

    from starlette.responses import RedirectResponse

    root = request.scope.get("root_path", "").rstrip("/")
    after = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{root}/login?next={quote(after)}", 303)


def _hardened(send: Send) -> Send:
    async def harder(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return harder
