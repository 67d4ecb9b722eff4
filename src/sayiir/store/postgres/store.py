"""`PostgresBackend`: the shared scripts over transactions of PostgreSQL, and the hot verbs in one statement each.

The database's clock is the only one: `now()` is an estimate of it that is never ahead.
"""

from __future__ import annotations

import os
import socket
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sayiir.clock import MICROS, SYSTEM_CLOCK, Clock
from sayiir.core.records import Definition, Move
from sayiir.core.values import MAX_BYTES
from sayiir.errors import BackendError
from sayiir.store import scripts
from sayiir.store.base import ScriptedStore
from sayiir.store.numbers import Numbers
from sayiir.store.port import (
    CONTINUE,
    MAX_CRASHES,
    Beat,
    ConflictPolicy,
    Created,
    Due,
    Fence,
    Lane,
    Moved,
    NewInstance,
    Order,
    Signal,
    View,
    Work,
)
from sayiir.store.postgres import post
from sayiir.store.postgres.arrivals import Arrival
from sayiir.store.postgres.claims import Claims, Unreadable, crashes_of, fence_of
from sayiir.store.postgres.creation import Creation
from sayiir.store.postgres.guest import visit
from sayiir.store.postgres.hot import HotWork, HotWrites, Step, Turn, hot
from sayiir.store.postgres.links import Connected, Links, Patience
from sayiir.store.postgres.migrate import migrate
from sayiir.store.postgres.notices import RemoteHints, Teller
from sayiir.store.postgres.options import check_options, session_settings
from sayiir.store.postgres.presence import Presence
from sayiir.store.postgres.rows import PostgresRows, Shared, Statements

T = TypeVar("T")
_SIDE_BY_SIDE = 4
"""How many transactions of one `checkpoint_many` are under way at once."""
_STEP_BACK = 50_000
"""Microseconds by which the database's clock must have gone back before the estimate follows."""


