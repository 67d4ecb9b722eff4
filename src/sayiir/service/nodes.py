"""The nodes of an instance and how each stands: a pure function of its definition's text, its records and its tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from sayiir.core.lifecycle import TERMINAL, State
from sayiir.core.outline import Item
from sayiir.core.records import Failure, Record
from sayiir.core.values import unpack
from sayiir.picture.state import NodeState, group_status
from sayiir.picture.state import Status as NodeStatus
from sayiir.runtime.failure import read_failure
from sayiir.service.model import Attempt, NodeView, Trouble
from sayiir.service.veiled import scrubbed_failure
from sayiir.service.words import moment, span
from sayiir.store.port import Instance, Token

_KINDS = {
    "task": "task", "join": "task", "key": "task", "delay": "delay", "signal": "await_signal", "loop": "loop",
    "fork": "fork", "route": "branch", "child": "child_workflow",
}  # fmt: skip
_GROUPS = ("loop", "fork", "route", "child")


class Standing(msgspec.Struct, frozen=True):
    """What is known of an instance: what the views of its nodes are made from."""

    instance: Instance
    tokens: tuple[Token, ...]
    records: list[Record]
    failure: Failure | None
    workers: dict[int, str]
    """The names of the processes that hold its tokens."""
    now: int


def node_views(root: Item, standing: Standing) -> tuple[NodeView, ...]:
    """Return the nodes in the order of the definition, groups before what is in them."""
    records: dict[str, list[Record]] = defaultdict(list)
    for record in standing.records:
        if not record.superseded and record.kind != "input":
            records[record.node].append(record)
    tokens: dict[str, Token] = {}
    for token in (*_halted(standing.instance), *standing.tokens):
        if token.state != "done":
            tokens[token.node] = token
    passed = _passed_by(root, records)
    views: dict[str, NodeView] = {}
    # From the last to the first: what a group holds is known before the group.
    for item in reversed([item for item in root.walk() if item.word in _KINDS]):
        view = _view(item, records.get(item.name, []), tokens.get(item.name), standing, passed)
        if item.word in _GROUPS:
            inside = [views[below.name] for below in item.walk() if below is not item and below.word in _KINDS]
            view = _group(view, inside, known=bool(records.get(item.name)) or item.name in tokens)
        views[item.name] = view
    return tuple(reversed(views.values()))


def _group(view: NodeView, inside: list[NodeView], *, known: bool) -> NodeView:
    """Return a group as what is in it stands, unless it is known by itself; it begins with the first that is in it.

    A loop's own record begins with its last round.
    """
    began = [one.started_at for one in (view, *inside) if one.started_at is not None]
    status = view.status if known else group_status(one.status for one in inside)
    return msgspec.structs.replace(view, status=status, started_at=min(began, default=None))


def _halted(instance: Instance) -> list[Token]:
    """Return the tokens as they stood when the instance failed or was cancelled."""
    if instance.halted is None or instance.status not in TERMINAL:
        return []
    return msgspec.json.decode(unpack(instance.halted), type=list[Token])


def _view(item: Item, lines: list[Record], token: Token | None, standing: Standing, passed: set[str]) -> NodeView:
    last = max(lines, key=lambda record: (record.iteration, record.ref), default=None)
    status, detail = _status(item, last, token, standing, passed)
    iterations = max((record.iteration for record in lines), default=0)
    # The tokens of an instance that has ended stand as they stood, with the owner that they had.
    claimed = token is not None and token.owner is not None and token.state in ("ready", "standing")
    running = claimed and standing.instance.status not in TERMINAL
    of_this = [record for record in lines if record.iteration == iterations]
    worker = last.worker if last is not None else None
    if running and token is not None and token.owner is not None:
        worker = standing.workers.get(token.owner, worker)
    began = [record.started_at for record in lines]
    began += [token.moved_at] if running and token is not None else []
    ended = last is not None and status in ("completed", "failed") and not running
    if running and token is not None:
        iterations = max(iterations, token.iteration)
    return NodeView(
        item.name, _KINDS[item.word], status, len(of_this) + running, iterations,
        moment(min(began)) if began else None, moment(last.finished_at) if ended and last else None, worker, detail,
    )  # fmt: skip


def _status(
    item: Item, last: Record | None, token: Token | None, standing: Standing, passed: set[str]
) -> tuple[NodeStatus, str | None]:
    instance = standing.instance
    if token is not None and instance.status is State.FAILED:
        failed = standing.failure is not None and standing.failure.node_id == item.name
        return ("failed", standing.failure.text[:200]) if failed and standing.failure else ("cancelled", None)
    if token is not None and instance.status is State.CANCELLED:
        return "cancelled", None
    if token is not None and instance.status is State.PAUSED:
        return "paused", None
    if token is not None:
        return _by_token(token, standing.now)
    if last is not None:
        if last.status == "completed":
            return "completed", span(last.finished_at - last.started_at) if last.kind == "task" else None
        return ("pending" if instance.status not in TERMINAL else "failed"), None
    if item.name in passed or instance.status in TERMINAL:
        return "skipped", None
    return "pending", None


def _by_token(token: Token, now: int) -> tuple[NodeStatus, str | None]:
    match token.state:
        case "awaiting":
            return "awaiting_signal", f"signal {token.signal}"
        case "waiting":
            return "waiting", None if token.due_at is None else f"{span(token.due_at - now)} left"
        case "backoff":
            return "waiting", f"attempt {token.attempt} in {span((token.due_at or now) - now)}"
        case "joining":
            return "running", None
        case _:
            tries = f"attempt {token.attempt}" if token.attempt > 1 else None
            return ("running", tries) if token.owner is not None else ("pending", "due")


def _passed_by(root: Item, records: dict[str, list[Record]]) -> set[str]:
    """Return the nodes in the branches of routes that were not taken."""
    found = set[str]()
    for route in root.walk():
        if route.word != "route" or not records.get(next(item.name for item in route.items if item.word == "key")):
            continue
        for branch in route.items:
            if branch.word not in ("branch", "default"):
                continue
            inside = [item.name for item in branch.walk() if item.word in _KINDS]
            # Nothing of it has a record: it was not taken, unless its first task is still to end.
            if not any(records.get(name) for name in inside):
                found |= set(inside)
    return found


def states_of(views: Iterable[NodeView]) -> dict[str, NodeState]:
    """Return what a picture shows of the nodes."""
    return {view.node_id: NodeState(view.status, view.detail) for view in views}


def attempt_of(record: Record, scrub: Callable[[str], str]) -> Attempt:
    """Return a record as a line of history; `scrub` takes secrets out of its error."""
    failure = None if record.error is None else scrubbed_failure(read_failure(unpack(record.error)), scrub)
    return Attempt(
        record.ref, record.node, record.kind, record.iteration, record.attempt, record.status,
        moment(record.started_at), moment(record.finished_at), record.worker,
        None if failure is None else trouble_of(failure), record.superseded,
    )  # fmt: skip


def running_attempt(token: Token, worker: str | None) -> Attempt:
    """Return the line of a task that is under way."""
    return Attempt(
        0, token.node, "task", token.iteration, token.attempt, "running", moment(token.moved_at), None, worker
    )


def trouble_of(failure: Failure) -> Trouble:
    """Return a stored failure as it is shown."""
    return Trouble(failure.error_type, failure.message, failure.traceback, failure.task_id, failure.attempts)
