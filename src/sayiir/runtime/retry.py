"""Where a failed or cancelled instance goes on.

Without `from_task` the tokens live again as they stood when the instance ended. With it they are rebuilt from the history:
the task's token stands before the task with the input it had then, forks around it wait again, and branches beside it keep
what they had reached. What is made again is marked superseded and stays in the timeline.
"""

from __future__ import annotations

from itertools import pairwise

from sayiir.core.outline import Item, downstream, outline
from sayiir.core.records import STEP_BITS, Record, Ref, ref_of
from sayiir.core.values import plain
from sayiir.errors import BackendError
from sayiir.runtime.failure import read_failure
from sayiir.store.columns import fresh_epoch, halted_tokens
from sayiir.store.port import Instance, Restart, Token

_STEP_MASK = (1 << STEP_BITS) - 1


def restart(
    instance: Instance, records: list[Record], structure: str, from_task: str | None, raw: bytes | None
) -> Restart:
    """Return what a retry does.

    Args:
        instance: the ended instance.
        records: its history.
        structure: the text of its definition.
        from_task: the id of the task to go on at; None for where it ended.
        raw: another input for that task, as JSON.

    Raises:
        ValueError: the task has not run, its id is ambiguous, or the input has no single task to go to.
        BackendError: damage took the place where it ended, and no task is named.
    """
    ended = halted_tokens(instance)
    live = [record for record in records if not record.superseded]
    superseded: tuple[Ref, ...] = ()
    if from_task is None and not ended:
        raise BackendError(
            f"where instance {instance.instance_id!r} ended was lost when its stored data was damaged; "
            "say with from_task= where it goes on"
        )
    if from_task is None:
        tokens = [_revived(token) for token in ended]
        target = _ended_at(instance, tokens) if raw is not None else None
    else:
        item = _item(outline(structure), from_task)
        gone = downstream(item)
        superseded = tuple(record.ref for record in live if record.node in gone)
        tokens = _rebuilt(item, live, ended)
        for token in tokens:
            token.instance = instance.number
        target = tokens[-1]
    # Above everything before: no fence and no reference of an earlier life can be met again.
    epoch = fresh_epoch(instance)
    step = max((record.ref & _STEP_MASK for record in records), default=0)
    for token in tokens:
        token.epoch, token.step = epoch, step
    record = None
    if raw is not None and target is not None:
        # The new value is a line of history like any other, so that the task's input stays readable.
        target.step += 1
        target.ref = ref_of(target.number, target.step)
        record = Record(
            target.ref,
            target.node,
            "input",
            output=raw,
            started_at=instance.updated_at,
            finished_at=instance.updated_at,
        )
    return Restart(tuple(tokens), superseded, record)


def _revived(token: Token) -> Token:
    token.owner = token.until = None
    token.attempt, token.crashes = 1, 0
    if token.state == "backoff":
        token.state, token.due_at = "ready", None
    elif token.state == "awaiting":
        # It waits anew: its old deadline may be what ended the instance.
        token.state, token.due_at, token.signal = "standing", None, None
    return token


def _ended_at(instance: Instance, tokens: list[Token]) -> Token:
    candidates = [token for token in tokens if token.state in ("ready", "standing")]
    if instance.error is not None:
        node = read_failure(instance.error).node_id
        candidates = [token for token in candidates if token.node == node] or candidates
    if len(candidates) != 1:
        raise ValueError(
            f"instance {instance.instance_id!r} did not end at a single task; say with from_task= where input= goes"
        )
    return candidates[0]


