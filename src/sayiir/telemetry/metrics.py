"""Prometheus metrics of this process: what its tasks, checkpoints and workers do, and how much work waits in the backend.

Labels are names of workflows and tasks, which are few; never ids of instances. What is read from the backend is read when
metrics are asked for, at most every `CACHED_SECS`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import msgspec
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from sayiir.runtime import observe
from sayiir.runtime.context import Frame
from sayiir.runtime.log import log
from sayiir.store.base import ScriptedStore

CACHED_SECS = 5.0
CONTENT_TYPE = CONTENT_TYPE_LATEST
_TASK_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_WRITE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)


class Backlog(msgspec.Struct, frozen=True):
    """The work that waits in a backend: how many tokens are due, and for how long the oldest of them has been."""

    due: int
    oldest_secs: float


class Metrics(observe.Watcher):
    """Counts what it hears.

    Args:
        backlog: asks the backend how much work waits; None leaves that out.
        registry: where the metrics are registered; a registry of its own when not given.

    >>> from sayiir import Flow, run_workflow
    >>> with Metrics() as metrics:
    ...     run_workflow(Flow("double").then(lambda x: x * 2, name="double").build(), 21)
    42
    >>> b'sayiir_task_seconds_count{outcome="completed",task="double",workflow="double"} 1.0' in metrics.text()
    True
    """

    def __init__(
        self, backlog: Callable[[], Backlog] | None = None, registry: CollectorRegistry | None = None
    ) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        names = ("workflow", "task")
        self._tasks = Histogram(
            "sayiir_task_seconds", "Time that attempts of tasks took.", (*names, "outcome"),
            registry=self.registry, buckets=_TASK_BUCKETS,
        )  # fmt: skip
        self._retries = Counter(
            "sayiir_task_retries", "Failed attempts that are followed by another.", names, registry=self.registry
        )
        self._failures = Counter(
            "sayiir_task_failures", "Failed attempts that end their instance.", names, registry=self.registry
        )
        self._lost = Counter(
            "sayiir_claims_lost", "Late writes that were refused, since another has the token.", registry=self.registry
        )
        self._writes = Histogram(
            "sayiir_checkpoint_seconds", "Time until a batch of checkpoints was durable.", registry=self.registry,
            buckets=_WRITE_BUCKETS,
        )  # fmt: skip
        self._written = Counter("sayiir_checkpoints", "Checkpoints that were asked for.", registry=self.registry)
        self.registry.register(Gauges(backlog))

    def __enter__(self) -> Self:
        observe.watch(self)
        return self

    def __exit__(self, *_: object) -> None:
        observe.unwatch(self)

    @contextmanager
    def attempt(self, frame: Frame) -> Generator[None]:
        """Take the time of one attempt."""
        began, outcome = time.perf_counter(), "failed"
        try:
            yield
            outcome = "completed"
        finally:
            self._tasks.labels(frame.workflow_id, frame.op.id, outcome).observe(time.perf_counter() - began)

    def failed(self, frame: Frame, error: BaseException, *, retried: bool) -> None:  # noqa: ARG002 -- as it is told
        """Count a failed attempt."""
        (self._retries if retried else self._failures).labels(frame.workflow_id, frame.op.id).inc()

    def checkpointed(self, seconds: float, count: int) -> None:
        """Count checkpoints."""
        self._writes.observe(seconds)
        self._written.inc(count)

    def claim_lost(self, facts: dict[str, Any]) -> None:  # noqa: ARG002 -- ids are no labels
        """Count a refused write."""
        self._lost.inc()

    def text(self) -> bytes:
        """Return all metrics as Prometheus reads them."""
        return generate_latest(self.registry)


class Gauges:
    """What is measured when it is asked for: the slots of this process's workers, and the backlog.

    Args:
        backlog: asks the backend how much work waits; None leaves that out.
    """

    def __init__(self, backlog: Callable[[], Backlog] | None) -> None:
        self._backlog = None if backlog is None else _Cached(backlog)

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering asks no backend."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the gauges."""
        slots = GaugeMetricFamily("sayiir_worker_slots", "Slots of a worker.", labels=("worker", "kind", "state"))
        for shift in list(observe.shifts):
            for kind, is_async in (("sync", False), ("async", True)):
                slots.add_metric((shift.worker_id, kind, "used"), shift.slots.used(is_async))
                slots.add_metric((shift.worker_id, kind, "all"), shift.slots.all(is_async))
        yield slots
        backlog = None if self._backlog is None else self._backlog()
        if backlog is not None:
            yield GaugeMetricFamily("sayiir_queue_due", "Tokens that are due and not claimed.", backlog.due)
            yield GaugeMetricFamily(
                "sayiir_queue_oldest_seconds", "How long the oldest of them has been due.", backlog.oldest_secs
            )


class Whole:
    """All that this process measures, with the gauges; what more than one of them tells is told once.

    Args:
        backlog: asks the backend how much work waits.
    """

    def __init__(self, backlog: Callable[[], Backlog]) -> None:
        self._gauges = Gauges(backlog)

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering asks no backend."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the gauges, what the application has registered, and what each `Metrics` at work has counted."""
        counted = [one.registry for one in observe.watchers if isinstance(one, Metrics)]
        sources: list[Gauges | CollectorRegistry] = [self._gauges, REGISTRY, *counted]
        told: set[str] = set()
        for source in sources:
            for family in source.collect():
                if family.name not in told:
                    told.add(family.name)
                    yield family


def backlog_of(store: ScriptedStore) -> Backlog:
    """Return the work that waits in a backend; of more than 10,000 tokens, that many."""
    figures = store.figures()
    return Backlog(figures["due"], figures["oldest_due_secs"] or 0.0)


class _Cached:
    """A reading of the backlog that is taken at most every few seconds; None while the backend is away."""

    def __init__(self, read: Callable[[], Backlog]) -> None:
        self._read = read
        self._mutex = threading.Lock()
        self._taken: float | None = None
        self._last: Backlog | None = None

    def __call__(self) -> Backlog | None:
        with self._mutex:
            now = time.monotonic()
            if self._taken is None or now - self._taken >= CACHED_SECS:
                self._taken = now
                try:
                    self._last = self._read()
                except Exception as error:  # noqa: BLE001 -- the other metrics are still wanted
                    log().warning("metrics without the backlog: %s", error)
                    self._last = None
            return self._last


class Exposed:
    """An HTTP server of one page, `/metrics`, on threads of its own.

    Args:
        metrics: what it shows.
        port: 0 for any that is free.
        host: the address to listen on; loopback when not given.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, metrics: Metrics, port: int, host: str = "127.0.0.1") -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(metrics))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="sayiir-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404, "only /metrics is here")
                return
            text = metrics.text()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name there
            """Say nothing: scrapes come every few seconds."""

    return Handler
