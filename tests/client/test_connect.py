"""`connect`: from a URL to a backend."""

import pytest

from sayiir import BackendError, Flow, InMemoryBackend, WorkflowClient, connect, run_durable_workflow
from sayiir.store.sqlite import SqliteBackend

SAME = Flow("w").then(lambda x: x).build()


@pytest.mark.parametrize("url", ["memory://", "memory:///"])
def test_memory(url):
    assert isinstance(connect(url), InMemoryBackend)


def test_an_absolute_file(tmp_path):
    with connect(f"sqlite:///{tmp_path}/a b.db") as backend:
        assert isinstance(backend, SqliteBackend)
        run_durable_workflow(SAME, "i", 1, backend)
    with connect(f"sqlite:///{tmp_path}/a%20b.db") as backend:
        assert WorkflowClient(backend).status("i").output == 1


def test_a_relative_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with connect("sqlite:///runs.db", durability="normal") as backend:
        assert backend.durability == "normal"
    assert (tmp_path / "runs.db").is_file()


def test_sqlite_in_memory():
    with connect("sqlite://") as backend:
        assert run_durable_workflow(SAME, "i", 1, backend).output == 1


@pytest.mark.parametrize(
    "url", ["", "runs.db", "mysql://x", "memory://host", "sqlite://host/a.db", None, 5, b"memory://"]
)
def test_other_urls_are_refused(url):
    with pytest.raises(ValueError, match="cannot connect to"):
        connect(url)


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(BackendError):
        connect(f"sqlite:///{tmp_path}/missing/a.db")
