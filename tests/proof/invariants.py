"""What must hold of an instance of `killed_child.workflow`, whatever befell the processes that moved it.

- Every node has exactly one committed result, as in an undisturbed run.
- Every execution got the committed result of its predecessor.
- Every execution has an attempt of its own, and a line in the timeline.
- What ran more often than it had to was interrupted by a fault.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from sayiir.core.records import Record
from tests.proof import killed_child

BRANCHES = 3
"""So many tokens of one instance can be at work in a process when it dies."""


def check(
    records: list[Record],
    values: dict[int, Any],
    clean: list[Record],
    lines: list[dict[str, Any]],
    *,
    faults: int,
    pids: set[int],
) -> int:
    """Check one instance; return how many of its executions were repeats.

    Args:
        records: its history.
        values: what its references stand for; 0 is the input.
        clean: the history of an undisturbed instance.
        lines: its lines in the ledger.
        faults: how many processes were killed or lost their claims while it was under way.
        pids: the processes that may have moved it.
    """
    done = Counter((r.node, r.kind, r.iteration) for r in records if r.status == "completed")
    assert done == Counter((r.node, r.kind, r.iteration) for r in clean if r.status == "completed")
    assert max(done.values()) == 1

    sources = {(r.node, r.iteration): r.source for r in records if r.kind == "task"}
    told = {(r.node, r.iteration, r.attempt) for r in records if r.kind == "task"}
    attempts = Counter((line["node"], line["iteration"], line["attempt"]) for line in lines)
    for line in lines:
        assert line["input"] == killed_child.digest(values[sources[line["node"], line["iteration"]]])
        assert line["pid"] in pids
    assert max(attempts.values()) == 1
    assert attempts.keys() <= told
    keys = {(line["node"], line["iteration"], line["key"]) for line in lines}
    assert len(keys) == len({key for _, _, key in keys}) == len(sources), "one key for each task and iteration"

    ran = Counter((node, iteration) for node, iteration, _ in attempts.elements())
    usual = Counter({key: 2 if key[0] == "flaky" else 1 for key in sources})
    repeats = ran - usual
    assert not repeats or max(repeats.values()) <= faults
    assert repeats.total() <= faults * BRANCHES
    return repeats.total()


def ledger_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the ledger's lines by instance; a line that is torn would not be JSON."""
    lines: dict[str, list[dict[str, Any]]] = {}
    for text in path.read_text().splitlines():
        line = json.loads(text)
        lines.setdefault(line["instance"], []).append(line)
    return lines
