"""Who may send which form of a page, and who may look at the metrics: route × method × role, as for the API."""

from __future__ import annotations

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from sayiir import InMemoryBackend, WorkflowClient
from sayiir.server import create_app
from sayiir.server.pages import page_routes
from sayiir.server.security import COOKIE, access_of, cookie_of
from sayiir.service import Access, Role, Service
from tests.server.conftest import FLOWS, GATE

TOKENS = {role.value: Access(role.value, role) for role in Role}
FORMS = [
    ("/instances/{name:path}", "/instances/a", {"action": "cancel"}),
    ("/instances/{name:path}", "/instances/a", {"action": "pause"}),
    ("/instances/{name:path}", "/instances/a", {"action": "unpause"}),
    ("/instances/{name:path}", "/instances/a", {"action": "retry"}),
    ("/instances/{name:path}", "/instances/a", {"action": "signal", "signal": "go", "raw": "1"}),
    ("/instance", "/instance?id=a", {"action": "cancel"}),
    ("/bulk", "/bulk", {"action": "cancel", "scope": "where", "where": ""}),
    ("/bulk", "/bulk", {"action": "cancel", "scope": "ids", "id": "a", "sure": "yes"}),
    ("/views", "/views", {"name": "v", "where": "status:failed"}),
    ("/views", "/views", {"drop": "old"}),
    ("/workflows/{name:path}", "/workflows/double", {"raw": "1"}),
    ("/workflow", "/workflow?id=double", {"raw": "1"}),
]


class Site:
    """An app over one instance that was submitted and one saved view; what stands in the store, to be compared."""

    def __init__(self, **options):
        self.backend = InMemoryBackend()
        WorkflowClient(self.backend).submit(GATE, "a", {"n": 1})
        self.service = Service(self.backend, workflows=FLOWS)
        self.service.save_view(Access("ann", Role.ADMIN), "old", "")
        self.client = TestClient(create_app(self.backend, FLOWS, auth=TOKENS, **options), base_url="http://localhost", follow_redirects=False)

    def __enter__(self):
        self.client.__enter__()
        return self

    def __exit__(self, *error):
        self.client.__exit__(*error)
        self.backend.close()

    def send(self, place, form, role, **headers):
        self.client.cookies.clear()
        return self.client.post(place, data=form, headers={"Cookie": f"{COOKIE}={cookie_of(role)}", **headers})

    def stored(self):
        asker = Access("ann", Role.ADMIN)
        found, lines = self.service.find(asker).items, self.service.audit(asker)[0]
        waits = self.backend.buffered("a")
        return [(row.instance_id, row.status, row.requested) for row in found], self.service.views(asker), lines, waits


def test_every_form_of_a_page_is_asked():
    pages = page_routes(Service(InMemoryBackend()), access_of, signs_in=True)
    posts = {route.path for route in pages if isinstance(route, Route) and "POST" in (route.methods or ())}
    assert posts == {route for route, _, _ in FORMS} | {"/theme"}, "a theme is the browser's own"


@pytest.mark.parametrize(("_", "place", "form"), FORMS)
def test_who_may_send_a_form(_, place, form):
    with Site() as site:
        before = site.stored()
        for refused in (
            site.send(place, form, "viewer"),
            site.send(place, form, "admin", **{"sec-fetch-site": "cross-site"}),
            site.send(place, form, "admin", origin="http://evil.com"),
        ):
            assert refused.status_code == 403, refused.text
        assert site.send(place, form, "wrong").status_code == 401
        assert site.stored() == before, "what was refused did something"
        assert site.send(place, form, "operator", **{"sec-fetch-site": "same-origin"}).status_code not in (401, 403, 404, 405, 500)
        if form.get("action") not in ("unpause", "retry") and "scope" not in form:  # those have nothing to do here
            assert site.stored() != before


@pytest.mark.parametrize(("_", "place", "form"), FORMS)
def test_nobody_may_where_all_is_read_only(_, place, form):
    with Site(read_only=True) as site:
        before = site.stored()
        assert [site.send(place, form, role).status_code for role in TOKENS] == [403, 403, 403]
        assert site.stored() == before


@pytest.mark.parametrize("read_only", [False, True])
def test_the_metrics_are_for_all_who_may_look_and_are_only_looked_at(read_only):
    with Site(read_only=read_only) as site:
        for token in TOKENS:
            headers = {"Authorization": f"Bearer {token}"}
            assert "sayiir_" in site.client.get("/metrics", headers=headers).text
            for method in ("POST", "PUT", "DELETE"):
                assert site.client.request(method, "/metrics", headers=headers).status_code == 405
        assert site.client.get("/metrics").status_code == 401
        assert site.client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401


@pytest.mark.parametrize("depth", [300, 2_000, 200_000])
@pytest.mark.parametrize(("place", "form"), [("/workflows/double", {}), ("/instances/a", {"action": "signal", "signal": "go"})])
def test_json_that_is_too_deep_is_told_in_the_form(place, form, depth):
    with Site() as site:
        before = site.stored()
        answer = site.send(place, {**form, "raw": "[" * depth + "]" * depth}, "operator")
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text or 'aria-invalid="true"' in answer.text
        assert site.stored() == before
