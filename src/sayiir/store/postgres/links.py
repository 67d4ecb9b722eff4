"""Connections: a pool of them, transactions that are begun again when they may be, and commits whose answer was lost.

A transaction that fails because its connection broke, or because the server asks for it (a deadlock, a restart, a
failover that left a read-only server), is run again on another connection while patience lasts. When it is the answer
to COMMIT that is missing, the server is asked what became of the transaction; nothing is guessed. Its number does not
suffice: a server that crashed gives the numbers again that it had not written. So each transaction leaves a mark of its
own, in the same message as COMMIT; the number tells only whether it is still under way.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool, PoolTimeout

from sayiir.clock import Clock
from sayiir.errors import BackendError, WorkflowError
from sayiir.store.postgres import quick
from sayiir.store.postgres.options import is_known
from sayiir.store.postgres.refusals import PoolConnection, advice

T = TypeVar("T")
Connected = quick.Connected
AGAIN = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.ReadOnlySqlTransaction,
    errors.IdleInTransactionSessionTimeout,  # this process was stopped for a while
    errors.TransactionTimeout,  # likewise, in the middle of what it had to say
    PoolTimeout,
)
REMEMBER_SECS = 60.0
"""How long what a lost answer tells of may still come through on the server."""
_HOPELESS = errors.ProgramLimitExceeded
_FIRST_WAIT, _LONGEST_WAIT = 0.02, 1.0


class Patience:
    """How long one piece of work is tried again: first at once, then with growing pauses and full jitter."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._deadline = clock.monotonic() + seconds
        self._pause = _FIRST_WAIT

    def left(self) -> float:
        """Return the seconds that are left, 0 at least."""
        return max(0.0, self._deadline - self._clock.monotonic())

    def wait(self, error: BackendError) -> None:
        """Pause before another try, or raise the error when there is no time left, or no try would end otherwise."""
        if self.left() <= 0 or isinstance(error.__cause__, _HOPELESS):
            raise error
        time.sleep(self._pause * (0.5 + self._clock.chance() / 2))
        self._pause = min(self._pause * 2, _LONGEST_WAIT)


