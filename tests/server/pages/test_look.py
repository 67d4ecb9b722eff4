"""Pages in a browser, over a service that answers from memory: nothing there, store away, hostile texts, large graphs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

from sayiir import Flow
from sayiir.errors import BackendError
from sayiir.server.pages import page_routes
from sayiir.server.security import Guard, access_of
from sayiir.service.drawing import picture
from tests.server.pages.browsing import AXE, faults_of, ready
from tests.server.pages.site import serving
from tests.server.pages.stub import StubService, _step
from tests.server.pages.test_html import HOSTILE, PAGES

AWAY = BackendError("cannot connect to PostgreSQL: refused")
STAGED = (
    "/empty/instances", "/empty/inbox", "/empty/instances?q=x", "/empty/workers", "/empty/audit", "/away/workers", "/login",
    "/instances/x", "/instances/x?tab=timeline&node=charge", "/compare?id=a&id=b", "/hostile/instances/x",
)  # fmt: skip
"""Pages that a real store shows seldom, or not at will; test_real_pages.py has all others."""


class Large(StubService):
    """A definition of 2,000 nodes, drawn in full."""

    def __init__(self) -> None:
        super().__init__()
        flow = Flow("large")
        for index in range(2000):
            flow = flow.then(_step, name=f"node_{index}")
        self.svg = picture(flow.build().graph, {}, standalone=False)

    def graph_svg(self, access: Any, instance_id: str | None = None, **rest: Any) -> str:
        return self.svg


def _app(service: Any) -> list[Any]:
    async def silent(request: Any) -> Response:
        return Response(status_code=204)

    return [Route("/api/v1/events", silent), *page_routes(service, access_of, signs_in=True, version="1")]


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    mounts = {
        "/empty": StubService(rows=0), "/away": StubService(fault=AWAY), "/large": Large(),
        "/hostile": StubService(HOSTILE[1] + HOSTILE[0]),
    }  # fmt: skip
    routes = [Mount(path, Starlette(routes=_app(service))) for path, service in mounts.items()]
    with serving(Guard(Starlette(routes=[*routes, *_app(StubService())]))) as address:
        yield address


@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(chrome, base, look):
    options: dict[str, Any] = {"color_scheme": "dark" if look == "dark" else "light"}
    if look == "narrow":
        options["viewport"] = {"width": 320, "height": 640}
    found: list[str] = []
    with chrome.page(base, expected=("503",), bypass_csp=True, reduced_motion="reduce", **options) as page:
        page.add_init_script(path=AXE)
        for place in STAGED:
            ready(page, base + place)
            if place == "/instances/x":
                page.locator("summary", has_text="Retry…").click()
            found += [f"{place}: {fault}" for fault in faults_of(page)]
    assert not found, "\n".join(found)


def test_the_time_left_is_said_alike_by_the_server_and_by_script(chrome, base):
    said = []
    for java_script_enabled in (False, True):
        with chrome.page(base, java_script_enabled=java_script_enabled) as page:
            page.goto(base + "/inbox")
            if java_script_enabled:
                page.locator("html[data-ready=yes]").wait_for(state="attached")
            said.append(page.locator("time", has_text="in 1 d").first.inner_text())
    assert said == ["in 1 d 23 h"] * 2


def test_hostile_texts_run_nothing(chrome, base):
    with chrome.page(base) as page:
        page.on("dialog", lambda dialog: pytest.fail("a script of a user's text ran"))
        for place in PAGES[2:13]:
            ready(page, base + "/hostile" + place)
            assert page.locator("img").count() == 0


def test_targets_are_large_enough_for_fingers(chrome, base):
    with chrome.page(base, viewport={"width": 320, "height": 640}, has_touch=True) as page:
        for place in ("/instances", "/instances/x", "/inbox", "/workflows/order"):
            ready(page, base + place)
            small = page.eval_on_selector_all(
                "button, summary, input:not([type=hidden]), select, .facet, .nav a, .tabs a, .button",
                """all => all.filter(e => e.checkVisibility()).map(e => {
                    const box = (e.closest("label") || e).getBoundingClientRect();
                    return [e.outerHTML.slice(0, 80), box.width, box.height];
                }).filter(([, width, height]) => width && (width < 24 || height < 24))""",
            )
            assert not small, (place, small)


def test_a_graph_of_two_thousand_nodes(chrome, base):
    with chrome.page(base) as page:
        began = time.perf_counter()
        ready(page, base + "/large/instances/x")
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        took = time.perf_counter() - began
        assert page.locator("[data-node]").count() >= 2000
        print(f"2,000 nodes: {took:.2f} s until painted")
