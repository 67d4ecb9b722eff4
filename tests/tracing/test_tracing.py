"""`init_tracing()` and `shutdown_tracing()`."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from sayiir import init_tracing, shutdown_tracing


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    shutdown_tracing()


def test_logs_to_stderr_at_the_level_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAYIIR_LOG", "WARN")
    init_tracing()
    init_tracing()
    logging.getLogger("sayiir").info("quiet")
    logging.getLogger("sayiir").warning("loud")
    assert capsys.readouterr().err.count("loud") == 1
    shutdown_tracing()
    shutdown_tracing()
    logging.getLogger("sayiir").info("after")
    assert "after" not in capsys.readouterr().err


def test_an_unknown_level_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAYIIR_LOG", "chatty")
    with pytest.raises(ValueError, match="SAYIIR_LOG must be one of"):
        init_tracing()