class PostgresBackend(ScriptedStore):
    """A backend on a PostgreSQL database (13 or newer), shared by any number of processes and machines.

    Args:
        url: "postgresql://user@host:5432/database", or a libpq conninfo string; its parameters pass through.
        schema: where its tables are, made when missing; one for each tenant or environment.
        max_connections: of its pool; up to five more are its own.
        min_connections: kept open.
        acquire_timeout_secs: how long a call waits for a connection, or for a server that is away.
        idle_timeout_secs: when an idle connection is closed.
        max_lifetime_secs: when a connection is replaced.
        statement_timeout_secs: after which the server gives a statement up.
        idle_in_transaction_session_timeout_secs: after which it ends a session that forgot its transaction.
        listen: whether workers are woken by notices; else they poll.
        prepare: whether statements are prepared.
        max_value_bytes: the longest input, result or payload, as JSON; 64 MiB when not given.

    Behind a pooler in transaction mode it works without session locks, notices and prepared statements, by itself.

    Raises:
        ValueError: an argument is out of range.
        BackendError: there is no server, or it refuses.
        SchemaVersionError: the schema was made by a newer release.
    """

    name = "postgres"

    sweep_secs = 5.0  # the beats alarm those who sweep

    def __init__(
        self,
        url: str,
        *,
        schema: str = "sayiir",
        max_connections: int = 10,
        min_connections: int = 1,
        acquire_timeout_secs: float = 30.0,
        idle_timeout_secs: float = 600.0,
        max_lifetime_secs: float = 1800.0,
        statement_timeout_secs: float = 30.0,
        idle_in_transaction_session_timeout_secs: float = 10.0,
        listen: bool = True,
        prepare: bool = True,
        max_value_bytes: int = MAX_BYTES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(clock, max_value_bytes)
        check_options(
            schema, min_connections, max_connections,
            acquire_timeout_secs=acquire_timeout_secs, idle_timeout_secs=idle_timeout_secs,
            max_lifetime_secs=max_lifetime_secs, statement_timeout_secs=statement_timeout_secs,
            idle_in_transaction_session_timeout_secs=idle_in_transaction_session_timeout_secs,
        )  # fmt: skip
        settings = session_settings(statement_timeout_secs, idle_in_transaction_session_timeout_secs)
        sizes = {
            "min_size": min_connections, "max_size": max_connections,
            "max_idle": idle_timeout_secs, "max_lifetime": max_lifetime_secs,
        }  # fmt: skip
        self.schema = schema
        self.worker_name = f"{socket.gethostname()}:{os.getpid()}"
        self._pid = os.getpid()
        self._closed = False
        self._side: ThreadPoolExecutor | None = None
        self._ahead: int | None = None
        self._links = Links(url, clock, acquire_timeout_secs, settings, sizes, prepare=prepare)
        lock_class = zlib.crc32(f"sayiir:{schema}".encode()) - 2**31
        self._shared = Shared(Statements(schema), schema, lock_class, self.worker_name, Numbers(clock))
        try:
            self._migrate()
        except BaseException:
            self._links.close()
            raise
        self._links.on_begin = self._shared.sql.NOW.decode()
        self._links.on_commit = self._shared.sql.LEAVE_MARK.decode()
        self._links.find_mark = self._shared.sql.FIND_MARK.decode()
        self.hints: RemoteHints = RemoteHints(clock)
        channel = f"sayiir_{schema}"
        if listen and not self._links.pooled:
            self.hints.teller = Teller(self._links, channel)
        self._claims = Claims(self._links, self._shared, self._note_time)
        self._presence = Presence(
            self._links, self.hints, channel, self._shared, listen=listen, on_beat=self._claims.give_back_beside,
        )  # fmt: skip
        self._hot = HotWrites(self._links, self._shared)
        self._creation = Creation(self._links, self._shared, self._claims.give_back_later)

    def _migrate(self) -> None:
        patience = Patience(self.clock, self._links.patience)
        connection = self._links.take(patience)
        try:
            migrate(connection, self.schema)
        except BaseException as error:
            self._links.drop(connection, error)
            if isinstance(error, self._links.errors):
                raise self._links.explain(error) from error
            raise
        self._links.give(connection)

    # --- transactions ---------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the database's time in microseconds since 1970, as far as it is known: never ahead of it."""
        self._check_usable()
        if self._ahead is None:
            self._read(lambda rows: None)
        return round(self.clock.monotonic() * MICROS) + (self._ahead or 0)

    def _note_time(self, now: int) -> None:
        ahead = now - round(self.clock.monotonic() * MICROS)
        if self._ahead is None or ahead > self._ahead or ahead < self._ahead - _STEP_BACK:
            self._ahead = ahead

    def _write(self, script: Callable[[Any], T]) -> T:
        self._check_usable()

        def run(connection: Connected, now: int) -> T:
            self._note_time(now)
            return script(PostgresRows(connection, self._shared, now, write=True))

        self._claims.give_back()  # or what is in doubt could be written again, upon what it has done already
        return self._links.transact(run)

    def _write_many(self, work: list[Callable[[Any], T]]) -> list[T | Exception]:
        if len(work) < 2:
            return super()._write_many(work)
        if self._side is None:
            # Transactions of different instances do not wait for each other: a few at a time hide their round trips.
            self._side = ThreadPoolExecutor(_SIDE_BY_SIDE, "sayiir-postgres")
        tries = [self._side.submit(self._write, script) for script in work]
        return [attempt.exception() or attempt.result() for attempt in tries]  # type: ignore[misc]

    def _read(self, script: Callable[[Any], T]) -> T:
        self._check_usable()

        def run(connection: Connected, now: int) -> T:
            self._note_time(now)
            return script(PostgresRows(connection, self._shared, now, write=False))

        return self._links.read(run)

    def _check_usable(self) -> None:
        if self._closed:
            raise BackendError(f"the backend of {self._links.shown} is closed; open another PostgresBackend")
        if self._pid != os.getpid():
            raise BackendError(
                f"the backend of {self._links.shown} was opened before a fork, and its connections are the parent's: "
                "open a PostgresBackend in the child process"
            )

    def _present(self) -> None:
        self._check_usable()
        if not self._shared.owner:
            self._shared.owner = self._presence.ensure()

    # --- verbs ----------------------------------------------------------------------------------------------------

    def create(self, new: NewInstance, policy: ConflictPolicy, *, claim: bool) -> Created:
        """Store a new instance (see the port)."""
        self._check_usable()
        if claim:
            self._present()
        created = self._creation.one(new, claim=claim, definition=self._definition(new.definition))
        if created is None:
            return super().create(new, policy, claim=claim)
        if not claim:
            self.hints.notify()
        return created

    def create_many(self, news: list[NewInstance], policy: ConflictPolicy) -> list[Created]:
        """Store many instances, or none (see the port)."""
        self._check_usable()
        definitions = {new.definition.definition_hash: self._definition(new.definition) for new in news}
        created = self._creation.many(news, definitions) if news else []
        if created is None:
            # In order of their ids, as everybody locks them; answered in the order given.
            order = sorted(range(len(news)), key=lambda index: news[index].instance_id)
            made = dict(zip(order, super().create_many([news[index] for index in order], policy), strict=True))
            return [made[index] for index in range(len(news))]
        self.hints.notify()
        return created

    def register(self, definitions: list[Definition]) -> list[Lane]:
        """Make definitions known (see the port), in an order in which no two processes wait for each other."""
        return super().register(sorted(definitions, key=lambda one: (one.workflow_id, one.definition_hash)))

    def _definition(self, definition: Definition) -> int:
        """Return a definition's number; the definition is made known when this process has not done so before."""
        known = self._creation.known(definition)
        if known is None:
            known = self._write(lambda rows: rows.add_definition(definition))
            self._creation.note(definition, known)
        return known

    def claim(self, instance_id: str, definition_hash: str, structure: str) -> Any:
        """Claim what can move (see the port)."""
        self._present()
        return super().claim(instance_id, definition_hash, structure)

    def release(self, fences: list[Fence]) -> None:
        """Give claims back (see the port); when the database is away, as soon as this store finds it again."""
        try:
            super().release(fences)
        except BackendError:
            self._claims.give_back_later(fences)
            raise

    def claim_due(
        self, lanes: list[Lane], limit: int, *, aging: float, max_crashes: int = MAX_CRASHES, beside: int = 0,
        before: int | None = None,
    ) -> Due:
        """Claim what may move now, of all instances (see the port)."""
        self._present()
        bounds = scripts.most_crashes(beside, max_crashes), scripts.last_chance(max_crashes)
        found, next_at = self._claims.due(lanes, limit, aging, *bounds, before)
        crashes = {key: crashes_of(work) for key, work in found.items()}
        hard = {key: crashes[key] for key in scripts.together(crashes, max_crashes) if isinstance(found[key], int)}
        try:
            if hard:
                # In one transaction, so that none is claimed if its answer is lost.
                for taken in self._write(lambda rows: scripts.claim_these(rows, hard, max_crashes)):
                    found[taken.claim.fence.instance, taken.claim.fence.token] = taken
            for work in found.values():
                if isinstance(work, Unreadable):
                    self._write(lambda rows, bad=work: scripts.give_up(rows, bad.fence, bad.error))  # type: ignore[misc]
            if hard:  # one that was not to be claimed may have to be looked at again
                next_at = self._read(lambda rows: rows.next_wake(lanes))
        except BaseException:
            self._claims.give_back_later(fence_of(work) for work in found.values() if not isinstance(work, int))
            raise
        return Due(tuple(work for work in found.values() if isinstance(work, Work)), next_at)

    def use_claim_ttl(self, seconds: float) -> None:
        """Let claims be void after so many seconds of silence (see the base)."""
        super().use_claim_ttl(seconds)
        self._shared.claim_ttl = seconds

    def tell(self, worker_id: str, facts: dict[str, Any] | None) -> None:
        """Say what a worker of this process is and does (see the port)."""
        self._present()
        super().tell(worker_id, facts)

    def within(self, connection: Any, script: Callable[[Any], T]) -> T:
        """Run a script in the open transaction of a caller's own psycopg connection (see the base)."""
        self._check_usable()
        return visit(connection, self._shared, self._links, script)

    def checkpoint(
        self, fence: Fence, move: Move, *, consume: Signal | None = None, hold: bool = False, share: bool = False
    ) -> Moved:
        """Write what happened and move the token (see the port)."""
        self._check_usable()
        work = hot(Order(fence, move, consume))
        if work is not None and (moved := self._moved(work, self._hot.run(work))) is not None:
            self._tell([moved])
            return moved
        return super().checkpoint(fence, move, consume=consume, hold=hold, share=share)

    def checkpoint_many(self, orders: list[Order]) -> list[Moved | Exception]:
        """Write many checkpoints (see the port); those of every run in one statement, the others one after the other."""
        self._check_usable()
        works = {index: work for index, order in enumerate(orders) if (work := hot(order)) is not None}
        answers: dict[int, Moved | Exception] = {}
        for (index, work), result in zip(works.items(), self._hot.run_many(list(works.values())), strict=True):
            moved = result if isinstance(result, Exception) else self._moved(work, result)
            if moved is not None:
                answers[index] = moved
        self._tell(list(answers.values()))
        left = [index for index in range(len(orders)) if index not in answers]
        answers.update(zip(left, super().checkpoint_many([orders[index] for index in left]), strict=True))
        return [answers[index] for index in range(len(orders))]

    def _moved(self, work: HotWork, result: Any) -> Moved | None:
        """Return what a hot write answers; None when the general way must look why it was not made."""
        if isinstance(work, Arrival):
            return result  # type: ignore[no-any-return]
        if isinstance(work, Step | Turn):
            return CONTINUE if result else None
        if result is None:
            return None
        output = scripts.output_at_hand(work.move)
        if output is None:
            output = self.value(work.fence.instance, work.move.position.ref)
        return Moved("finished", ended=View(result, (), output))

    def heartbeat(self, fences: list[Fence]) -> list[Beat]:
        """Extend claims (see the port)."""
        self._check_usable()
        return self._claims.beat(fences) if fences else []

    def sweep(self, *, max_crashes: int = MAX_CRASHES) -> int:
        """Free what the dead have left (see the port)."""
        self._present()
        self._claims.give_back()
        silent, untidy = self._claims.left_behind()
        if untidy and self._claims.tidy(max_crashes):
            self.hints.notify()
        return super().sweep(max_crashes=max_crashes) if silent and self._presence.is_settled() else 0

    def send_signal(self, instance_id: str, name: str, payload: bytes, dedup_key: str | None = None) -> bool:
        """Buffer a signal (see the port)."""
        self._check_usable()
        signal = instance_id, name, payload, dedup_key
        accepted, met = post.send(self._links, self._shared, signal) or self._write(
            lambda rows: (scripts.send_signal(rows, *signal), rows.met)
        )
        if not met:
            # An instance that was being created meanwhile may have parked without seeing the signal, which was not
            # committed; it is now, and whoever parks later sees it.
            self._write(lambda rows: scripts.wake_for(rows, instance_id, name))
        self.hints.notify()
        return accepted

    def wait_for_hint(self, seen: int, timeout: float | None) -> int:
        """Block until something may have changed (see the port)."""
        self._present()
        return super().wait_for_hint(seen, timeout)

    # --- ends -----------------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Look dead without giving claims back, as a crash would; for tests."""
        self.close()

    def close(self) -> None:
        """Close all connections; idempotent. Claims still held are free for others at once."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        if self._side is not None:
            self._side.shutdown(cancel_futures=True)
        self._presence.leave()
        if self.hints.teller is not None:
            self.hints.teller.close()
        self._hot.close()
        self._claims.close()
        self._creation.close()
        self._links.close()

    def __repr__(self) -> str:
        return f"PostgresBackend({self._links.shown!r}, schema={self.schema!r})"
