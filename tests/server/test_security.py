"""Who asks, from where, and what every answer carries; who may do what is asked in test_rights.py."""

from __future__ import annotations

import hmac
import types

import pytest
from starlette.testclient import TestClient

from sayiir import InMemoryBackend
from sayiir.server import create_app, security
from sayiir.server.security import COOKIE, CSP, cookie_of
from sayiir.service import Access, Role
from tests.server.conftest import FLOWS

API = "/api/v1"
TOKENS = {role.value: Access(role.value, role) for role in Role}


def opened(**more):
    return TestClient(create_app(InMemoryBackend(), FLOWS, **more), base_url="http://localhost")


def test_nothing_is_told_to_nobody_where_the_api_has_no_path():
    with opened(auth="secret") as client:
        assert client.get(f"{API}/nope").status_code == 401
        assert client.get(f"{API}/nope", headers={"Authorization": "Bearer secret"}).status_code == 404


@pytest.mark.parametrize("given", ["Bearer secret ", "bearer secret", "BEARER secret"])
def test_a_token_however_it_is_sent(given):
    with opened(auth="secret") as client:
        assert client.get(f"{API}/views", headers={"Authorization": given}).status_code == 200


@pytest.mark.parametrize("given", ["Bearer", "Bearer ", "Basic secret", "secret", "Bearer secret2", "Bearer \xff"])
def test_a_token_that_is_none(given):
    with opened(auth="secret") as client:
        assert client.get(f"{API}/views", headers={"Authorization": given.encode("latin-1")}).status_code == 401


@pytest.mark.parametrize("given", ["viewer", "wrong", ""])
def test_tokens_and_cookies_are_compared_in_constant_time(given, monkeypatch):
    compared = []

    def recorded(stored, sent):
        compared.append((stored, sent))
        return hmac.compare_digest(stored, sent)

    monkeypatch.setattr(security, "hmac", types.SimpleNamespace(compare_digest=recorded, new=hmac.new))
    whole = [(token.encode(), given.encode()) for token in TOKENS]  # each one, found or not
    with opened(auth=TOKENS) as client:
        client.get(f"{API}/views", headers={"Authorization": f"Bearer {given}"})
        assert compared == whole
        compared.clear()
        client.post("/login", data={"token": given}, follow_redirects=False)
        assert compared[-len(TOKENS) :] == whole
        compared.clear()
        client.cookies.clear()
        client.get(f"{API}/views", headers={"Cookie": f"{COOKIE}={given}"})
        assert compared == [(cookie_of(token).encode(), given.encode()) for token in TOKENS]


@pytest.mark.parametrize("auth", ["", {}, {"": Access()}])
def test_an_empty_token_lets_nobody_in_by_mistake(auth):
    with pytest.raises(ValueError, match="auth must be"):
        create_app(InMemoryBackend(), auth=auth)


# --- a function -------------------------------------------------------------------------------------------------------


def by_header(request):
    name = request.headers.get("x-user")
    return None if name is None else Access(name, Role.OPERATOR)


async def by_header_later(request):
    return by_header(request)


@pytest.mark.parametrize("auth", [by_header, by_header_later])
def test_a_function_says_who_asks(auth):
    with opened(auth=auth) as client:
        assert client.get(f"{API}/views").status_code == 401
        answer = client.post(f"{API}/instances", json={"workflow_id": "double", "input": 1, "instance_id": "a"}, headers={"x-user": "ann"})
        assert answer.status_code == 201
        cancelled = client.post(f"{API}/instances/a/cancel", json={}, headers={"x-user": "ann"}).json()
        assert cancelled["actor"] == "ann"
        cross = client.post(f"{API}/instances/a/retry", json={}, headers={"x-user": "ann", "sec-fetch-site": "cross-site"})
        assert cross.json()["code"] == "cross_site"


