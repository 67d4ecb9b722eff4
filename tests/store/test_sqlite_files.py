"""What may be wrong with the file of a SQLite store, and with where it lies."""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sayiir import BackendError, SqliteBackend
from sayiir.errors import SchemaVersionError, WorkflowError
from sayiir.store.sqlite import filesystem, migrate
from sayiir.store.sqlite import store as store_module
from sayiir.store.sqlite.filesystem import file_system, is_network

sys.path.insert(0, str(Path(__file__).parent))

from common import begin, child, new, raw, step


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- what may be wrong with the file ------------------------------------------------------------------------------


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="folder '.*nowhere' does not exist; create it"):
        SqliteBackend(tmp_path / "nowhere" / "runs.db")
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_is_not_a_database(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="check the path"):
        SqliteBackend(tmp_path)


def test_something_else_is_not_a_database_and_is_left_as_it_is(path: Path) -> None:
    path.write_text("# Groceries\n\n- milk\n" * 500)
    before = digest(path)
    with pytest.raises(BackendError, match="not a database; the file is something else"):
        SqliteBackend(path)
    assert digest(path) == before


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_file_is_reported_or_read_but_never_believed_silently(path: Path, seed: int) -> None:
    with SqliteBackend(path) as store:
        claim = begin(store)
        for number in range(1, 60):
            step(store, claim, number, b'"%s"' % (b"x" * 3000))
    chance = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(400):
        content[chance.randrange(100, len(content))] ^= chance.randrange(1, 256)
    path.write_bytes(content)
    try:
        with SqliteBackend(path) as store:
            view = store.load("a")
            if view is not None:
                for record in store.history(view.instance.number):
                    store.value(view.instance.number, record.ref)
            store.create(new("b"), "fail", claim=False)
    except WorkflowError as error:
        assert str(error)
    # Whatever else: an error of the store is ours, never a bare one of the driver.


def test_a_torn_page_is_a_backend_error(path: Path) -> None:
    with SqliteBackend(path) as store:
        claim = begin(store)
        for number in range(1, 200):
            step(store, claim, number)
    content = bytearray(path.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 2048] = b"\xff" * 2048
    path.write_bytes(content)
    with pytest.raises(BackendError, match="malformed; the file is damaged"):
        SqliteBackend(path)


def test_a_newer_schema_is_refused_and_nothing_is_lost(path: Path) -> None:
    with SqliteBackend(path) as store:
        begin(store)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO sayiir_migrations VALUES (99, 'from the future', 0)")
        connection.commit()
    with pytest.raises(SchemaVersionError, match=f"schema version 99, this release knows up to {len(migrate.migrations())}; install a newer"):
        SqliteBackend(path)
    assert raw(path, "SELECT max(number) FROM sayiir_migrations") == [(99,)]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM sayiir_migrations WHERE number = 99")
        connection.commit()
    with SqliteBackend(path) as store:
        assert store.load("a") is not None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="the platform has no such permissions")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_may_not_be_written_is_said_so(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    path = folder / "runs.db"
    with SqliteBackend(path) as store:
        begin(store)
    before = digest(path)
    for parent in [folder, *folder.parents]:
        if parent.stat().st_uid == os.geteuid() and parent.stat().st_mode & 0o005 != 0o005:
            parent.chmod(parent.stat().st_mode | 0o005)
    path.chmod(0o444)
    if what == "folder":
        folder.chmod(0o555)
    else:
        (folder / "runs.db-owners").chmod(0o444)
    try:
        with child("unprivileged", path) as other:
            answer = other.hear()
    finally:
        folder.chmod(0o755)
    assert answer.startswith(("SQLite on", "cannot open")), answer
    assert "writable" in answer or "permissions" in answer
    assert digest(path) == before


def test_a_lock_file_that_cannot_be_opened_is_a_backend_error(path: Path) -> None:
    Path(f"{path}-owners").mkdir()
    with pytest.raises(BackendError, match="cannot open .*check the path and its permissions"):
        SqliteBackend(path)


def test_where_no_log_can_be_there_is_no_store() -> None:
    with pytest.raises(BackendError, match="cannot have a write-ahead log"):
        SqliteBackend("")


def test_a_writer_that_does_not_let_go_is_an_error_after_the_timeout(path: Path) -> None:
    with SqliteBackend(path, lock_timeout=0) as store, closing(sqlite3.connect(path)) as other:
        claim = begin(store)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendError, match="locked; another process kept writing for 0s"):
            step(store, claim, 1)
        assert store.history(claim.fence.instance) == [], "reading goes on"
        other.execute("ROLLBACK")
        step(store, claim, 1)


# --- network file systems -----------------------------------------------------------------------------------------

MOUNTS = """\
proc /proc proc rw 0 0
/dev/sda1 / ext4 rw,relatime 0 0
server:/export /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/local xfs rw 0 0
//nas/share /mnt/my\\040share cifs rw 0 0
sshfs /mnt/ssh fuse.sshfs rw 0 0
overlay / overlay rw 0 0
short
"""


@pytest.mark.parametrize(
    ("folder", "kind", "network"),
    [
        ("/", "overlay", False),
        ("/var/lib", "overlay", False),
        ("/home/ann", "nfs4", True),
        ("/homeless", "overlay", False),
        ("/home/local/ann", "xfs", False),
        ("/mnt/my share/x", "cifs", True),
        ("/mnt/ssh", "fuse.sshfs", False),
    ],
)
def test_the_mount_table_tells_where_a_folder_lies(folder: str, kind: str, network: bool) -> None:
    assert file_system(Path(folder), MOUNTS) == kind
    assert is_network(kind) is network


def test_an_unreadable_mount_table_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(filesystem.Path, "read_text", missing)
    assert file_system(Path("/")) is None
    assert not is_network(None)


def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "file_system", lambda folder: "nfs4")
    with pytest.raises(BackendError, match=r"network file system \(nfs4\).*local disk, or PostgreSQL"):
        SqliteBackend(path)
    assert not path.exists()


@pytest.mark.parametrize("kind", ["fuse.sshfs", "9p"])
def test_a_doubtful_file_system_is_warned_of(path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(store_module, "file_system", lambda folder: kind)
    with pytest.warns(UserWarning, match=f"lies on {kind}") as warned:
        SqliteBackend(path).close()
    assert warned[0].filename == __file__, "the warning points at who opened the store"
