"""A proxy before PostgreSQL (or PgBouncer) that breaks connections where a test says.

Rules:
- It knows the protocol just as far as it must: where a message ends, and which answer belongs to which request. Requests for
  encryption it declines itself, so any `sslmode` but the requiring ones works.
- One thread with one event loop moves all bytes. Every method may be called from every other thread, and has taken effect
  when it returns.
- A client in the same process must not wait inside of libpq itself (`pgconn.get_result()` keeps every other thread from
  running, this one too); psycopg's own methods do not.
- A fault that was ordered returns an event, set when it has happened: a test that does not look at it may test nothing.
- Not counted right: COPY FROM STDIN by the extended protocol, which has one Sync more than answers. (psycopg's copy is not.)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Self, TypeVar

from tests.servers.ground import PATIENCE, at

T = TypeVar("T")

_ENCRYPTION = {80877103, 80877104}  # SSLRequest and GSSENCRequest


class _Messages:
    """Splits a stream into the messages of the protocol; a client's first ones have no byte that says their kind."""

    def __init__(self, *, typed: bool) -> None:
        self.typed = typed
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._rest += data
        while len(self._rest) >= (start := 1 if self.typed else 0) + 4:
            end = start + int.from_bytes(self._rest[start : start + 4], "big")
            if len(self._rest) < end:
                return
            message, self._rest = self._rest[:end], self._rest[end:]
            yield message


class Loss(threading.Event):
    """The loss of an answer, set when it has happened.

    Args:
        keep: How many bytes of the answer pass.
    """

    def __init__(self, keep: int) -> None:
        super().__init__()
        self.keep = keep
        self.answer = b""
        """The whole answer, as the server gave it."""


class _Faults:
    """What was ordered for the next bytes, over all connections; each happens once."""

    def __init__(self) -> None:
        self.request: tuple[bytes, threading.Event] | None = None
        self.answer: tuple[bytes, Loss] | None = None
        self.left: dict[str, tuple[int, threading.Event]] = {}
        self.statements = 0

    def spend(self, side: str, data: bytes) -> tuple[bytes, bool]:
        """Return what of the data may pass, and whether the connection ends after it."""
        if side not in self.left:
            return data, False
        left, happened = self.left[side]
        if len(data) < left:
            self.left[side] = (left - len(data), happened)
            return data, False
        del self.left[side]
        happened.set()
        return data[:left], True


