"""`find`, `find_all` and `purge`: filters, pages, and what is refused."""

import datetime as dt
import pickle

import pytest

from sayiir import Flow, InstanceNotFoundError, WorkflowClient, resume_workflow, run_durable_workflow, send_signal
from sayiir.client import Page
from sayiir.core.lifecycle import State


def same(x):
    return x


PLAIN = Flow("plain").then(same).build()
OTHER = Flow("other").then(same).build()
GATE = Flow("gate").then(same).wait_for_signal("go").build()
DELAY = Flow("delay").delay("d", 60).build()
BAD = Flow("bad").then(lambda x: 1 / 0, name="bad").build()


def names(found):
    return [status.instance_id for status in found]


@pytest.fixture
def client(timed):
    return WorkflowClient(timed)


@pytest.fixture
def seven(client, timed):
    """One instance of each status, named by it."""
    run_durable_workflow(PLAIN, "completed", 1, timed)
    run_durable_workflow(BAD, "failed", 1, timed)
    run_durable_workflow(DELAY, "waiting", 1, timed)
    run_durable_workflow(GATE, "awaiting_signal", 1, timed)
    for name in ("cancelled", "paused", "in_progress"):
        client.submit(PLAIN, name, 1)
    client.cancel("cancelled", reason="why", cancelled_by="who")
    client.pause("paused", reason="why", paused_by="who")
    return client


# --- filters ------------------------------------------------------------------------------------------------------


def test_nothing_is_found_in_nothing(client):
    page = client.find()
    assert (page.items, page.next_cursor, list(page), len(page)) == ((), None, [], 0)


@pytest.mark.parametrize("state", list(State))
def test_by_status(seven, state):
    for wanted in (state.value, state, [state.value], (one for one in [state.value, state.value])):
        assert names(seven.find(status=wanted)) == [state.value]


def test_by_several_statuses(seven):
    assert set(names(seven.find(status=["failed", "paused"]))) == {"failed", "paused"}
    assert names(seven.find(status=[])) == []
    assert len(seven.find(status=None)) == 7


def test_a_found_status_says_what_the_instance_is(seven):
    (paused,) = seven.find(status="paused")
    assert paused == seven.status("paused")
    (done,) = seven.find(status="completed")
    assert (done.is_completed(), done.output, done.workflow_id) == (True, None, "plain")
    assert (done.created_at, done.updated_at) == (seven.status("completed").created_at, seven.status("completed").updated_at)
    (failed,) = seven.find(status="failed")
    assert (failed.is_failed(), failed.error) == (True, None)


def test_by_workflow(client):
    client.submit(PLAIN, "a", 1)
    client.submit(OTHER, "b", 1)
    client.submit(Flow("plain").then(same).then(same, name="more").build(), "c", 1)
    assert set(names(client.find(workflow_id="plain"))) == {"a", "c"}
    assert set(names(client.find(workflow_id=PLAIN))) == {"a", "c"}
    assert names(client.find(workflow_id="other")) == ["b"]
    assert names(client.find(workflow_id="nobody")) == []


def test_by_the_beginning_of_the_id(client):
    client.submit_many(PLAIN, [(name, 1) for name in ("order-1", "order-2", "Order-3", "order%", "o")])
    assert set(names(client.find(id_prefix="order-"))) == {"order-1", "order-2"}
    assert names(client.find(id_prefix="order%")) == ["order%"]
    assert len(client.find(id_prefix="")) == 5


def test_by_time(client, clock):
    for name in "abc":
        client.submit(PLAIN, name, 1)
        clock.advance(10)
    when = client.status("b").created_at
    assert names(client.find(created_after=when)) == ["c", "b"]
    assert names(client.find(created_before=when)) == ["a"]
    elsewhere = when.astimezone(dt.timezone(dt.timedelta(hours=-11, minutes=30)))
    assert names(client.find(created_after=elsewhere, created_before=when + dt.timedelta(microseconds=1))) == ["b"]


