"""Open pages of the dashboard, as browsers keep them: a stream each, and the page again once a second while it says so.

    python readers.py PORT

Beside the words of serve.py: `open COUNT`, `refreshed` (how often pages were asked for again since) and `heard`.
"""

from __future__ import annotations

import asyncio
import sys
import threading

from serve import serve  # type: ignore[import-not-found]

_EVERY = 1.0
_PAGE = "/instances"
heard: list[int] = []
refreshed: list[int] = []


async def one(port: int, opened: asyncio.Event) -> None:
    """Be an open page (see server/static/live.js)."""
    due = asyncio.Event()

    async def refresh() -> None:
        while True:
            await due.wait()
            due.clear()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {_PAGE} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            while await reader.read(1 << 16):
                pass
            writer.close()
            refreshed.append(1)
            opened.set()
            await asyncio.sleep(_EVERY)

    again = asyncio.create_task(refresh())
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n".encode())
        while line := await reader.readline():
            if line.startswith(b"data:"):
                heard.append(1)
                due.set()
        writer.close()
        assert not again.done(), again


def main() -> None:
    """Answer until the input ends."""
    port, loop = int(sys.argv[1]), asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    pages: list[object] = []

    async def start(count: int) -> None:
        events = [asyncio.Event() for _ in range(count)]
        pages.extend(asyncio.create_task(one(port, event)) for event in events)
        await asyncio.wait_for(asyncio.gather(*(event.wait() for event in events)), 60)
        heard.clear()
        refreshed.clear()

    serve(
        open=lambda count: asyncio.run_coroutine_threadsafe(start(count), loop).result() or 0,
        heard=lambda: len(heard), refreshed=lambda: len(refreshed),
    )  # fmt: skip


if __name__ == "__main__":
    main()
