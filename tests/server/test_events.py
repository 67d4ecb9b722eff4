"""Streams of changes and long polls: told at once, in no thread of their own, ended in time."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
from starlette.testclient import TestClient

from sayiir import InMemoryBackend, Worker
from sayiir.clock import SYSTEM_CLOCK
from sayiir.errors import BackendError
from sayiir.server import create_app
from sayiir.server.api import events
from sayiir.server.watching import Watcher
from tests.server.conftest import ADD, FLOWS

API = "/api/v1"
WAIT = 20.0


class Source:
    """Changes when it is told to."""

    def __init__(self):
        self.mark, self.condition, self.broken = 1, threading.Condition(), False

    def change(self):
        with self.condition:
            self.mark += 1
            self.condition.notify_all()

    def changed(self, seen, timeout):
        if self.broken:
            raise BackendError("away")
        with self.condition:
            if self.mark == seen:
                self.condition.wait(timeout)
            return self.mark


@contextlib.contextmanager
def watching():
    source = Source()
    watcher = Watcher(source, SYSTEM_CLOCK)
    try:
        yield source, watcher
    finally:
        watcher.close()


async def settled(watcher):
    """Return the count once the watcher's first look is over."""
    return await watcher.wait(watcher.count, WAIT)


def test_all_who_wait_are_told_by_one_thread():
    before = set(threading.enumerate())

    async def main(source, watcher):
        seen = await settled(watcher)
        waits = [asyncio.ensure_future(watcher.wait(seen, WAIT)) for _ in range(50)]
        while len(watcher._waiting) < 50:
            await asyncio.sleep(0)
        begun = set(threading.enumerate()) - before
        assert sum(thread.name == "sayiir-watcher" for thread in begun) == 1
        source.change()
        return seen, await asyncio.gather(*waits)

    with watching() as (source, watcher):
        seen, counts = asyncio.run(main(source, watcher))
        assert set(counts) == {seen + 1}


class Noting:
    """The clock, whose pauses are noted and not made."""

    def __init__(self):
        self.pauses = []

    def wait(self, condition, seconds):
        self.pauses.append(seconds)


@pytest.mark.parametrize(("many", "pause"), [(1, 0.5), (8, 4.0), (20, 10.0), (100, 10.0)])
def test_the_more_hear_of_changes_the_more_seldom_they_are_told(many, pause):
    source, clock = Source(), Noting()
    watcher = Watcher(source, clock)

    async def main():
        seen = await settled(watcher)
        waits = [asyncio.ensure_future(watcher.wait(seen, WAIT)) for _ in range(many)]
        while len(watcher._waiting) < many:
            await asyncio.sleep(0)
        source.change()
        await asyncio.gather(*waits)

    try:
        asyncio.run(main())
    finally:
        watcher.close()
    assert clock.pauses[-1] == pause


def test_who_waits_for_nothing_is_told_so():
    with watching() as (_, watcher):
        async def main():
            seen = await settled(watcher)
            return seen, await watcher.wait(seen, 0.01)

        seen, count = asyncio.run(main())
        assert count == seen


def test_a_change_between_two_waits_is_not_lost():
    with watching() as (source, watcher):
        async def main():
            seen = await settled(watcher)
            source.change()
            return await watcher.wait(seen, WAIT) > seen

        assert asyncio.run(main())


def test_closing_wakes_who_waits():
    with watching() as (_, watcher):
        async def main():
            seen = await settled(watcher)
            wait = asyncio.ensure_future(watcher.wait(seen, WAIT))
            while not watcher._waiting:
                await asyncio.sleep(0)
            await asyncio.to_thread(watcher.close)
            return await wait

        asyncio.run(main())
        assert watcher.closed


def test_a_store_that_is_away_is_asked_again():
    with watching() as (source, watcher):
        source.broken = True

        async def main():
            wait = asyncio.ensure_future(watcher.wait(watcher.count, WAIT))
            while not watcher._waiting:
                await asyncio.sleep(0)
            source.broken = False
            source.change()
            return await wait

        assert asyncio.run(main()) > 1


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(events, "STREAM_SECS", 0.3)


def test_a_stream_says_that_something_changed_and_nothing_else(client, short):
    answer = client.get(f"{API}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    blocks = [block for block in answer.text.split("\n\n") if block and not block.startswith(":")]
    assert blocks[0] == "retry: 1000"
    for block in blocks[1:]:
        identity, name, data = block.split("\n")
        cursor = identity.removeprefix("id: ")
        assert (name, data) == ("event: changed", f'data: {{"cursor":"{cursor}"}}')


def test_what_changed_between_a_page_and_its_stream_is_told(client, short):
    client.get(f"{API}/events")  # the watcher is at work: the change that a page missed is one that it has counted already
    for headers in ({}, {"Last-Event-ID": "another-7"}):
        text = client.get(f"{API}/events", headers=headers).text
        assert text.split("\n\n")[1].startswith("id: ")


def test_who_comes_back_and_missed_nothing_is_not_told(client, short):
    client.get(f"{API}/events")
    last = client.get(f"{API}/events").text.rpartition("id: ")[2].split("\n")[0]
    assert "id: " not in client.get(f"{API}/events", headers={"Last-Event-ID": last}).text


def test_a_stream_is_for_those_who_may_read(short):
    with TestClient(create_app(InMemoryBackend(), auth="t"), base_url="http://localhost") as client:
        assert client.get(f"{API}/events").status_code == 401
        assert client.get(f"{API}/events", headers={"Authorization": "Bearer t"}).status_code == 200


@pytest.mark.parametrize("path", ["result", "output"])
def test_a_long_poll_answers_when_the_instance_has_ended(client, backend, path):
    client.post(f"{API}/instances", json={"workflow_id": "double", "instance_id": "a", "input": 21})
    with Worker("w", backend).start([ADD]):
        answer = client.get(f"{API}/instances/a/{path}?timeout=20").json()
    row = answer["row"] if path == "result" else answer["instance"]
    assert row["status"] == "completed"


def test_a_long_poll_gives_up_in_time(client):
    client.post(f"{API}/instances", json={"workflow_id": "double", "instance_id": "a", "input": 21})
    assert client.get(f"{API}/instances/a/result?timeout=0.05").json()["row"]["status"] == "in_progress"
    assert client.get(f"{API}/instances/nobody/result?timeout=20").status_code == 404
    assert client.get(f"{API}/instances/a/result?timeout=61").status_code == 400


def test_many_long_polls_leave_threads_for_others():
    async def main(store):
        import httpx2

        app = create_app(store, FLOWS)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await client.post(f"{API}/instances", json={"workflow_id": "double", "instance_id": "a", "input": 1})
            polls = [asyncio.ensure_future(client.get(f"{API}/instances/a/result?timeout=20", timeout=30)) for _ in range(60)]
            listed = await asyncio.wait_for(client.get(f"{API}/instances"), WAIT)
            cancelled = await asyncio.wait_for(client.post(f"{API}/instances/a/cancel", json={}), WAIT)
            return listed.status_code, cancelled.status_code, {answer.json()["row"]["status"] for answer in await asyncio.gather(*polls)}

    with InMemoryBackend() as store:
        assert asyncio.run(main(store)) == (200, 200, {"cancelled"})
