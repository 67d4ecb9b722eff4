"""Claims of workers: what is due, in one statement; and claims kept alive, of all runs in one statement.

A claim that nobody knows of would be held for as long as this process lives. So what the server gave out in an answer that
was lost, and what could not be given back while it was away, is remembered, and given back as soon as it can be.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec

from sayiir.clock import MICROS
from sayiir.core.lifecycle import State
from sayiir.core.records import Position
from sayiir.core.values import plain, unpack
from sayiir.errors import BackendError, DeserializationError
from sayiir.store import scripts
from sayiir.store.columns import raw
from sayiir.store.port import Beat, Claim, Fence, Instance, Lane, Work
from sayiir.store.postgres.links import Connected, Links
from sayiir.store.postgres.own import OwnConnection, as_json
from sayiir.store.postgres.rows import PostgresRows, Shared, lanes_text

_REMEMBER_SECS = 60.0
"""How long a claim whose answer was lost may still come through on the server."""
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
    """

    def __init__(self, links: Links, shared: Shared) -> None:
        self._links = links
        self._own = OwnConnection(links)
        self._clock = links.clock
        self._shared = shared
        self._lengths = itertools.count(1)
        self._forgotten: dict[int, float] = {}
        self._unwanted: set[Fence] = set()
        self._names: dict[int, tuple[str, str]] = {}

    def due(
        self, lanes: list[Lane], limit: int, aging: float, suspects: bool
    ) -> tuple[dict[Key, Work | Unreadable | None], bool]:
        """Claim the most urgent tokens.

        Returns:
            Their keys, the most urgent first, with the work, or None where a token must be taken on its own; and whether
            there may be more.
        """
        length = int(self._shared.claim_ttl * MICROS)
        values: dict[str, Any] = {
            "lanes": lanes_text(lanes), "limit": limit, "aging": int(aging * MICROS), "suspects": suspects,
            "owner": self._shared.owner, "length": length,
        }  # fmt: skip

        def claim(connection: Connected, _: bool) -> dict[Key, Work | Unreadable | None]:
            # No two claims are of the same length, so that a forgotten one can be found.
            own = values["length"] = length + 1 + next(self._lengths) % 1_000_000
            self._forgotten[own] = self._clock.monotonic() + _REMEMBER_SECS
            rows = connection.execute(self._shared.sql.HOT_CLAIM, values).fetchall()
            found = {(row[0], row[1]): self._work(connection, row) if row[2] else None for row in rows}
            del self._forgotten[own]
            return found

        self.give_back()
        found = self._own.run(claim)
        return found, len(found) >= limit

    def _work(self, connection: Connected, row: Any) -> Work | Unreadable:
        (
            number, token, _, parked_at, epoch, state, node, ref, step, attempt, iteration, keys,
            instance_id, definition, created_at, updated_at, metadata, priority, value, parts,
        ) = row  # fmt: skip
        workflow_id, definition_hash = self._name(connection, definition)
        instance = Instance(
            number, instance_id, definition, workflow_id, definition_hash, State.IN_PROGRESS, b"", created_at,
            updated_at, metadata=raw(metadata), priority=priority,
        )  # fmt: skip
        fence = Fence(number, token, epoch)
        try:
            route = tuple(plain(keys.encode())) if keys else ()
            position = Position(node, ref, step, attempt, iteration, 0, route)
            if value is None and parts is not None:
                composed = PostgresRows(connection, self._shared, 0, write=False).value(number, ref)
            else:
                composed = unpack(raw(value) or b"null")
        except (BackendError, DeserializationError, TypeError) as error:
            return Unreadable(fence, error)
        return Work(instance, Claim(fence, position, state, composed, None, None, parked_at))

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

    def give_back(self) -> None:
        """Free the claims that nobody knows of.

        Raises:
            BackendError: the database refused, or was away for longer than patience lasts.
        """
        if not self._forgotten and not self._unwanted:
            return
        unwanted, now = list(self._unwanted), self._clock.monotonic()

        def find(connection: Connected, _: bool) -> list[Fence]:
            lengths = list(self._forgotten)  # of claims that have ended: there is one at a time on this connection
            rows = connection.execute(self._shared.sql.FORGOTTEN, (self._shared.owner, lengths)).fetchall()
            # It may still be on its way to the server, so it is looked for again for a while.
            self._forgotten = {length: until for length, until in self._forgotten.items() if until > now}
            return [Fence(*row) for row in rows]

        fences = [*unwanted, *(self._own.run(find) if self._forgotten else ())]
        if fences:
            self._links.transact(
                lambda connection, now: scripts.release(PostgresRows(connection, self._shared, now, write=True), fences)
            )
            self._unwanted.difference_update(unwanted)

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