def test_by_metadata(client):
    for name, metadata in (
        ("x", {"team": "x", "size": 1, "deep": {"a": 1}}),
        ("y", {"team": "y", "size": True}),
        ("z", None),
    ):
        client.submit(Flow("w", metadata=metadata).then(same).build(), name, 1)
    assert names(client.find(metadata={"team": "x"})) == ["x"]
    assert names(client.find(metadata={"size": 1})) == ["x"]
    assert names(client.find(metadata={"size": True})) == ["y"]
    assert names(client.find(metadata={"team": "x", "size": 2})) == []
    assert len(client.find(metadata={})) == 3


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"status": "done"}, "status must be one of 'in_progress', .*, not 'done'"),
        ({"status": ["failed", "COMPLETED"]}, "status must be one of .*, not 'COMPLETED'"),
        ({"status": 5}, "status must be a status name or a list of them, not 5"),
        ({"status": [None]}, "status must be one of"),
        ({"status": [[]]}, "status must be one of"),
        ({"status": b"failed"}, "status must be a status name"),
        ({"workflow_id": 5}, "workflow_id must be a workflow's name or a Workflow, not 5"),
        ({"workflow_id": "a\0"}, "workflow_id .* must not contain NUL"),
        ({"workflow_id": "\ud800"}, "workflow_id .* half a surrogate"),
        ({"id_prefix": 5}, "id_prefix must be a string"),
        ({"id_prefix": "\0"}, "id_prefix .* must not contain NUL"),
        ({"id_prefix": "x" * 257}, "id_prefix must have 1 to 256 bytes"),
        ({"created_after": dt.datetime(2024, 1, 1)}, "created_after must be a datetime with a time zone"),
        ({"created_before": dt.date(2024, 1, 1)}, "created_before must be a datetime with a time zone"),
        ({"created_before": 5}, "created_before must be a datetime with a time zone"),
        ({"metadata": "team"}, "metadata must be a dict"),
        ({"metadata": {5: 1}}, "metadata must have names as keys, not 5"),
        ({"metadata": {"a": {"b": 1}}}, r"metadata\['a'\] must be text, a number of 64 bits"),
        ({"metadata": {"a": [1]}}, r"metadata\['a'\]"),
        ({"metadata": {"a": float("nan")}}, r"metadata\['a'\]"),
        ({"metadata": {"a": 1 << 63}}, r"metadata\['a'\]"),
        ({"metadata": {"a": "\0"}}, r"metadata\['a'\] .* must not contain NUL"),
        ({"metadata": {"\0": "a"}}, "metadata .* must not contain NUL"),
    ],
)
def test_what_is_not_allowed_is_named(client, wanted, text):
    client.submit(PLAIN, "a", 1)
    for ask in (client.find, client.find_all):
        with pytest.raises(ValueError, match=text):
            ask(**wanted)


@pytest.mark.parametrize("limit", [0, -1, 1001, True, "5", 1.5, None])
def test_bad_limits(client, limit):
    with pytest.raises(ValueError, match="limit must be an int from 1 to 1000"):
        client.find(limit=limit)


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!", "WzEsMF0", "WzIsNV0", "Wy0xLDVd", "é", 5, b"WzEsNV0", "WzEsOTIyMzM3MjAzNjg1NDc3NTgwOF0"]
)
def test_bad_cursors(client, cursor):
    with pytest.raises(ValueError, match="cursor must be the next_cursor of an earlier page"):
        client.find(cursor=cursor)


# --- pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 8, 9, 10, 1000])
def test_pages_leave_out_nothing_and_repeat_nothing(client, clock, limit):
    for n in range(9):
        client.submit(PLAIN, f"i{n}", 1)
        clock.advance(1)
    seen, cursor = [], None
    while True:
        page = client.find(workflow_id="plain", limit=limit, cursor=cursor)
        assert len(page) <= limit
        seen += names(page)
        client.submit(PLAIN, f"new{len(seen)}", 1)
        if page.next_cursor is None:
            break
        assert len(page) == limit
        cursor = page.next_cursor
    assert seen == [f"i{n}" for n in range(8, -1, -1)]


