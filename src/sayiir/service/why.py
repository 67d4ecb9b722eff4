"""Why an instance stands where it stands: one plain sentence, what proves it, and what would make it move.

Rules of this file: a pure function of gathered facts; each cause has a stable code and one function. Of several tokens the
one that most needs somebody's help is told, the others are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from sayiir.core.lifecycle import State
from sayiir.core.program import tags_of
from sayiir.core.records import Failure
from sayiir.service.model import Why, WorkerRow
from sayiir.service.words import clock_time, cut, plural, span
from sayiir.store.observe_port import OwnerFacts
from sayiir.store.port import Instance, Token

HASH_SHOWN = 12


class Facts(msgspec.Struct, frozen=True):
    """What is known when the question is asked.

    Attributes:
        now: the store's time.
        instance: the instance; its `error` and `halted` are not read here.
        tokens: its unfinished tokens.
        failure: why it failed.
        owners: those that hold its tokens.
        workers: the live workers.
        failures: the newest failed attempt of a node, as "Type: message".
        allowed: how many attempts a node has in all, where this server knows its workflow.
        ahead: how many tokens go before one that is due, by token number.
        branches: the name of the fork's branch that a token is, by token number.
        tags_known: whether the tags of tokens can be read.
    """

    now: int
    instance: Instance
    tokens: tuple[Token, ...] = ()
    failure: Failure | None = None
    owners: dict[int, OwnerFacts] = {}
    workers: tuple[WorkerRow, ...] = ()
    failures: dict[str, str] = {}
    allowed: dict[str, int] = {}
    ahead: dict[int, int] = {}
    branches: dict[int, str] = {}


_RANK = (
    "stale_claim", "no_worker", "no_tag", "running", "queued", "retrying", "awaiting_signal", "waiting", "joining",
)  # fmt: skip
"""Which cause is told when several tokens have different ones: what needs help, then what moves, then what waits."""


def why(facts: Facts) -> Why:
    """Return why the instance stands where it stands."""
    instance = facts.instance
    match instance.status:
        case State.COMPLETED:
            return _completed(facts)
        case State.FAILED:
            return _failed(facts)
        case State.CANCELLED:
            return _cancelled(facts)
        case State.PAUSED:
            return _paused(facts)
        case _:
            causes = [cause for token in facts.tokens if (cause := _of_token(token, facts)) is not None]
            if instance.request is not None:
                return _requested(facts, causes)
            return _told(causes, facts)


def _told(causes: list[Why], facts: Facts) -> Why:
    if not causes:
        return Why(
            "changing", "It is just moving on from one task to the next.", (("status", facts.instance.status.value),),
            "look again",
        )  # fmt: skip
    first, *others = sorted(causes, key=lambda cause: _RANK.index(cause.code))
    # A join waits for the branches that are told.
    others = [one for one in others if one.code != "joining" or first.code == "joining"]
    if not others:
        return first
    more = tuple((f"also ({other.code})", other.sentence) for other in others[:10])
    sentence = f"{first.sentence} What holds {plural(len(others), 'other branch', 'other branches')} is in the evidence."
    return Why(first.code, sentence, (*first.evidence, *more), first.fix)


# --- ended, paused, requested -------------------------------------------------------------------------------------


def _completed(facts: Facts) -> Why:
    took = span(facts.instance.updated_at - facts.instance.created_at)
    ended = clock_time(facts.instance.updated_at)
    return Why("completed", f"It completed {took} after it was submitted.", (("ended", ended), ("took", took)))


def _failed(facts: Facts) -> Why:
    failure = facts.failure
    ended = ("ended", clock_time(facts.instance.updated_at))
    if failure is None:
        return Why("failed", "It failed, and the stored error cannot be read.", (ended,), "look at the log of its worker")
    evidence = (("task", failure.task_id), ("error", failure.text), ("attempts", str(failure.attempts)), ended)
    crashes = failure.details.get("crashes") if failure.code == "worker_crash" else None
    if isinstance(crashes, int):  # a pool that broke, or a child process that exited, is a failure as any other
        return Why(
            "quarantined",
            f"It was quarantined after {plural(crashes, 'crash', 'crashes')} of the process that ran task "
            f"{failure.task_id!r}.",
            evidence,
            "find out why the task kills its process (memory, native code), mend that, then retry the instance",
        )
    tries = "" if failure.attempts < 2 else f" on attempt {failure.attempts}"
    return Why(
        "failed", f"Task {failure.task_id!r} failed{tries} with {cut(failure.text)}", evidence,
        "mend the cause, then retry the instance: it goes on at this task",
    )  # fmt: skip


def _cancelled(facts: Facts) -> Why:
    sentence, evidence = _by_whom("It was cancelled", facts.instance.actor, facts.instance.reason)
    ended = ("ended", clock_time(facts.instance.updated_at))
    return Why("cancelled", sentence, (*evidence, ended), "retry the instance to let it go on where it was")


def _paused(facts: Facts) -> Why:
    sentence, evidence = _by_whom("It is paused", facts.instance.actor, facts.instance.reason)
    since = ("since", clock_time(facts.instance.updated_at))
    return Why("paused", sentence, (*evidence, since), "unpause it")


def _by_whom(words: str, actor: str | None, reason: str | None) -> tuple[str, tuple[tuple[str, str], ...]]:
    by = f" by {cut(actor, 80)}" if actor else ""
    because = f": “{cut(reason)}”" if reason else "."
    given = (("by", actor), ("reason", reason))
    return f"{words}{by}{because}", tuple((name, text) for name, text in given if text)


def _requested(facts: Facts, causes: list[Why]) -> Why:
    instance = facts.instance
    running = [cause for cause in causes if cause.code == "running"]
    what = "cancel" if instance.request == "cancel" else "pause"
    sentence, evidence = _by_whom(f"A {what} was asked for", instance.request_actor, instance.request_reason)
    code = f"{what}_requested"
    stale = next((cause for cause in causes if cause.code == "stale_claim"), None)
    if stale is not None:
        sentence = f"{sentence.rstrip('.')}; it takes effect once a worker sees to it. {stale.sentence}"
        return Why(code, sentence, (*evidence, *stale.evidence), stale.fix)
    rest = "; it takes effect when the task that runs has ended" if running else "; it is about to take effect"
    fix = "wait for the task" if what == "cancel" else "wait for the task, or unpause to withdraw it"
    after = tuple(pair for cause in running for pair in cause.evidence)
    return Why(code, sentence.rstrip(".") + rest + ".", (*evidence, *after), fix)


# --- by what one token does ---------------------------------------------------------------------------------------


def _of_token(token: Token, facts: Facts) -> Why | None:
    if token.state == "done":
        return None
    if token.owner is not None:
        return _held(token, facts)
    by_state: dict[str, Callable[[Token, Facts], Why]] = {
        "backoff": _retrying, "waiting": _waiting, "awaiting": _awaiting, "joining": _joining,
    }  # fmt: skip
    return by_state.get(token.state, _due)(token, facts)


def _held(token: Token, facts: Facts) -> Why:
    owner = facts.owners.get(token.owner or 0)
    if owner is None or not owner.alive or (token.until or 0) <= facts.now:
        return _stale(token, facts, owner)
    if token.state == "backoff":
        return _retrying(token, facts)
    if token.state in ("waiting", "awaiting", "joining"):
        return {"waiting": _waiting, "awaiting": _awaiting, "joining": _joining}[token.state](token, facts)
    beat, ran = facts.now - owner.beat_at, facts.now - token.moved_at
    allowed = facts.allowed.get(token.node)
    attempt = f", attempt {token.attempt}{f' of {allowed}' if allowed else ''}" if token.attempt > 1 else ""
    return Why(
        "running",
        f"Task {token.node!r} has been running for {span(ran)} on {_who(owner)}{attempt}.",
        (
            ("task", token.node), ("worker", _who(owner)), ("process", owner.name), ("heartbeat", f"{span(beat)} ago"),
            ("started", clock_time(token.moved_at)), ("attempt", str(token.attempt)),
        ),
    )  # fmt: skip


def _who(owner: OwnerFacts) -> str:
    """Return the worker and its process, or of several the process alone."""
    return owner.name if owner.worker == owner.name else f"{owner.worker} ({owner.name})"


def _stale(token: Token, facts: Facts, owner: OwnerFacts | None) -> Why:
    known = owner is not None and owner.alive
    name = "a process that is gone" if owner is None else owner.name
    what = "fell silent" if known else "died"
    silent = [] if owner is None else [("heartbeat", f"{span(facts.now - owner.beat_at)} ago")]
    taken = "Any worker that has the workflow takes it over within seconds."
    if not facts.workers:
        taken = "No worker is there to take it over."
    return Why(
        "stale_claim",
        f"The process that held task {token.node!r} ({name}) {what}. {taken}",
        (("task", token.node), ("process", name), *silent, ("claim ends", clock_time(token.until or facts.now))),
        None if facts.workers else "start a worker for this workflow, or resume the instance",
    )


def _retrying(token: Token, facts: Facts) -> Why:
    due = token.due_at or facts.now
    if due <= facts.now and token.owner is None:
        return _due(token, facts)
    allowed = facts.allowed.get(token.node)
    number = f"attempt {token.attempt}{f' of {allowed + token.crashes}' if allowed else ''}"
    error = facts.failures.get(token.node)
    after = f" after {cut(error)}" if error else ""
    evidence = [("task", token.node), ("next attempt", clock_time(due)), ("attempt", str(token.attempt))]
    evidence += [("error", error)] if error else []
    return Why(
        "retrying", f"Task {token.node!r} is tried again at {clock_time(due)}, {number},{after or ' after a failure'}",
        tuple(evidence), "nothing, unless the error will not go away by itself: then cancel, mend it, and retry",
    )  # fmt: skip


def _waiting(token: Token, facts: Facts) -> Why:
    due = token.due_at or facts.now
    if due <= facts.now and token.owner is None:
        return _due(token, facts)
    return Why(
        "waiting", f"It waits at {token.node!r} until {clock_time(due)}, {span(due - facts.now)} from now.",
        (("node", token.node), ("until", clock_time(due)), ("since", clock_time(token.moved_at))),
    )  # fmt: skip


def _awaiting(token: Token, facts: Facts) -> Why:
    if token.owner is None and token.wake_at is not None and token.wake_at <= facts.now:
        return _due(token, facts)  # the signal is there, or its deadline has passed
    until = "" if token.due_at is None else f" until {clock_time(token.due_at)}"
    evidence = [("node", token.node), ("signal", token.signal or ""), ("since", clock_time(token.moved_at))]
    evidence += [] if token.due_at is None else [("until", clock_time(token.due_at))]
    return Why(
        "awaiting_signal", f"It waits for the signal {token.signal!r}{until}; it has waited for "
        f"{span(facts.now - token.moved_at)}.", tuple(evidence), f"send it the signal {token.signal!r}",
    )  # fmt: skip


def _joining(token: Token, facts: Facts) -> Why:
    missing = [
        facts.branches.get(branch.number, f"#{branch.number}")
        for branch in facts.tokens
        if branch.parent == token.number and branch.state != "done"
    ]
    names = ", ".join(map(repr, missing[:10])) + ("…" if len(missing) > 10 else "")
    sentence = f"{token.node!r} waits for {plural(len(missing), 'branch', 'branches')}: {names}."
    return Why("joining", sentence, (("node", token.node), ("missing", names)))


def _due(token: Token, facts: Facts) -> Why:
    instance = facts.instance
    same = [worker for worker in facts.workers if any(name == instance.workflow_id for name, _ in worker.workflows)]
    fit = [worker for worker in same if (instance.workflow_id, instance.definition_hash) in worker.workflows]
    if not fit:
        return _no_worker(token, facts, same)
    wanted = tags_of(token.tags)
    if not any(worker.tags is None or wanted <= set(worker.tags) for worker in fit):
        missing = sorted(wanted - set().union(*(worker.tags or () for worker in fit))) or sorted(wanted)
        shown = ", ".join(map(repr, missing))
        return Why(
            "no_tag", f"Task {token.node!r} asks for a worker with the tag {shown}, and no live worker of this workflow has "
            "it.", (("task", token.node), ("tags", ", ".join(sorted(wanted))), *_tags(fit)),
            f"start a worker with the tags {', '.join(sorted(wanted))}",
        )  # fmt: skip
    since = token.wake_at if token.wake_at is not None else token.moved_at
    ahead = facts.ahead.get(token.number, 0)
    line = f" {plural(ahead, 'other goes', 'others go')} before it." if ahead else ""
    if token.crashes:
        return Why(
            "queued", f"{token.node!r} was running when its process died, {plural(token.crashes, 'time')} so far; a worker "
            f"takes one such task at a time, and {plural(len(fit), 'live worker')} can take it.{line}",
            (("node", token.node), ("crashes", str(token.crashes)), ("due since", clock_time(since)),
             ("workers", _names(fit))),
            "nothing, if it moves soon; else see which of them runs, or start another worker",
        )  # fmt: skip
    return Why(
        "queued", f"{token.node!r} has been due for {span(facts.now - since)} and waits for a free worker; "
        f"{plural(len(fit), 'live worker')} can take it.{line}",
        (("node", token.node), ("due since", clock_time(since)), ("workers", _names(fit)), ("ahead", str(ahead))),
        "nothing, if it moves soon; else more workers or more concurrency",
    )  # fmt: skip


def _no_worker(token: Token, facts: Facts, same: list[WorkerRow]) -> Why:
    instance = facts.instance
    wanted = instance.definition_hash[:HASH_SHOWN]
    evidence = [("workflow", instance.workflow_id), ("definition", instance.definition_hash), ("node", token.node)]
    if not facts.workers:
        return Why(
            "no_worker", "No worker is live, so nobody moves it.", tuple(evidence),
            f"start a worker that has workflow {instance.workflow_id!r}: sayiir worker MODULE:WORKFLOW",
        )  # fmt: skip
    if not same:
        evidence.append(("live workers", _names(facts.workers)))
        return Why(
            "no_worker",
            f"No live worker has workflow {instance.workflow_id!r}: "
            f"{plural(len(facts.workers), 'worker')} live, none with it.",
            tuple(evidence), f"start a worker that has workflow {instance.workflow_id!r}",
        )  # fmt: skip
    hashes = sorted({one for worker in same for name, one in worker.workflows if name == instance.workflow_id})
    shown = ", ".join(one[:HASH_SHOWN] for one in hashes[:5])
    evidence += [("they have", one) for one in hashes[:5]]
    evidence.append(("live workers", _names(same)))
    return Why(
        "no_worker", f"No live worker has workflow {instance.workflow_id!r} with definition {wanted}; those that have the "
        f"workflow ({len(same)} live) have {shown}.", tuple(evidence),
        "start a worker with the version of the code that this instance was submitted with, beside the new one",
    )  # fmt: skip


def _names(workers: Iterable[WorkerRow]) -> str:
    names = [worker.worker_id for worker in workers]
    return ", ".join(names[:10]) + ("…" if len(names) > 10 else "")


def _tags(workers: list[WorkerRow]) -> list[tuple[str, str]]:
    return [(f"tags of {worker.worker_id}", ", ".join(worker.tags or ()) or "none") for worker in workers[:10]]
