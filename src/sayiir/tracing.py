"""What the documented `init_tracing()` sets up: log records on stderr, and spans where there is somewhere to send them.

Nothing else is touched: no handler of the application's, no tracer provider that it has set.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from sayiir.runtime import observe

_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 1,
}
_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_FORMATS = ("text", "json")


class _Installed:
    """What is in place, with the level that was there before."""

    handler: logging.Handler | None = None
    level = logging.NOTSET
    exporting: Any = None
    watcher: observe.Watcher | None = None


def init_tracing() -> None:
    """Log what the library says to stderr, and trace where a collector is named; idempotent.

    The level is taken from the environment variable SAYIIR_LOG: trace, debug, info (default), warn, error or off;
    the form from SAYIIR_LOG_FORMAT: text (default) or json, one line a record. Spans are sent when
    OTEL_EXPORTER_OTLP_ENDPOINT is set (extra `otel`), or go to the tracer provider that the application has set.

    Raises:
        ValueError: SAYIIR_LOG or SAYIIR_LOG_FORMAT is none of these.

    >>> init_tracing()
    >>> init_tracing()  # once is enough, twice does no harm
    >>> shutdown_tracing()
    """
    level, form = _chosen("SAYIIR_LOG", "info", _LEVELS), _chosen("SAYIIR_LOG_FORMAT", "text", _FORMATS)
    if _Installed.handler is not None:
        return
    from sayiir.telemetry.logs import JsonLines, TaskFields

    logger = logging.getLogger("sayiir")
    _Installed.handler, _Installed.level = logging.StreamHandler(sys.stderr), logger.level
    _Installed.handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(_FORMAT))
    _Installed.handler.addFilter(TaskFields())
    logger.addHandler(_Installed.handler)
    logger.setLevel(_LEVELS[level])
    trace_only()


def _chosen(variable: str, default: str, choices: Any) -> str:
    word = os.environ.get(variable, default).strip().lower() or default
    if word not in choices:
        raise ValueError(f"{variable} must be one of {', '.join(choices)}, not {word!r}")
    return word


def trace_only() -> None:
    """Do without the log records what `init_tracing()` does: make spans, if there is somewhere to send them; idempotent."""
    if _Installed.watcher is not None:
        return
    endpoint = any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT") for name in ("", "TRACES_"))
    if not endpoint and "opentelemetry" not in sys.modules:
        return  # nobody can have set a provider
    try:
        from sayiir.telemetry.otel import Exporting, Tracing, has_provider

        if has_provider():
            _Installed.watcher = Tracing()
        elif endpoint:
            _Installed.exporting = Exporting()
            _Installed.watcher = Tracing(_Installed.exporting.provider)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        if endpoint:
            logging.getLogger("sayiir").warning(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is traced: pip install 'sayiir[otel]'"
            )
        return
    if _Installed.watcher is not None:
        observe.watch(_Installed.watcher)


def shutdown_tracing() -> None:
    """Undo `init_tracing()`, and send the spans that are left; idempotent."""
    if _Installed.watcher is not None:
        observe.unwatch(_Installed.watcher)
        _Installed.watcher = None
    if _Installed.exporting is not None:
        _Installed.exporting.end()
        _Installed.exporting = None
    if _Installed.handler is None:
        return
    logger = logging.getLogger("sayiir")
    logger.removeHandler(_Installed.handler)
    logger.setLevel(_Installed.level)
    _Installed.handler = None
