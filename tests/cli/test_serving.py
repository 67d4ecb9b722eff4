"""`sayiir server`, `sayiir dev` and `sayiir demo`, as real processes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from sayiir import WorkflowClient, connect
from sayiir.cli import serving
from sayiir.cli.codes import RefusedError
from sayiir.cli.reload import stamps
from tests.cli.conftest import Shop
from tests.cli.support import ROOT, Command, environment, run

AT = re.compile(r"^sayiir: serving at (http://\S+) \(Ctrl-C ends it\)$")
FLOW = """
from sayiir import Flow
greet = Flow("greet").then(lambda name: f"{word}, {{name}}", name="greet").build()
"""


class Started(Command):
    """`sayiir server …` or `sayiir dev …` while it runs."""

    def __init__(self, *words, cwd=ROOT, **more):
        self._words, self._more = words, more
        super().__init__("", "", cwd=cwd)

    def at(self, count=1):
        return AT.match(self.await_lines(AT, count)[count - 1])[1]


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        return answer.read()


def test_a_server(sqlite_url):
    with Started("server", "tests.cli.shop:everything", "--url", sqlite_url, "--bind", "127.0.0.1:0") as server:
        url = server.at()
        assert json.loads(get(f"{url}/healthz")) == {"status": "ok"}
        shop = Shop(url)
        assert len(shop.ids("instance", "list")) == 7
        assert shop.ids("submit", "quick", "by-name", "--input", "1") == ["by-name"]
        server.send(signal.SIGTERM)
        assert server.end() == 0
    assert server.lines == [f"sayiir: serving at {url} (Ctrl-C ends it)"]


def test_ctrl_c_ends_a_server_in_good_order(sqlite_url):
    with Started("server", "--url", sqlite_url, "--bind", "127.0.0.1:0") as server:
        server.at()
        server.send(signal.SIGINT)
        assert server.end() == 0


def test_a_token_and_read_only(sqlite_url):
    more = {"SAYIIR_URL": sqlite_url, "SAYIIR_TOKEN": "secret"}
    with Started("server", "--bind", "0.0.0.0:0", "--read-only", "--root-path", "/ops", **more) as server:
        url = server.at().replace("0.0.0.0", "127.0.0.1")
        assert url.endswith("/ops")
        assert Shop(url)("instance", "list", code=3).out == ""
        for address in (url, url.removesuffix("/ops")):  # as a proxy asks that keeps the prefix, and one that cuts it off
            shop = Shop(address, "--token", "secret")
            assert len(shop.ids("instance", "list")) == 7
            assert "read_only" in shop("instance", "cancel", "new-1", code=3).err
        page = get(f"{url}/api/v1/openapi.json", Authorization="Bearer secret")
        assert json.loads(page)["openapi"].startswith("3.1")


def test_other_machines_are_let_in_without_a_token_where_somebody_says_so(sqlite_url):
    words = ("--url", sqlite_url, "--bind", "0.0.0.0:0", "--insecure", "--host", "flows.example")
    with Started("server", *words, SAYIIR_TOKEN="") as server:
        url = server.at().replace("0.0.0.0", "127.0.0.1")
        for name in ("flows.example", "10.1.2.3:8787"):  # addresses are fine: no page elsewhere has one of ours
            assert json.loads(get(f"{url}/api/v1/stats", Host=name))["backend"] == "sqlite"
        Shop(url)("instance", "cancel", "new-1")
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{url}/api/v1/stats", Host="evil.example")
        with refused.value as answer:
            assert answer.code == 421
        server.send(signal.SIGTERM)
        assert server.end() == 0


def test_a_name_under_which_it_is_reached(sqlite_url):
    with Started("server", "--url", sqlite_url, "--bind", "127.0.0.1:0", "--host", "flows.example") as server:
        url = server.at()
        assert get(f"{url}/healthz", Host="flows.example")
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{url}/healthz", Host="evil.example")
        with refused.value as answer:
            assert answer.code == 421


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--bind", "0.0.0.0:8787"], 2, "--bind 0.0.0.0 can be reached from other machines: give --token or set SAYIIR_TOKEN"),
        (["--bind", "flows.example:8787"], 2, "--bind flows.example can be reached from other machines"),
        (["--bind", "here"], 2, "--bind 'here' is not HOST:PORT, as in 127.0.0.1:8787 or [::1]:8787"),
        (["--bind", "::1:80"], 2, "--bind '::1:80' is not HOST:PORT"),
        (["--bind", "1:99999"], 2, "--bind '1:99999' is not HOST:PORT"),
        (["--root-path", "ops"], 2, "--root-path 'ops' must begin with /, as in /ops"),
        (["--trace-url", "http://traces.example"], 2, "--trace-url 'http://traces.example' is not an address with {trace_id} in it"),
        (["--trace-url", "{trace_id}"], 2, "--trace-url '{trace_id}' is not an address with {trace_id} in it"),
        (["nothing:at_all"], 2, "there is no module 'nothing' for 'nothing:at_all'"),
        (["--url", "https://flows.example"], 2, "this works on a database, not through a server"),
        (["--url", "sqlite:///no-such.db"], 1, "there is no file 'no-such.db'"),
    ],
)
def test_servers_that_cannot_be(tmp_path, words, code, said):
    done = run("server", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(f"sayiir: {said}")
    assert done.stderr.count("\n") == 1


def test_an_address_that_is_taken(sqlite_url):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("server", "--url", sqlite_url, "--bind", str(port), cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith(f"sayiir: 127.0.0.1:{port} cannot be listened at: Address already in use")


@pytest.mark.parametrize("words", [["server"], ["dev", "tests.cli.shop:quick"]])
def test_without_the_extra_one_sentence_says_what_to_install(tmp_path, words):
    code = f"import sys; sys.modules['uvicorn'] = None; sys.argv = ['sayiir', *{words!r}]; from sayiir.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "sayiir: the server needs uvicorn: pip install 'sayiir[ui]'\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_this_machine_needs_no_token(host):
    serving.check_open(host, None, insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "flows.example", "localhost.example"])
def test_others_need_one_or_a_word_for_it(host):
    with pytest.raises(RefusedError):
        serving.check_open(host, None, insecure=False)
    with pytest.raises(RefusedError):
        serving.check_open(host, "", insecure=False)
    serving.check_open(host, "token", insecure=False)
    serving.check_open(host, None, insecure=True)


def greeted(folder, name):
    url = f"sqlite:///{folder}/sayiir.db"
    done = run("submit", "hello:greet", name, "--input", '"Ada"', "--wait", "60s", "--url", url, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_dev_works_serves_and_starts_anew(tmp_path):
    (tmp_path / "hello.py").write_text(FLOW.format(word="Hello"))
    with Started("dev", "hello:greet", "--bind", "127.0.0.1:0", cwd=tmp_path) as dev:
        assert json.loads(get(f"{dev.at()}/readyz")) == {"status": "ready"}
        assert greeted(tmp_path, "one") == "Hello, Ada"
        (tmp_path / "hello.py").write_text("broken (")
        dev.await_lines(r"hello\.py has changed; starting anew")
        dev.await_lines(r"it has ended; save a Python file to start it anew")
        assert any("SyntaxError" in line for line in dev.lines)
        (tmp_path / "hello.py").write_text(FLOW.format(word="Good morning").replace('"greet").then', '"greet-2").then'))
        dev.at(2)
        dev.await_lines(r"working on greet-2 at sqlite:///sayiir.db")
        assert greeted(tmp_path, "two") == "Good morning, Ada"
        dev.send(signal.SIGINT)
        assert dev.end() == 0
    assert not any("Traceback" in line for line in dev.lines)


def test_dev_without_reloading(tmp_path):
    (tmp_path / "hello.py").write_text(FLOW.format(word="Hello"))
    with Started("dev", "hello:greet", "--bind", "127.0.0.1:0", "--no-reload", cwd=tmp_path) as dev:
        dev.at()
        assert greeted(tmp_path, "one") == "Hello, Ada"
        dev.send(signal.SIGTERM)
        assert dev.end() == 0


def test_a_child_of_dev_ends_with_its_parent(tmp_path):
    (tmp_path / "hello.py").write_text(FLOW.format(word="Hello"))
    with Started("dev", "hello:greet", "--bind", "127.0.0.1:0", cwd=tmp_path) as dev:
        dev.at()
        dev.process.kill()
        dev.end()  # waits until nobody writes to its stderr any more, the child neither


def test_dev_is_for_this_machine(tmp_path):
    done = run("dev", "hello:greet", "--bind", "0.0.0.0:0", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "sayiir: --bind 0.0.0.0 can be reached from other machines, and dev is for this one: use sayiir worker and sayiir server\n"


def test_which_files_are_looked_at(tmp_path):
    for name in ("a.py", "deep/er/b.py", "c.txt", ".venv/d.py", "node_modules/e.py", "x/__pycache__/f.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    found = stamps(tmp_path)
    assert {os.path.relpath(path, tmp_path) for path in found} == {"a.py", "deep/er/b.py"}


def test_the_demo(tmp_path):
    done = run("demo", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    with connect(f"sqlite:///{tmp_path}/sayiir-demo.db") as backend:
        client = WorkflowClient(backend)
        assert client.status("order-1").output == "shipped, approved by you"
        assert client.status("order-2").status == client.status("order-3").status == "awaiting_signal"
        told = [(line.node_id, line.status) for line in client.timeline("order-1") if line.kind == "task"]
    assert sorted(told) == [
        ("charge", "completed"), ("charge", "failed"), ("check", "completed"), ("pack", "completed"), ("pack", "crashed"),
        ("reserve", "completed"), ("ship", "completed"),
    ]  # fmt: skip
    calls = re.findall(r"^\$ sayiir (.+)$", done.stdout, re.M)
    assert len(calls) >= 10
    assert '"shipped, approved by you"' in done.stdout
