"""Fixtures that all tests may use."""

import gc

pytest_plugins = ["tests.pg_fixtures"]


def pytest_collection_finish() -> None:
    """Let the garbage collector look at less, and less often: what was collected stays to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
