"""The conformance suite of the storage port: what a store passes if it means what the port says.

A store's own tests derive from `StoreConformance` and say how to open it; everything is collected from there.

    from sayiir.testing.conformance import StoreConformance

    class TestMyStore(StoreConformance):
        def open_store(self):
            return MyStore(self.folder / "data", clock=self.clock)

        def reopen(self):
            return MyStore(self.folder / "data", clock=self.clock)

        def abandon(self):
            self.store.abandon()  # its claims now look like those of a dead process
            return self.reopen()

Nothing in it sleeps: time is a `FakeClock`, or what a store's own `pass_time` shifts. Needs pytest.
"""

import pytest

_PARTS = (
    "stage",
    "creating",
    "claiming",
    "moving",
    "batching",
    "joining",
    "signalling",
    "situations",
    "steering",
    "states",
    "reading",
    "standing",
    "working",
    "queueing",
    "sweeping",
    "finding",
    "observing",
)

# Before the parts are imported, so that a failed assertion shows its values.
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in _PARTS))

from sayiir.testing.conformance.batching import BatchingSuite  # noqa: E402
from sayiir.testing.conformance.claiming import ClaimingSuite, FencingSuite  # noqa: E402
from sayiir.testing.conformance.creating import CreatingSuite  # noqa: E402
from sayiir.testing.conformance.finding import CreatingManySuite, FindingSuite, PurgingSuite  # noqa: E402
from sayiir.testing.conformance.joining import JoiningSuite  # noqa: E402
from sayiir.testing.conformance.moving import MovingSuite  # noqa: E402
from sayiir.testing.conformance.observing import HistorySuite, NotesSuite, OwnersSuite, PagingSuite  # noqa: E402
from sayiir.testing.conformance.queueing import QueueingSuite  # noqa: E402
from sayiir.testing.conformance.reading import HintSuite, ReadingSuite, RetryingSuite  # noqa: E402
from sayiir.testing.conformance.signalling import SignallingSuite  # noqa: E402
from sayiir.testing.conformance.states import StatesSuite  # noqa: E402
from sayiir.testing.conformance.steering import SteeringSuite  # noqa: E402
from sayiir.testing.conformance.sweeping import SweepingSuite  # noqa: E402
from sayiir.testing.conformance.working import WorkingSuite  # noqa: E402


class StoreConformance(
    CreatingSuite,
    ClaimingSuite,
    FencingSuite,
    MovingSuite,
    BatchingSuite,
    JoiningSuite,
    SignallingSuite,
    SteeringSuite,
    StatesSuite,
    ReadingSuite,
    RetryingSuite,
    HintSuite,
    WorkingSuite,
    QueueingSuite,
    SweepingSuite,
    CreatingManySuite,
    FindingSuite,
    PurgingSuite,
    PagingSuite,
    HistorySuite,
    OwnersSuite,
    NotesSuite,
):
    """Every test of the suite; derive from it and define `open_store`, `reopen` and `abandon`."""


__all__ = ["StoreConformance"]
