"""What tests of workflows and of stores are made with: a fake clock and the conformance suite of the storage port.

Nothing here is imported by the engine. `sayiir.testing.conformance` needs pytest; this package itself needs nothing.
"""

from sayiir.testing.clock import FakeClock

__all__ = ["FakeClock"]
