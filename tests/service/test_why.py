"""Each cause that `why` can tell, from facts alone; and the causes of real instances."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sayiir.core.lifecycle import State
from sayiir.core.records import Failure
from sayiir.service.model import WorkerRow
from sayiir.service.why import Facts, why
from sayiir.store.observe_port import OwnerFacts
from sayiir.store.port import Instance, Token

NOW = 1_800_000_000_000_000
SECOND = 1_000_000
HASH = "a" * 64
OTHER = "b" * 64


def instance(status=State.IN_PROGRESS, **more):
    return Instance(1, "i", 1, "w", HASH, status, b"", NOW - 60 * SECOND, NOW - 10 * SECOND, **more)


def token(state="ready", **more):
    return Token(1, more.pop("number", 0), state, more.pop("node", "charge"), moved_at=NOW - 5 * SECOND, **more)


def due(**more):
    return token(wake_at=NOW - 5 * SECOND, **more)


def held(**more):
    return token(owner=7, until=NOW + 100 * SECOND, **more)


def owner(alive=True, facts=None):
    return OwnerFacts(7, "host:12", NOW - 900 * SECOND, NOW - 2 * SECOND, alive, facts if facts is not None else {"w-7": {}})


def worker(name="w-1", definition=HASH, workflow="w", tags=None):
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return WorkerRow(name, 3, True, moment, moment, 0, "worker", 8, tags, ((workflow, definition),))


def told(*tokens, workers=(), owners=(), given=None, **more):
    return why(Facts(NOW, given or instance(), tokens, workers=tuple(workers), owners={one.owner: one for one in owners}, **more))


# --- ended, paused, requested -----------------------------------------------------------------------------------------


def test_completed():
    found = told(given=instance(State.COMPLETED))
    assert (found.code, found.sentence, found.fix) == ("completed", "It completed 50 s after it was submitted.", None)


def test_failed():
    failure = Failure("TimeoutError", "no answer\nmore", "charge", "charge", 3)
    found = told(given=instance(State.FAILED), failure=failure)
    assert found.code == "failed"
    assert found.sentence == "Task 'charge' failed on attempt 3 with TimeoutError: no answer"
    assert ("error", "TimeoutError: no answer\nmore") in found.evidence
    assert "retry" in found.fix


def test_failed_with_an_error_that_cannot_be_read():
    assert told(given=instance(State.FAILED)).code == "failed"


def test_quarantined():
    failure = Failure("WorkerCrashError", "died", "t", "t", 3, code="worker_crash", details={"crashes": 3})
    found = told(given=instance(State.FAILED), failure=failure)
    assert (found.code, "after 3 crashes" in found.sentence) == ("quarantined", True)


@pytest.mark.parametrize("details", [{}, {"crashes": None}, {"exit_code": 3}])
def test_a_child_process_that_exited_or_a_pool_that_broke_is_no_quarantine(details):
    failure = Failure("WorkerCrashError", "exited with code 3", "t", "t", 1, code="worker_crash", details=details)
    found = told(given=instance(State.FAILED), failure=failure)
    assert found.code == "failed"
    assert found.sentence == "Task 't' failed with WorkerCrashError: exited with code 3"


def test_cancelled_by_somebody_for_a_reason():
    found = told(given=instance(State.CANCELLED, actor="ann", reason="a mistake"))
    assert (found.code, found.sentence) == ("cancelled", "It was cancelled by ann: “a mistake”")
    assert found.evidence[:2] == (("by", "ann"), ("reason", "a mistake"))


def test_paused_by_nobody_in_particular():
    found = told(given=instance(State.PAUSED))
    assert (found.code, found.sentence, found.fix) == ("paused", "It is paused.", "unpause it")


@pytest.mark.parametrize(("asked", "code"), [("cancel", "cancel_requested"), ("pause", "pause_requested")])
def test_requested_while_a_task_runs(asked, code):
    found = told(held(), owners=[owner()], given=instance(request=asked, request_actor="ann", request_reason="why"))
    assert found.code == code
    assert found.sentence == f"A {asked} was asked for by ann: “why”; it takes effect when the task that runs has ended."
    assert ("task", "charge") in found.evidence


@pytest.mark.parametrize("asked", ["cancel", "pause"])
def test_requested_while_the_process_of_the_task_is_gone(asked):
    given = instance(request=asked, request_actor="ann", request_reason="why")
    found = told(held(), owners=[owner(alive=False)], given=given)
    assert (found.code, found.fix) == (f"{asked}_requested", "start a worker for this workflow, or resume the instance")
    assert found.sentence == (
        f"A {asked} was asked for by ann: “why”; it takes effect once a worker sees to it. "
        "The process that held task 'charge' (host:12) died. No worker is there to take it over."
    )
    assert ("process", "host:12") in found.evidence
    soon = told(held(), owners=[owner(alive=False)], workers=[worker()], given=given)
    assert "takes it over within seconds" in soon.sentence


# --- one token --------------------------------------------------------------------------------------------------------


def test_running():
    found = told(held(attempt=2), owners=[owner()], allowed={"charge": 4})
    assert found.code == "running"
    assert found.sentence == "Task 'charge' has been running for 5 s on w-7 (host:12), attempt 2 of 4."
    assert ("heartbeat", "2 s ago") in found.evidence
    assert found.fix is None


def test_running_in_a_process_with_several_workers_names_the_process():
    found = told(held(), owners=[owner(facts={"a": {}, "b": {}})])
    assert "on host:12." in found.sentence


@pytest.mark.parametrize("owners", [[], [owner(alive=False)]])
def test_a_dead_owner(owners):
    found = told(held(), owners=owners, workers=[worker()])
    assert (found.code, found.fix) == ("stale_claim", None)
    assert "died" in found.sentence
    alone = told(held(), owners=owners)
    assert "No worker" in alone.sentence
    assert alone.fix is not None


def test_a_silent_owner():
    found = told(token(owner=7, until=NOW - 1), owners=[owner()], workers=[worker()])
    assert (found.code, "fell silent" in found.sentence) == ("stale_claim", True)


def test_retrying():
    found = told(
        token("backoff", due_at=NOW + 9 * SECOND, wake_at=NOW + 9 * SECOND, attempt=3),
        failures={"charge": "TimeoutError: no answer"}, allowed={"charge": 5},
    )
    assert found.code == "retrying"
    assert found.sentence == (
        "Task 'charge' is tried again at 2027-01-15 08:00:09 UTC, attempt 3 of 5, after TimeoutError: no answer"
    )


def test_retrying_in_a_process_that_sleeps_through_it():
    found = told(held_backoff := token("backoff", owner=7, until=NOW + SECOND, due_at=NOW + SECOND, attempt=2), owners=[owner()])
    assert held_backoff.state == "backoff"
    assert (found.code, "attempt 2" in found.sentence) == ("retrying", True)


def test_waiting():
    found = told(token("waiting", node="pause", due_at=NOW + 3600 * SECOND, wake_at=NOW + 3600 * SECOND))
    assert found.code == "waiting"
    assert found.sentence == "It waits at 'pause' until 2027-01-15 09:00:00 UTC, 1 h from now."


def test_awaiting_a_signal():
    found = told(token("awaiting", node="gate", signal="approve", due_at=NOW + SECOND, wake_at=NOW + SECOND))
    assert found.code == "awaiting_signal"
    assert found.sentence.startswith("It waits for the signal 'approve' until 2027-01-15 08:00:01 UTC")
    assert found.fix == "send it the signal 'approve'"
    for_ever = told(token("awaiting", node="gate", signal="approve"))
    assert "until" not in for_ever.sentence


@pytest.mark.parametrize("state", ["waiting", "backoff", "awaiting"])
def test_what_was_waited_for_is_there_but_nobody_moves_it(state):
    found = told(token(state, signal="go", due_at=NOW - 1, wake_at=NOW - 1))
    assert found.code == "no_worker"


def test_no_worker_at_all():
    found = told(due())
    assert (found.code, found.sentence) == ("no_worker", "No worker is live, so nobody moves it.")
    assert "sayiir worker" in found.fix


def test_no_worker_with_the_workflow():
    found = told(due(), workers=[worker(workflow="v")])
    assert found.sentence == "No live worker has workflow 'w': 1 worker live, none with it."


def test_no_worker_with_the_version():
    found = told(due(), workers=[worker("w-1", OTHER), worker("w-2", OTHER), worker("w-3", HASH, "v")])
    assert found.code == "no_worker"
    assert found.sentence == (
        f"No live worker has workflow 'w' with definition {HASH[:12]}; those that have the workflow (2 live) have {OTHER[:12]}."
    )
    assert ("they have", OTHER) in found.evidence
    assert ("live workers", "w-1, w-2") in found.evidence


def test_no_worker_with_the_tag():
    found = told(due(tags='["eu","gpu"]'), workers=[worker("w-1", tags=("eu",)), worker("w-2", tags=("x",))])
    assert found.code == "no_tag"
    assert "with the tag 'gpu'" in found.sentence
    assert ("tags of w-1", "eu") in found.evidence
    assert found.fix == "start a worker with the tags eu, gpu"


def test_tags_that_only_several_workers_have_together_help_nobody():
    found = told(due(tags='["eu","gpu"]'), workers=[worker("w-1", tags=("eu",)), worker("w-2", tags=("gpu",))])
    assert found.code == "no_tag"


@pytest.mark.parametrize("tags", [None, ("gpu", "eu")])
def test_queued(tags):
    found = told(due(tags='["gpu"]'), workers=[worker(tags=tags)], ahead={0: 3})
    assert found.code == "queued"
    assert found.sentence == (
        "'charge' has been due for 5 s and waits for a free worker; 1 live worker can take it. 3 others go before it."
    )


def test_joining():
    tokens = (
        token("joining", node="fork"), token("done", number=1, parent=0, node="a"),
        token("done", number=2, parent=0, node="b"), token("joining", number=3, parent=0, node="inner"),
        token("done", number=4, parent=3, node="c"),
    )
    found = told(*tokens, branches={3: "right"})
    assert found.code == "joining"
    assert "'fork' waits for 1 branch: 'right'." in found.sentence


def test_of_several_branches_the_one_that_needs_help_is_told():
    found = told(
        token("joining", node="fork"), held(number=1, parent=0, node="a"), due(number=2, parent=0, node="b"),
        token("awaiting", number=3, parent=0, node="c", signal="go"), owners=[owner()], workers=[worker(definition=OTHER)],
    )
    assert found.code == "no_worker"
    assert found.sentence.endswith("What holds 2 other branches is in the evidence.")
    assert {name for name, _ in found.evidence if name.startswith("also")} == {
        "also (running)", "also (awaiting_signal)",
    }, "a join waits for the branches that are told"


def test_nothing_is_known_for_a_moment():
    assert told().code == "changing"


def test_what_is_tried_alone_says_so():
    found = told(due(node="crash", crashes=2), workers=[worker()])
    assert found.sentence == (
        "'crash' was running when its process died, 2 times so far; a worker takes one such task at a time, and 1 live worker "
        "can take it."
    )
