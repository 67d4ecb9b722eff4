"""New instances, in one statement each, or many in one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sayiir.clock import MICROS
from sayiir.core.lifecycle import State
from sayiir.core.records import Definition, Routing
from sayiir.errors import WorkflowError
from sayiir.store.columns import stored_text
from sayiir.store.port import PRIORITY, Claim, Created, Fence, Instance, NewInstance, Wake
from sayiir.store.postgres import quick
from sayiir.store.postgres.links import Connected, Links
from sayiir.store.postgres.own import OwnConnection, as_json
from sayiir.store.postgres.rows import Shared


class _TakenError(WorkflowError):
    """An id is taken: the transaction is rolled back."""


class Creation:
    """Stores new instances whose ids are free.

    Args:
        links: where connections come from.
        shared: what the store knows.
        give_back_later: takes claims that may have been made, of which the caller does not learn.
    """

    def __init__(self, links: Links, shared: Shared, give_back_later: Callable[[list[Fence]], None]) -> None:
        self._give_back_later = give_back_later
        self._links = links
        self._own = OwnConnection(links)
        self._shared = shared
        self._known: dict[tuple[str, str], tuple[int, Routing]] = {}

    def known(self, definition: Definition) -> int | None:
        """Return the number of a definition that this process has made known."""
        number, routing = self._known.get((definition.workflow_id, definition.definition_hash), (None, None))
        return number if routing is definition.routing else None

    def note(self, definition: Definition, number: int) -> None:
        """Remember a definition's number; definitions are never deleted."""
        self._known[definition.workflow_id, definition.definition_hash] = number, definition.routing

    def one(self, new: NewInstance, *, claim: bool, definition: int) -> Created | None:
        """Store one instance; None when its id is taken."""
        number, (priority, tags) = self._shared.numbers.next(), _place(new)
        values = (
            number, new.instance_id, definition, stored_text(new.input), stored_text(new.metadata), new.priority,
            _state(new), new.position.node, self._shared.owner if claim else None, int(claim),
            int(self._shared.claim_ttl * MICROS) if claim else None, tags, priority,
            new.trace,
        )  # fmt: skip

        def create(connection: Connected, doubt: bool) -> int | None:
            # After a lost answer it may come through before this try, or during it.
            row = self._landed(connection, number) if doubt else None
            rows = [row] if row else quick.ask(connection, self._shared.sql.HOT_CREATE, values)
            if not rows and doubt:
                row = self._landed(connection, number)
                return None if row is None else int(row[0])
            return int(rows[0][0]) if rows else None

        try:
            created_at = self._own.run(create)
        except BaseException:
            if claim:
                self._give_back_later([Fence(number, 0, 1)])
            raise
        return None if created_at is None else _created(new, number, definition, created_at, claim=claim)

    def _landed(self, connection: Connected, number: int) -> Any:
        return connection.execute(self._shared.sql.LANDED_CREATE, (number,)).fetchone()

    def many(self, news: list[NewInstance], definitions: dict[str, int]) -> list[Created] | None:
        """Store many instances in one statement; None, and nothing stored, when an id is taken."""
        numbered = [(self._shared.numbers.next(), new) for new in news]
        kinds: dict[Any, tuple[str, list[dict[str, Any]]]] = {}
        for number, new in numbered:
            key = new.definition.definition_hash, new.position.node, new.metadata, new.priority, new.trace
            if key not in kinds:
                kinds[key] = _kind(new, definitions), []
            kinds[key][1].append({"number": number, "id": new.instance_id, "input": stored_text(new.input)})
        groups = [(kind, as_json(rows), len(rows)) for kind, rows in kinds.values()]

        def create(connection: Connected, _: int) -> int:
            created_at = 0
            for kind, rows, count in groups:
                made, moment = connection.execute(self._shared.sql.HOT_CREATE_MANY, (kind, rows)).fetchone() or (0, 0)
                if made < count:
                    raise _TakenError
                created_at = created_at or int(moment)
            return created_at

        try:
            created_at = self._links.transact(create)
        except _TakenError:
            return None
        return [
            _created(new, number, definitions[new.definition.definition_hash], created_at, claim=False)
            for number, new in numbered
        ]

    def close(self) -> None:
        """Close the connection."""
        self._own.close()


def _place(new: NewInstance) -> tuple[int, str]:
    priority, tags = new.definition.routing.get(new.position.node, (None, ""))
    return priority or new.priority or PRIORITY, tags


def _state(new: NewInstance) -> str:
    return "ready" if new.is_task else "standing"


def _kind(new: NewInstance, definitions: dict[str, int]) -> str:
    """Return what instances of one submit have in common."""
    priority, tags = _place(new)
    number = definitions[new.definition.definition_hash]
    return as_json({
        "definition": number, "metadata": stored_text(new.metadata), "given": new.priority, "state": _state(new),
        "node": new.position.node, "tags": tags, "priority": priority, "trace": new.trace,
    })  # fmt: skip


def _created(new: NewInstance, number: int, definition: int, created_at: int, *, claim: bool) -> Created:
    instance = Instance(
        number, new.instance_id, definition, new.definition.workflow_id, new.definition.definition_hash,
        State.IN_PROGRESS, new.input, created_at, created_at, metadata=new.metadata, priority=new.priority,
        trace=new.trace,
    )  # fmt: skip
    if not claim:
        return Created(instance, is_new=True)
    wake: Wake = "ready" if new.is_task else "standing"
    return Created(instance, is_new=True, claim=Claim(Fence(number, 0, 1), new.position, wake, new.input))
