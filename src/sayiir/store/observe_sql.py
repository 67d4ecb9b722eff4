"""The verbs for faces in SQL that both databases understand; a store says how to execute it.

Rules of this file: "?" is a parameter, "@" stands before the names of tables, both as `execute` of the store wants them.
Every statement over instances is bounded by a LIMIT inside, along an index, before its filter: what it costs does not
depend on how many instances there are. Payload columns are not named here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec

from sayiir.core.lifecycle import TERMINAL, State
from sayiir.core.records import Record
from sayiir.store.columns import instance_of, raw
from sayiir.store.numbers import number_of
from sayiir.store.observe_port import (
    MAX_LOG_BYTES,
    MAX_LOG_LINES,
    UNFINISHED,
    AuditEntry,
    Awaiting,
    Ended,
    Found,
    Known,
    LogEntry,
    OwnerFacts,
    SavedQuery,
    Tallies,
    Tally,
)
from sayiir.store.observing import log_trim
from sayiir.store.port import Instance, Query, Token

_HIGH = (1 << 63) - 1
_DAY = 86_400 * 1_000_000
_FIRST_LOOK = 200
"""So many rows are looked at first; mostly they are enough."""
_MOST_LOOKED = 2000
"""So many at once at most: of more a planner may think that reading the whole table is quicker."""
_FEW = 1000
"""So many instances with a prefix are sorted; more are looked for along their numbers."""
_COLUMNS = """i.number, i.instance_id, i.definition, i.status, i.created_at, i.updated_at, i.output_ref, i.reason,
    i.actor, i.request, i.request_reason, i.request_actor, i.metadata, i.priority"""
_FACTS = "i.number, i.instance_id, i.definition, i.status, i.created_at, i.metadata"
"""What filters ask about."""
_BETWEEN = "i.number >= ? AND i.number < ?"
_DOWN = "ORDER BY i.number DESC LIMIT ?"
ALL = f"FROM @instances i WHERE {_BETWEEN} {_DOWN}"
# As pairs, which only their own index has in order: no planner can think of looking through all other definitions' rows.
OF_DEFINITION = """FROM @instances i WHERE (i.definition, i.number) >= (?, ?) AND (i.definition, i.number) < (?, ?)
    ORDER BY i.definition DESC, i.number DESC LIMIT ?"""
_OPEN_KEYS = """SELECT t.instance AS number FROM @tokens t WHERE t.number = 0 AND t.instance >= ? AND t.instance < ?
    ORDER BY t.instance DESC LIMIT ?"""
# The main token lives as long as its instance is unfinished. First so many tokens, then their instances: a planner that may
# join all of both finds that better.
OPEN = f"FROM ({_OPEN_KEYS}) t CROSS JOIN @instances i WHERE i.number = t.number ORDER BY i.number DESC"
# By columns that a completion does not write, so that their indexes cost it nothing.
FAILED = f"FROM @instances i WHERE i.error IS NOT NULL AND {_BETWEEN} {_DOWN}"
CANCELLED = f"FROM @instances i WHERE i.halted IS NOT NULL AND i.error IS NULL AND {_BETWEEN} {_DOWN}"
PREFIXED = f"""FROM @instances i WHERE i.number IN (SELECT number FROM @instances
    WHERE instance_id >= ? AND instance_id < ? LIMIT {_FEW + 1}) AND {_BETWEEN} {_DOWN}"""
EDGE = "SELECT count(*), min(number) FROM ({}) i"
HOW_MANY_PREFIXED = f"""SELECT count(*) FROM (SELECT 1 FROM @instances
    WHERE instance_id >= ? AND instance_id < ? LIMIT {_FEW + 1}) p"""
LINES = """SELECT ref, node, kind, iteration, attempt, status, source, error, worker, started_at, finished_at, superseded
    FROM @results WHERE instance = ?"""
AHEAD = """SELECT count(*) FROM (SELECT 1 FROM @tokens WHERE definition = ? AND tags = ? AND priority = ?
    AND wake_at < ? LIMIT ?) a"""
# Of tokens that nobody holds, and whose signal is not there: that one would have woken them before their deadline.
AWAITING = f"""SELECT {_COLUMNS}, d.workflow_id, d.definition_hash, t.number, t.node, t.due_at, t.signal, t.moved_at
    FROM @tokens t CROSS JOIN @instances i CROSS JOIN @definitions d
    WHERE t.signal IS NOT NULL AND (t.instance, t.number) > (?, ?) AND i.number = t.instance AND d.number = i.definition
    AND t.owner IS NULL AND (t.wake_at IS NULL OR t.wake_at = t.due_at) AND i.status <> 'paused' AND i.request IS NULL
    ORDER BY t.instance, t.number LIMIT ?"""
OWNERS = "SELECT owner, name, started_at, beat_at, facts FROM @owners"
CLAIMS = "SELECT owner, count(*) FROM @tokens WHERE owner IS NOT NULL GROUP BY owner"
ADD_AUDIT = "INSERT INTO @audit (at, actor, action, target, reason, details) VALUES (?, ?, ?, ?, ?, ?)"
AUDIT = "SELECT actor, action, target, reason, details, id, at FROM @audit WHERE id < ? ORDER BY id DESC LIMIT ?"
AUDIT_OF = """SELECT actor, action, target, reason, details, id, at FROM @audit WHERE target = ? AND id < ?
    ORDER BY id DESC LIMIT ?"""
SAVE_VIEW = """INSERT INTO @views (name, filter, actor) VALUES (?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET filter = excluded.filter, actor = excluded.actor"""
LOGS = "SELECT at, level, task, attempt, logger, message, id FROM @logs WHERE instance = ?"
ADD_LOG = """INSERT INTO @logs (instance, id, at, level, task, attempt, logger, message)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
FAULTS = {
    "tokens without an instance": """SELECT count(*) FROM @tokens t LEFT JOIN @instances i ON i.number = t.instance
        WHERE i.number IS NULL""",
    "finished instances that have tokens": """SELECT count(*) FROM @tokens t JOIN @instances i ON i.number = t.instance
        WHERE i.status IN ('completed', 'failed', 'cancelled')""",
    "unfinished instances without a main token": """SELECT count(*) FROM @instances i LEFT JOIN @tokens t
        ON t.instance = i.number AND t.number = 0
        WHERE t.instance IS NULL AND i.status NOT IN ('completed', 'failed', 'cancelled')""",
    "instances without a definition": """SELECT count(*) FROM @instances i LEFT JOIN @definitions d
        ON d.number = i.definition WHERE d.number IS NULL""",
}
"""What must not be, and how many of it there are."""
SHOWN = "SELECT secrets, attempts FROM @definitions WHERE workflow_id = ? AND definition_hash = ?"
TABLES = ("definitions", "instances", "tokens", "results", "signals", "owners", "logs", "audit", "views")


class Source(NamedTuple):
    """Where to look for instances, from the highest number down."""

    sql: str
    """After the columns: what to select from, and in which order."""
    before: tuple[Any, ...]
    """The values of its first parameters, before the lowest number."""
    between: tuple[Any, ...]
    """Those between the lowest number and the one that all are below; then comes how many."""
    low: int
    high: int

    def values(self, high: int, limit: int) -> tuple[Any, ...]:
        """Return the values of its parameters, for instances below a number."""
        return (*self.before, self.low, *self.between, high, limit)

    @property
    def keys(self) -> str:
        """The same, for numbers alone."""
        return _OPEN_KEYS if self.sql == OPEN else f"SELECT i.number {self.sql}"


class SqlObserving:
    """Rows for faces; a store's rows derive from it."""

    owner: int
    observe_blob: ClassVar[str]
    """How the column of an error is read as it was written."""

    def now(self) -> int:
        raise NotImplementedError

    def alive(self, owner: int) -> bool:
        raise NotImplementedError

    def instance_by_number(self, number: int) -> Instance | None:
        raise NotImplementedError

    def ask(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Execute a statement of this file and return its rows."""
        raise NotImplementedError

    def tell_it(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Execute a statement of this file and return how many rows it wrote."""
        raise NotImplementedError

    def filters(self, query: Query) -> tuple[str, list[Any]]:
        """Return the conditions of a query over `i` and `d`, and their values."""
        raise NotImplementedError

    # --- lists and counts -----------------------------------------------------------------------------------------

    def page(self, query: Query, scan: int) -> Found:
        wanted, edges = list[Instance](), list[int]()
        where, values = self.filters(query)
        for source in self._sources(query):
            found, edge = self._newest(source, (where, values), query.limit + 1, scan)
            wanted += found
            edges += [] if edge is None else [edge]
        edge = max(edges, default=None)
        wanted = sorted((one for one in wanted if edge is None or one.number >= edge), key=lambda one: -one.number)
        if len(wanted) > query.limit:
            edge = wanted[query.limit - 1].number
        return Found(tuple(wanted[: query.limit]), edge)

    def _newest(
        self, source: Source, fitting: tuple[str, list[Any]], limit: int, scan: int
    ) -> tuple[list[Instance], int | None]:
        """Return the newest of a source that fit, and where looking ended; None when all was looked at, or enough found."""
        where, values = fitting
        statement = f"""SELECT {_COLUMNS}, d.workflow_id, d.definition_hash FROM (SELECT {_COLUMNS} {source.sql}) i
            JOIN @definitions d ON d.number = i.definition WHERE {where} ORDER BY i.number DESC LIMIT ?"""
        found, left, part, high = list[Instance](), scan, min(scan, max(_FIRST_LOOK, limit)), source.high
        while True:
            keys = source.values(high, part)
            rows = self.ask(statement, (*keys, *values, limit - len(found)))
            found += map(_instance, rows)
            left -= part
            if len(found) >= limit:
                return found, None
            (count, last) = self.ask(EDGE.format(source.keys), keys)[0]
            if count < part:
                return found, None
            if left <= 0:
                return found, last
            high, part = last, min(left, 4 * part, _MOST_LOOKED)

    def tally(self, query: Query, scan: int) -> Tallies:
        found, capped = list[Tally](), set[State]()
        for statuses in (UNFINISHED, (State.FAILED,), (State.CANCELLED,), (State.COMPLETED,)):
            asked = tuple(status for status in statuses if query.statuses is None or status in query.statuses)
            if not asked:
                continue
            one = msgspec.structs.replace(query, statuses=asked)
            where, values = self.filters(one)
            left = scan
            for source in self._sources(one):
                statement = f"""SELECT i.status, i.definition, sum(CASE WHEN {where} THEN 1 ELSE 0 END), count(*)
                    FROM (SELECT {_FACTS} {source.sql}) i JOIN @definitions d ON d.number = i.definition
                    GROUP BY i.status, i.definition"""
                rows = self.ask(statement, (*values, *source.values(source.high, left)))
                found += [Tally(State(row[0]), row[1], int(row[2])) for row in rows if row[2]]
                left -= sum(row[3] for row in rows)
                if left <= 0:
                    capped |= set(asked)
                    break
        return Tallies(tuple(found), frozenset(capped))

    def _sources(self, query: Query) -> list[Source]:
        """Return where to look."""
        low = 0 if query.created_after is None else max(0, number_of(query.created_after - _DAY))
        high = _HIGH if query.created_before is None else number_of(query.created_before + _DAY)
        high = high if query.below is None else min(high, query.below)
        if query.id_prefix:
            span = query.id_prefix, after_prefix(query.id_prefix)
            if self.ask(HOW_MANY_PREFIXED, span)[0][0] <= _FEW:
                return [Source(PREFIXED, span, (), low, high)]
        wanted = None if query.statuses is None else set(query.statuses)
        if wanted is not None and State.COMPLETED not in wanted:
            kinds = ((OPEN, set(UNFINISHED)), (FAILED, {State.FAILED}), (CANCELLED, {State.CANCELLED}))
            return [Source(sql, (), (), low, high) for sql, statuses in kinds if statuses & wanted]
        if query.workflow_id is not None:
            numbers = "SELECT number FROM @definitions WHERE workflow_id = ? ORDER BY number DESC"
            rows = self.ask(numbers, (query.workflow_id,))
            return [_of_definition(row[0], low, high) for row in rows]
        return [Source(ALL, (), (), low, high)]

    def definitions(self) -> list[Known]:
        rows = self.ask("SELECT number, workflow_id, definition_hash FROM @definitions ORDER BY number")
        return [Known(*row) for row in rows]

    def shown(self, workflow_id: str, definition_hash: str) -> tuple[str, dict[str, int]]:
        rows = self.ask(SHOWN, (workflow_id, definition_hash))
        return (str(rows[0][0]), msgspec.json.decode(rows[0][1], type=dict[str, int])) if rows else ("[]", {})

    def endings(self, definition: int, limit: int) -> list[Ended]:
        source = _of_definition(definition, 0, _HIGH)
        rows = self.ask(f"SELECT i.status, i.created_at, i.updated_at {source.sql}", source.values(_HIGH, limit))
        return [
            Ended(State(row[0]), row[1], row[2]) for row in rows if row[0] in TERMINAL and row[0] != State.CANCELLED
        ]

    def lines(self, number: int, limit: int, node: str | None) -> list[Record]:
        statement = LINES.replace(" error,", f" {self.observe_blob},")
        if node is None:
            rows = self.ask(f"{statement} ORDER BY ref DESC LIMIT ?", (number, limit))
        else:
            rows = self.ask(f"{statement} AND node = ? ORDER BY ref DESC LIMIT ?", (number, node, limit))
        return [
            Record(
                row[0], row[1], row[2], row[3], row[4], row[5], source=row[6], error=_bytes(row[7]), worker=row[8],
                started_at=row[9], finished_at=row[10], superseded=bool(row[11]),
            )
            for row in reversed(rows)
        ]  # fmt: skip

    def ahead(self, token: Token, limit: int) -> int:
        wake_at = _HIGH if token.wake_at is None else token.wake_at
        key = token.definition, token.tags, token.priority, min(wake_at, self.now()), limit
        return int(self.ask(AHEAD, key)[0][0])

    def awaiting(self, limit: int, after: tuple[int, int]) -> list[Awaiting]:
        found = list[Awaiting]()
        for row in self.ask(AWAITING, (*after, limit)):
            instance = _instance(row[:16])
            number, node, due_at, signal, moved_at = row[16:]
            token = Token(instance.number, number, "awaiting", node, due_at=due_at, signal=signal, moved_at=moved_at)
            found.append(Awaiting(instance, token))
        return found

    def buffered(self, instance_id: str) -> list[str]:
        statement = "SELECT name FROM @signals WHERE instance_id = ? AND consumed_at IS NULL LIMIT 100"
        return [row[0] for row in self.ask(statement, (instance_id,))]

    # --- owners ---------------------------------------------------------------------------------------------------

    def owner_facts(self, owners: list[int] | None) -> list[OwnerFacts]:
        if owners is None:
            rows = self.ask(f"{OWNERS} ORDER BY owner")
        else:
            rows = [row for owner in owners for row in self.ask(f"{OWNERS} WHERE owner = ?", (owner,))]
        return [OwnerFacts(row[0], row[1], row[2], row[3], self.alive(row[0]), _facts(row[4])) for row in rows]

    def claims(self) -> dict[int, int]:
        return {row[0]: row[1] for row in self.ask(CLAIMS)}

    def tell(self, worker_id: str, facts: dict[str, Any] | None) -> None:
        rows = self.ask("SELECT facts FROM @owners WHERE owner = ?", (self.owner,))
        told = _facts(rows[0][0]) if rows else {}
        after = {name: fact for name, fact in told.items() if name != worker_id}
        if facts is not None:
            after[worker_id] = facts
        if rows and after != told:
            text = msgspec.json.encode(after).decode()
            self.tell_it("UPDATE @owners SET facts = ? WHERE owner = ?", (text, self.owner))

    # --- audit, views, logs ---------------------------------------------------------------------------------------

    def add_audit(self, entry: AuditEntry, now: int) -> None:
        values = now, entry.user, entry.action, entry.target, entry.reason, entry.details.decode()
        self.tell_it(ADD_AUDIT, values)

    def audit(self, target: str | None, below: int | None, limit: int) -> list[AuditEntry]:
        upto = _HIGH if below is None else below
        rows = self.ask(AUDIT, (upto, limit)) if target is None else self.ask(AUDIT_OF, (target, upto, limit))
        return [AuditEntry(row[0], row[1], row[2], row[3], row[4].encode(), row[5], row[6]) for row in rows]

    def views(self) -> list[SavedQuery]:
        return [SavedQuery(*row) for row in self.ask("SELECT name, filter, actor FROM @views ORDER BY name")]

    def save_view(self, view: SavedQuery) -> None:
        self.tell_it(SAVE_VIEW, (view.name, view.where, view.user))

    def drop_view(self, name: str) -> bool:
        return self.tell_it("DELETE FROM @views WHERE name = ?", (name,)) > 0

    def add_logs(self, number: int, lines: list[LogEntry]) -> None:
        if self.instance_by_number(number) is None:  # and locked, where rows are: two writers count one after the other
            return
        first = int(self.ask("SELECT coalesce(max(id), 0) FROM @logs WHERE instance = ?", (number,))[0][0]) + 1
        for place, line in enumerate(lines, start=first):
            self.tell_it(
                ADD_LOG,
                (number, place, line.at, line.level, line.task_id, line.attempt, line.logger, line.message),
            )
        sizes = self.ask(
            "SELECT id, length(message) + length(logger) + 40 FROM @logs WHERE instance = ? ORDER BY id DESC", (number,)
        )
        if upto := log_trim([(row[0], row[1]) for row in sizes], MAX_LOG_LINES, MAX_LOG_BYTES):
            self.tell_it("DELETE FROM @logs WHERE instance = ? AND id <= ?", (number, upto))

    def logs(self, number: int, limit: int, task_id: str | None) -> list[LogEntry]:
        if task_id is None:
            rows = self.ask(f"{LOGS} ORDER BY id DESC LIMIT ?", (number, limit))
        else:
            rows = self.ask(f"{LOGS} AND task = ? ORDER BY id DESC LIMIT ?", (number, task_id, limit))
        return [LogEntry(*row) for row in reversed(rows)]

    # --- health ---------------------------------------------------------------------------------------------------

    def figures(self) -> dict[str, Any]:
        now = self.now()
        due = "SELECT 1 FROM @tokens WHERE wake_at <= ? LIMIT 10001"
        depth = self.ask(f"SELECT count(*) FROM ({due}) w", (now,))[0][0]
        oldest = self.ask("SELECT min(wake_at) FROM @tokens WHERE wake_at IS NOT NULL")[0][0]
        age = None if oldest is None or oldest > now else (now - oldest) / 1_000_000
        queue = {"due": min(depth, 10_000), "due_capped": depth > 10_000, "oldest_due_secs": age}
        return {"tables": self.table_figures(), **queue}

    def table_figures(self) -> dict[str, dict[str, int | bool | None]]:
        """Return rows and bytes of each table."""
        raise NotImplementedError

    def faults(self) -> list[str]:
        found = {what: self.ask(statement)[0][0] for what, statement in FAULTS.items()}
        return [*self.engine_faults(), *(f"{count} {what}" for what, count in found.items() if count)]

    def engine_faults(self) -> list[str]:
        """Return what the database itself finds wrong."""
        return []


def _of_definition(number: int, low: int, high: int) -> Source:
    return Source(OF_DEFINITION, (number,), (number,), low, high)


def after_prefix(prefix: str) -> str:
    """Return a text that all texts with a prefix are below, in the order of code points."""
    point = ord(prefix[-1]) + 1
    if 0xD800 <= point < 0xE000:
        point = 0xE000
    if point > 0x10FFFF:
        return after_prefix(prefix[:-1]) if len(prefix) > 1 else prefix * 300
    return prefix[:-1] + chr(point)


def _instance(row: Any) -> Instance:
    (number, instance_id, definition, status, created, updated, ref, reason, actor, request, why, who, metadata,
     priority, workflow_id, definition_hash) = row  # fmt: skip
    return instance_of(
        (number, instance_id, definition, workflow_id, definition_hash, status, b"", created, updated, ref, None, reason,
         actor, request, why, who, _bytes(metadata), priority, None)
    )  # fmt: skip


def _bytes(value: Any) -> bytes | None:
    return raw(value) if isinstance(value, str) else value


def _facts(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    found: dict[str, Any] = msgspec.json.decode(text)
    return found
