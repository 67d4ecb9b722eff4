"""Sees everything that is committed, at that moment, and every execution; says what must not be.

The invariants, by their numbers in the programme of proofs:

    I1  nothing is lost: what was submitted ends when the faults are over (the world sees to that)
    I2  every committed result was really worked for
    I3  work is repeated only when its runner died, fell silent or was taken for dead
    I4  one result for each task and iteration, which never changes
    I5  a task gets the same input whenever it is repeated, and the end is what the flow says without the engine
    I6  epochs grow, a void fence is refused and writes nothing
    I7  statuses change as the table says, ends are final
    I8  each accepted signal is consumed once, in order, or still waits
    I9  a fork is joined once, after all its branches
    I10 nothing wakes before its time
    I11 what was cancelled begins nothing
    I12 no claim is left over, and the database is sound
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from sayiir.core.lifecycle import TERMINAL, TRANSITIONS, State
from sayiir.core.records import Record
from sayiir.core.values import encode, plain
from sayiir.errors import ClaimLostError
from sayiir.runtime.failure import read_failure
from sayiir.store.port import Beat, ConflictPolicy, Created, Due, Fence, Moved, Order
from sayiir.testing.flows import HiccupError
from sayiir.testing.ledger import Execution

if TYPE_CHECKING:
    from sayiir.testing.simulation.store import Handle
    from sayiir.testing.simulation.world import World

_HELD = frozenset(("continue", "signal", "again"))
_SILENT = frozenset(("register", "heartbeat"))
"""Verbs that change no status."""


class _Holder(msgspec.Struct):
    """Who has a token's claim, and until when."""

    epoch: int
    handle: Any
    owner: int
    until: int


