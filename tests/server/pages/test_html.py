"""Every page as HTML, over a service that answers from memory: states, errors, hostile texts, caching."""

from __future__ import annotations

import functools
import html.parser
import logging
import re
import sys
from datetime import datetime

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from sayiir.errors import BackendError, FilterError, ForbiddenError, InstanceNotFoundError, InvalidStateError
from sayiir.server.pages import page_routes
from sayiir.service import Access, Role
from sayiir.service.model import Selection
from tests.server.pages.stub import NOW, StubService

PAGES = (
    "/instances", "/instances?q=status:failed", "/instances/x", "/instances/x?tab=timeline&node=charge", "/instances/x?tab=table",
    "/instances/x?tab=logs", "/instances/x?do=signal&signal=approval", "/inbox", "/workflows", "/workflows/order",
    "/workflows/order?as=json", "/workers", "/compare", "/compare?id=a&id=b", "/audit", "/audit?target=x",
)  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</textarea><script>alert(1)</script>",
    "</title></style></script><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{7*7}}{% raw %}${7*7}",
    "<!--",
    "]]><style>*{display:none}</style>",
    "\u202ereversed\u2066 \u0000 \ufffe",
    "&lt;script&gt;&#60;",
    '" autofocus onfocus="alert(1)" x="',
    "hx-get=/x hx-on:click=alert(1)",
)


class Held(datetime):
    """Time that stands: as it goes on, a plot of what runs gets more lines."""

    @classmethod
    def now(cls, tz=None):
        return NOW


@pytest.fixture(autouse=True)
def held(monkeypatch):
    for module in ("instance", "kit"):
        monkeypatch.setattr(sys.modules[f"sayiir.server.pages.{module}"], "datetime", Held)


def site(service, role=Role.ADMIN, **options):
    app = Starlette(routes=page_routes(service, lambda request: Access("ann", role), version="1", **options))
    return TestClient(app, base_url="http://localhost", follow_redirects=False)


class Reading(html.parser.HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.ids, self.targets = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name == "id":
                self.ids.append(value)
            if name in ("for", "aria-labelledby", "aria-describedby") and not value.startswith("sy-"):
                self.targets += value.split()


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_sound(page):
    with site(StubService()) as client:
        answer = client.get(page)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    read = Reading(answer.text)
    assert len(read.ids) == len(set(read.ids))
    assert set(read.targets) <= set(read.ids)
    assert not [name for _, name, _ in read.attributes if name == "style" or name.startswith("on")]
    assert {tag for tag in read.tags if tag in ("style", "iframe", "object", "embed", "base")} == set()
    assert all(value for tag, name, value in read.attributes if tag == "script" and name == "src")


@functools.cache
def shape(word, page):
    """The tags and attributes of a page whose every text is a word, without the attributes' values."""
    with site(StubService(word)) as client:
        answer = client.get(page)
    assert answer.status_code == 200, page
    read = Reading(answer.text)
    for tag, name, value in read.attributes:
        assert not (name in ("href", "src", "action", "formaction") and value.lower().startswith("javascript:")), (page, tag)
    return sorted(read.tags), sorted((tag, name) for tag, name, _ in read.attributes)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_markup(text):
    """The same page with a harmless word has the same tags and attributes."""
    for page in PAGES:
        assert shape(text, page) == shape("harmless", page), page


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_an_address_or_a_form_becomes_markup(text):
    with site(StubService(), signs_in=True) as client:
        answers = [
            client.get("/login", params={"next": text, "wrong": text}),
            client.get("/instances", params={"q": text, "cursor": text, "said": text}),
            client.get("/instance", params={"id": text, "tab": text, "node": text, "zoom": text}),
            client.get("/instance", params={"id": text, "do": "signal", "signal": text, "as": text}),
            client.get("/workflow", params={"id": text, "version": text}),
            client.get("/compare", params={"id": [text, text + "2"]}),
            client.get("/audit", params={"target": text, "cursor": text}),
            client.post("/workflow", params={"id": text}, data={"/by": text, "/channel": text, "raw": text, "instance_id": text}),
            client.post("/views", data={"name": text, "where": text, "replaces": text}),
            client.post("/instance", params={"id": text}, data={"action": "signal", "signal": text, "/by": text}),
            client.post("/bulk", data={"action": "cancel", "scope": "ids", "id": text, "where": text, "reason": text, "done": text}),
        ]
        answers.append(client.get(f"/nothing/{'x' if chr(0) in text else text.replace('/', '')}"))
    shown = [value for tag, name, value in Reading(answers[0].text).attributes if (tag, name) == ("input", "value")]
    assert shown == [text]
    for answer in answers:
        assert answer.status_code < 500
        read = Reading(answer.text)
        assert "alert(1)" not in "".join(value for _, name, value in read.attributes if name.startswith("on"))
        assert "img" not in read.tags
        assert read.tags.count("script") <= 4


class FaultyBut(StubService):
    """Raises for everything but saved views."""


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (BackendError("cannot connect to PostgreSQL: refused"), 503, "The database does not answer"),
        (ForbiddenError("find needs the role operator"), 403, "You may not do that"),
        (InstanceNotFoundError("there is no instance 'x'", instance_id="x"), 404, "There is no such instance"),
        (InvalidStateError("it has completed"), 409, "That is not possible now"),
        (RuntimeError("a secret of the inside"), 500, "Something went wrong here"),
    ],
)
def test_errors_are_pages(fault, status, words, caplog):
    caplog.set_level(logging.CRITICAL, "sayiir.server") if status != 500 else None
    with site(FaultyBut(fault=fault)) as client:
        for page in PAGES:
            if page in ("/compare",):
                continue
            answer = client.get(page)
            assert (answer.status_code, words in answer.text) == (status, True), page
            assert answer.headers["cache-control"] == "no-store"
            assert "a secret of the inside" not in answer.text
    if status == 500:
        number = re.search(r'<p class="mono">([0-9a-f]{8})</p>', answer.text)[1]
        assert number in caplog.text
        assert "a secret of the inside" in caplog.text


