"""A stage for a browser: a real store with a worker, and a server over it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sayiir import Worker, WorkflowClient, connect
from sayiir.server.app import create_app
from tests.server.pages.site import serving
from tests.server.pages.world import World


class Stage:
    """A store with a worker and a server over it."""

    def __init__(self, url: str) -> None:
        self.world = World()
        self.store = connect(url)
        self.client = WorkflowClient(self.store)
        self.base = ""

    def until(self, instance_id: str, status: str) -> None:
        ended = self.client.wait(instance_id, 20, until="parked")
        assert ended.status == status, ended


@contextlib.contextmanager
def stage(url: str, prefix: str = "", **options: Any) -> Iterator[Stage]:
    made = Stage(url)
    app: Any = create_app(made.store, made.world.all, **options)
    if prefix:
        from starlette.applications import Starlette
        from starlette.routing import Mount

        app = Starlette(routes=[Mount(prefix, app)])
    try:
        with Worker("w-1", made.store, poll_interval=0.2).start(made.world.all), serving(app) as base:
            made.base = base + prefix
            yield made
            made.world.gate.open.set()
    finally:
        made.world.gate.open.set()
        made.store.close()