def test_a_last_page_that_is_full_is_the_last(client):
    client.submit_many(PLAIN, [("a", 1), ("b", 1)])
    assert client.find(limit=2).next_cursor is None
    assert client.find(limit=1).next_cursor is not None


def test_a_page_is_a_value(client):
    client.submit(PLAIN, "a", 1)
    page = client.find()
    assert page == client.find()
    assert pickle.loads(pickle.dumps(page)) == page
    assert isinstance(page, Page)
    with pytest.raises(AttributeError):
        page.items = ()


def test_find_all_reads_page_after_page(client, monkeypatch):
    monkeypatch.setattr("sayiir.client.query.MAX_PAGE", 4)
    client.submit_many(PLAIN, [(f"i{n}", 1) for n in range(10)])
    client.submit(OTHER, "other", 1)
    found = client.find_all(workflow_id=PLAIN, status=(one for one in ["in_progress"]))
    assert sorted(names(found)) == [f"i{n}" for n in range(10)]
    assert list(found) == []
    assert len(list(client.find_all())) == 11


# --- purge --------------------------------------------------------------------------------------------------------


def test_what_ended_long_ago_goes(seven, clock, timed):
    send_signal("awaiting_signal", "other", 1, timed)
    clock.advance(31 * 86_400)
    run_durable_workflow(PLAIN, "late", 7, timed)
    assert seven.purge() == 3
    for name in ("completed", "failed", "cancelled"):
        with pytest.raises(InstanceNotFoundError):
            seven.status(name)
    assert set(names(seven.find())) == {"waiting", "awaiting_signal", "paused", "in_progress", "late"}
    assert seven.status("late").output == 7
    assert seven.purge() == 0
    send_signal("awaiting_signal", "go", 1, timed)
    assert resume_workflow(GATE, "awaiting_signal", timed).is_completed()


@pytest.mark.parametrize("age", [60, 60.0, dt.timedelta(minutes=1), "1m"])
def test_how_long_ago(client, clock, timed, age):
    run_durable_workflow(PLAIN, "a", 1, timed)
    clock.advance(59)
    run_durable_workflow(PLAIN, "b", 1, timed)
    assert client.purge(older_than=age) == 0
    clock.advance(2)
    assert client.purge(older_than=age) == 1
    assert names(client.find()) == ["b"]
    assert client.purge(older_than=0) == 1


@pytest.mark.parametrize("batch", [1, 2, 5, 10_000])
def test_batches(client, clock, timed, batch):
    for n in range(5):
        run_durable_workflow(PLAIN, f"i{n}", n, timed)
        client.submit(PLAIN, f"new{n}", n)
    clock.advance(1)
    assert client.purge(older_than=0, batch=batch) == 5
    assert len(client.find()) == 5


def test_a_purged_name_is_free_again(client, clock, timed):
    run_durable_workflow(PLAIN, "a", 1, timed)
    clock.advance(1)
    client.purge(older_than=0)
    assert run_durable_workflow(OTHER, "a", 2, timed).output == 2


@pytest.mark.parametrize("age", [-1, "soon", None, float("nan"), True, dt.timedelta(seconds=-1)])
def test_bad_ages(client, age):
    with pytest.raises(ValueError, match="older_than: Invalid duration"):
        client.purge(older_than=age)


@pytest.mark.parametrize("batch", [0, -1, True, "5", 10_001, None])
def test_bad_batches(client, batch):
    with pytest.raises(ValueError, match="batch must be an int from 1 to 10000"):
        client.purge(batch=batch)


def test_older_than_time_itself(client, timed):
    run_durable_workflow(PLAIN, "a", 1, timed)
    assert client.purge(older_than=dt.timedelta(days=36_500)) == 0
