"""Every route × method × role of the real app: API, pages, metrics, probes, files.

Rules of this file: `LEAST` says who may do what, and nothing else here does; a route that is not in it fails the test, and
so does a method that a route knows beside those. The routes are the app's own, as `create_app` made them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from sayiir import InMemoryBackend, WorkflowClient
from sayiir.server import app as app_module
from sayiir.server import create_app
from sayiir.server.api import events
from sayiir.server.security import COOKIE, cookie_of
from sayiir.service import Access, Role, Service
from tests.server.conftest import FLOWS, GATE

API = "/api/v1"
ONE = f"{API}/instances/{{instance_id}}"
FLOW = f"{API}/workflows/{{workflow_id}}"
RANKS = ("nobody", "viewer", "operator", "admin")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
LEAST = {
    "nobody": (
        "GET /healthz", "GET /readyz", "GET /login", "POST /login", "POST /logout", "GET /static", "GET /static/picture.css",
    ),
    "viewer": (
        "GET /metrics", "GET /", "GET /instances", "GET /instances/{name:path}", "GET /instance", "GET /bulk", "GET /inbox",
        "GET /workflows", "GET /workflows/{name:path}", "GET /workflow", "GET /workers", "GET /compare", "POST /theme",
        "GET /{rest:path}", f"GET {API}/instances", f"GET {API}/facets", f"GET {API}/compare", f"GET {API}/workflows",
        f"GET {API}/workers", f"GET {API}/inbox", f"GET {API}/views", f"GET {API}/stats", f"GET {API}/events",
        f"GET {API}/openapi.json", f"GET {ONE}", f"GET {FLOW}",
        *(f"GET {ONE}/{what}" for what in ("why", "attempts", "timeline", "graph", "graph.svg", "logs", "result", "output")),
        f"GET {ONE}/nodes/{{node_id}}", f"GET {ONE}/tasks/{{task_id}}",
        *(f"GET {FLOW}/{what}" for what in ("schema", "graph.svg", "graph.mermaid", "graph.txt")),
    ),
    "operator": (
        "POST /instances/{name:path}", "POST /instance", "POST /bulk", "POST /views", "POST /workflows/{name:path}",
        "POST /workflow", f"POST {API}/instances", f"POST {API}/bulk", f"PUT {API}/views/{{name}}", f"DELETE {API}/views/{{name}}",
        *(f"POST {ONE}/{what}" for what in ("cancel", "pause", "unpause", "retry", "signals/{name}")),
    ),
    "admin": ("GET /audit", f"GET {API}/audit", f"GET {API}/check", f"POST {API}/purge"),
}  # fmt: skip
"""Who may do what, at least; HEAD is as GET, all other methods are for nobody."""
NEEDED = {line: RANKS.index(role) for role, lines in LEAST.items() for line in lines}

CANCEL = {"action": "cancel"}
BODIES = {
    "POST /instances/{name:path}": [
        CANCEL, {"action": "pause"}, {"action": "unpause"}, {"action": "retry"}, {"action": "signal", "signal": "go", "raw": "1"},
    ],
    "POST /instance": [CANCEL],
    "POST /bulk": [{**CANCEL, "scope": "ids", "id": "a", "sure": "yes"}, {**CANCEL, "scope": "where", "where": ""}],
    "POST /views": [{"name": "v", "where": "status:failed"}, {"drop": "go"}],
    "POST /workflows/{name:path}": [{"raw": "1"}],
    "POST /workflow": [{"raw": "1"}],
    f"POST {API}/instances": [{"workflow_id": "double", "input": 1}],
    f"POST {API}/bulk": [{**CANCEL, "selection": {"ids": ["a"]}}],
    f"PUT {API}/views/{{name}}": [{"where": "status:failed"}],
    f"POST {ONE}/signals/{{name}}": [{"payload": 1}],
}  # fmt: skip
"""What is sent, each of several by itself; nothing where nothing is said."""
IDLE = re.compile(r"unpause|retry|purge|\"where\": \"\"")
"""What finds nothing to do here: it must be let through, and may leave all as it was."""
QUERIES = {"/instance": "?id=a", "/workflow": "?id=double", f"{API}/compare": "?left=a&right=a"}
ELSEWHERE = {"another site": {"sec-fetch-site": "cross-site"}, "another origin": {"origin": "http://evil.example"}}
CALLERS = ("no token", "wrong", *RANKS[1:], *ELSEWHERE)
FOUND = {"GET /": 303, "GET /bulk": 303, "GET /{rest:path}": 404}
"""What a GET gives where that is not 200."""


class Site:
    """An app over one instance that was submitted and one saved view; what stands in the store, to be compared."""

    def __init__(self, **options):
        self.backend = InMemoryBackend()
        WorkflowClient(self.backend).submit(GATE, "a", {"n": 1})
        self.service = Service(self.backend, workflows=FLOWS)
        self.service.save_view(Access("ann", Role.ADMIN), "go", "")
        app = create_app(self.backend, FLOWS, auth={role.value: Access(role.value, role) for role in Role}, **options)
        self.client = TestClient(app, base_url="http://localhost", follow_redirects=False)

    def __enter__(self):
        self.client.__enter__()
        return self

    def __exit__(self, *error):
        self.client.__exit__(*error)
        self.backend.close()

    def ask(self, method, path, body, caller):
        """Send a request as a caller: the API has tokens, pages have cookies."""
        place = re.sub(r"\{(\w+)(:path)?\}", lambda name: self.named(path, name[1]), path) + QUERIES.get(path, "")
        place += "/base.css" if path == "/static" else ""
        self.client.cookies.clear()
        headers = dict(ELSEWHERE.get(caller, {}))
        token = "admin" if caller in ELSEWHERE else caller
        if caller != "no token":
            by_token = path.startswith(API) and caller not in ELSEWHERE
            headers |= {"Authorization": f"Bearer {token}"} if by_token else {"Cookie": f"{COOKIE}={cookie_of(token)}"}
        if method in ("GET", "HEAD", "OPTIONS"):
            return self.client.request(method, place, headers=headers)
        form = {"content-type": "application/x-www-form-urlencoded"} if not body else {}
        sent = {"json": body} if path.startswith(API) else {"data": body, "headers": form}
        return self.client.request(method, place, **{**sent, "headers": {**sent.get("headers", {}), **headers}})

    @staticmethod
    def named(path, name):
        flow = "double" if path.startswith("/workflow") else "a"
        known = {"instance_id": "a", "workflow_id": "double", "node_id": "first", "task_id": "first", "rest": "nope"}
        return known.get(name) or ("go" if path.startswith(API) else flow)

    def stored(self):
        asker = Access("ann", Role.ADMIN)
        found, lines = self.service.find(asker).items, self.service.audit(asker)[0]
        return [(row.instance_id, row.status, row.requested) for row in found], self.service.views(asker), lines, self.backend.buffered("a")


def routes(monkeypatch) -> dict[str, set[str]]:
    """The paths of everything in the app that `create_app` makes, with the methods that are known there."""
    parts = []
    real = app_module._beside
    monkeypatch.setattr(app_module, "_beside", lambda api, app: parts.extend((api, app)) or real(api, app))
    with InMemoryBackend() as backend:
        create_app(backend, FLOWS, auth="t")
    api, pages = parts
    found: dict[str, set[str]] = {}
    for path, methods in (
        *((API + one.path, {one.method}) for one in api.endpoints),
        *((one.path, getattr(one, "methods", None) or {"GET"}) for one in pages.routes),
    ):
        found.setdefault(path, set()).update(set(methods) - {"HEAD"})
    return found


def expected(method: str, path: str, caller: str, *, read_only: bool) -> set[int] | None:
    """The statuses that an answer may have; None for whatever is neither a refusal nor an error."""
    asked = "GET" if method == "HEAD" else method
    needed = NEEDED.get(f"{asked} {path}")
    is_safe = method in ("GET", "HEAD", "OPTIONS")
    if caller in ELSEWHERE and not is_safe:
        return {403}
    rank = 3 if caller in ELSEWHERE else RANKS.index(caller) if caller in RANKS else 0
    if rank == 0 and needed != 0 and path not in ("/healthz", "/readyz", "/static", "/static/picture.css"):
        return {401}
    if needed is None:
        return {404} if asked == "GET" and not path.startswith(API) else {405}  # the last route of all takes any path
    if rank < needed or (read_only and not is_safe and needed >= RANKS.index("operator")):
        return {403}
    return {FOUND.get(f"GET {path}", 200)} if is_safe else None


def faults(path: str, method: str, body: dict[str, object], *, read_only: bool) -> Iterator[str]:
    """Ask as everybody, from who may least on, and tell what is not as it should be."""
    did_something = False
    with Site(read_only=read_only) as site:
        for caller in CALLERS:
            before = site.stored()
            answer = site.ask(method, path, body, caller)
            may = expected(method, path, caller, read_only=read_only)
            refused = answer.status_code in (401, 403, 404, 405) or answer.status_code >= 500
            where = f"{method} {path} {body} by {caller}: {answer.status_code}"
            if refused if may is None else answer.status_code not in may:
                yield f"{where}, not {may or 'let through'}"
            if path.startswith(API) and answer.status_code in (401, 403) and method != "HEAD":
                code = answer.json()["code"]
                if code not in ("forbidden", "cross_site") and answer.headers.get("www-authenticate") != "Bearer":
                    yield f"{where} {code}"
            changed = site.stored() != before
            if changed and may is not None:
                yield f"{where}, and it did something"
            did_something = did_something or changed
    writes = NEEDED.get(f"{method} {path}", 0) >= RANKS.index("operator") and method not in ("GET", "HEAD")
    if writes and not read_only and not did_something and not IDLE.search(path + json.dumps(body)):
        yield f"{method} {path} {body} did nothing for anybody"


@pytest.mark.parametrize("read_only", [False, True], ids=["open", "read-only"])
def test_every_route_by_every_method_and_every_role(monkeypatch, read_only):
    monkeypatch.setattr(events, "STREAM_SECS", 0.0)  # a stream ends after its first word
    found = routes(monkeypatch)
    assert {f"{method} {path}" for path, methods in found.items() for method in methods} == set(NEEDED)
    wrong = [
        fault
        for path in found
        for method in METHODS
        for body in BODIES.get(f"{method} {path}", [{}])
        for fault in faults(path, method, body, read_only=read_only)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("depth", [300, 2_000, 200_000])
@pytest.mark.parametrize(("path", "form"), [("/workflows/{name:path}", {}), ("/instances/{name:path}", {"action": "signal", "signal": "go"})])
def test_json_that_is_too_deep_is_told_in_the_form(path, form, depth):
    with Site() as site:
        before = site.stored()
        answer = site.ask("POST", path, {**form, "raw": "[" * depth + "]" * depth}, "operator")
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text or 'aria-invalid="true"' in answer.text
        assert site.stored() == before
