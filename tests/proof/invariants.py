"""What must hold of an instance of `killed_child.workflow`, whatever befell the processes that moved it.

- Every node has exactly one committed result, as in an undisturbed run.
- Every execution got the committed result of its predecessor.
- Every execution has an attempt of its own, and a line in the timeline.
- Every committed result was made by an execution of the ledger. Whatever else was executed was in the hands of a process
  that was struck, or is an attempt that the flow itself fails.
"""

import json
from collections import Counter
from collections.abc import Set as AbstractSet
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
    pids: set[int],
    struck: AbstractSet[int] = frozenset(),
    broken: int = 0,
) -> int:
    """Check one instance; return how many of its executions were repeats.

    Args:
        records: its history.
        values: what its references stand for; 0 is the input.
        clean: the history of an undisturbed instance.
        lines: its lines in the ledger.
        pids: the processes that may have moved it.
        struck: those of them that were killed or stopped: only they may leave executions without a result.
        broken: how often the server, or connections to it, were taken from processes that lived on. Which of them lose
            claims at work by that cannot be told from outside, so that many executions need no other reason: a loose bound.
    """
    done = Counter((r.node, r.kind, r.iteration) for r in records if r.status == "completed")
    assert done == Counter((r.node, r.kind, r.iteration) for r in clean if r.status == "completed")
    assert max(done.values()) == 1

    sources = {(r.node, r.iteration): r.source for r in records if r.kind == "task"}
    told = fates(records)
    attempts = Counter((line["node"], line["iteration"], line["attempt"]) for line in lines)
    for line in lines:
        assert line["input"] == killed_child.digest(values[sources[line["node"], line["iteration"]]])
        assert line["pid"] in pids
    assert max(attempts.values()) == 1
    assert attempts.keys() <= told.keys()
    keys = {(line["node"], line["iteration"], line["key"]) for line in lines}
    assert len(keys) == len({key for _, _, key in keys}) == len(sources), "one key for each task and iteration"
    made = {attempt for attempt, status in told.items() if status == "completed"}
    assert made <= attempts.keys(), "results that nobody made"

    repeated = [line for line in lines if not _is_needed(line, told)]
    unexplained = Counter((line["node"], line["iteration"]) for line in repeated if line["pid"] not in struck)
    assert max(unexplained.values(), default=0) <= broken, f"executed again without a reason: {unexplained}"
    assert len(repeated) <= (len(struck) + broken) * BRANCHES
    return len(repeated)


def fates(records: list[Record]) -> dict[tuple[str, int, int], str]:
    """Return what became of each attempt of a task, by node, iteration and attempt."""
    return {(r.node, r.iteration, r.attempt): r.status for r in records if r.kind == "task"}


def _is_needed(line: dict[str, Any], told: dict[tuple[str, int, int], str]) -> bool:
    """Whether an execution made the result, or was the attempt that the flow itself fails."""
    status = told[line["node"], line["iteration"], line["attempt"]]
    return status == "completed" or (status == "failed" and line["node"] == "flaky" and line["attempt"] == 1)


def ledger_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the ledger's lines by instance; a line that is torn would not be JSON."""
    lines: dict[str, list[dict[str, Any]]] = {}
    for text in path.read_text().splitlines():
        line = json.loads(text)
        lines.setdefault(line["instance"], []).append(line)
    return lines
