"""What tests of workflows and of stores are made with: a clock, an environment that skips time, crashes, conformance.

Nothing here is imported by the engine. `sayiir.testing.conformance` and the plugin need pytest, the rest needs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sayiir.testing.clock import FakeClock

if TYPE_CHECKING:
    from sayiir.testing.crash import CrashReport, crash_everywhere
    from sayiir.testing.environment import Environment

_WHERE = {"CrashReport": "crash", "crash_everywhere": "crash", "Environment": "environment"}
__all__ = ["CrashReport", "Environment", "FakeClock", "crash_everywhere"]


def __getattr__(name: str) -> Any:
    """Import what is asked for, and nothing before."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