class Witness:
    """The invariants, checked along the way and at the end.

    Args:
        world: what it sees.
    """

    def __init__(self, world: World) -> None:
        self.violations: list[str] = []
        self.seen: Counter[str] = Counter()
        self._world = world
        self._states: dict[int, tuple[str, State]] = {}
        self._holders: dict[tuple[int, int], _Holder] = {}
        self._epochs: dict[tuple[int, int], int] = {}
        self._records: dict[int, dict[int, Record]] = {}
        self._lines: dict[int, dict[tuple[Any, ...], Execution]] = {}
        self._inputs: dict[tuple[int, str, int], bytes] = {}
        self._sent: dict[tuple[str, str], int] = {}
        self._consumed: dict[tuple[str, str], list[int]] = {}
        self._keys: dict[str, set[tuple[str, str | None]]] = {}
        self._replaced: set[str] = set()
        self._healthy: dict[int, set[Fence]] = {}
        """Of cancelled instances: the claims that were good at that moment; nothing begins under them."""
        self._lives: Counter[int] = Counter()
        self._vanished_names: set[str] = set()

    def blame(self, text: str) -> None:
        """Note a violation."""
        if len(self.violations) < 20:
            self.violations.append(f"at {self._world.loop.seconds:.6f}s: {text}")

    def is_busy(self) -> bool:
        """Return whether an instance can still move by itself."""
        return any(state in (State.IN_PROGRESS, State.WAITING) for _, state in self._states.values())

    def holds(self, actor: str) -> bool:
        """Return whether an actor has claims."""
        return any(holder.handle.worker_name == actor for holder in self._holders.values())

    @property
    def _now(self) -> int:
        return self._world.ground.clock.now()

    # --- what is committed ----------------------------------------------------------------------------------------

    def created(self, policy: ConflictPolicy, answers: list[Created]) -> None:
        """Instances were stored, or were there."""
        if policy == "terminate_existing":
            self._replaced |= {created.instance.instance_id for created in answers if created.is_new}

    def claimed(self, handle: Handle, due: Due) -> None:
        """A worker got claims."""
        for work in due.works:
            claim, number = work.claim, work.claim.fence.instance
            state = self._states[number][1] if number in self._states else State.IN_PROGRESS
            if state in TERMINAL or state is State.PAUSED:
                self.blame(f"I7: a token of an instance that is {state} was claimed: {claim.fence}")
            if claim.wake in ("timer", "backoff", "expired") and (claim.due_at or 0) > self._now:
                self.blame(f"I10: {claim.fence} woke {(claim.due_at or 0) - self._now} µs early ({claim.wake})")
            self._grant(handle, claim.fence, handle.owner, self._now + round(handle.claim_ttl * 1_000_000))

    def _grant(self, handle: Handle, fence: Fence, owner: int, until: int) -> None:
        key = fence.instance, fence.token
        if fence.epoch <= self._epochs.get(key, 0):
            self.blame(f"I6: epoch {fence.epoch} of {key} was given after {self._epochs[key]}")
        self._epochs[key] = fence.epoch
        holder = self._holders.get(key)
        if holder is not None and self._is_healthy(holder):
            self.blame(f"I3: {key} was taken from {holder.handle.worker_name}, which lives and has not fallen silent")
        self._holders[key] = _Holder(fence.epoch, handle, owner, until)

    def _is_healthy(self, holder: _Holder) -> bool:
        return holder.until > self._now and self._world.ground.lives(holder.owner)

    def moved(self, handle: Handle, orders: list[Order], answers: list[Moved | Exception]) -> None:
        """Checkpoints were written or refused."""
        for order, answer in zip(orders, answers, strict=True):
            if isinstance(answer, ClaimLostError):
                self.seen["refused"] += 1
            elif isinstance(answer, Moved):
                self.seen["commits"] += 1
                self._accepted(handle, order, answer)

    def _accepted(self, handle: Handle, order: Order, moved: Moved) -> None:
        fence, key = order.fence, (order.fence.instance, order.fence.token)
        if fence.epoch != self._epochs.get(key):
            self.blame(f"I6: a write under {fence} was accepted, the epoch is {self._epochs.get(key)}")
        if moved.kind == "again":
            return
        known = self._records.setdefault(fence.instance, {})
        for record in order.move.records:
            if record.ref in known:
                self.blame(f"I4: line {record.ref} of {fence} was written twice")
            known[record.ref] = msgspec.structs.replace(record)
        if order.consume is not None:
            self._consume(fence.instance, order)
        holder = self._holders.get(key)
        if moved.kind not in _HELD:
            self._holders.pop(key, None)
        for claim in moved.claims:
            # Passed on by a fork or a join with its owner, who may have been presumed dead, and be another by now.
            self._grant(handle, claim.fence, *(handle.owner, 0) if holder is None else (holder.owner, holder.until))

    def _consume(self, number: int, order: Order) -> None:
        signal = order.consume
        assert signal is not None
        taken = self._consumed.setdefault((self._states[number][0], signal.name), [])
        if taken and signal.id <= taken[-1]:
            self.blame(f"I8: signal {signal.id} was consumed after {taken[-1]}")
        taken.append(signal.id)

    def released(self, fences: list[Fence], _: None) -> None:
        """Claims were given back."""
        for fence in fences:
            holder = self._holders.get((fence.instance, fence.token))
            if holder is not None and holder.epoch == fence.epoch:
                del self._holders[fence.instance, fence.token]

    def beaten(self, handle: Handle, beats: list[Beat]) -> None:
        """Claims were extended."""
        for beat in beats:
            holder = self._holders.get((beat.fence.instance, beat.fence.token))
            if not beat.lost and holder is not None and holder.epoch == beat.fence.epoch:
                holder.until = self._now + round(handle.claim_ttl * 1_000_000)

    def signalled(self, instance_id: str, name: str, key: str | None, new: bool) -> None:
        """A signal was accepted, or its key was seen before."""
        keys = self._keys.setdefault(instance_id, set())
        if new and (name, key) in keys:
            self.blame(f"I8: signal {name!r} with key {key!r} was accepted twice")
        keys.add((name, key))
        self._sent[instance_id, name] = self._sent.get((instance_id, name), 0) + new

    def cancelled(self, instance_id: str, state: State) -> None:
        """A cancel was accepted."""
        for number, (name, before) in self._states.items():
            if name == instance_id and state is State.CANCELLED and before is not State.CANCELLED:
                holders = [(key, one) for key, one in self._holders.items() if key[0] == number]
                self._healthy[number] = {Fence(*key, one.epoch) for key, one in holders if self._is_healthy(one)}

    # --- what runs ------------------------------------------------------------------------------------------------

    def executed(self, fence: Fence, line: Execution) -> None:
        """A task's code begins."""
        self.seen["executions"] += 1
        number = fence.instance
        key = (fence.token, fence.epoch, line.node, line.iteration, line.attempt)
        lines = self._lines.setdefault(number, {})
        if key in lines:
            self.blame(f"I3: {line.node} #{line.iteration}.{line.attempt} of {number} ran twice under one claim")
        lines[key] = line
        known = self._inputs.setdefault((number, line.node, line.iteration), line.input)
        if known != line.input:
            self.blame(f"I5: {line.node} #{line.iteration} of {number} ran on {known!r} and on {line.input!r}")
        if fence in self._healthy.get(number, ()):
            self.blame(f"I11: {line.node} of {number} began after its cancel had taken effect")

    # --- what changes ---------------------------------------------------------------------------------------------

    def look(self, verb: str) -> None:
        """See what a verb has changed."""
        if verb in _SILENT:
            return
        states = self._world.ground.states()
        if states == self._states:
            return
        before, self._states = self._states, states
        for number in before.keys() - states.keys():
            self._vanished(number, *before[number], verb)
        for number, (name, state) in states.items():
            old = before[number][1] if number in before else State.IN_PROGRESS
            self.seen["instances"] += number not in before
            if state is not old:
                self._turned(number, name, old, state, verb)

    def _vanished(self, number: int, name: str, state: State, verb: str) -> None:
        if name in self._replaced and verb in ("create", "create_many"):
            self._replaced.discard(name)
        elif verb != "purge" or state not in TERMINAL:
            self.blame(f"I1: instance {name!r} vanished while {state}, by {verb}")
        for key in [key for key in self._sent | self._consumed if key[0] == name]:
            self._sent.pop(key, None)
            self._consumed.pop(key, None)
        self._keys.pop(name, None)
        self._vanished_names.add(name)
        self._forget_claims(number)

    def _turned(self, number: int, name: str, old: State, new: State, verb: str) -> None:
        direct = set(TRANSITIONS[old].values())
        indirect = {state for between in direct for state in TRANSITIONS[between].values()}
        if new not in direct | indirect:
            self.blame(f"I7: {name!r} went from {old} to {new}, by {verb}")
        if old in TERMINAL:
            self._lives[number] += 1
            self._healthy.pop(number, None)
            if verb != "retry":
                self.blame(f"I7: {name!r} was {old} and is {new}, by {verb}")
        if new in TERMINAL or new is State.PAUSED:
            self._forget_claims(number)
        if new in TERMINAL:
            self._ended(number, name, new)

    def _forget_claims(self, number: int) -> None:
        for key in [key for key in self._holders if key[0] == number]:
            del self._holders[key]

    # --- what has ended -------------------------------------------------------------------------------------------

    def _ended(self, number: int, name: str, state: State) -> None:
        world = self._world
        history = world.ground.read(lambda rows: rows.records(number))
        self._check_history(number, name, history)
        try:
            expected, fails = world.sketches[world.names.index(name)].expected(), False
        except HiccupError:
            expected, fails = None, True
        instance = world.ground.read(lambda rows: rows.instance_by_number(number))
        if state is State.COMPLETED:
            output = world.ground.read(lambda rows: rows.value(number, instance.output_ref))
            if fails or plain(output) != plain(encode(expected)):
                self.blame(f"I5: {name!r} gave {output!r}, not {'an error' if fails else expected!r}")
            if not self._lives[number]:
                self._check_work(number, name, history)
        elif state is State.FAILED:
            failure = read_failure(instance.error)
            if failure.code != "worker_crash" and not (fails and failure.error_type == "HiccupError"):
                self.blame(f"I5: {name!r} failed: {failure.text}")

    def _check_history(self, number: int, name: str, history: list[Record]) -> None:
        known, there = self._records.get(number, {}), {record.ref: record for record in history}
        for ref, record in known.items():
            found = there.get(ref)
            if found is None or msgspec.structs.replace(found, superseded=False) != record:
                self.blame(f"I4: line {ref} of {name!r} was {record!r} and is {found!r}")
        for record in history:
            if record.ref not in known and record.status != "crashed" and record.kind not in ("fork", "input"):
                self.blame(f"I6: nobody wrote {record!r} of {name!r}")
            if record.status == "crashed" and not self._was_disturbed():
                self.blame(f"I3: {record.node} of {name!r} was repeated, and nothing had happened")
        live = [record for record in history if record.status == "completed" and not record.superseded]
        done = Counter((record.node, record.kind, record.iteration) for record in live if record.kind != "input")
        for key, count in done.items():
            if count > 1:
                self.blame(f"{'I9' if key[1] == 'fork' else 'I4'}: {key} of {name!r} has {count} results")

    def _check_work(self, number: int, name: str, history: list[Record]) -> None:
        """See that lines of history and executions belong together, in an instance that lived once."""
        ran = {(line.node, line.iteration, line.attempt) for line in self._lines.get(number, {}).values()}
        tasks = [record for record in history if record.kind == "task"]
        self.seen["takeovers"] += sum(record.status == "crashed" for record in tasks)
        for record in tasks:
            key = record.node, record.iteration, record.attempt
            if record.status != "crashed" and key not in ran:
                self.blame(f"I2: {key} of {name!r} has a result and never ran")
        told = Counter((record.node, record.iteration, record.attempt) for record in tasks)
        if untold := ran - told.keys():
            self.blame(f"I2: {sorted(untold)} of {name!r} ran and is not in its history")
        if twice := sorted(key for key, count in told.items() if count > 1):
            self.blame(f"I4: attempts {twice} of {name!r} have several lines")
        if len(ran) < len(self._lines.get(number, {})) and not self._was_disturbed():
            self.blame(f"I3: tasks of {name!r} were repeated, and nothing had happened")

    def _was_disturbed(self) -> bool:
        return self._world.was_disturbed()

    # --- the end --------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Check what must hold when all is quiet."""
        ground, world = self._world.ground, self._world
        for number, (name, state) in ground.states().items():
            for token in ground.tokens(number):
                if token.owner is not None:
                    self.blame(f"I12: a claim of {name!r} ({state}) is left over: {token!r}")
        for (name, signal), count in self._sent.items():
            taken = self._consumed.get((name, signal), [])
            waiting = ground.buffered(name, signal)
            if len(taken) + len(waiting) != count or set(taken) & set(waiting):
                self.blame(f"I8: of {count} signals {signal!r} to {name!r} {taken} were consumed, {waiting} wait")
        present = {name for name, _ in self._states.values()} | self._vanished_names
        for target in sorted(world.submitted):
            if world.names[target] not in present:
                self.blame(f"I1: {world.names[target]!r} was submitted and is not there")
        if not ground.is_sound():
            self.blame("I12: the database is damaged")
