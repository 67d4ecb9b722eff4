"""Watching over HTTP: the stream of changes is heard, not asked for again and again; it is opened anew when it ends."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sayiir.cli import stream as streams
from sayiir.cli.remote import Remote
from sayiir.cli.stream import Stream
from tests.cli.conftest import TOKEN, Shop, serving

PATIENCE_SECS = 30.0


class Script:
    """A server of streams, each as a test says."""

    def __init__(self, *parts):
        self.parts = list(parts)
        """What each stream says, one after the other; None: 503, an event: says nothing until it is set."""
        self.asked = []
        self.served = threading.Semaphore(0)


@contextmanager
def streaming(*parts):
    script = Script(*parts)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            script.asked.append((self.path, dict(self.headers)))
            part = script.parts.pop(0) if script.parts else None
            self.send_response(503 if part is None else 200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            if isinstance(part, threading.Event):
                part.wait(PATIENCE_SECS)
            elif part is not None:
                self.wfile.write(part)
            script.served.release()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", script
        finally:
            for part in script.parts:
                if isinstance(part, threading.Event):
                    part.set()
            server.shutdown()
            thread.join()


def test_what_is_heard_counts_and_the_last_id_is_said_again(monkeypatch):
    monkeypatch.setattr(streams, "LOOK_SECS", 0.01)
    forever = threading.Event()
    first = b"retry: 1000\n\nid: b-1\nevent: changed\ndata: {}\n\n: still here\n\nevent: other\ndata: {}\n\n"
    with streaming(first, None, b"id: b-2\nevent: changed\ndata: {}\n\n", forever) as (url, script):
        heard = Stream(f"{url}/api/v1/events", {"Authorization": "Bearer x"})
        try:
            for _ in range(3):
                assert script.served.acquire(timeout=PATIENCE_SECS)
            seen = 0
            while seen < 2:
                seen = heard.wait(seen, PATIENCE_SECS)
            assert seen == 2, "what is no change is not counted"
            ids = [headers.get("Last-Event-ID") for _, headers in script.asked[:3]]
            assert ids == [None, "b-1", "b-1"]
            assert {(path, headers["Authorization"]) for path, headers in script.asked} == {("/api/v1/events", "Bearer x")}
        finally:
            forever.set()
            heard.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "sayiir-stream"]


def test_a_wait_ends_at_its_time_and_at_the_close():
    forever = threading.Event()
    with streaming(forever) as (url, script):
        heard = Stream(f"{url}/api/v1/events", {})
        assert heard.wait(0, 0.05) == 0
        heard.close()
        assert heard.wait(0, PATIENCE_SECS) == 0
        heard.close()
        forever.set()


def test_without_a_server_a_wait_is_short(monkeypatch):
    monkeypatch.setattr(streams, "LOOK_SECS", 0.01)
    heard = Stream("http://127.0.0.1:1/api/v1/events", {})
    assert heard.wait(0, PATIENCE_SECS) == 0
    heard.close()


def test_watch_hears_the_stream_and_hardly_asks(sqlite_url, monkeypatch):
    looks, opened, shown = [], [], threading.Event()
    show = Remote.show

    def counted(self, access, instance_id):
        view = show(self, access, instance_id)
        looks.append(view.row.status)
        if len(looks) == 2:  # the first look, and the one that the open stream asks for
            shown.set()
        return view

    init = Stream.__init__

    def started(self, url, headers):
        opened.append((url, headers))
        init(self, url, headers)

    monkeypatch.setattr(Remote, "show", counted)
    monkeypatch.setattr(Stream, "__init__", started)
    with serving(sqlite_url, auth=TOKEN) as url:
        shop = Shop(url, "--token", TOKEN)

        def cancel():
            assert shown.wait(PATIENCE_SECS)
            shop("instance", "cancel", "waits-1")

        other = threading.Thread(target=cancel)
        other.start()
        shop("instance", "watch", "waits-1", "--timeout", "60s", code=11)
        other.join()
    assert looks[-1] == "cancelled"
    assert opened == [(f"{url}/api/v1/events", {"Authorization": f"Bearer {TOKEN}"})]
    assert len(looks) <= 6, "a look for each change, not one each second"
    assert not [thread for thread in threading.enumerate() if thread.name == "sayiir-stream"]
