"""The other process in the tests of the SQLite store: `python child.py COMMAND PATH …`.

It says a line when it has done something, and waits for a line before it goes on.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from common import begin, new, step

from sayiir import SqliteBackend
from sayiir.core.plan import COMPLETE
from sayiir.core.records import Move, Position
from sayiir.errors import BackendError


def say(*words: object) -> None:
    print(*words, flush=True)


def hear() -> str:
    return sys.stdin.readline().strip()


def hold(path: str) -> None:
    """Hold a claim until told to complete the instance."""
    with SqliteBackend(path) as store:
        claim = begin(store)
        say(store.worker_name)
        hear()
        store.checkpoint(claim.fence, Move((), Position("$end"), COMPLETE))
        say("done")


def write(path: str, instance_id: str, steps: str) -> None:
    """Checkpoint without end, saying each step once it is durable."""
    with SqliteBackend(path, durability="normal") as store:
        claim = begin(store, instance_id)
        for number in range(1, int(steps) + 1):
            step(store, claim, number)
            say(number)


def fill(path: str, instance_id: str, steps: str) -> None:
    """Checkpoint beside others, and tell how long the log became and how often it was carried over."""
    longest = 0
    with SqliteBackend(path, durability="normal", lock_timeout=60) as store:
        claim = begin(store, instance_id)
        say("ready")
        hear()
        for number in range(1, int(steps) + 1):
            step(store, claim, number, b'"%s"' % (b"x" * 2000))
            longest = max(longest, os.stat(path + "-wal").st_size)
        log = store._log
        assert log is not None
        say(longest, log.checkpoints)


def claim(path: str, instance_id: str) -> None:
    """Try to claim an instance."""
    with SqliteBackend(path) as store:
        say("busy" if store.claim(instance_id, "hash", "flow").busy else "free")


def submit(path: str, instance_id: str) -> None:
    """Create an instance when told to."""
    with SqliteBackend(path) as store:
        say("ready")
        hear()
        store.create(new(instance_id), "fail", claim=False)
        say("done")


def migrate(path: str) -> None:
    """Open a file at the same time as others."""
    say("ready")
    hear()
    try:
        SqliteBackend(path, lock_timeout=60).close()
        say("opened")
    except BackendError as error:
        say(error)


def fork(path: str) -> None:
    """Fork with a backend open and a claim held; the forked child reports through its exit code."""
    store = SqliteBackend(path)
    begin(store)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = _forked(store, path)
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    say(os.waitstatus_to_exitcode(status))
    # The parent goes on, and its claim still looks alive to others.
    store.create(new("after the fork"), "fail", claim=False)
    say("parent writes")
    hear()
    store.close()


def _forked(inherited: SqliteBackend, path: str) -> int:
    refusals = 0
    for use in (
        lambda: inherited.load("a"),
        lambda: inherited.create(new("b"), "fail", claim=False),
        lambda: inherited.send_signal("a", "go", b"1"),
        lambda: inherited.heartbeat([]),
        # SQLite's own table of locks was copied with the memory, so even a new connection would trust locks it has not.
        lambda: SqliteBackend(path),
        lambda: SqliteBackend(os.path.join(os.path.dirname(path), ".", os.path.basename(path))),
    ):
        try:
            use()
        except BackendError as error:
            refusals += "fork" in str(error)
    inherited.close()
    with SqliteBackend(path + ".child") as own:
        begin(own)
        found = own.load("a") is not None
    return 0 if refusals == 6 and found else 1


def fork_after_closing(path: str) -> None:
    """Fork when the parent's backend is closed: the file is then nobody's."""
    with SqliteBackend(path) as store:
        begin(store)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with SqliteBackend(path) as own:
                code = 0 if own.claim("a", "hash", "flow").claims else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    say(os.waitstatus_to_exitcode(status))


def fork_beside_a_thread(path: str) -> None:
    """Fork while another thread of the parent asks who is alive."""
    from sayiir.store.sqlite import owners

    store = SqliteBackend(path)
    held, free = threading.Event(), threading.Event()

    def keep() -> None:
        with owners._MUTEX:
            held.set()
            free.wait()

    thread = threading.Thread(target=keep)
    thread.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with SqliteBackend(path + ".child") as own:
                begin(own)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    free.set()
    thread.join()
    store.close()
    say(os.waitstatus_to_exitcode(status))


def unprivileged(path: str) -> None:
    """Try to open a file as somebody who may not write it."""
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        SqliteBackend(path).close()
        say("opened")
    except BackendError as error:
        say(str(error).replace("\n", " "))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
