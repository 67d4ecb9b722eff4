"""The pytest plugin: fixtures for tests of workflows. Nothing of the engine is imported before a fixture is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sayiir.store.memory import InMemoryBackend
    from sayiir.testing import CrashReport, Environment


@pytest.fixture
def sayiir_backend() -> Iterator[InMemoryBackend]:
    """An empty backend in memory."""
    from sayiir.store.memory import InMemoryBackend

    with InMemoryBackend() as backend:
        yield backend


@pytest.fixture
def sayiir_env() -> Iterator[Environment]:
    """An environment that skips time (see `sayiir.testing.Environment`)."""
    from sayiir.testing import Environment

    with Environment() as environment:
        yield environment


@pytest.fixture
def sayiir_crash() -> Callable[..., CrashReport]:
    """The check that crashes a workflow at every effect (see `sayiir.testing.crash_everywhere`)."""
    from sayiir.testing import crash_everywhere

    def check(workflow: Any, input_data: Any, **options: Any) -> CrashReport:
        return crash_everywhere(workflow, input_data, **options)

    return check
