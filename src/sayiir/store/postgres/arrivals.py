"""Branches that arrive at their joins: those of all threads that write at the same time, in one transaction.

Who arrives locks the instance, so that of many at once one sees that all are there. It is one transaction, since a
branch that had arrived without anybody looking for the last one would leave its parent waiting for ever.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sayiir.clock import MICROS
from sayiir.core.records import Arrive, Move
from sayiir.store import scripts
from sayiir.store.columns import keys_text
from sayiir.store.port import Fence, Moved
from sayiir.store.postgres import quick
from sayiir.store.postgres.lines import line_of
from sayiir.store.postgres.links import AGAIN, Connected, Links, Patience
from sayiir.store.postgres.own import OwnConnection, as_json
from sayiir.store.postgres.rows import PostgresRows, Shared

Key = tuple[int, int]


class Arrival(msgspec.Struct, gc=False):
    """A branch token has come to its join."""

    fence: Fence
    move: Move
    doubt: bool = False

    @property
    def arrive(self) -> Arrive:
        """Where it arrives."""
        decision = self.move.decision
        assert isinstance(decision, Arrive)  # noqa: S101 -- only such moves are arrivals
        return decision


def write_arrivals(own: OwnConnection, links: Links, shared: Shared, works: list[Arrival]) -> list[Moved | None]:
    """Write arrivals in one transaction; None for those that the general way must look at.

    Raises:
        psycopg.Error: nothing was written.
    """
    connection, now, number = own.get(), 0, ""
    results: list[Moved | None] = []
    try:
        begin = f"SELECT {links.on_begin}, pg_current_xact_id()::text{links.guard}".encode()
        arrive, stand = (shared.sql.HOT_ARRIVE, _values(works)), (shared.sql.STANDINGS, (_parents(works),))
        _, ((now, number, *_),), arrived, standings = quick.ask_all(connection, [(b"BEGIN", ()), (begin, ()), arrive, stand])
        held = {(row[0], row[1]): row[2] for row in arrived}
        results = _answers(connection, shared, works, held, standings, int(now))
        links.commit(connection)
    except AGAIN as error:
        own.drop()
        if not results or not number:
            raise
        if not links.decide(number, int(now), Patience(links.clock, links.patience)):
            raise error from None
    except BaseException:
        own.drop()
        if results:
            links.doubt(int(now))
        raise
    return results


def _answers(
    connection: Connected, shared: Shared, works: list[Arrival], held: dict[Key, int], standings: list[Any], now: int
) -> list[Moved | None]:
    rows = PostgresRows(connection, shared, now, write=True)
    last = {(work.fence.instance, work.arrive.parent): work for work in works if _key(work) in held}
    joined: dict[Key, Moved] = {}
    for number, parent, complete, still in standings:
        work = last.get((number, parent))
        if work is None or not (complete or still):
            continue
        instance = rows.instance_by_number(number)
        assert instance is not None  # noqa: S101 -- it is locked
        if complete:
            until = held[_key(work)] or now + int(shared.claim_ttl * MICROS)
            joined[_key(work)] = scripts.join(rows, instance, work.arrive, shared.owner, until, now)
        else:
            scripts.settle(rows, instance, now)
    return [joined.get(_key(work), Moved("arrived")) if _key(work) in held else None for work in works]


def _key(work: Arrival) -> Key:
    return work.fence.instance, work.fence.token


def _values(works: list[Arrival]) -> tuple[str, str]:
    tokens = [
        {
            "instance": work.fence.instance, "token": work.fence.token, "epoch": work.fence.epoch,
            "node": work.move.position.node, "ref": work.move.position.ref, "step": work.move.position.step,
            "keys": keys_text(work.move.position.keys),
        }
        for work in works
    ]  # fmt: skip
    lines = [
        {**line_of(work.fence.instance, record, None), "token": work.fence.token}
        for work in works
        for record in work.move.records
    ]
    return as_json(tokens), as_json(lines)


def _parents(works: list[Arrival]) -> str:
    parents = {(work.fence.instance, work.arrive.parent) for work in works}
    return as_json([{"instance": instance, "parent": parent} for instance, parent in sorted(parents)])
