"""A storm on the way to the server: connections are cut at any byte, held up, stalled and let go on, as chance will have it.

It rages in a thread of its own, so that it falls on whoever is at work, the submitter too. Each cut is one that happened.
"""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from tests.proof.crew import Crew
from tests.servers.proxy import Proxy

_MOST_BYTES = 4_000
_PATIENCE_SECS = 20.0


class Storm:
    """Falls on a crew that works through a proxy.

    Args:
        proxy: where the connections pass.
        crew: who has them; it is told what befell it.
        chance: what is drawn from.
    """

    def __init__(self, proxy: Proxy, crew: Crew, chance: random.Random) -> None:
        self._proxy = proxy
        self._crew = crew
        self._chance = chance
        self._pool = ThreadPoolExecutor(1, "storm")
        self._gust: Future[None] | None = None

    def rise(self) -> None:
        """Begin; it goes on for some seconds."""
        self._gust = self._pool.submit(self._rage)

    def pass_over(self) -> None:
        """Wait till it is over; raise what went wrong in it."""
        gust, self._gust = self._gust, None
        if gust is not None:
            gust.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def _rage(self) -> None:
        proxy, chance = self._proxy, self._chance
        acts = [self._cut_inside, self._stall_and_cut, self._stall_and_go_on]
        chance.shuffle(acts)
        try:
            for act in acts:
                proxy.delay(chance.choice((0.0, chance.uniform(0.0, 0.2))))
                self._crew.broken += 1
                act()
        finally:
            proxy.delay(0)
            proxy.resume()

    def _cut_inside(self) -> None:
        """Cut one connection within what is sent, and one within what is answered."""
        events = [
            self._proxy.cut_after(bytes_from_client=self._chance.randrange(_MOST_BYTES)),
            self._proxy.cut_after(bytes_from_server=self._chance.randrange(_MOST_BYTES)),
        ]
        for happened in events:
            assert happened.wait(_PATIENCE_SECS), "too few bytes went by"
        self._crew.broken += 1
        self._crew.befallen["cuts"] += len(events)

    def _stall_and_cut(self) -> None:
        self._stall()
        self._crew.befallen["cuts"] += self._proxy.cut()
        self._proxy.resume()

    def _stall_and_go_on(self) -> None:
        self._stall()
        self._proxy.resume()

    def _stall(self) -> None:
        self._proxy.stall()
        # Not to synchronise: how long nothing passes is chance.
        threading.Event().wait(self._chance.uniform(0.0, 1.0))
