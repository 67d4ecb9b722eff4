"""Claims of workers: what is due, in one statement; and claims kept alive, of all runs in one statement."""

from __future__ import annotations

import itertools
from typing import Any, TypeAlias

import msgspec

from sayiir.clock import MICROS
from sayiir.core.lifecycle import State
from sayiir.core.records import Position
from sayiir.core.values import unpack
from sayiir.errors import BackendError, DeserializationError
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
        self._own = OwnConnection(links)
        self._clock = links.clock
        self._shared = shared
        self._lengths = itertools.count(1)
        self._forgotten: dict[int, float] = {}
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

        def claim(connection: Connected, doubt: bool) -> dict[Key, Work | Unreadable | None]:
            if doubt:
                self._forgotten[values["length"]] = self._clock.monotonic() + _REMEMBER_SECS
            # No two claims are of the same length, so that a forgotten one can be found.
            values["length"] = length + next(self._lengths) % 1_000_000
            rows = connection.execute(self._shared.sql.HOT_CLAIM, values).fetchall()
            return {(row[0], row[1]): self._work(connection, row) if row[2] else None for row in rows}

        found = self._own.run(claim)
        if self._forgotten:
            self.give_back_forgotten()
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
        route = tuple(msgspec.json.decode(keys)) if keys else ()
        position = Position(node, ref, step, attempt, iteration, 0, route)
        fence = Fence(number, token, epoch)
        try:
            if value is None and parts is not None:
                composed = PostgresRows(connection, self._shared, 0, write=False).value(number, ref)
            else:
                composed = unpack(raw(value) or b"null")
        except (BackendError, DeserializationError) as error:
            return Unreadable(fence, error)
        return Work(instance, Claim(fence, position, state, composed, None, None, parked_at))

    def _name(self, connection: Connected, definition: int) -> tuple[str, str]:
        if definition not in self._names:
            row = connection.execute(self._shared.sql.NAME, (definition,)).fetchone()
            if row is None:
                raise BackendError(f"definition {definition} is missing; the data is damaged, restore a backup")
            self._names[definition] = row
        return self._names[definition]

    def give_back_forgotten(self) -> None:
        """Free claims that the server gave out in answers that were lost."""
        now = self._clock.monotonic()
        self._forgotten = {length: until for length, until in self._forgotten.items() if until > now}
        if self._forgotten:
            lengths = list(self._forgotten)
            self._own.run(
                lambda connection, _: connection.execute(self._shared.sql.FORGOTTEN, (self._shared.owner, lengths))
            )

    def beat(self, fences: list[Fence]) -> list[Beat]:
        """Extend claims, and tell what became of them."""
        keys = as_json([{"instance": fence.instance, "token": fence.token, "epoch": fence.epoch} for fence in fences])
        rows = self._own.run(
            lambda connection, _: connection.execute(
                self._shared.sql.HOT_BEAT, (keys, int(self._shared.claim_ttl * MICROS))
            ).fetchall()
        )
        kept = {(instance, token): request for instance, token, request in rows}
        return [
            Beat(fence, lost=(key := (fence.instance, fence.token)) not in kept, request=kept.get(key)) for fence in fences
        ]

    def close(self) -> None:
        """Close the connection."""
        self._own.close()
