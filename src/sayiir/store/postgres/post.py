"""Signals, sent in two round trips: all statements of the transaction together, then its mark and COMMIT.

What a signal meets decides the database alone, so nobody need look at one statement's answer before sending the next.
Whatever does not go well is left to the general way, once it is known that nothing was written.
"""

from __future__ import annotations

import psycopg

from sayiir.core.lifecycle import TERMINAL, State
from sayiir.store.columns import stored_text
from sayiir.store.postgres import quick
from sayiir.store.postgres.links import AGAIN, Links, Patience
from sayiir.store.postgres.rows import Shared

_BEGIN = b"BEGIN", ()


def send(
    links: Links, shared: Shared, signal: tuple[str, str, bytes, str | None]
) -> tuple[bool, bool] | None:
    """Buffer a signal (instance id, name, payload, dedup key) and let workers look at the token that awaits it.

    Returns:
        Whether it was accepted, and whether the instance was there; None when nothing was written.

    Raises:
        BackendError: the database was away for longer than patience lasts.
    """
    instance_id, name, payload, dedup_key = signal
    patience = Patience(links.clock, links.patience)
    connection = links.take(patience)
    number, answer = "", None
    try:
        values = instance_id, name, stored_text(payload), dedup_key
        send, wake = (shared.sql.HOT_SEND, values), (shared.sql.HOT_WAKE, values[:2])
        ask = f"SELECT pg_current_xact_id()::text{links.guard}".encode(), ()
        _, ((number, *_),), ((status, accepted),), _ = quick.ask_all(connection, [_BEGIN, ask, send, wake])
        if status is not None and State(status) in TERMINAL:
            quick.command(connection, b"ROLLBACK")  # the general way says why it is refused
        else:
            answer = bool(accepted), status is not None
            links.commit(connection)
    except AGAIN as error:
        links.drop(connection, error)
        return answer if answer is not None and links.landed(number, patience) else None
    except psycopg.Error as error:
        links.drop(connection, error)
        return None
    except BaseException as error:
        links.drop(connection, error)
        raise
    links.give(connection)
    return answer