def test_no_such_page_and_no_such_method():
    with site(StubService()) as client:
        answer = client.get("/no/such")
        assert (answer.status_code, "There is nothing here" in answer.text) == (404, True)
        assert client.get("/static/no.css").status_code == 404
        assert client.get("/static/../pages/kit.py").status_code == 404
        assert client.post("/workers").status_code == 405


def test_a_filter_that_cannot_be_read_is_told_beside_the_box():
    class Strict(StubService):
        def find(self, access, where="", **rest):
            raise FilterError("state: is not known; did you mean status:?")

    with site(Strict()) as client:
        answer = client.get("/instances?q=state:failed")
    assert answer.status_code == 400
    assert 'aria-describedby="filter-wrong"' in answer.text
    assert "did you mean status:?" in answer.text
    assert 'value="state:failed"' in answer.text


def test_an_unchanged_page_is_not_sent_again():
    service = StubService()
    with site(service) as client:
        first = client.get("/workflows/order")
        again = client.get("/workflows/order", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        service.word = "changed"
        assert client.get("/workflows/order", headers={"If-None-Match": first.headers["etag"]}).status_code == 200


def test_files_are_kept_as_long_as_their_version_is_named():
    with site(StubService()) as client:
        assert "immutable" in client.get("/static/base.css?v=1").headers["cache-control"]
        assert "immutable" in client.get("/static/picture.css?v=1").headers["cache-control"]
        assert client.get("/static/main.js").headers["cache-control"] == "no-cache"
        assert client.get("/static/vendor/htmx.min.js").headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_what_somebody_may_do_is_offered(role):
    with site(StubService(), role) as client:
        texts = [client.get(page).text for page in PAGES if "audit" not in page and "do=signal" not in page]
    offered = any('name="action"' in text or ">Submit</button>" in text for text in texts[:1])
    assert offered is (role is Role.OPERATOR)
    assert all(">Audit</a>" not in text for text in texts)


def test_empty_pages_say_what_to_do():
    with site(StubService(rows=0)) as client:
        assert "No instances yet" in client.get("/instances").text
        assert "Nothing matches" in client.get("/instances?q=x").text
        assert "Nobody waits for you" in client.get("/inbox").text
        assert "Nothing yet" in client.get("/audit").text


def test_an_action_is_passed_on_with_its_reason_and_then_the_page_is_shown():
    service = StubService()
    with site(service) as client:
        answer = client.post("/instances/a/b", data={"action": "cancel", "reason": " because "})
        assert (answer.status_code, answer.headers["location"]) == (303, "/instances/a/b?said=cancel")
        client.post("/instances/a", data={"action": "retry", "from": "charge", "input": " {} ", "reason": ""})
        client.post("/instances/a", data={"action": "signal", "signal": "approval", "raw": "[1]"})
        client.post("/workflows/w", data={"raw": "7", "instance_id": " i ", "priority": "2"})
        client.post("/views", data={"name": " mine ", "where": "status:failed"})
        client.post("/views", data={"drop": "mine", "where": "status:failed"})
    assert service.calls == [
        ("cancel", ("a/b",), {"reason": "because"}),
        ("retry", ("a",), {"from_task": "charge", "input_json": b"{}", "reason": None}),
        ("signal", ("a", "approval", b"[1]"), {}),
        ("submit", ("w", "i", b"7"), {"priority": 2}),
        ("save_view", ("mine", "status:failed"), {"replaces": None}),
        ("drop_view", ("mine",), {}),
    ]


def test_what_is_wrong_with_a_form_is_told_in_it_and_nothing_is_sent():
    service = StubService()
    with site(service) as client:
        answer = client.post("/instances/a", data={"action": "signal", "signal": "approval", "/by": "Ann", "/limit": "many"})
    assert answer.status_code == 422
    assert answer.text.count('aria-invalid="true"') >= 2
    assert "Limit must be a whole number." in answer.text
    assert 'value="Ann"' in answer.text
    assert service.calls == []


def test_bulk_counts_first_and_acts_only_when_told():
    service = StubService()
    with site(service) as client:
        assert client.post("/bulk", data={"action": "cancel", "scope": "ids", "where": "x"}).headers["location"] == "/instances?q=x&said=none"
        assert client.get("/bulk").headers["location"] == "/instances"
        assert service.calls == []
        form = {"action": "cancel", "scope": "ids", "id": ["a", "b"], "where": "x"}
        client.post("/bulk", data={**form, "cursor": "early"})
        client.post("/bulk", data={**form, "sure": "yes", "reason": "r", "cursor": "c"})
        client.post("/bulk", data={"action": "retry", "scope": "where", "id": "a", "where": "x", "sure": "yes"})
    (_, (action, first), counted), (_, _, done), (_, (_, matching), _) = service.calls
    assert (action, first, counted["dry_run"], counted["cursor"]) == ("cancel", Selection(ids=("a", "b")), True, None)
    assert done == {"dry_run": False, "reason": "r", "cursor": "c"}
    assert matching == Selection(where="x")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"action=cancel", "application/json"),
        (b"action=%ff%fe", "application/x-www-form-urlencoded"),
        (b"\xff=1", "application/x-www-form-urlencoded"),
        (b"a=1&" * 6000, "application/x-www-form-urlencoded"),
        (b"action=explode", "application/x-www-form-urlencoded"),
        (b"x" * (5 << 20), "application/x-www-form-urlencoded"),
        (b"", "application/x-www-form-urlencoded"),
    ],
    ids=["json", "no-utf8", "no-ascii", "many", "unknown", "large", "empty"],
)
def test_what_no_form_of_ours_sends_is_refused(body, kind):
    service = StubService()
    with site(service) as client:
        for place in ("/instances/a", "/bulk"):
            refused = 413 if len(body) > 4 << 20 else 400
            assert client.post(place, content=body, headers={"content-type": kind}).status_code == refused
    assert service.calls == []


def test_the_theme_is_kept_in_a_cookie_and_one_goes_back_only_to_pages_of_ours():
    with site(StubService()) as client:
        answer = client.post("/theme", data={"theme": "dark"}, headers={"referer": "http://localhost/inbox?x=1"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/inbox?x=1")
        assert "SameSite=strict" in answer.headers["set-cookie"]
        assert 'data-theme="dark"' in client.get("/inbox").text
        for other in ("http://evil.example/x", "http://localhost//evil.example", "", "javascript:alert(1)"):
            answer = client.post("/theme", data={"theme": "<x>"}, headers={"referer": other})
            assert answer.headers["location"] == "/instances"
        assert 'data-theme="system"' in client.get("/inbox").text
