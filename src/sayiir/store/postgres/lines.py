"""Lines of history, and tokens, as the JSON that statements read."""

from __future__ import annotations

from typing import Any

from sayiir.core.records import Record
from sayiir.store.columns import stored_text, token_values
from sayiir.store.port import Token
from sayiir.store.postgres.own import as_json
from sayiir.store.postgres.sql import TOKEN_COLUMNS


def line_of(number: int, record: Record, following: str | None) -> dict[str, Any]:
    """Return a line as the columns of a record set; `following` is where it moves its token, if it does."""
    return {
        "instance": number, "ref": record.ref, "node": record.node, "kind": record.kind, "iteration": record.iteration,
        "attempt": record.attempt, "status": record.status, "output": stored_text(record.output),
        "parts": stored_text(record.parts), "source": record.source, "error": stored_text(record.error),
        "worker": record.worker,
        "started_at": record.started_at, "finished_at": record.finished_at, "next": following,
    }  # fmt: skip


def tokens_text(tokens: list[Token]) -> str:
    """Return tokens as `ADD_TOKENS` reads them."""
    return as_json([dict(zip(TOKEN_COLUMNS, token_values(token), strict=True)) for token in tokens])
