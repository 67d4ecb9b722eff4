"""No face shows what a type declares secret: API, pages and command line, also where the workflow's code is not known."""

from __future__ import annotations

import dataclasses
import json
import logging

import pydantic
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from sayiir import Flow, PostgresBackend, Secret, SqliteBackend, Worker, WorkflowClient, task
from sayiir.cli.app import sayiir
from sayiir.server import create_app
from sayiir.server.api import ENDPOINTS
from sayiir.service import Access, Role, Service
from sayiir.service.masking import MASK

NEEDLES = ("4111-needle", "needle-one", "needle-two", "needle-pin", "needle-token", "needle-signal", "9876543210")
VIEWER = Access("ann", Role.VIEWER)
log = logging.getLogger("shop")


@dataclasses.dataclass
class Card:
    number: Secret[str]
    holder: str


@dataclasses.dataclass
class Coin:
    value: int


class Login(pydantic.BaseModel):
    user: str
    code: pydantic.SecretStr


@dataclasses.dataclass
class Order:
    cards: list[Card | Coin]
    by_name: dict[str, Secret[str]]
    login: Login
    account: Secret[int] | None
    note: str = "seen"


@task
def check(order: Order) -> Order:
    log.warning("checking %s of %s", order.login.code.get_secret_value(), order.note)
    assert order.login.code.get_secret_value() == "needle-pin"
    return order


@task
def fetch(order: dict) -> Secret[str]:
    return f"needle-token {order['note']}"


@task
def charge(approval: Secret[str]) -> dict:
    raise ValueError(f"no {approval} for 4111-needle, {'needle-two'!r} or 9876543210")


FLOW = Flow("order").then(check).then(fetch).wait_for_signal("go", type=Secret[str]).then(charge).build()
INPUT = {
    "cards": [{"number": "4111-needle", "holder": "ann"}, {"value": 1}], "by_name": {"one": "needle-one", "two": "needle-two"},
    "login": {"user": "ann", "code": "needle-pin"}, "account": 9876543210, "note": "seen",
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    return f"sqlite:///{tmp_path / 'runs.db'}" if request.param == "sqlite" else request.getfixturevalue("emptied_url")


@pytest.fixture
def backend(url, tmp_path):
    with SqliteBackend(tmp_path / "runs.db") if url.startswith("sqlite") else PostgresBackend(url) as store:
        client = WorkflowClient(store)
        client.submit(FLOW, "a", INPUT)
        client.send_signal("a", "go", "needle-signal")
        client.submit(FLOW, "waits", INPUT)
        with Worker("w", store).start([FLOW]):
            client.wait("a", timeout=30)
            client.wait("waits", timeout=30, until="parked")
        yield store


def paths():
    pages = ["/", "/instances", "/instances/a", "/instances/waits", "/inbox", "/workflows", "/workflows/order", "/audit",
             "/compare?left=a&right=waits", "/instances/a?tab=table", "/instances/a?tab=timeline", "/instances/a?tab=logs"]
    pages += [f"/instances/{one}?node={node}" for one in ("a", "waits") for node in ("check", "fetch", "go", "charge")]
    api = [one.path for one in ENDPOINTS if one.method == "GET" and one.name != "stream_changes"]
    names = {"instance_id": "a", "workflow_id": "order", "task_id": "fetch", "name": "go"}
    return pages + [f"/api/v1{path.format(**names, node_id=node)}" for path in api for node in ("check", "fetch", "go", "charge")]


@pytest.mark.parametrize("known", [[FLOW], []], ids=["code", "no code"])
def test_viewers_see_no_secret_anywhere(backend, known):
    app = create_app(backend, known, auth={"t": VIEWER, "admin": Access("eve", Role.ADMIN)})
    with TestClient(app, base_url="http://localhost") as client:
        seen = 0
        for path in dict.fromkeys(paths()):
            for token in ("t", "admin"):
                if token == "admin" and path.endswith(("/output", "/tasks/fetch")):
                    continue  # programs that steer get values as they are
                answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code < 500, path
                assert [needle for needle in NEEDLES if needle in answer.text] == [], path
                seen += MASK in answer.text or MASK.encode("unicode_escape").decode() in answer.text
        assert seen > 10, "masked places are shown as such"


def test_what_is_not_secret_is_shown(backend):
    service = Service(backend)
    shown = service.show(VIEWER, "a")
    given = json.loads(shown.input.text)
    assert given["cards"] == [{"number": MASK, "holder": "ann"}, {"value": 1}]
    assert (given["by_name"], given["account"], given["note"]) == ({"one": MASK, "two": MASK}, MASK, "seen")
    assert given["login"] == {"user": "ann", "code": MASK}
    assert shown.error.message == f"no {MASK} for {MASK}, '{MASK}' or {MASK}"
    assert MASK in shown.why.sentence
    (line,) = [one for one in service.logs(VIEWER, "a") if "checking" in one.message]
    assert line.message == f"checking {MASK} of seen"
    assert json.loads(service.node(VIEWER, "a", "go").output.text) == MASK
    assert json.loads(service.node(VIEWER, "a", "charge").input.text) == MASK


def test_the_command_line_shows_none(backend, url):
    runner = CliRunner()
    commands = (
        ["show", "a"], ["show", "a", "-o", "json"], ["show", "a", "-o", "wide"], ["why", "a"], ["timeline", "a"],
        ["timeline", "a", "-o", "json"], ["list", "-o", "json"],
    )  # fmt: skip
    for command in commands:
        answer = runner.invoke(sayiir, ["instance", *command, "--url", url])
        assert answer.exit_code == 0, answer.output
        assert [needle for needle in NEEDLES if needle in answer.output] == [], command


def test_marks_stay_when_code_without_them_registers(backend):
    @dataclasses.dataclass
    class Bare:
        note: str

    def check(order: dict) -> dict: ...
    def fetch(order: dict) -> str: ...
    def charge(approval: str) -> dict: ...

    bare = Flow("order").then(check).then(fetch).wait_for_signal("go", type=str).then(charge).build()
    assert bare.definition_hash == FLOW.definition_hash
    WorkflowClient(backend).submit(bare, "b", {"note": "needle-one"})
    assert "needle" not in Service(backend).show(VIEWER, "a").input.text
