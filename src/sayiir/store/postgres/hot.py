"""The writes of every run, steps and ends, of all threads that write at the same time, in one round trip.

Branches that arrive at a join pass through here too, in a transaction of their own (`arrivals.py`). Each of the others
is one statement that looks at the fence and writes under the token's lock, so there is no transaction around it to begin
and to commit. When the answer is lost, the history is asked: a line has a place of its own, and says who wrote it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
import psycopg
from psycopg import errors

from sayiir.core.lifecycle import State
from sayiir.core.records import Arrive, Complete, Move, Run
from sayiir.errors import BackendError
from sayiir.store.columns import is_plain, keys_text, raw, record_values, stored_text
from sayiir.store.group import Entry, Group
from sayiir.store.port import Fence, Instance, Moved, Order, Signal
from sayiir.store.postgres import quick
from sayiir.store.postgres.arrivals import Arrival, write_arrivals
from sayiir.store.postgres.lines import line_of
from sayiir.store.postgres.links import AGAIN, Connected, Links, Patience
from sayiir.store.postgres.own import OwnConnection, as_json
from sayiir.store.postgres.rows import Shared


class Step(msgspec.Struct, gc=False):
    """A token goes on to another task with the value of its one line."""

    fence: Fence
    move: Move
    doubt: bool = False
    """Whether it was sent already and the answer was lost."""


class Turn(msgspec.Struct, gc=False):
    """A token goes on to a task otherwise: after a wait, with a signal, to another attempt or iteration."""

    fence: Fence
    move: Move
    consume: Signal | None = None
    doubt: bool = False


class End(msgspec.Struct, gc=False):
    """A main line has come to its end."""

    fence: Fence
    move: Move
    doubt: bool = False


HotWork: TypeAlias = Step | Turn | End | Arrival


def hot(order: Order) -> HotWork | None:
    """Return the hot write that an order is; None for the others."""
    move, records = order.move, order.move.records
    if type(move.decision) is Run:
        if order.consume is None and is_plain(move) and records[0].kind == "task":
            return Step(order.fence, move)
        return Turn(order.fence, move, order.consume)
    if order.consume is not None:
        return None
    if type(move.decision) is Complete and not order.fence.token and records:
        return End(order.fence, move)
    return Arrival(order.fence, move) if type(move.decision) is Arrive else None


class HotWrites(Group):
    """Writes steps, turns, ends and arrivals of branches.

    The answer is whether the step or turn was made, the instance as it ended, or what came of the arrival; False
    and None mean that the general way must look why. Results are exact: a batch is made again one by one when it fails or
    its answer is lost.

    Args:
        links: where its own connection comes from.
        shared: what the store knows.
    """

    def __init__(self, links: Links, shared: Shared) -> None:
        super().__init__()
        self._links = links
        self._shared = shared
        self._sql = shared.sql
        self._own = OwnConnection(links)
        self.names: dict[int, tuple[str, str]] = {}
        """Definition → (workflow id, hash)."""
        self.commits = 0
        self.writes = 0

    def _commit(self, batch: list[Entry]) -> None:
        try:
            self._write_all(batch)
        except BaseException:  # interrupted in the middle of an answer
            self._lose(batch)
            raise

    def _lose(self, batch: list[Entry]) -> None:
        """Drop the connection; whoever writes these again looks first what has come through."""
        self._own.drop()
        for entry in batch:
            entry.work.doubt = True

    def _write_all(self, batch: list[Entry]) -> None:
        if len(batch) == 1:
            self._alone(batch[0])
            return
        arrivals = [entry for entry in batch if isinstance(entry.work, Arrival)]
        if arrivals:
            self._arrive(arrivals)
            batch = [entry for entry in batch if not isinstance(entry.work, Arrival)]
            if not batch:
                return
        try:
            self._together(self._own.get(), batch)
        except (psycopg.Error, BackendError):
            self._lose(batch)  # one by one it is found out whose fault it was

    def _alone(self, entry: Entry) -> None:
        if isinstance(entry.work, Arrival):
            self._arrive([entry])
            return
        patience: Patience | None = None
        try:
            while not entry.settled:
                try:
                    self._once(entry)
                    entry.settled = True
                except AGAIN as error:
                    self._own.drop()
                    entry.work.doubt = True
                    patience = patience or Patience(self._links.clock, self._links.patience)
                    patience.wait(self._links.explain(error))
        except BackendError as error:
            entry.error, entry.settled = error, True
        except psycopg.Error as error:
            self._own.drop()
            entry.error, entry.settled = self._links.explain(error), True
        self.commits += 1
        self.writes += 1

    def _once(self, entry: Entry) -> None:
        """Write, unless an earlier try has come through, or does so meanwhile."""
        connection, doubt = self._own.get(), entry.work.doubt
        if doubt and self._landed(connection, entry):
            return
        try:
            self._write(connection, entry)
        except errors.UniqueViolation:
            # Or it came through when it was asked for before: whoever got no answer for long asks again.
            if not self._landed(connection, entry):
                raise

    def _arrive(self, entries: list[Entry]) -> None:
        results: list[Moved | None] = [None] * len(entries)
        try:
            results = write_arrivals(self._own, self._links, self._shared, [entry.work for entry in entries])
        except (psycopg.Error, BackendError):
            self._own.drop()  # nothing was written: the general way begins anew
        for entry, result in zip(entries, results, strict=True):
            entry.result, entry.settled = result, True
        self.commits += 1
        self.writes += len(entries)

    def _write(self, connection: Connected, entry: Entry) -> None:
        work = entry.work
        if isinstance(work, Step):
            values = record_values(
                work.fence.instance, work.move.records[0], work.move.position.node, stored_text
            )
            held = (work.fence.instance, work.fence.token, work.fence.epoch, keys_text(work.move.position.keys))
            entry.result = len(quick.ask(connection, self._sql.HOT_STEP, values + held)) == 1
            return
        if isinstance(work, Turn):
            entry.result = len(quick.ask(connection, self._sql.HOT_TURNS, _turns([work]))) == 1
            if not entry.result:
                self._landed(connection, entry)  # likewise: its signal is used up
            return
        fence, records, ref = work.fence, work.move.records, work.move.position.ref
        if len(records) == 1:
            values = (*record_values(fence.instance, records[0], None, stored_text), fence.epoch, ref)
            rows = quick.ask(connection, self._sql.HOT_FINISH_ONE, values)
        else:
            rows = quick.ask(connection, self._sql.HOT_FINISH, _ends([work]))
        entry.result = self._instance(connection, rows[0]) if rows else None

    def _together(self, connection: Connected, batch: list[Entry]) -> None:
        sql, works = self._sql, [entry.work for entry in batch]
        steps = [work for work in works if isinstance(work, Step)]
        turns = [work for work in works if isinstance(work, Turn)]
        ends = [work for work in works if isinstance(work, End)]
        parts: list[tuple[bytes, Any]] = []
        parts += [(sql.HOT_STEPS, _steps(steps))] if steps else []
        parts += [(sql.HOT_TURNS, _turns(turns))] if turns else []
        parts += [(sql.HOT_FINISH, _ends(ends))] if ends else []
        answers = _sent(connection, parts)
        made = {*answers.pop(0)} if steps else set[Any]()
        turned = {*answers.pop(0)} if turns else set[Any]()
        ended = {row[0]: row for row in answers.pop(0)} if ends else dict[int, Any]()
        for entry, work in zip(batch, works, strict=True):
            if isinstance(work, Step):
                entry.result = (work.fence.instance, work.move.records[0].ref) in made
            elif isinstance(work, Turn):
                entry.result = (work.fence.instance, work.fence.token) in turned
                if not entry.result:
                    continue  # alone it is found out why
            else:
                row = ended.get(work.fence.instance)
                entry.result = None if row is None else self._instance(connection, row)
            entry.settled = True
        self.commits += 1
        self.writes += len(batch)

    def _landed(self, connection: Connected, entry: Entry) -> bool:
        """Return whether a write whose answer was lost has come through, and note its result."""
        work, sql = entry.work, self._sql
        if isinstance(work, Step | Turn):
            if not work.move.records:
                return False  # it says only what the token is to be, and may be made twice
            line = work.move.records[0]
            row = connection.execute(sql.LANDED_LINE, (work.fence.instance, line.ref)).fetchone()
            if row != (line.worker, line.started_at):
                return False
            entry.result = True
            return True
        row = connection.execute(sql.LANDED_END, (work.fence.instance, work.move.position.ref)).fetchone()
        if row is None:
            return False
        entry.result = self._instance(connection, row)
        return True

    def _instance(self, connection: Connected, row: Any) -> Instance:
        number, instance_id, definition, created_at, updated_at, ref, metadata, priority = row
        if definition not in self.names:
            found = connection.execute(self._sql.NAME, (definition,)).fetchone()
            self.names[definition] = found or ("", "")
        workflow_id, definition_hash = self.names[definition]
        return Instance(
            number, instance_id, definition, workflow_id, definition_hash, State.COMPLETED, b"", created_at, updated_at,
            ref, metadata=raw(metadata), priority=priority,
        )  # fmt: skip

    def run_many(self, works: list[HotWork]) -> list[Any]:
        """Write these together; return for each its result, or its error."""
        entries = [Entry(work) for work in works]
        if entries:
            with self._seat:
                self._commit(entries)
                for entry in entries:
                    if not entry.settled:
                        self._commit([entry])
        return [entry.result if entry.error is None else entry.error for entry in entries]

    def close(self) -> None:
        """Close the connection when nobody is using it."""
        with self._seat:
            self._own.close()


def _sent(connection: Connected, parts: list[tuple[bytes, Any]]) -> list[list[Any]]:
    """Execute statements in one transaction and one round trip; return the rows of each."""
    if len(parts) == 1:
        return [quick.ask(connection, *parts[0])]
    return quick.ask_all(connection, [(b"BEGIN", ()), *parts, (b"COMMIT", ())])[1:-1]


def _steps(works: list[Step]) -> tuple[str]:
    rows = []
    for work in works:
        fence, move = work.fence, work.move
        row = line_of(fence.instance, move.records[0], move.position.node)
        row["token"], row["epoch"], row["keys"] = fence.token, fence.epoch, keys_text(move.position.keys)
        rows.append(row)
    return (as_json(rows),)


def _turns(works: list[Turn]) -> tuple[str]:
    rows = []
    for work in works:
        fence, at = work.fence, work.move.position
        rows.append(
            {
                "instance": fence.instance, "token": fence.token, "epoch": fence.epoch, "node": at.node, "ref": at.ref,
                "step": at.step, "attempt": at.attempt, "iteration": at.iteration, "crashes": at.crashes,
                "keys": keys_text(at.keys), "used": work.consume.id if work.consume is not None else None,
                "lines": _lines(work),
            }
        )  # fmt: skip
    return (as_json(rows),)


def _ends(works: list[End]) -> tuple[str]:
    rows = []
    for work in works:
        fence = work.fence
        rows.append(
            {"instance": fence.instance, "epoch": fence.epoch, "ref": work.move.position.ref, "lines": _lines(work)}
        )
    return (as_json(rows),)


def _lines(work: Turn | End) -> list[dict[str, Any]]:
    return [line_of(work.fence.instance, record, None) for record in work.move.records]
