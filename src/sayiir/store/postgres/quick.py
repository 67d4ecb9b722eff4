"""Prepared statements, sent and answered past the driver's cursors, which compute for longer than the server does.

Rules of this file: the connection is its caller's alone, in autocommit, and in no pipeline, and nobody rolls back on it with
a cursor (psycopg then forgets all statements that are prepared, ours too). Parameters are $1, $2, …, each with a cast, since
all travel as text. Whatever ends it in the middle of an answer cancels the statement and leaves the connection for its
caller to drop.

Several go in one message that ends with their Sync, and nothing is said after it. The driver's pipelines send each by itself
and a Flush behind the Sync: whoever stands still between these keeps its locks for ever, for the server counts the time of
an idle transaction only from the Sync until the next message, whatever that is.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import errors
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus

Connected = psycopg.Connection[Any]
Value = str | int | None
_prepared: WeakKeyDictionary[Connected, dict[bytes, bytes]] = WeakKeyDictionary()
_CANCEL_SECS = 1.0
_GOOD = frozenset((ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK))


def ask(connection: Connected, statement: bytes, values: Sequence[Value]) -> list[Any]:
    """Execute a statement and return its rows.

    Raises:
        psycopg.Error: the server refused, or is away.
    """
    pgconn = connection.pgconn
    texts = [_text(value) for value in values]
    try:
        if connection.prepare_threshold is None:  # behind a pooler the next statement may meet another session
            pgconn.send_query_params(statement, texts)
        else:
            pgconn.send_query_prepared(_name(connection, statement), texts)
        result = _answer(pgconn)
    except psycopg.Error:
        raise
    except BaseException:
        _give_up(connection)
        raise
    return _rows(connection, result)


def ask_all(connection: Connected, asked: Sequence[tuple[bytes, Sequence[Value]]]) -> list[list[Any]]:
    """Execute statements in one round trip and return the rows of each; those after one that fails are not executed.

    Raises:
        psycopg.Error: the server refused one, or is away.
    """
    pgconn = connection.pgconn
    texts = [[_text(value) for value in values] for _, values in asked]
    try:
        is_prepared = connection.prepare_threshold is not None
        sent = [_name(connection, statement) if is_prepared else statement for statement, _ in asked]
        send: Any = pgconn.send_query_prepared if is_prepared else pgconn.send_query_params
        pgconn.enter_pipeline_mode()
        for statement, values in zip(sent, texts, strict=True):
            send(statement, values)
        pgconn.pipeline_sync()
        results = _answers(pgconn, len(sent))
        pgconn.exit_pipeline_mode()
    except psycopg.Error:
        with suppress(psycopg.Error):
            pgconn.exit_pipeline_mode()
        raise
    except BaseException:
        _give_up(connection)
        raise
    return [_rows(connection, result) for result in results]


def command(connection: Connected, words: bytes) -> None:
    """Execute a command that has no answer, without the driver's knowledge: of a ROLLBACK it would forget its statements.

    Raises:
        psycopg.Error: the server refused, or is away.
    """
    connection.pgconn.send_query(words)
    _answer(connection.pgconn)


def _give_up(connection: Connected) -> None:
    """Cancel what goes on for a caller who was interrupted."""
    with suppress(psycopg.Error):
        connection.cancel_safe(timeout=_CANCEL_SECS)


def _rows(connection: Connected, result: Any) -> list[Any]:
    count = result.ntuples
    if not count:
        return []
    reader = Transformer(connection)
    reader.set_pgresult(result)
    return reader.load_rows(0, count, tuple)


def _text(value: Value) -> bytes | None:
    if value is None:
        return None
    text = value.encode() if isinstance(value, str) else b"%d" % value
    if b"\0" in text:  # it would end there
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return text


def _name(connection: Connected, statement: bytes) -> bytes:
    names = _prepared.get(connection)
    if names is None:
        names = _prepared[connection] = {}
    name = names.get(statement)
    if name is None:
        name = b"sayiir_%d" % len(names)
        connection.pgconn.send_prepare(name, statement)
        _answer(connection.pgconn)
        names[statement] = name
    return name


def _answer(pgconn: Any) -> Any:
    """Wait for the answer to what was sent; other threads go on, and an interruption is heard at once."""
    (answer,) = _answers(pgconn, 1, synced=False)
    return answer


def _answers(pgconn: Any, count: int, *, synced: bool = True) -> list[Any]:
    """Wait for the answers to what was sent, and for that to their Sync."""
    answers, failed = list[Any](), None
    while pgconn.flush():  # much to say: the server may have to say something first
        if _wait(pgconn.socket, writing=True):
            pgconn.consume_input()
    try:
        for _ in range(count):
            answers.append(None)
            while (result := _next(pgconn)) is not None:
                answers[-1] = result
                if result.status not in _GOOD:
                    failed = failed or errors.error_from_result(result)
        if synced:
            _see_the_sync(pgconn)
    except psycopg.OperationalError:
        if failed is None:  # or the server has said why it ends the session
            raise
    if failed is not None:
        raise failed
    return answers


def _see_the_sync(pgconn: Any) -> None:
    end = _next(pgconn)
    if end is None or end.status != ExecStatus.PIPELINE_SYNC:
        raise psycopg.OperationalError("the server ended the connection within its answers")


def _next(pgconn: Any) -> Any:
    while pgconn.is_busy():
        _wait(pgconn.socket)
        pgconn.consume_input()
    return pgconn.get_result()


if hasattr(select, "poll"):

    def _wait(socket: int, *, writing: bool = False) -> bool:
        """Block until something has come, or can be written; return whether something has come."""
        poll = select.poll()
        poll.register(socket, select.POLLIN | (select.POLLOUT if writing else 0))
        return any(event & ~select.POLLOUT for _, event in poll.poll())

else:

    def _wait(socket: int, *, writing: bool = False) -> bool:
        """Block likewise for a moment, where there is no poll, and an interruption is heard only after it."""
        return bool(select.select([socket], [socket] if writing else [], [], 0.1)[0])
