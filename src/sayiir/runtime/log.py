"""The library's one logger. Loaded with its first message: most programs never log, and logging is slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger


def log() -> Logger:
    """Return the logger named "sayiir"."""
    import logging

    return logging.getLogger("sayiir")
