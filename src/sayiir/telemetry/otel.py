"""OpenTelemetry spans: one trace from the submit over every attempt, on whatever worker, to the signals.

The W3C trace context of the submit is stored with the instance, and is the parent of its attempts' spans wherever they
run. In a run without storage the caller's own span is. Only the API is needed here; the SDK is set up by `setup`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sayiir.runtime.context import Frame
from sayiir.runtime.observe import Watcher, trace_text
from sayiir.store.port import Instance

_FORMAT = TraceContextTextMapPropagator()
_PATIENCE_SECS = 3.0
"""How long the end of tracing waits for spans to be sent."""


def stored_form() -> str | None:
    """Return the current trace context as W3C writes it; None when nothing is traced.

    >>> stored_form() is None
    True
    """
    carrier: dict[str, str] = {}
    _FORMAT.inject(carrier)
    return trace_text(carrier.get("traceparent"), carrier.get("tracestate"))


def context_of(stored: str | None) -> Context | None:
    """Return the trace context of a stored one, as a parent for spans; None for the current context."""
    return None if stored is None else _FORMAT.extract(_carrier(stored), Context())


def _carrier(stored: str) -> dict[str, str]:
    parent, _, state = stored.partition(" ")
    return {"traceparent": parent, "tracestate": state} if state else {"traceparent": parent}


class Tracing(Watcher):
    """Makes spans of what it hears.

    Args:
        provider: where tracers come from; the application's own when not given.
    """

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("sayiir", tracer_provider=provider)

    @contextmanager
    def attempt(self, frame: Frame) -> Generator[None]:
        """Be the span of one attempt; an exception is its error."""
        attributes: dict[str, Any] = {
            "workflow_id": frame.workflow_id, "instance_id": frame.instance_id, "task_id": frame.op.id,
            "attempt": frame.attempt, "iteration": frame.iteration,
        }  # fmt: skip
        if frame.worker_id is not None:
            attributes["worker_id"] = frame.worker_id
        parent = context_of(frame.trace)
        with self._tracer.start_as_current_span(frame.op.id, parent, SpanKind.CONSUMER, attributes):
            yield

    @contextmanager
    def submitting(self, workflow_id: str, instance_id: str | None) -> Generator[str | None]:
        """Be the span of a submit, and give the context that is stored."""
        attributes = {"workflow_id": workflow_id}
        if instance_id is not None:
            attributes["instance_id"] = instance_id
        name = f"submit {workflow_id}"
        with self._tracer.start_as_current_span(name, None, SpanKind.PRODUCER, attributes):
            yield stored_form()

    @contextmanager
    def signalling(self, name: str, instance_id: str, found: Callable[[], Instance | None]) -> Generator[None]:
        """Be the span of a signal: in the trace of its instance, with a link to where it was sent from."""
        sender = trace_of_caller()
        links = [Link(sender)] if sender is not None else []
        attributes, parent, instance = {"instance_id": instance_id, "signal": name}, None, found()
        if instance is not None:
            attributes["workflow_id"], parent = instance.workflow_id, context_of(instance.trace)
        with self._tracer.start_as_current_span(f"signal {name}", parent, SpanKind.PRODUCER, attributes, links):
            yield

    @contextmanager
    def asked(self, given: str) -> Generator[None]:
        """Let a request's trace context be the parent, unless the application's own span is already."""
        if trace_of_caller() is not None:
            yield
            return
        token = attach(_FORMAT.extract(_carrier(given)))
        try:
            yield
        finally:
            detach(token)


def trace_of_caller() -> trace.SpanContext | None:
    """Return the span that is current, if there is one."""
    context = trace.get_current_span().get_span_context()
    return context if context.is_valid else None


class Exporting:
    """Spans on their way to a collector, from `setup` to `end`."""

    _provider: Any = None
    """The provider that was made here. A process can have its global one only once, so it is kept from set-up to set-up."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        if Exporting._provider is None:
            name = os.environ.get("OTEL_SERVICE_NAME", "sayiir")
            Exporting._provider = TracerProvider(resource=Resource.create({"service.name": name}))
            trace.set_tracer_provider(Exporting._provider)
        self.provider: trace.TracerProvider = Exporting._provider
        self._processor = BatchSpanProcessor(OTLPSpanExporter())
        Exporting._provider.add_span_processor(self._processor)

    def end(self) -> None:
        """Send what is left; a collector that is away is not waited for."""
        thread = threading.Thread(target=self._processor.shutdown, name="sayiir-spans", daemon=True)
        thread.start()
        thread.join(_PATIENCE_SECS)


def has_provider() -> bool:
    """Return whether the application has set up OpenTelemetry itself."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider) and not _is_ours()


def _is_ours() -> bool:
    return Exporting._provider is not None and trace.get_tracer_provider() is Exporting._provider
