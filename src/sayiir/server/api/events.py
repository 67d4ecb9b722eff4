"""The stream of changes: "something may have changed", with a cursor, never what. Whoever hears it asks again.

A stream ends by itself after a minute, so that no server waits for it for long; browsers come back by themselves, with the
last cursor they heard, and are told at once when there is something new since.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import StreamingResponse

from sayiir.server.routing import Call, Endpoint

STREAM_SECS = 60.0
_QUIET_SECS = 15.0
_BOOT = uuid.uuid4().hex[:8]


async def stream_changes(call: Call) -> Any:
    await call.site.run(lambda: call.service.views(call.access))  # the role, and that the store is there
    heard = call.request.headers.get("last-event-id", "")
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(_pings(call, heard), 200, headers, "text/event-stream")


async def _pings(call: Call, heard: str) -> AsyncIterator[bytes]:
    watcher, clock = call.site.watcher, call.service.store.clock
    until = clock.monotonic() + STREAM_SECS
    seen = watcher.count
    yield b"retry: 1000\n\n"
    if heard != f"{_BOOT}-{seen}":
        yield _ping(seen)  # also to who is new: something may have changed since its page was made
    while (left := until - clock.monotonic()) > 0 and not watcher.closed:
        count = await watcher.wait(seen, min(left, _QUIET_SECS))
        if await call.request.is_disconnected():
            return
        yield _ping(count) if count != seen else b": still here\n\n"
        seen = count


def _ping(count: int) -> bytes:
    cursor = f"{_BOOT}-{count}"
    return f'id: {cursor}\nevent: changed\ndata: {{"cursor":"{cursor}"}}\n\n'.encode()


EVENTS: tuple[Endpoint, ...] = (
    Endpoint("GET", "/events", "views", "Hear when something may have changed (server-sent events)", stream_changes,
             media="text/event-stream"),
)  # fmt: skip
