"""The API from outside: what each path gives, how errors look, what is done once, what is refused at the door."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from sayiir import InMemoryBackend, resume_workflow
from sayiir.server import create_app
from sayiir.server.api import ENDPOINTS
from sayiir.server.problems import STATUS_BY_CODE, Problem
from tests.server.conftest import ADD, FLOWS, GATE

API = "/api/v1"
ODD = ["a/b", "a b", "a?b=c", "a%2Fb", "..", ".", "ü#", "/", "//", "cancel", "a/cancel", "'\"<script>", "日本", "x" * 256, "a\nb", "a\r\u2028"]


def post(client, path, body=None, **headers):
    return client.post(API + path, json={} if body is None else body, headers=headers)


def submit(client, name="a", workflow="double", value=21, **headers):
    return post(client, "/instances", {"workflow_id": workflow, "instance_id": name, "input": value}, **headers)


def problem(answer, status, code):
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    found = answer.json()
    assert (found["status"], found["code"]) == (status, code)
    assert found["title"]
    assert found["detail"]
    return found


def test_submit_move_and_ask(client, backend):
    answer = submit(client)
    assert (answer.status_code, answer.json()["status"], answer.headers["location"]) == (201, "in_progress", f"{API}/instances/a")
    assert client.get(answer.headers["location"]).json()["why"]["code"] == "no_worker"
    resume_workflow(ADD, "a", backend)
    assert client.get(f"{API}/instances/a/result").json()["output"]["text"] == "42"
    assert client.get(f"{API}/instances/a/output").json()["output"] == 42
    assert client.get(f"{API}/instances/a/tasks/double").json() == {"found": True, "value": 42}
    (attempt,) = client.get(f"{API}/instances/a/attempts").json()["items"]
    assert attempt["node_id"] == "double"
    assert client.get(f"{API}/instances/a/timeline").json()["items"] == [attempt]
    assert client.get(f"{API}/instances").json()["items"][0]["instance_id"] == "a"
    picture = client.get(f"{API}/instances/a/graph.svg")
    assert (picture.headers["content-type"], picture.text[:4]) == ("image/svg+xml", "<svg")


@pytest.mark.parametrize("name", ODD)
def test_ids_of_any_characters(client, name):
    assert submit(client, name).status_code == 201
    path = f"{API}/instances/{quote(name, safe='').replace('.', '%2E')}"
    assert client.get(path).json()["row"]["instance_id"] == name
    assert client.post(f"{path}/cancel", json={}).json()["status"] == "cancelled"
    assert client.get(f"{path}/nodes/double").json()["node"]["node_id"] == "double"


@pytest.mark.parametrize("prefix", ["/a", "/a/b"])
def test_under_a_prefix(backend, prefix):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    app = Starlette(routes=[Mount(prefix, create_app(backend, FLOWS))])
    with TestClient(app, base_url="http://localhost") as client:
        answer = client.post(f"{prefix}{API}/instances", json={"workflow_id": "double", "instance_id": "a/b", "input": 1})
        assert answer.headers["location"] == f"{prefix}{API}/instances/a%2Fb"
        assert client.get(answer.headers["location"]).status_code == 200
        assert client.get(f"{prefix}/healthz").status_code == 200


def test_signals_and_the_inbox(client, backend):
    submit(client, "g", "gate", {"n": 1})
    resume_workflow(GATE, "g", backend)
    (item,) = client.get(f"{API}/inbox").json()["items"]
    assert item["wait"]["form"] == {"type": "integer"}
    problem(post(client, "/instances/g/signals/go", {"payload": "x"}), 422, "deserialization_error")
    answer = post(client, "/instances/g/signals/go", {"payload": 4}, **{"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()) == (202, {"accepted": True})
    assert post(client, "/instances/g/signals/go", {"payload": 4}, **{"Idempotency-Key": "k"}).json() == {"accepted": False}


def test_secrets_are_masked_for_viewers_alone(client, backend):
    submit(client, "g", "gate", {"n": 1})
    resume_workflow(GATE, "g", backend)
    shown = client.get(f"{API}/instances/g/nodes/first").text
    assert "hunter2" not in shown
    assert client.get(f"{API}/instances/g/tasks/first").json()["value"]["password"] == "hunter2"


# --- done once --------------------------------------------------------------------------------------------------------


def test_a_submit_that_is_sent_again_is_done_once(client):
    body = {"workflow_id": "double", "input": 1}
    first = post(client, "/instances", body, **{"Idempotency-Key": "key-1"})
    again = post(client, "/instances", body, **{"Idempotency-Key": "key-1"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["instance_id"] == "key-1"
    problem(post(client, "/instances", {**body, "input": 2}, **{"Idempotency-Key": "key-1"}), 409, "idempotency_conflict")
    problem(post(client, "/instances", {**body, "workflow_id": "bad"}, **{"Idempotency-Key": "key-1"}), 409, "definition_mismatch")


def test_steering_that_is_sent_again_is_done_once(client):
    submit(client)
    post(client, "/instances/a/pause", {"reason": "lunch"})
    for _ in range(2):
        assert post(client, "/instances/a/unpause", **{"Idempotency-Key": "k"}).json()["status"] == "in_progress"
    assert [line["action"] for line in client.get(f"{API}/audit?target=a").json()["items"]] == ["unpause", "pause", "submit"]


# --- errors -----------------------------------------------------------------------------------------------------------


def test_problems(client):
    submit(client)
    found = problem(submit(client), 409, "instance_already_exists")
    assert found["instance_id"] == "a"
    found = problem(post(client, "/instances/a/unpause"), 409, "invalid_state")
    assert found["state"] == "in_progress"
    problem(client.get(f"{API}/instances/nobody"), 404, "instance_not_found")
    problem(client.get(f"{API}/workflows/nobody"), 404, "unknown_workflow")
    problem(client.get(f"{API}/nowhere"), 404, "not_found")
    problem(client.get(f"{API}/instances?where=statos:x"), 400, "bad_filter")
    problem(client.get(f"{API}/instances?cursor=xyz"), 400, "bad_filter")
    for query in ("limit=0", "limit=x", "limit=1001", "nope=1", "limit=1&limit=2", "where=%00", "where=" + "x" * 20_000):
        problem(client.get(f"{API}/instances?{query}"), 400, "bad_request")
    problem(client.get(f"{API}/workers?x=1"), 400, "bad_request")
    problem(client.get(f"{API}/instances/%ff"), 400, "bad_request")
    problem(client.get(f"{API}/instances/%00"), 400, "bad_request")
    answer = client.delete(f"{API}/instances")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("raw", "media", "status", "code"),
    [
        (b"{", "application/json", 400, "bad_request"),
        (b"[]", "application/json", 400, "bad_request"),
        (b"\xff", "application/json", 400, "bad_request"),
        (b'{"workflow_id":"double","inputt":1}', "application/json", 400, "bad_request"),
        (b'{"workflow_id":"double","input":' + b"[" * 500 + b"]" * 500 + b"}", "application/json", 400, "bad_request"),
        (b"workflow_id=double", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b'{"workflow_id":"double","input":"' + b"x" * 5_000_000 + b'"}', "application/json", 413, "body_too_large"),
        (b'{"workflow_id":"double","instance_id":"a\\u0000b","input":1}', "application/json", 422, "invalid_value"),
        (b'{"workflow_id":"double","input":NaN}', "application/json", 400, "bad_request"),
        (b'{"workflow_id":"double"}', "application/json", 422, "deserialization_error"),
        (b'{"workflow_id":"double","input":1,"priority":9}', "application/json", 400, "bad_request"),
    ],
)
def test_bodies_that_cannot_be_read(client, raw, media, status, code):
    problem(client.post(f"{API}/instances", content=raw, headers={"content-type": media}), status, code)
    assert client.get(f"{API}/instances").json()["items"] == []


def test_a_body_that_does_not_say_how_long_it_is_is_cut_off(client):
    def parts():
        yield b'{"workflow_id":"double","input":"'
        for _ in range(100):
            yield b"x" * 100_000

    answer = client.post(f"{API}/instances", content=parts(), headers={"content-type": "application/json"})
    problem(answer, 413, "body_too_large")


def test_an_error_that_nobody_foresaw_is_told_without_its_text(backend, monkeypatch, caplog):
    monkeypatch.setattr("sayiir.service.saved.Saved.views", lambda *_: {}["a secret"])
    with TestClient(create_app(backend), base_url="http://localhost", raise_server_exceptions=False) as client:
        found = problem(client.get(f"{API}/views"), 500, "internal_error")
    assert "secret" not in json.dumps(found)
    assert "a request failed" in caplog.text


def test_a_store_that_is_gone(backend, tmp_path):
    from sayiir import SqliteBackend

    store = SqliteBackend(tmp_path / "runs.db")
    with TestClient(create_app(store), base_url="http://localhost") as client:
        assert client.get("/readyz").status_code == 200
        store.close()
        problem(client.get("/readyz"), 503, "backend_error")
        problem(client.get(f"{API}/instances"), 503, "backend_error")
        assert client.get("/healthz").status_code == 200


# --- the document -----------------------------------------------------------------------------------------------------


def test_the_document_has_every_endpoint_and_is_whole(client):
    document = client.get(f"{API}/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert told == {(one.method, one.path) for one in ENDPOINTS}
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)
    refs = set()

    def walk(value):
        if isinstance(value, dict):
            refs.update([value["$ref"]] if "$ref" in value else [])
            list(map(walk, value.values()))
        elif isinstance(value, list):
            list(map(walk, value))

    walk(document)
    schemas = document["components"]["schemas"]
    assert {ref.rpartition("/")[2] for ref in refs} <= set(schemas)
    assert set(Problem.__struct_fields__) == set(schemas["Problem"]["properties"])
    for methods in document["paths"].values():
        for operation in methods.values():
            assert set(operation["responses"]) >= {"400", "401", "403", "503"}


def test_every_code_of_the_errors_has_a_status():
    from sayiir import errors

    codes = {getattr(errors, name).code for name in errors.__all__}
    in_tasks = {"task_failed", "task_timeout", "route_unmatched", "loop_limit", "signal_timeout", "worker_crash", "non_retryable"}
    assert codes - in_tasks - {"workflow_error"} <= set(STATUS_BY_CODE)


def test_probes_and_metrics(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")


def test_everything_works_without_a_lifespan():
    with InMemoryBackend() as store:
        client = TestClient(create_app(store, FLOWS), base_url="http://localhost")
        assert submit(client).status_code == 201
        assert client.get(f"{API}/instances/a/result?timeout=0.01").json()["row"]["status"] == "in_progress"