class Links:
    """The connections of one store.

    Args:
        url: a PostgreSQL URL or conninfo string; all libpq parameters pass through.
        clock: for pauses.
        patience: seconds to wait for a connection, and for a server that is away.
        settings: server settings of each session, where sessions are ours.
        sizes: the pool's `min_size`, `max_size`, `max_idle`, `max_lifetime`.
        prepare: whether statements are prepared.
    """

    errors = (psycopg.Error, PoolTimeout)

    def __init__(
        self,
        url: str,
        clock: Clock,
        patience: float,
        settings: dict[str, str],
        sizes: dict[str, float],
        *,
        prepare: bool,
    ) -> None:
        self.clock = clock
        self.patience = patience
        self._settings = settings
        self._secret, self.shown = _masked(url)
        self._conninfo = _complete(url)
        first = self._first()
        try:
            # A pooler answers with a process number of its own; then sessions are not ours, only transactions.
            self.pooled = first.info.backend_pid != _one(first, "SELECT pg_backend_pid()")
            self.prepare = prepare and not self.pooled
            _check_encoding(first.info.parameter_status("server_encoding"), self.shown)
            idle = "idle_in_transaction_session_timeout"
            self.guard = f", set_config('{idle}', '{settings[idle]}', true)" if self.pooled else ""
            """Said as a transaction begins, where no session is ours."""
            self.database = _one(first, "SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()")
        finally:
            first.close()
        self._refusal = ""
        self._pool: ConnectionPool[Connected] = ConnectionPool(
            self._conninfo,
            connection_class=PoolConnection,
            kwargs={"autocommit": True, "prepare_threshold": 0 if self.prepare else None, "note": self._note},
            configure=self._configure,
            open=False,
            timeout=patience,
            min_size=int(sizes["min_size"]),
            max_size=int(sizes["max_size"]),
            max_idle=sizes["max_idle"],
            max_lifetime=sizes["max_lifetime"],
            reconnect_timeout=min(_LONGEST_WAIT, patience / 4),
            reconnect_failed=_look_again,
            num_workers=1,
        )
        self._pool.open()
        self._local = threading.local()
        self.doubts: dict[int, float] = {}
        """When transactions in doubt began, by the database's clock → until when they may still come through, by ours."""
        self.on_begin = "0"
        """What tells the database's time."""
        self.on_commit = "SELECT"
        """What leaves the mark of a transaction, with `{place}` and `{count}`."""
        self.find_mark = "SELECT false"
        """Whether the mark with a place and a count is there."""

    def _first(self) -> Connected:
        try:
            return self.connect()
        except psycopg.Error as error:
            raise self.explain(error) from error

    def connect(self, ready: Callable[[Connected], object] | None = None) -> Connected:
        """Open a connection of one's own, outside the pool.

        Args:
            ready: makes it ready for its purpose; when that fails it is closed, since nobody else has it.

        Raises:
            psycopg.Error: there is no server, or it refuses.
        """
        connection = psycopg.connect(
            self._conninfo, autocommit=True, prepare_threshold=0 if getattr(self, "prepare", False) else None
        )
        try:
            self._configure(connection)
            if ready is not None:
                ready(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _configure(self, connection: Connected) -> None:
        if getattr(self, "pooled", True):
            return  # a setting would stay with a session that serves others next
        known = {name: value for name, value in self._settings.items() if is_known(name, connection.info.server_version)}
        setting = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS s (name, value)"
        connection.execute(setting, (list(known), list(known.values())), prepare=False)

    def _note(self, refusal: str) -> None:
        self._refusal = refusal

    # --- transactions ---------------------------------------------------------------------------------------------

    def transact(self, script: Callable[[Connected, int], T]) -> T:
        """Run a script in a writing transaction; it may be run again, so it must have no effect but through its connection.

        Args:
            script: gets the connection and the database's time in microseconds.

        Raises:
            BackendError: the database refused, or was away for longer than patience lasts.
        """
        patience = Patience(self.clock, self.patience)
        while True:
            connection = self.take(patience)
            now, number, results = 0, "", list[T]()
            try:
                now, number = self._begin(connection)
                results.append(script(connection, now))
                self.commit(connection)
            except AGAIN as error:
                self.drop(connection, error)
                if results and self.decide(number, now, patience):
                    return results[0]
                patience.wait(self.explain(error))
                continue
            except BaseException as error:
                self.drop(connection, error)
                if results:
                    self.doubt(now)
                if isinstance(error, psycopg.Error):
                    raise self.explain(error) from error
                raise
            self.give(connection)
            return results[0]

    def read(self, script: Callable[[Connected, int], T]) -> T:
        """Run a script on one consistent view.

        Raises:
            BackendError: as for `transact`.
        """
        patience = Patience(self.clock, self.patience)
        while True:
            connection = self.take(patience)
            try:
                now, _ = self._begin(connection, reading=True)
                result = script(connection, now)
                connection.execute("COMMIT")
            except AGAIN as error:
                self.drop(connection, error)
                patience.wait(self.explain(error))
                continue
            except BaseException as error:
                self.drop(connection, error)
                if isinstance(error, psycopg.Error):
                    raise self.explain(error) from error
                raise
            self.give(connection)
            return result

    def _begin(self, connection: Connected, *, reading: bool = False) -> tuple[int, str]:
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if reading else "BEGIN"
        number = "''" if reading else "pg_current_xact_id()::text"
        cursor = connection.execute(f"{begin}; SELECT {self.on_begin}, {number}{self.guard}".encode(), prepare=False)
        cursor.nextset()
        row = cursor.fetchone() or (0, "")
        return int(row[0]), str(row[1])

    def commit(self, connection: Connected) -> None:
        """Leave the mark of this thread's writing transaction, and commit it."""
        mark = self._mark()
        mark.count += 1
        text = self.on_commit.format(place=mark.place, count=mark.count)
        connection.execute(f"{text}; COMMIT".encode(), prepare=False)

    def _mark(self) -> Any:
        """Return this thread's mark: its place, and the count of its transactions."""
        if getattr(self._local, "place", None) is None:
            self._local.place, self._local.count = int.from_bytes(os.urandom(7), "big"), 0
        return self._local

    def decide(self, number: str, now: int, patience: Patience) -> bool:
        """Return whether a transaction that began at a time, and whose COMMIT was sent, has come through (see `landed`).

        Raises:
            BackendError: that was not to be learned in time; what it did is in doubt.
        """
        try:
            return self.landed(number, patience)
        except BaseException:
            self.doubt(now)
            raise

    def doubt(self, now: int) -> None:
        """Note that nobody knows what became of the transaction that began at this time."""
        self.doubts[now] = self.clock.monotonic() + REMEMBER_SECS

    def landed(self, number: str, patience: Patience) -> bool:
        """Return whether this thread's last transaction, whose COMMIT was sent, has come through."""
        mark = self._mark()
        while True:
            connection = self.take(patience)
            try:
                status = _one(connection, "SELECT pg_xact_status(%s::text::xid8)", number)
                found = _one(connection, self.find_mark, mark.place, mark.count)
            except errors.InvalidParameterValue:
                # A number from the future: this server was promoted, or crashed, before the transaction reached it.
                self.give(connection)
                return False
            except AGAIN as error:
                self.drop(connection, error)
                patience.wait(self.explain(error))
                continue
            except BaseException as error:
                self.drop(connection, error)
                if isinstance(error, psycopg.Error):
                    raise self.explain(error) from error
                raise
            self.give(connection)
            if found or status != "in progress":
                return bool(found)
            patience.wait(BackendError(f"{self.shown}: transaction {number} has not ended"))

    # --- connections ----------------------------------------------------------------------------------------------

    def take(self, patience: Patience) -> Connected:
        """Take a connection out of the pool.

        Raises:
            BackendError: none was to be had in time.
        """
        try:
            return self._pool.getconn(timeout=max(patience.left(), 0.001))
        except (psycopg.Error, PoolTimeout) as error:
            raise self.explain(error) from error

    def give(self, connection: Connected) -> None:
        """Put a connection back."""
        self._pool.putconn(connection)

    def drop(self, connection: Connected, error: BaseException) -> None:
        """Put a connection back whose transaction failed; one that is in doubt is closed."""
        refused = isinstance(error, WorkflowError) or (
            isinstance(error, psycopg.Error) and not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        )
        try:
            if refused and not isinstance(error, errors.ReadOnlySqlTransaction):
                quick.command(connection, b"ROLLBACK")
            else:
                connection.close()
        except psycopg.Error:
            connection.close()
        except BaseException:
            connection.close()
            raise
        finally:
            self._pool.putconn(connection)

    def explain(self, error: Exception) -> BackendError:
        """Return our error for the driver's, without secrets."""
        refusal = self._refusal if isinstance(error, PoolTimeout) else ""
        text = str(error).strip() + (f": {refusal}" if refusal else "")
        for secret in self._secret:
            text = text.replace(secret, "***")
        if getattr(error, "pgconn", None) is not None:
            error._pgconn = None  # type: ignore[attr-defined]  # it tells the password to whoever logs variables
        explained = BackendError(f"PostgreSQL at {self.shown}: {text}; {advice(error, text, refusal)}")
        explained.__cause__ = error
        return explained

    def close(self) -> None:
        """Close the pool; connections that are out are closed as they come back."""
        self._pool.close(timeout=2)


def _one(connection: Connected, statement: str, *values: Any) -> Any:
    row = connection.execute(statement.encode(), values or None, prepare=False).fetchone()
    return None if row is None else row[0]


def _look_again(pool: ConnectionPool[Connected]) -> None:
    """Go on trying for those who wait: the pool by itself pauses longer each time, in the end as long as their patience."""
    if pool.get_stats().get("requests_waiting"):
        pool.check()  # it has no connection to look at then, and opens one


def _check_encoding(encoding: str | None, shown: str) -> None:
    """Refuse a database that cannot keep every text: a result that it refused could not be written ever."""
    if encoding not in (None, "UTF8", "SQL_ASCII"):
        fix = "create one WITH ENCODING 'UTF8' TEMPLATE template0"
        raise BackendError(f"PostgreSQL at {shown}: the database stores text as {encoding}, which lacks characters; {fix}")


def _is_sound(parts: dict[str, Any]) -> bool:
    """Return whether a URL's parts are what they seem: of an unquoted password the rest would be port or database."""
    port, names = str(parts.get("port") or "5432"), (parts.get("host"), parts.get("dbname"))
    return port.replace(",", "").isdigit() and not any("@" in str(name or "") for name in names)


def _masked(url: str) -> tuple[list[str], str]:
    """Return the secrets of a URL, and how it is shown."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:  # its text would show the URL with its password
        parts = None
    if parts is None or not _is_sound(parts):
        raise BackendError(
            "the PostgreSQL URL cannot be read; write postgresql://user:password@host:5432/database, "
            "with %2F for / and %40 for @ in the password"
        )
    secrets = [str(parts[name]) for name in ("password", "sslpassword") if parts.get(name)]
    host, port = parts.get("host") or parts.get("hostaddr") or "localhost", parts.get("port") or "5432"
    return secrets, f"{parts.get('user') or ''}@{host}:{port}/{parts.get('dbname') or ''}".lstrip("@")


def _complete(url: str) -> str:
    parts = conninfo_to_dict(url)
    defaults: dict[str, str] = {
        "application_name": "sayiir", "connect_timeout": "5",
        # A link that the other side has silently forgotten is noticed within seconds, not hours.
        "keepalives_idle": "5", "keepalives_interval": "2", "keepalives_count": "3", "tcp_user_timeout": "15000",
    }  # fmt: skip
    if "," in str(parts.get("host") or ""):
        defaults["target_session_attrs"] = "read-write"
    given = {name: value for name, value in defaults.items() if name not in parts}
    # Whatever environment and URL say: our text is UTF-8.
    return make_conninfo(url, **{**given, "client_encoding": "UTF8"})


