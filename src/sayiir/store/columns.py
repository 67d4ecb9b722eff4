"""How records become columns and columns records, for stores that keep them in SQL tables."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import msgspec

from sayiir.core.lifecycle import State
from sayiir.core.records import STEP_MASK, Move, Position, Record
from sayiir.errors import BackendError
from sayiir.store.port import Instance, Token


def stored(value: bytes | None) -> str | bytes | None:
    """Return JSON as text, so that SQL's own JSON functions read it, and enveloped values as they are."""
    if value is None or value[:1] == b"\0":
        return value
    return value.decode()


def stored_text(value: bytes | None) -> str | None:
    """Return a value for a column that holds only text: JSON as it is, enveloped values as "~" and base64."""
    if value is not None and value[:1] == b"\0":
        return "~" + b64encode(value).decode()
    return None if value is None else value.decode()


def raw(text: str | None) -> bytes | None:
    """Return a value from such a column."""
    if text is not None and text[:1] == "~":
        return b64decode(text[1:])
    return None if text is None else text.encode()


def keys_text(keys: tuple[str, ...]) -> str | None:
    """Return the keys of the routes around a token as text."""
    return msgspec.json.encode(keys).decode() if keys else None


def instance_of(row: Any) -> Instance:
    """Return the instance of a row."""
    values = list(row)
    try:
        values[5] = State(values[5])
    except ValueError as error:
        raise _damaged(f"instance {values[1]!r}", error) from error
    return Instance(*values)


def token_of(row: Any) -> Token:
    """Return the token of a row: its own columns, then reference, node and time of the newest line that moved it."""
    *values, ref, following, moved_at = row
    try:
        values[9] = keys = () if values[9] is None else tuple(msgspec.json.decode(values[9]))
    except (msgspec.DecodeError, TypeError) as error:
        raise _damaged(f"token {values[1]!r} of instance number {values[0]!r}", error) from error
    token = Token(*values)
    if following is not None:
        token.place(Position(following, ref, ref & STEP_MASK, keys=keys))
        token.moved_at = moved_at
    return token


def halted_tokens(instance: Instance) -> list[Token]:
    """Return the tokens of an ended instance as they stood at its end."""
    try:
        return msgspec.json.decode(instance.halted or b"[]", type=list[Token])
    except (msgspec.MsgspecError, ValueError) as error:
        raise _damaged(f"the end of instance {instance.instance_id!r}", error) from error


def fresh_epoch(instance: Instance) -> int:
    """Return an epoch above those of all claims that an ended instance has seen."""
    ended = halted_tokens(instance)
    # Where damage took the tokens, nobody knows their epochs; no count of claims comes near a time in microseconds.
    return max(token.epoch for token in ended) + 1 if ended else instance.updated_at


def _damaged(what: str, error: Exception) -> BackendError:
    return BackendError(f"{what} cannot be read: {error}; the stored data is damaged, restore it from a backup")


def record_of(row: Any) -> Record:
    """Return the record of a row."""
    values = list(row)
    values[-1] = bool(values[-1])
    return Record(*values)


def token_values(token: Token) -> tuple[Any, ...]:
    """Return the columns of a token, its key last."""
    return (
        token.state, token.node, token.ref, token.step, token.attempt, token.iteration, token.crashes,
        keys_text(token.keys), token.parent, token.due_at, token.signal, token.owner, token.epoch, token.until,
        token.moved_at, token.definition, token.tags, token.priority, token.wake_at, token.avoid,
        token.instance, token.number,
    )  # fmt: skip


def record_values(
    number: int, record: Record, following: str | None, stored: Callable[[bytes | None], Any] = stored
) -> tuple[Any, ...]:
    """Return the columns of a record; `following` is where the line moves its token, if it does."""
    return (
        number, record.ref, record.node, record.kind, record.iteration, record.attempt, record.status,
        stored(record.output), stored(record.parts), record.source, stored(record.error), record.worker,
        record.started_at, record.finished_at, record.superseded, following,
    )  # fmt: skip


def is_plain(move: Move) -> bool:
    """Return whether the one line of a move says all about its token: it goes on to another task with that line's value."""
    position, records = move.position, move.records
    return (
        len(records) == 1 and records[0].ref == position.ref and position.attempt == 1 == position.iteration
        and not position.crashes
    )  # fmt: skip
