"""What a query asks of the rows of instances, as a WHERE clause: fixed pieces, and parameters for all that users say."""

from __future__ import annotations

from typing import Any

import msgspec

from sayiir.store.port import Query


def conditions(query: Query) -> tuple[str, list[Any]]:
    """Return the WHERE clause of a query with order and limit, and its parameters."""
    where, values = filters(query)
    return f"{where} ORDER BY i.number DESC LIMIT %s", [*values, query.limit]


def filters(query: Query) -> tuple[str, list[Any]]:
    """Return what a query asks of a row, put together from fixed pieces, and its parameters."""
    pieces: list[tuple[str, Any]] = []
    if query.statuses is not None:
        pieces.append(("status = ANY(%s)", [str(status) for status in query.statuses]))
    if query.workflow_id is not None:
        pieces.append(("workflow_id = %s", query.workflow_id))
    if query.id_prefix:
        pieces.append(("starts_with(instance_id, %s)", query.id_prefix))
    if query.created_after is not None:
        pieces.append(("created_at >= %s", query.created_after))
    if query.created_before is not None:
        pieces.append(("created_at < %s", query.created_before))
    if query.below is not None:
        pieces.append(("i.number < %s", query.below))
    if query.metadata:
        pieces.append(("metadata::jsonb @> %s::jsonb", msgspec.json.encode(query.metadata).decode()))
    return " AND ".join(piece for piece, _ in pieces) or "true", [value for _, value in pieces]