def _item(root: Item, from_task: str) -> Item:
    positions = [item for item in root.walk() if item.word in ("task", "join", "key", "delay", "signal")]
    found = [item for item in positions if item.name == from_task] or [
        item for item in positions if item.name.rpartition("/")[2] == from_task
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ValueError(
            f"the definition has no task {from_task!r}; it has {', '.join(i.name for i in positions[:20])}"
        )
    raise ValueError(f"id {from_task!r} is ambiguous; use one of {', '.join(repr(item.name) for item in found)}")


def _rebuilt(item: Item, live: list[Record], ended: list[Token]) -> list[Token]:
    """Return the tokens for going on at an item; the item's own comes last."""
    source = _source(item, live)
    path = item.path()
    if item.word == "join":
        # The join belongs to the line around its fork, whose branches have ended.
        path = [node for node in path if node is not item.parent]
    branches = [node for node in path if node.number]
    tokens: list[Token] = []
    number = 0
    for branch in branches:
        fork = branch.parent
        assert fork is not None  # noqa: S101 -- a branch stands in its fork
        tokens += _around(fork, branch, number, path, live, ended)
        number = branch.number
    state = "ready" if item.word in ("task", "join", "key") else "standing"
    parent = tokens[-1].parent if tokens else None
    if branches:
        parent = branches[-2].number if len(branches) > 1 else 0
    tokens.append(Token(0, number, state, item.name, source, keys=_keys(path, live), parent=parent))  # type: ignore[arg-type]
    return tokens


def _source(item: Item, live: list[Record]) -> Ref:
    """Return the reference of the value that the item got when it first ran."""
    ran = [record for record in live if record.node == item.name and record.kind != "input"]
    if not ran and _is_first(item):
        return 0
    if not ran:
        raise ValueError(f"task {item.name!r} has not run; without from_task= the instance goes on where it ended")
    return min(ran, key=lambda record: (record.iteration, record.ref)).source


def _is_first(item: Item) -> bool:
    """Return whether the flow begins with an item, which then gets the instance's input."""
    path = item.path()
    inside = all(node.word in ("flow", "child", "loop") for node in path[:-1])
    return inside and all(outer.items[0] is inner for outer, inner in pairwise(path))


def _around(
    fork: Item, inside: Item, number: int, path: list[Item], live: list[Record], ended: list[Token]
) -> list[Token]:
    """Return the token that waits at a fork and those of the branches beside the one gone on in."""
    joined = next((record for record in live if record.node == fork.name and record.kind == "fork"), None)
    beside = [branch for branch in fork.items if branch.number and branch is not inside]
    if joined is None and not ended:
        raise ValueError(f"what was reached beside {inside.name!r} was lost to damage; go on at a task before {fork.name!r}")
    if joined is None:
        family = {node.number for branch in beside for node in branch.walk() if node.number}
        kept = [_revived(token) for token in ended if token.number in family or token.number == number]
        return [token for token in kept if token.number != number or token.state == "joining"]
    refs: dict[str, Ref] = plain(joined.parts or b'["fork",{}]')[1]
    upto = path[: path.index(fork) + 1]
    parent = None if number == 0 else _number_around(upto)
    waiting = Token(0, number, "joining", fork.name, joined.source, keys=_keys(upto, live), parent=parent)
    done = [
        Token(0, branch.number, "done", f"{fork.name}::{branch.name}", refs[branch.name], parent=number)
        for branch in beside
    ]
    return [waiting, *done]


def _number_around(path: list[Item]) -> int:
    """Return the number of the token whose branch holds the branch that this path ends in."""
    numbers = [0, *(node.number for node in path if node.number)]
    return numbers[-2]


def _keys(path: list[Item], live: list[Record]) -> tuple[str, ...]:
    """Return the keys of the routes around a place, as far as its own token has passed them."""
    start = max((index for index, node in enumerate(path) if node.number), default=0)
    keys = []
    for node, inner in zip(path[start:], path[start + 1 :], strict=False):
        if node.word == "route" and inner.word in ("branch", "default"):
            key = next(item.name for item in node.items if item.word == "key")
            made = next(r for r in live if r.node == key and r.status == "completed")
            keys.append(str(plain(made.output or b'""')))
    return tuple(keys)
