"""The simulation can fail: each of these faults in our own code is found by it within a few hundred seeds."""

import pytest

from sayiir.core import program
from sayiir.core.lifecycle import TRANSITIONS, Event, State
from sayiir.core.program import tags_text
from sayiir.runtime.claimer import Claimer
from sayiir.runtime.executor import STOPPED
from sayiir.runtime.heart import Heart
from sayiir.runtime.writer import Writer
from sayiir.store import scripts
from sayiir.store.memory.rows import MemoryRows
from sayiir.store.scripts import basis, move, start, steer, work
from sayiir.store.sqlite import sql
from sayiir.testing.simulation import draw, shrink, simulate

SEEDS = 400
KNOWN = {"consume_then_save": (34,), "no_fence_in_sql": (4833, 5299)}
"""Where rare ones were found; the rest of the seeds are tried after these."""


def no_fence_in_memory(patch):
    """Writes of the checkpoint ask for a claim, not for this claim."""
    for module in (move, steer, work):
        patch.setattr(module, "held", lambda rows, fence: (t := rows.token(fence.instance, fence.token)) and t.owner and t)

    def step_token(self, fence, position, now):
        token = self.token(fence.instance, fence.token)
        return token is not None and real(self, basis.fence_of(token), position, now)

    real = MemoryRows.step_token
    patch.setattr(MemoryRows, "step_token", step_token)


def no_fence_in_sql(patch):
    for name in ("STEP", "STEP_TOKEN", "FINISH"):
        assert "epoch = ?" in getattr(sql, name)
        patch.setattr(sql, name, getattr(sql, name).replace("epoch = ?", "? > 0"))


def epoch_not_raised(patch):
    def take(rows, token, now):
        real(rows, token, now)
        token.epoch -= 1

    real = basis.take
    patch.setattr(work, "take", take)


def consume_then_save(patch):
    """A signal is used up when its token is claimed, before what came of it is written."""

    def claim_one(rows, instance, token, max_crashes, now):
        found = real(rows, instance, token, max_crashes, now)
        if found is not None and found.claim.signal is not None:
            rows.consume_signal(instance.instance_id, found.claim.signal, now)
        return found

    def checkpoint(rows, fence, given, consume, hold, share=False):
        instance = rows.instance_by_number(fence.instance)
        if consume is not None and instance is not None and basis.held(rows, fence):
            rows.consume_signal(instance.instance_id, consume, rows.now())
        return move.checkpoint(rows, fence, given, None, hold, share)

    real = work._claim_one
    patch.setattr(work, "_claim_one", claim_one)
    patch.setattr(scripts, "checkpoint", checkpoint)


def join_without_the_parked(patch):
    """Only branches that run are counted as open."""
    patch.setattr(
        MemoryRows,
        "open_branches",
        lambda self, number, parent: sum(
            token.parent == parent and token.state in ("ready", "standing") for token in self.tokens(number)
        ),
    )


def join_by_counter(patch):
    """Arrivals are counted and never counted down, so that a fork that is entered again joins too early."""
    arrived = {}

    def open_branches(self, number, parent):
        key = id(self), number, parent
        arrived[key] = arrived.get(key, 0) + 1
        return max(0, sum(token.parent == parent for token in self.tokens(number)) - arrived[key])

    patch.setattr(MemoryRows, "open_branches", open_branches)


def sweep_of_the_living(patch):
    patch.setattr(work, "is_live", lambda rows, token, now: False)
    patch.setattr(work, "_is_there", lambda rows, owner, now: False)


def no_sweep(patch):
    patch.setattr(scripts, "sweep", lambda rows, max_crashes: 0)


def no_heartbeats(patch):
    patch.setattr(Heart, "_beat", lambda self: None)


def signals_wake_nobody(patch):
    patch.setattr(steer, "_wake", lambda rows, instance, name: None)


