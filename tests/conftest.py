"""Fixtures that all tests may use."""

import gc

pytest_plugins = ["tests.pg_fixtures"]


def pytest_collection_finish() -> None:
    """Take what was collected out of the garbage collector's sight: it stays, and is looked at again and again."""
    gc.collect()
    gc.freeze()
