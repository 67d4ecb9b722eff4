"""A server in this process: the app of `sayiir.server` under uvicorn, until it is told to end.

Rules of this file: whatever is wrong is said before anything listens. It is bound to this machine unless there is a
token, or somebody says that none is needed. The first SIGTERM or Ctrl-C ends it in good order, a second one at once.
"""

from __future__ import annotations

import importlib
import importlib.util
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from sayiir.cli import out
from sayiir.cli.codes import ERROR, RefusedError, forced

_GRACE_SECS = 3
"""What open streams get at the end."""
_NEEDS = "the server needs {}: pip install 'sayiir[ui]'"


def parse_bind(text: str) -> tuple[str, int]:
    """Return host and port.

    Raises:
        RefusedError: it is not HOST:PORT, :PORT or PORT.

    >>> parse_bind("127.0.0.1:8787"), parse_bind("8787"), parse_bind("[::1]:80")
    (('127.0.0.1', 8787), ('127.0.0.1', 8787), ('::1', 80))
    """
    host, colon, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535 or (colon and ":" in host and not host.startswith("[")):
        raise RefusedError(f"--bind {text!r} is not HOST:PORT, as in 127.0.0.1:8787 or [::1]:8787")
    return host.strip("[]") or "127.0.0.1", int(port)


def check_local(host: str) -> None:
    """Refuse to be reached from elsewhere at all.

    Raises:
        RefusedError: it would be so.
    """
    if not _is_loopback(host):
        raise RefusedError(
            f"--bind {host} can be reached from other machines, and dev is for this one: use sayiir worker and sayiir server"
        )


def check_open(host: str, token: str | None, *, insecure: bool) -> None:
    """Refuse to be reached from elsewhere without a token.

    Raises:
        RefusedError: it would be so.
    """
    if not (token or insecure or _is_loopback(host)):
        raise RefusedError(
            f"--bind {host} can be reached from other machines: give --token or set SAYIIR_TOKEN; or let everybody in: "
            "--insecure"
        )


def check_trace(url: str | None) -> None:
    """Refuse a link to traces that would lead nowhere.

    Raises:
        RefusedError: it is no address, or does not say where the trace's id goes.

    >>> check_trace("https://traces.example/trace/{trace_id}")
    """
    if url and not (url.startswith(("http://", "https://")) and "{trace_id}" in url):
        raise RefusedError(f"--trace-url {url!r} is not an address with {{trace_id}} in it, as in http://host/trace/{{trace_id}}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_server() -> None:
    """See whether the server could be loaded, without loading it, by whoever leaves that to another process.

    Raises:
        RefusedError: what it needs is not installed.
    """
    for name in ("uvicorn", "starlette", "jinja2"):
        if importlib.util.find_spec(name) is None:
            raise RefusedError(_NEEDS.format(name), ERROR)


def load_server() -> Callable[..., Any]:
    """Import the server and return what makes its app.

    Raises:
        RefusedError: what it needs is not installed.
    """
    try:
        for name in ("uvicorn", "sayiir.server"):
            module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise RefusedError(_NEEDS.format(error.name), ERROR) from error
    create_app: Callable[..., Any] = module.create_app
    return create_app


def listen(host: str, port: int) -> socket.socket:
    """Bind.

    Raises:
        RefusedError: that cannot be.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or error
        sentence = f"{host}:{port} cannot be listened at: {said}; give --bind another address or port"
        raise RefusedError(sentence, ERROR) from error


def url_of(listening: socket.socket, root_path: str) -> str:
    """Return where a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{root_path}"


class Below:
    """An app that is offered under a prefix, by a proxy that cuts it off, or one that does not.

    Args:
        app: the app.
        prefix: such as "/ops".
    """

    def __init__(self, app: Any, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, its path as ASGI has it: with the prefix, which `root_path` names."""
        if scope["type"] == "http":
            prefix = self._prefix
            if scope["path"] != prefix and not scope["path"].startswith(f"{prefix}/"):
                raw = scope.get("raw_path") or quote(scope["path"]).encode()
                scope = {**scope, "path": prefix + scope["path"], "raw_path": quote(prefix).encode() + raw}
            scope = {**scope, "root_path": prefix}
        await self._app(scope, receive, send)


def serve(app: Any, listening: socket.socket, root_path: str, *, ended: Callable[[], None] = lambda: None) -> None:
    """Serve until told to end; `ended` is called when the first signal comes."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield  # they are ours: uvicorn would raise them once more at its end

    server = Server(uvicorn.Config(
        Below(app, root_path) if root_path else app, log_level="warning", access_log=False, ws="none",
        timeout_graceful_shutdown=_GRACE_SECS,
    ))  # fmt: skip

    def end(number: int, _: object) -> None:
        if server.should_exit:
            sys.stderr.flush()
            os._exit(forced(number))
        server.should_exit = True
        ended()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    out.note(f"sayiir: serving at {url_of(listening, root_path)} (Ctrl-C ends it)")
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
        for number, handler in before.items():
            signal.signal(number, handler)
