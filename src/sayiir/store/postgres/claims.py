"""Claims of workers: what is due, in one statement; and claims kept alive, of all runs in one statement.

A claim that nobody knows of would be held for as long as this process lives. So what the server gave out in an answer that
was lost, what a transaction in doubt has left in this owner's hands, and what could not be given back while the server was
away, is remembered, and given back as soon as it can be.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import msgspec

from sayiir.clock import MICROS
from sayiir.core.lifecycle import State
from sayiir.core.records import Position
from sayiir.core.values import plain, unpack
from sayiir.errors import BackendError, DeserializationError
from sayiir.store import scripts
from sayiir.store.columns import raw
from sayiir.store.port import Beat, Claim, Fence, Instance, Lane, Signal, Work
from sayiir.store.postgres import quick
from sayiir.store.postgres.links import REMEMBER_SECS, Connected, Links
from sayiir.store.postgres.own import OwnConnection, as_json
from sayiir.store.postgres.rows import MOMENT, MOMENT_SECS, NEVER, PostgresRows, Shared, lanes_text
from sayiir.store.scripts.basis import GRACE

_TIDY_SECS = 600.0
Key: TypeAlias = tuple[int, int]


class Unreadable(msgspec.Struct):
    """A token that was claimed, whose value cannot be read."""

    fence: Fence
    error: Exception


class Claims:
    """Gives workers their tokens.

    Args:
        links: where connections come from.
        shared: what the store knows.
        note_time: told the database's time.
    """

    def __init__(self, links: Links, shared: Shared, note_time: Callable[[int], None]) -> None:
        self._note_time = note_time
        self._links = links
        self._own = OwnConnection(links)
        self._clock = links.clock
        self._shared = shared
        self._lengths = itertools.count(1)
        self._giving = threading.Lock()
        self._returning = threading.Lock()
        self._tidy_at = 0.0
        self._is_time = False
        self._run_out: frozenset[tuple[int, ...]] = frozenset()
        self._looked_for: frozenset[int] = frozenset()
        self._forgotten: dict[int, float] = {}
        self._unwanted: set[Fence] = set()
        self._names: dict[int, tuple[str, str]] = {}

    def due(
        self, lanes: list[Lane], limit: int, aging: float, most: int, apart: int, before: int | None
    ) -> tuple[dict[Key, Work | Unreadable | int], int | None]:
        """Claim the most urgent tokens.

        Returns:
            Their keys, the most urgent first, with the work, or where a token must be taken on its own how many
            processes died with it; and when the next token of these lanes may move, if no more may now.
        """
        length = int(self._shared.claim_ttl * MICROS)
        place = lanes_text(lanes), limit, int(aging * MICROS), most, apart, self._shared.owner
        until = GRACE, NEVER if before is None else before

        def claim(connection: Connected, _: bool) -> tuple[dict[Key, Work | Unreadable | int], int | None]:
            # No two claims are of the same length, so that a forgotten one can be found.
            own = length + 1 + next(self._lengths) % 1_000_000
            try:
                rows = quick.ask(connection, self._shared.sql.HOT_CLAIM, (*place, own, *until))
                next_at, now = rows[0][:2]
                self._note_time(now)
                found = {
                    (row[2], row[3]): self._work(connection, row) if row[4] else int(row[12])
                    for row in rows if row[2] is not None
                }  # fmt: skip
            except BaseException:
                self._forgotten[own] = self._clock.monotonic() + REMEMBER_SECS
                raise
            return found, next_at

        self.give_back()
        found, next_at = self._own.run(claim)
        return found, None if len(found) >= limit else next_at

    def _work(self, connection: Connected, row: Any) -> Work | Unreadable:
        (
            _, _, number, token, wake, parked_at, epoch, node, ref, step, attempt, iteration, crashes, keys,
            due_at, signal_id, signal, payload, sent_at,
            instance_id, definition, created_at, updated_at, metadata, priority, trace, value, _,
        ) = row  # fmt: skip
        workflow_id, definition_hash = self._name(connection, definition)
        instance = Instance(
            number, instance_id, definition, workflow_id, definition_hash, State.IN_PROGRESS, b"", created_at,
            updated_at, metadata=raw(metadata), priority=priority, trace=trace,
        )  # fmt: skip
        fence = Fence(number, token, epoch)
        try:
            route = tuple(plain(keys.encode())) if keys else ()
            position = Position(node, ref, step, attempt, iteration, crashes, route)
            if value is None:  # made of others, or nothing is there, which must not be taken for null
                composed = PostgresRows(connection, self._shared, 0, write=False).value(number, ref)
            else:
                composed = unpack(raw(value) or b"null")
        except (BackendError, DeserializationError, TypeError) as error:
            return Unreadable(fence, error)
        came = Signal(signal_id, signal, raw(payload) or b"null", sent_at) if wake == "signal" else None
        return Work(instance, Claim(fence, position, wake, composed, due_at, came, parked_at))

    def _name(self, connection: Connected, definition: int) -> tuple[str, str]:
        if definition not in self._names:
            row = connection.execute(self._shared.sql.NAME, (definition,)).fetchone()
            if row is None:
                raise BackendError(f"definition {definition} is missing; the data is damaged, restore a backup")
            self._names[definition] = row
        return self._names[definition]

    def give_back_later(self, fences: Iterable[Fence]) -> None:
        """Remember claims that could not be given back, or that whoever asked for them did not get."""
        self._unwanted.update(fences)

    def give_back_beside(self) -> None:
        """Look again for claims that nobody knows of and free them, in a thread of its own: nobody waits for it."""
        if (self._forgotten or self._unwanted or self._links.doubts) and self._giving.acquire(blocking=False):
            try:
                threading.Thread(target=self._give_back_quietly, name="sayiir-orphans", daemon=True).start()
            except RuntimeError:  # no more threads: with another beat
                self._giving.release()

    def _give_back_quietly(self) -> None:
        try:
            self._looked_for = frozenset()
            self.give_back()
        except BackendError as error:
            logging.getLogger("sayiir").debug("claims that nobody knows of are given back later: %s", error)
        finally:
            self._giving.release()

    def give_back(self) -> None:
        """Free the claims that nobody knows of, as far as they have not been looked for.

        Raises:
            BackendError: the database refused, or was away for longer than patience lasts.
        """
        if self._unwanted or self._forgotten or self._links.doubts:
            with self._returning:  # whoever comes meanwhile finds them free
                self._give_back()

    def _give_back(self) -> None:
        now = self._clock.monotonic()

        def find(connection: Connected, _: bool) -> None:
            lengths = list(self._forgotten)  # of claims that have ended: there is one at a time on this connection
            doubts = dict(self._links.doubts)
            values = self._shared.owner, lengths, list(doubts)
            rows = connection.execute(self._shared.sql.FORGOTTEN, values).fetchall()
            self._unwanted.update(Fence(*row) for row in rows)
            # It may still be on its way to the server, so it is looked for again for a while.
            self._forgotten = {length: until for length, until in self._forgotten.items() if until > now}
            for moment in [moment for moment, until in doubts.items() if until <= now]:
                self._links.doubts.pop(moment, None)
            self._looked_for = frozenset((*lengths, *doubts))

        if not self._looked_for.issuperset((*self._forgotten, *self._links.doubts)):
            self._own.run(find)
        if unwanted := list(self._unwanted):
            self._links.transact(
                lambda connection, now: scripts.release(PostgresRows(connection, self._shared, now, write=True), unwanted)
            )
            self._unwanted.difference_update(unwanted)

    def left_behind(self) -> tuple[bool, bool]:
        """Return whether an owner has fallen silent, and whether there are early signals, or it is time to tidy anyway."""
        silent, early = self._ask(self._shared.sql.LEFT_BEHIND, (MOMENT, MOMENT_SECS))
        now = self._clock.monotonic()
        is_time = now >= self._tidy_at
        if is_time:
            self._tidy_at, self._is_time = now + _TIDY_SECS, True
        return silent, early or is_time

    def tidy(self, max_crashes: int) -> bool:
        """Wake who sleeps over an early signal, and now and then free claims that ran out; return whether any may move."""

        def run(connection: Connected, now: int) -> bool:
            rows = PostgresRows(connection, self._shared, now, write=True)
            return rows.tidy()

        woken = self._links.transact(run)
        if self._is_time:
            self._is_time = False
            woken |= self._free_run_out(max_crashes)
        return woken

    def _free_run_out(self, max_crashes: int) -> bool:
        """Free claims that nobody has extended for too long: those who have one in hand do."""
        rows = self._own.run(lambda connection, _: connection.execute(self._shared.sql.RUN_OUT).fetchall())
        before, self._run_out = self._run_out, frozenset(rows)
        # One's own may have run out a moment ago, as this process was stopped: they are about to be extended.
        keys = [row[:2] for row in rows if row[4] != self._shared.owner or row in before]
        if not keys:
            return False
        return bool(
            self._links.transact(
                lambda connection, now: scripts.free(
                    PostgresRows(connection, self._shared, now, write=True), keys, max_crashes
                )
            )
        )

    def _ask(self, statement: bytes, values: Any) -> Any:
        return self._own.run(lambda connection, _: connection.execute(statement, values).fetchone())

    def beat(self, fences: list[Fence]) -> list[Beat]:
        """Extend claims, and tell what became of them."""
        kept = self._keep(self._shared.sql.HOT_BEAT, fences)
        for fence in fences:
            if _key(fence) not in kept:  # lost, or somebody has it locked at this moment
                kept |= self._keep(self._shared.sql.HOT_BEAT_ONE, [fence])
        return [Beat(fence, lost=_key(fence) not in kept, request=kept.get(_key(fence))) for fence in fences]

    def _keep(self, statement: bytes, fences: list[Fence]) -> dict[Key, Any]:
        keys = as_json([{"instance": fence.instance, "token": fence.token, "epoch": fence.epoch} for fence in fences])
        rows = self._own.run(
            lambda connection, _: connection.execute(statement, (keys, int(self._shared.claim_ttl * MICROS))).fetchall()
        )
        return {(instance, token): request for instance, token, request in rows}

    def close(self) -> None:
        """Close the connection."""
        self._own.close()


def _key(fence: Fence) -> Key:
    return fence.instance, fence.token


def fence_of(work: Work | Unreadable) -> Fence:
    """Return the right that was claimed."""
    return work.fence if isinstance(work, Unreadable) else work.claim.fence


def crashes_of(found: Work | Unreadable | int) -> int:
    """Return how many processes died with what was found."""
    return found.claim.position.crashes if isinstance(found, Work) else 0 if isinstance(found, Unreadable) else found
