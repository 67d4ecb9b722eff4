"""Lists: pages and counts of instances, workflows with their figures, workers, the inbox, audit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from sayiir.core.lifecycle import State
from sayiir.errors import FilterError, UnknownWorkflowError
from sayiir.service.cursor import cursor_of, place_of
from sayiir.service.desk import Desk, worker_rows
from sayiir.service.filter import parse_filter
from sayiir.service.forms import input_schema, signal_schemas
from sayiir.service.model import (
    Access,
    AuditLine,
    Count,
    Facets,
    InboxItem,
    InstancePage,
    Wait,
    WorkerRow,
    WorkflowRow,
    WorkflowVersion,
)
from sayiir.service.words import moment
from sayiir.store.observe_port import UNFINISHED, Awaiting, Ended, Found, Known, Tallies
from sayiir.store.port import Query

MAX_PAGE = 1000
_FINISHED = 1000
_RECENT = 50
_LOOK_SECS = 0.015
"""How long a page looks on past instances that do not fit."""
_LOOK_ROWS = 2000
_COUNTED = 1000
"""Of each kind of status so many instances are counted; of more only that there are more."""
_COUNTS_SECS = 2.0
_COUNTS_KEPT = 200


class Lists(Desk):
    """The part of `Service` that lists."""

    def find(self, access: Access, where: str = "", *, cursor: str | None = None, limit: int = 50) -> InstancePage:
        """Return a page of the instances that fit a filter, the newest first.

        Args:
            access: who asks.
            where: the filter (see `service.filter`).
            cursor: the `next` of the page before.
            limit: how many at most, 1 to 1,000.

        Returns:
            The page. Where a filter without an index fits few of very many instances it may be shorter than asked for, and
            still have a next one.

        Raises:
            FilterError: the filter, cursor or limit cannot be read.
        """
        self._allow(access, "find")
        query = self._query(where, limit)
        if cursor is not None:
            query = msgspec.structs.replace(query, below=place_of(cursor, 1)[0])
        found = self._look(query)
        return InstancePage(tuple(map(self._row, found.instances)), None if found.below is None else cursor_of(found.below))

    def _query(self, where: str, limit: int = 1) -> Query:
        return msgspec.structs.replace(parse_filter(where, self.store.now()), limit=_limit(limit))

    def _look(self, query: Query) -> Found:
        """Return a page, looking on for a moment where few of what is looked at fit."""
        clock = self.store.clock
        until = clock.monotonic() + _LOOK_SECS
        found = self.store.page(query, _LOOK_ROWS)
        while found.below is not None and len(found.instances) < query.limit and clock.monotonic() < until:
            left = query.limit - len(found.instances)
            more = self.store.page(msgspec.structs.replace(query, limit=left, below=found.below), _LOOK_ROWS)
            found = Found((*found.instances, *more.instances), more.below)
        return found

    def facets(self, access: Access, where: str = "") -> Facets:
        """Count the instances that fit a filter, by status and by workflow, each as if its own filter were not set."""
        self._allow(access, "facets")
        query = self._query(where)
        names = {known.number: known.workflow_id for known in self.store.definitions()}
        by_workflow = self._tally(msgspec.structs.replace(query, statuses=None, workflow_id=None))
        by_status = by_workflow if query.workflow_id is None else self._of_workflow(query, by_workflow, names)
        if query.statuses is not None:
            chosen = tuple(tally for tally in by_workflow.tallies if tally.status in query.statuses)
            by_workflow = Tallies(chosen, by_workflow.capped & set(query.statuses))
        counts = Counter[str]()
        for tally in by_workflow.tallies:
            counts[names.get(tally.definition, "?")] += tally.count
        capped = bool(by_workflow.capped & {tally.status for tally in by_workflow.tallies})
        ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
        return Facets(_status_counts(by_status), tuple(Count(name, count, capped) for name, count in ranked))

    def _of_workflow(self, query: Query, of_all: Tallies, names: dict[int, str]) -> Tallies:
        """Return one workflow's counts out of those of all, which looked at the same rows, but for the completed ones."""
        completed = self._tally(msgspec.structs.replace(query, statuses=(State.COMPLETED,)))
        others = (
            tally
            for tally in of_all.tallies
            if tally.status is not State.COMPLETED and names.get(tally.definition) == query.workflow_id
        )
        return Tallies((*others, *completed.tallies), of_all.capped - {State.COMPLETED} | completed.capped)

    def _tally(self, query: Query) -> Tallies:
        """Count, or say again what was counted a moment ago and cannot have changed here since."""
        clock, mark = self.store.clock, self.store.hints.mark
        # The time from which on is looked differs from call to call; a moment of it makes no difference.
        after, before = _coarse(query.created_after), _coarse(query.created_before)
        key = msgspec.structs.replace(query, created_after=after, created_before=before)
        with self._counting:
            kept = self._counted.get(text := repr(key))
            if kept is not None and kept[0] == mark and clock.monotonic() - kept[1] < _COUNTS_SECS:
                return kept[2]
        found = self.store.tally(query, _COUNTED)
        with self._counting:
            if len(self._counted) >= _COUNTS_KEPT:
                self._counted.clear()
            self._counted[text] = mark, clock.monotonic(), found
        return found

    # --- workflows and workers ------------------------------------------------------------------------------------

    def workflows(self, access: Access) -> tuple[WorkflowRow, ...]:
        """Return all workflows with their versions and figures, by name."""
        self._allow(access, "workflows")
        return self._workflows(None)

    def workflow(self, access: Access, workflow_id: str) -> WorkflowRow:
        """Return one workflow.

        Raises:
            UnknownWorkflowError: nobody has this name.
        """
        self._allow(access, "workflow")
        found = self._workflows(workflow_id)
        if not found:
            raise UnknownWorkflowError(
                f"there is no workflow {workflow_id!r}; look at the list of workflows", workflow_id=workflow_id
            )
        return found[0]

    def _workflows(self, only: str | None) -> tuple[WorkflowRow, ...]:
        stored = defaultdict[str, list[Known]](list)
        for known in self.store.definitions():
            stored[known.workflow_id].append(known)
        for name, _ in self._known:
            stored[name]  # also one of which no instance was ever submitted
        names = sorted(name for name in stored if only in (None, name))
        tallies = self._tally(Query(statuses=(*UNFINISHED, State.FAILED, State.CANCELLED)))
        served = _served(row for row in worker_rows(self.store.owner_facts(), {}) if row.alive)
        return tuple(self._workflow(name, stored[name], tallies, served) for name in names)

    def _workflow(
        self, name: str, stored: list[Known], tallies: Tallies, served: dict[tuple[str, str], list[str]]
    ) -> WorkflowRow:
        numbers = {known.number for known in stored}
        done = self._tally(Query(workflow_id=name, statuses=(State.COMPLETED,)))
        mine = Tallies(
            (*(one for one in tallies.tallies if one.definition in numbers), *done.tallies), tallies.capped | done.capped
        )
        endings = [ending for known in reversed(stored) for ending in self.store.endings(known.number, _FINISHED)]
        newest = registered.definition_hash if (registered := self.registered(name)) else None
        hashes = [known.definition_hash for known in stored]
        hashes += [one for other, one in self._known if other == name and one not in hashes]
        versions = [
            WorkflowVersion(
                one, self._unfinished(one, stored, tallies), tuple(served.get((name, one), ())), (name, one) in self._known
            )
            for one in reversed(hashes)
        ]
        versions.sort(key=lambda version: version.definition_hash != newest)  # stable: the one known here comes first
        form = input_schema(registered) if registered is not None else None
        return WorkflowRow(name, _status_counts(mine), tuple(versions), *_figures(endings), form)

    @staticmethod
    def _unfinished(definition_hash: str, stored: list[Known], tallies: Tallies) -> Count:
        number = next((known.number for known in stored if known.definition_hash == definition_hash), None)
        count = sum(one.count for one in tallies.tallies if one.definition == number and one.status in UNFINISHED)
        return Count(definition_hash, count, bool(tallies.capped & set(UNFINISHED)))

    def workers(self, access: Access) -> tuple[WorkerRow, ...]:
        """Return the workers, and other processes that hold claims; the live ones first."""
        self._allow(access, "workers")
        rows = worker_rows(self.store.owner_facts(), self.store.claims())
        return tuple(sorted(rows, key=lambda row: (not row.alive, row.worker_id)))

    # --- inbox, audit ---------------------------------------------------------------------------------------------

    def inbox(
        self, access: Access, *, cursor: str | None = None, limit: int = 50
    ) -> tuple[tuple[InboxItem, ...], str | None]:
        """Return the waits for signals that somebody must send, the oldest instance first, and the cursor to go on."""
        self._allow(access, "inbox")
        place = (0, -1) if cursor is None else place_of(cursor, 2)
        found = self.store.awaiting(_limit(limit) + 1, (place[0], place[1]))
        items = tuple(map(self._item, found[:limit]))
        last = found[limit - 1].token if len(found) > limit else None
        return items, None if last is None else cursor_of(last.instance, last.number)

    def _item(self, found: Awaiting) -> InboxItem:
        instance, token = found.instance, found.token
        known = self.registered(instance.workflow_id, instance.definition_hash)
        form = signal_schemas(known).get(token.node) if known is not None else None
        until = None if token.due_at is None else moment(token.due_at)
        wait = Wait(token.node, "signal", moment(token.moved_at), until, token.signal, form)
        return InboxItem(instance.instance_id, instance.workflow_id, wait)

    def audit(
        self, access: Access, *, target: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> tuple[tuple[AuditLine, ...], str | None]:
        """Return what was done through faces, or done to one target, the newest first, and the cursor to go on."""
        self._allow(access, "audit")
        found = self.store.audit(target, None if cursor is None else place_of(cursor, 1)[0], _limit(limit) + 1)
        lines = tuple(
            AuditLine(one.id, moment(one.at), one.user, one.action, one.target, one.reason, msgspec.json.decode(one.details))
            for one in found[:limit]
        )
        return lines, cursor_of(lines[-1].id) if len(found) > limit else None

    # --- health ---------------------------------------------------------------------------------------------------

    def stats(self, access: Access) -> dict[str, Any]:
        """Return rows and bytes by table, the depth of the queue and the age of its oldest token."""
        self._allow(access, "stats")
        alive = sum(row.alive for row in worker_rows(self.store.owner_facts(), {}))
        return {"backend": self.store.name, **self.store.figures(), "live_workers": alive}


def _coarse(moment: int | None) -> int | None:
    return None if moment is None else moment // 60_000_000


def _limit(limit: Any) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_PAGE:
        raise FilterError(f"limit must be from 1 to {MAX_PAGE}, not {limit!r}")
    return limit


def _status_counts(tallies: Tallies) -> tuple[Count, ...]:
    counts = Counter[State]()
    for tally in tallies.tallies:
        counts[tally.status] += tally.count
    return tuple(Count(status.value, counts[status], status in tallies.capped) for status in State)


def _served(workers: Iterable[WorkerRow]) -> dict[tuple[str, str], list[str]]:
    found = defaultdict[tuple[str, str], list[str]](list)
    for worker in workers:
        for key in worker.workflows:
            found[key].append(worker.worker_id)
    return found


def _figures(endings: list[Ended]) -> tuple[float | None, float | None, float | None, tuple[float, ...]]:
    """Return success rate, median and 95th percentile of seconds, and the seconds of the newest, the oldest first."""
    newest = sorted(endings, key=lambda ending: -ending.created_at)[:_FINISHED]
    if not newest:
        return None, None, None, ()
    took = [(ending.updated_at - ending.created_at) / 1_000_000 for ending in newest if ending.status is State.COMPLETED]
    recent = tuple((ending.updated_at - ending.created_at) / 1_000_000 for ending in reversed(newest[:_RECENT]))
    return len(took) / len(newest), _rank(took, 50), _rank(took, 95), recent


def _rank(values: list[float], percent: int) -> float | None:
    """Return the least value that so many of a hundred do not exceed; None of nothing."""
    return sorted(values)[-(-len(values) * percent // 100) - 1] if values else None
