"""`sayiir worker` behind a pooler in transaction mode: killed, taken over from, and ended in good order."""

from pathlib import Path

import psycopg

from sayiir import WorkflowClient, connect
from sayiir.store.postgres.rows import SILENT_SECS
from tests.cli.support import Command
from tests.worker.child import CHAIN, noted, open_gate
from tests.worker.support import ended, eventually, status


def begun(path, pid):
    """Return the instances whose slow task a process has begun, in order of their names."""
    return sorted(words[1] for words in noted(path) if words[0] == "slow" and words[2] == str(pid))


def let_fall_silent(url, pid):
    """Let the time pass after which a killed process is known to be dead: behind a pooler only its silence tells."""
    with psycopg.connect(url, autocommit=True) as connection:
        aged = "UPDATE sayiir.owners SET beat_at = beat_at - %s WHERE name LIKE %s AND NOT locked"
        assert connection.execute(aged, (round((SILENT_SECS + 1) * 1e6), f"%:{pid}")).rowcount == 1


def test_work_comes_in_is_taken_over_and_is_left_to_others(tmp_path, bouncer, pg_url):
    path, pooled = tmp_path / "runs", bouncer.through(pg_url)
    with (
        connect(pg_url) as direct, connect(pooled) as through,
        Command(path, pooled, "--worker-id", "w1", "--concurrency", "3") as first,
    ):  # fmt: skip
        ((_, killed),) = first.workers()
        clients = WorkflowClient(direct), WorkflowClient(through)
        clients[0].submit(CHAIN, "direct", 1)
        clients[1].submit(CHAIN, "through", 2)
        with psycopg.connect(pooled, prepare_threshold=None) as own:
            clients[1].submit(CHAIN, "within", 3, connection=own)
        eventually(lambda: begun(path, killed) == ["direct", "through", "within"])

        with Command(path, pooled, "--worker-id", "w2", "--concurrency", "3") as second:
            ((_, heir),) = second.workers()
            assert begun(path, heir) == []
            first.process.kill()
            first.process.wait()
            let_fall_silent(pg_url, killed)
            eventually(lambda: len(begun(path, heir)) == 3)  # beside one another: none has had its last chance
            open_gate(path)
            assert [found.output for found in ended(direct, "direct", "through", "within")] == [5, 7, 9]
            assert begun(path, heir) == ["direct", "through", "within"]
            assert [words[1:] for words in noted(path) if words[0] == "quick"].count(["direct", str(killed)]) == 1

            Path(f"{path}.gate").unlink()
            clients[1].submit(CHAIN, "last", 4)
            eventually(lambda: "last" in begun(path, heir))
            second.send()
            second.await_lines("ends: it was told to end")
            open_gate(path)
            assert second.end() == 0
        assert clients[0].get_task_result("last", "slow") == 10
        assert status(through, "last").is_in_progress()
        with psycopg.connect(pg_url, autocommit=True) as connection:
            assert connection.execute("SELECT count(owner) FROM sayiir.tokens").fetchone() == (0,)