# --- from where -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "localhost:8787", "127.0.0.1:8787", "[::1]:8787", "192.168.1.7", "app.localhost", "LOCALHOST"])
def test_hosts_that_are_served(host):
    with opened() as client:
        assert client.get(f"{API}/views", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.com", "localhost.evil.com", "127.0.0.1.evil.com", "evil.com:8787", "", "localhost@evil.com"])
def test_hosts_that_are_not(host):
    with opened() as client:
        answer = client.get(f"{API}/views", headers={"host": host})
        assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host")


def test_hosts_that_are_named():
    with opened(allowed_hosts=["ops.example.org"]) as client:
        assert client.get(f"{API}/views", headers={"host": "OPS.example.org:80"}).status_code == 200
        assert client.get(f"{API}/views", headers={"host": "example.org"}).status_code == 421
    with opened(auth="t", allowed_hosts=["ops.example.org"]) as client:
        assert client.get("/healthz", headers={"host": "other.org"}).status_code == 421
    with opened(auth="t") as client:
        assert client.get("/healthz", headers={"host": "other.org"}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"origin": "http://localhost"}, True),
        ({"origin": "http://localhost:1"}, False),
        ({"origin": "http://evil.com"}, False),
        ({"origin": "null"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost"}, False),
    ],
)
def test_writes_come_from_our_own_pages(headers, passes):
    with opened() as client:
        answer = client.put(f"{API}/views/v", json={}, headers=headers)
        assert answer.status_code == (200 if passes else 403)
        assert client.get(f"{API}/views", headers=headers).status_code == 200, "reading is the browser's own business"


def test_a_bearer_token_is_no_browsers_doing():
    with opened(auth="t") as client:
        headers = {"Authorization": "Bearer t", "sec-fetch-site": "cross-site"}
        assert client.put(f"{API}/views/v", json={}, headers=headers).status_code == 200


# --- how much ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/bulk", "/views", "/theme", "/instances/a", "/workflows/double", f"{API}/instances"])
def test_a_body_or_a_form_has_so_many_bytes_at_most(place):
    kind = "application/json" if place.startswith(API) else "application/x-www-form-urlencoded"
    with opened(max_body=1000) as client:
        for length, refused in ((1000, False), (1001, True)):
            answer = client.post(place, content=b"a" * length, headers={"content-type": kind}, follow_redirects=False)
            assert (answer.status_code == 413) == refused, answer.text
            assert ("1,000 bytes" in answer.text) == refused


# --- signing in -------------------------------------------------------------------------------------------------------


def test_a_browser_signs_in_and_out():
    with opened(auth=TOKENS) as client:
        wrong = client.post("/login", data={"token": "wrong"}, follow_redirects=False)
        assert (wrong.status_code, wrong.headers["location"]) == (303, "/login?wrong=1")
        answer = client.post("/login", data={"token": "viewer", "next": "/instances?where=x"}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/instances?where=x")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "viewer" not in cookie, "the token itself stays out of it"
        assert client.get(f"{API}/views").status_code == 200
        assert client.put(f"{API}/views/v", json={}).status_code == 403
        answer = client.post("/logout", follow_redirects=False)
        assert answer.status_code == 303
        assert client.get(f"{API}/views").status_code == 401


@pytest.mark.parametrize("after", ["http://evil.com", "//evil.com", "/\\evil.com", "\\\\evil", "evil", "/a\nb", ""])
def test_after_signing_in_nobody_is_sent_elsewhere(after):
    with opened(auth="t") as client:
        answer = client.post("/login", data={"token": "t", "next": after}, follow_redirects=False)
        assert answer.headers["location"] == "/"


def test_signing_in_is_not_done_by_other_sites():
    with opened(auth="t") as client:
        assert client.post("/login", data={"token": "t"}, headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_a_page_without_a_right_leads_to_the_sign_in():
    with opened(auth="t") as client:
        answer = client.get("/instances?where=x", headers={"accept": "text/html"}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/instances%3Fwhere%3Dx")


@pytest.mark.parametrize("auth", ["t", lambda _: None], ids=["token", "function"])
@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_where_nobody_signs_in_the_way_in_is_a_page_as_any_other(auth, path):
    with opened(auth=auth) as client:
        assert client.get(path).status_code == (200 if (auth, path) == ("t", "/login") else 401)


def test_another_tokens_cookie_is_worth_nothing():
    with opened(auth="t") as client:
        client.cookies.set(COOKIE, cookie_of("other"))
        assert client.get(f"{API}/views").status_code == 401


# --- what answers carry -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", f"{API}/views", "/nope", f"{API}/nope"])
def test_headers_of_every_answer(path):
    with opened() as client:
        headers = client.get(path).headers
        assert headers["content-security-policy"] == CSP
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "unsafe" not in CSP