def crashes_not_counted(patch):
    """The attempt of who died is given to the next one, too."""

    def note_crash(rows, token, now):
        attempt = token.attempt
        real(rows, token, now)
        token.attempt = attempt

    real = basis.note_crash
    for module in (basis, start, work):
        patch.setattr(module, "note_crash", note_crash)


def early_timers(patch):
    real = basis.wake_time
    patch.setattr(
        basis, "wake_time", lambda rows, token, instance: token.moved_at if token.state == "backoff" else real(rows, token, instance)
    )


def cancel_of_what_has_completed(patch):
    patch.setitem(TRANSITIONS, State.COMPLETED, {Event.CANCEL: State.CANCELLED})


def purge_of_the_living(patch):
    def ended(self, before, limit, after):
        return [one for one in self._instances.values() if one.updated_at < before and one.number > after][:limit], 0

    patch.setattr(MemoryRows, "ended", ended)


def signals_sent_twice(patch):
    real = MemoryRows.add_signal
    patch.setattr(MemoryRows, "add_signal", lambda self, i, name, payload, key, now: real(self, i, name, payload, None, now))


def old_fences_after_a_retry(patch):
    """The claims of a new life are counted from the beginning again."""

    def retry(rows, instance_id, design):
        def fresh(instance, records):
            found = design(instance, records)
            for token in found.tokens:
                token.epoch = 0
            return found

        return steer.retry(rows, instance_id, fresh)

    patch.setattr(steer, "fresh_epoch", lambda instance: 0)
    patch.setattr(scripts, "retry", retry)


def errors_end_a_job(patch):
    """A checkpoint that could not be written is given up at once, with its claim."""

    def deliver(self, items, answers):
        kept = [(item, answer) for item, answer in zip(items, answers, strict=True) if isinstance(answer, Exception)]
        for item, _ in kept:
            self._shift.ended(item[0], STOPPED)
        pairs = [(item, answer) for item, answer in zip(items, answers, strict=True) if not isinstance(answer, Exception)]
        return real(self, [item for item, _ in pairs], [answer for _, answer in pairs])

    real = Writer._deliver
    patch.setattr(Writer, "_deliver", deliver)


def misfits_claimed_again_and_again(patch):
    """As it was: giving a token back that had no slot woke the claimer, which claimed it again at once.

    Only tokens without the mark of what needs no thread can be claimed without a slot for them.
    """

    def wait(self, seconds):
        with self._shift.slots.changed:
            self._shift.slots.wait(seconds)

    patch.setattr(Claimer, "_wait_for_other_slots", wait)
    patch.setattr(program, "tags_text", lambda tags, threadless: tags_text(tags))


MUTANTS = [
    no_fence_in_memory, no_fence_in_sql, epoch_not_raised, consume_then_save, join_without_the_parked, join_by_counter,
    sweep_of_the_living, no_sweep, no_heartbeats, signals_wake_nobody, crashes_not_counted, early_timers,
    cancel_of_what_has_completed, purge_of_the_living, signals_sent_twice, old_fences_after_a_retry, errors_end_a_job,
    misfits_claimed_again_and_again,
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_fault_of_ours_is_found(mutant, monkeypatch):
    mutant(monkeypatch)
    for seed in (*KNOWN.get(mutant.__name__, ()), *range(SEEDS)):
        violations = simulate(seed).violations
        if violations:
            print(f"seed {seed}: {violations[0]}")
            return
    pytest.fail("the simulation is blind to it")


def test_what_fails_is_made_small(monkeypatch):
    consume_then_save(monkeypatch)
    seeds = (*KNOWN["consume_then_save"], *range(SEEDS))
    plan = next(plan for plan in map(draw, seeds) if any(" I8: " in text for text in simulate(plan).violations))
    small = shrink(plan)
    assert simulate(small).violations
    assert len(small.faults) <= 2 and len(small.commands) <= 3 and len(small.flows[0]["line"]) <= 2
    monkeypatch.undo()
    assert simulate(small).violations == []
