"""The command against a server: who may, what a server says that cannot or will not, and where a token goes."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sayiir.cli.place import Api
from sayiir.cli.remote import Remote
from sayiir.service import Access, Role, Service
from tests.cli.conftest import TOKEN, Shop, serving
from tests.servers.ground import free_port


@contextmanager
def answering(status, body=b"", headers=None):
    """A server that always gives one answer, and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.command, self.path, dict(self.headers)))
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def test_it_has_what_commands_ask_for():
    names = {name for name in vars(Api) if not name.startswith("_")}
    for kind in (Remote, Service):
        assert {name for name in names if not callable(getattr(kind, name, None))} == set()


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (None, "sayiir: give a token: Authorization: Bearer …; give --token or set SAYIIR_TOKEN\n"),
        ("wrong", "sayiir: give a token: Authorization: Bearer …; is the token right?\n"),
    ],
)
def test_a_token_that_is_missing_or_wrong(sqlite_url, token, said):
    with serving(sqlite_url, auth=TOKEN) as url:
        assert Shop(url, *(["--token", token] if token else []))("instance", "list", code=3).err == said


def test_the_token_may_come_from_the_environment(sqlite_url):
    with serving(sqlite_url, auth=TOKEN) as url:
        assert len(Shop(url)("instance", "list", "-o", "ids", env={"SAYIIR_TOKEN": TOKEN}).lines) == 7


def test_roles(sqlite_url):
    with serving(sqlite_url, auth={"v": Access("vera", Role.VIEWER), "o": Access("otto", Role.OPERATOR)}) as url:
        viewer, operator = Shop(url, "--token", "v"), Shop(url, "--token", "o")
        assert viewer.ids("instance", "show", "new-1") == ["new-1"]
        done = viewer("instance", "cancel", "new-1", code=3)
        assert done.err == "sayiir: cancel needs the role operator; 'vera' has viewer\n"
        assert operator.ids("instance", "cancel", "new-1") == ["new-1"]
        assert "needs the role admin" in operator("purge", "--older-than", "1d", "--dry-run", code=3).err
        assert "by otto" in viewer("instance", "show", "new-1").out


def test_read_only(sqlite_url):
    with serving(sqlite_url, read_only=True) as url:
        assert "read_only" in Shop(url)("instance", "pause", "new-1", code=3).err
        assert len(Shop(url).ids("instance", "list")) == 7


def test_nobody_answers():
    url = f"http://127.0.0.1:{free_port()}"
    done = Shop(url)("instance", "list", code=1)
    assert done.err == f"sayiir: no server answers at {url} ([Errno 111] Connection refused); check --url, or start one: sayiir server\n"


def test_a_redirect_does_not_get_the_token():
    with answering(200) as (elsewhere, heard):
        with answering(302, headers={"location": elsewhere}) as (url, asked):
            done = Shop(url, "--token", "secret")("instance", "list", code=1)
        assert heard == []
    assert asked[0][2]["Authorization"] == "Bearer secret"
    assert done.err == f"sayiir: {url} answered 302; is it the address of a sayiir server?\n"


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (200, b"<html>hello</html>", 1, "answers in a form that this release does not know"),
        (200, b'{"items": [{"instance_id": 7}], "next": null}', 1, "answers in a form that this release does not know"),
        (404, b"no such page", 1, "answered 404; is it the address of a sayiir server?"),
        (502, b"", 1, "answered 502; is it the address of a sayiir server?"),
        (504, b"", 6, "answered 504"),
        (409, b'{"code": "invalid_state", "title": "t", "detail": "it is\\ncompleted"}', 5, "sayiir: it is completed\n"),
        (403, b'{"code": "cross_site", "detail": "no"}', 3, "sayiir: no\n"),
        (500, b'{"code": "internal_error", "title": "Something broke here"}', 1, "sayiir: Something broke here\n"),
    ],
)
def test_answers_that_are_none(status, body, code, said):
    with answering(status, body) as (url, _):
        done = Shop(url)("instance", "list", code=code)
    assert said in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_ids_with_any_character(sqlite_url):
    with serving(sqlite_url) as url:
        shop = Shop(f"{url}/")
        for name in ("a/b", "ä b", "100%", "a?b#c", "..", "'\"&"):
            assert shop.ids("submit", "quick", name) == [name]
            assert shop.json("instance", "show", name)["row"]["instance_id"] == name
            assert shop.ids("signal", "send", "x y", name) == [name]


def test_a_prefix(sqlite_url):
    with answering(200, b'{"items": [], "next": null}') as (url, asked):
        Shop(f"{url}/ops/flows/")("instance", "list", "status:failed", "meta.a:b c")
    assert asked[0][:2] == ("GET", "/ops/flows/api/v1/instances?where=status%3Afailed+meta.a%3A%22b+c%22&limit=50")


def test_what_is_for_databases_only(sqlite_url, tmp_path):
    with serving(sqlite_url) as url:
        shop = Shop(url)
        for words in (["db", "migrate"], ["db", "backup", f"{tmp_path}/x.db"]):
            assert "this works on a database, not through a server" in shop(*words, code=2).err
        assert "--schema is for PostgreSQL only" in shop("instance", "list", "--schema", "x", code=2).err


def test_numbers_stay_exact(sqlite_url):
    with serving(sqlite_url) as url:
        shop = Shop(url)
        shop("submit", "quick", "big", "--input", '{"n": 12345678901234567890123, "f": 0.1, "s": "ü\\u0000"}')
        text = shop.json("instance", "show", "big")["input"]["text"]
    assert json.loads(text) == {"n": 12345678901234567890123, "f": 0.1, "s": "ü\0"}