class _Link:
    """One connection: both its streams, and how many requests went in and answers came out."""

    def __init__(self, faults: _Faults, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.pumps: list[asyncio.Task[None]] = []
        self._faults = faults
        self._sent, self._received = _Messages(typed=False), _Messages(typed=True)
        self._requests = 1  # the start of the session is answered by a ReadyForQuery too
        self._answers = 0
        self._lost: tuple[int, Loss] | None = None

    def from_client(self, data: bytes) -> tuple[bytes, bool]:
        """Return what of the client's bytes goes to the server, and whether the connection ends after it."""
        passed = b""
        for message in self._sent.feed(data):
            if not self._sent.typed:
                if int.from_bytes(message[4:8], "big") in _ENCRYPTION:
                    self.client.write(b"N")
                    continue
                self._sent.typed = True
            elif self._is_lost_before(message):
                return passed, True
            passed += message
        return passed, False

    def from_server(self, data: bytes) -> tuple[bytes, bool]:
        """Return what of the server's bytes goes to the client, and whether the connection ends after it."""
        passed = b""
        for message in self._received.feed(data):
            is_last = message[:1] == b"Z"  # ReadyForQuery
            if self._lost is not None and self._answers + 1 == self._lost[0]:
                loss = self._lost[1]
                loss.answer += message
                if is_last:
                    loss.set()
                    return passed + loss.answer[: loss.keep], True
            else:
                passed += message
            self._answers += is_last
        return passed, False

    def _is_lost_before(self, message: bytes) -> bool:
        is_request = message[:1] in {b"Q", b"S", b"F"}  # Query, Sync, FunctionCall: what ReadyForQuery answers
        self._requests += is_request
        faults = self._faults
        faults.statements += message[:1] in {b"Q", b"E"}  # Query, Execute
        if faults.request is not None and faults.request[0] in message:
            faults.request[1].set()
            faults.request = None
            return True
        if faults.answer is not None and faults.answer[0] in message:
            # A message without an answer of its own is answered with those up to the next Sync.
            self._lost = (self._requests + (not is_request), faults.answer[1])
            faults.answer = None
        return False

    def abort(self) -> None:
        """End the connection, without a word and without what was still to be sent."""
        for pump in self.pumps:
            pump.cancel()
        self.client.transport.abort()
        self.server.transport.abort()


class Proxy:
    """A port of loopback whose connections go to a server, with faults; it lives to the end of `with`.

    Args:
        host: The server's host.
        port: The server's port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._faults = _Faults()
        self._links: set[_Link] = set()
        self._flowing = asyncio.Event()
        self._ended = asyncio.Event()
        self._delay = 0.0
        self._held = 0
        self._failures: list[BaseException] = []
        self._loop = asyncio.new_event_loop()
        self.port = 0
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="proxy", daemon=True)
        self._thread.start()
        assert started.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return self._do(lambda: len(self._links))

    @property
    def statements(self) -> int:
        """How many statements, or texts of several, clients have sent so far."""
        return self._do(lambda: self._faults.statements)

    @property
    def held(self) -> int:
        """How many directions of connections have something that `stall()` holds back."""
        return self._do(lambda: self._held)

    def through(self, url: str) -> str:
        """Return the URL of the same database through the proxy, without encryption."""
        return at(url, self.port, sslmode="disable", gssencmode="disable")

    def cut(self) -> int:
        """End all connections now, and return how many those were; what was on its way is lost."""

        def cut() -> int:
            for link in self._links:
                link.abort()
            count = len(self._links)
            self._links.clear()
            return count

        return self._do(cut)

    def cut_after(self, *, bytes_from_server: int | None = None, bytes_from_client: int | None = None) -> threading.Event:
        """End the connection over which the n-th of the next bytes goes, right behind that byte.

        Args:
            bytes_from_server: How many bytes reach clients before (all connections are counted together); 0: the next has to
                stay out.
            bytes_from_client: Likewise, how many reach the server.

        Returns:
            An event that is set at the cut.
        """
        happened = threading.Event()
        wanted = {"server": bytes_from_server, "client": bytes_from_client}
        self._do(lambda: self._faults.left.update({side: (n, happened) for side, n in wanted.items() if n is not None}))
        return happened

    def lose_next_answer(self, marker: bytes, keep: int = 0) -> Loss:
        """Let the next request with `marker` in it be done, and end the connection in place of its answer, or within it.

        To a client that commits (`marker=b"COMMIT"`) this is the ambiguous commit that did take place.

        Args:
            marker: What is in the request.
            keep: How many bytes of the answer reach the client before; all of them if it is not longer than that.

        Returns:
            An event that is set when the server had answered and the answer was lost.
        """
        happened = Loss(keep)
        self._do(lambda: setattr(self._faults, "answer", (marker, happened)))
        return happened

    def lose_next_request(self, marker: bytes) -> threading.Event:
        """End the connection in place of the next message with `marker` in it: to the client the same, but nothing was done.

        Returns:
            An event that is set when the message was lost.
        """
        happened = threading.Event()
        self._do(lambda: setattr(self._faults, "request", (marker, happened)))
        return happened

    def delay(self, seconds: float) -> None:
        """Hold up everything, each way, for some seconds from now on; 0 ends it."""
        self._do(lambda: setattr(self, "_delay", seconds))

    def stall(self) -> None:
        """Let nothing pass any more, not even that a side has hung up, on these connections and on new ones."""
        self._do(self._flowing.clear)

    def resume(self) -> None:
        """Let everything pass again, beginning with what was held back."""
        self._do(self._flowing.set)

    def close(self) -> None:
        """End all connections and the proxy; raise what went wrong in it. It may be called again."""
        if self._thread.is_alive():
            self._do(self._ended.set)
            self._thread.join(PATIENCE)
        if self._failures:
            raise self._failures.pop()

    def _do(self, action: Callable[[], T]) -> T:
        async def done() -> T:
            return action()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(PATIENCE)

    def _run(self, started: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main(started))

    async def _main(self, started: threading.Event) -> None:
        self._flowing.set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._ended.wait()
        server.close()
        for link in self._links:
            link.abort()
        handlers = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*handlers, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            answers, server = await asyncio.open_connection(*self._target)
        except OSError:
            client.transport.abort()
            return
        link = _Link(self._faults, client, server)
        if self._ended.is_set():
            link.abort()
            return
        self._links.add(link)
        ways: list[Coroutine[Any, Any, None]] = [
            self._pump("client", reader, server, link.from_client),
            self._pump("server", answers, client, link.from_server),
        ]
        link.pumps = [asyncio.create_task(way) for way in ways]
        await asyncio.wait(link.pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in link.pumps:
            pump.cancel()
        ends = await asyncio.gather(*link.pumps, return_exceptions=True)
        self._failures += [end for end in ends if end and not isinstance(end, OSError | asyncio.CancelledError)]
        self._links.discard(link)
        client.close()
        server.close()

    async def _pump(
        self,
        side: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        judge: Callable[[bytes], tuple[bytes, bool]],
    ) -> None:
        """Move bytes one way till they end, or till a fault says so."""
        ends = False
        while not ends:
            data = await reader.read(65_536)
            await asyncio.sleep(self._delay)
            await self._pass()
            if not data:
                return
            passed, ends = judge(data)
            passed, is_spent = self._faults.spend(side, passed)
            ends = ends or is_spent
            writer.write(passed)
            await writer.drain()

    async def _pass(self) -> None:
        self._held += 1
        try:
            await self._flowing.wait()
        finally:
            self._held -= 1
