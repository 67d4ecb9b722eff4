"""Logging as the documented `init_tracing()` sets it up: one handler on the library's logger, and nothing else touched."""

from __future__ import annotations

import logging
import os
import sys

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


class _Installed:
    """The handler that is in place, with the level that was there before."""

    handler: logging.Handler | None = None
    level = logging.NOTSET


def init_tracing() -> None:
    """Log what the library says to stderr; idempotent.

    The level is taken from the environment variable SAYIIR_LOG: trace, debug, info (default), warn, error or off.

    Raises:
        ValueError: SAYIIR_LOG is none of these.

    >>> init_tracing()
    >>> init_tracing()  # once is enough, twice does no harm
    >>> shutdown_tracing()
    """
    word = os.environ.get("SAYIIR_LOG", "info").strip().lower() or "info"
    if word not in _LEVELS:
        raise ValueError(f"SAYIIR_LOG must be one of {', '.join(_LEVELS)}, not {word!r}")
    if _Installed.handler is not None:
        return
    logger = logging.getLogger("sayiir")
    _Installed.handler, _Installed.level = logging.StreamHandler(sys.stderr), logger.level
    _Installed.handler.setFormatter(logging.Formatter(_FORMAT))
    logger.addHandler(_Installed.handler)
    logger.setLevel(_LEVELS[word])


def shutdown_tracing() -> None:
    """Undo `init_tracing()`; idempotent."""
    if _Installed.handler is None:
        return
    logger = logging.getLogger("sayiir")
    logger.removeHandler(_Installed.handler)
    logger.setLevel(_Installed.level)
    _Installed.handler = None
