"""A connection of one's own for one kind of hot statement, used by one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import psycopg

from sayiir.errors import BackendError
from sayiir.store.postgres.links import AGAIN, Connected, Links, Patience

T = TypeVar("T")
_SETTINGS = b"""SELECT set_config(name, value, false) FROM (VALUES ('plan_cache_mode', 'force_generic_plan'),
    ('enable_seqscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off')) AS s (name, value)"""


class OwnConnection:
    """Runs statements on a connection that is kept, in autocommit.

    Args:
        links: where it comes from.
    """

    def __init__(self, links: Links) -> None:
        self._links = links
        self._mutex = threading.Lock()
        self._connection: Connected | None = None
        self._closed = False

    def get(self) -> Connected:
        """Return the connection; only for who is alone with it.

        Raises:
            psycopg.Error: it cannot be opened.
            BackendError: it was closed for good.
        """
        if self._closed:
            raise BackendError(f"the backend of {self._links.shown} was closed meanwhile; open another PostgresBackend")
        if self._connection is None:
            self._connection = self._links.connect(self._ready)
        return self._connection

    def _ready(self, connection: Connected) -> None:
        if not self._links.pooled:
            # Plans are made once and kept, and an index must serve when the tables have grown, too. Left to itself the
            # server plans the longer statements anew each time, which takes three times as long as they do.
            connection.execute(_SETTINGS, prepare=False)

    def drop(self) -> None:
        """Close the connection; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def run(self, statements: Callable[[Connected, bool], T]) -> T:
        """Run statements until their answer is here.

        Args:
            statements: gets the connection, and whether an earlier try may have come through.

        Raises:
            BackendError: the database refused, or was away for longer than patience lasts.
        """
        with self._mutex:
            patience: Patience | None = None
            while True:
                try:
                    return statements(self.get(), patience is not None)
                except AGAIN as error:
                    self.drop()
                    patience = patience or Patience(self._links.clock, self._links.patience)
                    patience.wait(self._links.explain(error))
                except psycopg.Error as error:
                    self.drop()
                    raise self._links.explain(error) from error
                except BaseException:
                    self.drop()  # interrupted in the middle of an answer
                    raise

    def close(self) -> None:
        """Close the connection when nobody is using it; it is not opened again."""
        self._closed = True
        with self._mutex:
            self.drop()


def as_json(rows: list[dict[str, Any]] | dict[str, Any]) -> str:
    """Return a row, or many, as the JSON that the statements read."""
    return msgspec.json.encode(rows).decode()
