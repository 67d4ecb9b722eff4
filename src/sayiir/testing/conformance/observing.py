"""What faces ask: pages and counts that look at few rows, owners and what they told, audit, views, log lines."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import msgspec
import pytest

from sayiir.core.lifecycle import State
from sayiir.errors import InvalidStateError
from sayiir.store.observe_port import (
    MAX_LOG_BYTES,
    MAX_LOG_LINE,
    MAX_LOG_LINES,
    AuditEntry,
    Found,
    LogEntry,
    ObservedStore,
    SavedQuery,
)
from sayiir.store.port import Query
from sayiir.testing.conformance.stage import StoreSuite

ANN = AuditEntry("ann", "cancel", "a", "because", b'{"n":1}')


class _Observing(StoreSuite):
    @property
    def seen(self) -> ObservedStore:
        """The store as faces see it."""
        return cast("ObservedStore", self.store)

    def pages(self, scan: int = 10_000, **wanted: Any) -> list[list[str]]:
        """Return the names on each page until there is no next one."""
        found, query = list[list[str]](), Query(**wanted)
        while True:
            page = self.seen.page(query, scan)
            found.append([instance.instance_id for instance in page.instances])
            if page.below is None:
                return found
            query = msgspec.structs.replace(query, below=page.below)

    def one_of_each(self) -> None:
        """Have an instance of each status, named by it."""
        self.start("completed").complete(b"1")
        self.start("failed").fail()
        self.start("waiting").wait(60)
        self.start("awaiting_signal").await_signal("go")
        self.submit("cancelled")
        self.store.request_cancel("cancelled", None, None)
        self.submit("paused")
        self.store.request_pause("paused", None, None)
        self.submit("in_progress")


class PagingSuite(_Observing):
    """`page` and `tally`."""

    def test_nothing_is_on_the_first_page_of_nothing(self) -> None:
        assert self.seen.page(Query()) == Found(())
        assert self.seen.tally(Query()).tallies == ()
        assert self.seen.definitions() == []

    def test_pages_go_on_where_the_one_before_ended(self) -> None:
        names = [f"i{number}" for number in range(7)]
        for name in names:
            self.submit(name)
        assert self.pages(limit=3) == [["i6", "i5", "i4"], ["i3", "i2", "i1"], ["i0"]]
        assert self.pages(limit=7) == [names[::-1]]
        assert self.pages(limit=3, workflow_id="w") == [["i6", "i5", "i4"], ["i3", "i2", "i1"], ["i0"]]

    def test_a_page_has_no_payloads(self) -> None:
        self.start("a", metadata=b'{"k":1}').fail()
        (found,) = self.seen.page(Query()).instances
        stored = self.instance("a")
        assert found == msgspec.structs.replace(stored, input=b"", error=None, halted=None)

    @pytest.mark.parametrize("limit", [1, 10])
    def test_pages_by_status(self, limit: int) -> None:
        self.one_of_each()
        for state in State:
            assert [one for page in self.pages(statuses=(state,), limit=limit) for one in page] == [state.value]
        assert self.pages(statuses=()) == [[]]
        three = (State.FAILED, State.PAUSED, State.CANCELLED)
        mixed = [one for page in self.pages(statuses=three, limit=limit) for one in page]
        assert mixed == ["paused", "cancelled", "failed"], "the newest first, whatever their statuses"
        every = [one for page in self.pages(statuses=tuple(State), limit=limit) for one in page]
        assert sorted(every) == sorted(State)

    def test_statuses_that_changed_are_found_as_they_are_now(self) -> None:
        self.start("a").fail()
        self.retry("a")
        assert self.pages(statuses=(State.FAILED,)) == [[]]
        assert self.pages(statuses=(State.IN_PROGRESS,)) == [["a"]]
        self.claimed().complete()
        assert self.pages(statuses=(State.IN_PROGRESS,)) == [[]]
        assert self.pages(statuses=(State.COMPLETED,)) == [["a"]]

    def test_pages_by_workflow_across_its_versions(self) -> None:
        self.submit("a")
        self.submit("b", workflow_id="v")
        self.submit("c", workflow_id="v", definition_hash="hash-2")
        self.submit("d", workflow_id="v")
        assert self.pages(workflow_id="v", limit=2) == [["d", "c"], ["b"]]
        assert self.pages(workflow_id="nobody") == [[]]

    def test_pages_by_prefix_few_and_many(self) -> None:
        for number in range(1005):
            self.submit(f"many-{number}")
        self.submit("few-1")
        self.submit("fewer")
        assert self.pages(id_prefix="few-") == [["few-1"]]
        assert self.pages(id_prefix="few") == [["fewer", "few-1"]]
        assert self.pages(id_prefix="f_w") == [[]]
        many = [one for page in self.pages(id_prefix="many-", limit=500) for one in page]
        assert many == [f"many-{number}" for number in reversed(range(1005))]
        assert self.pages(id_prefix="few", workflow_id="v") == [[]]

    @pytest.mark.parametrize("prefix", ["ÿ", "\U0010ffff", "\ud7ff", "~"])
    def test_pages_by_a_prefix_at_the_end_of_a_range(self, prefix: str) -> None:
        for name in (prefix, prefix + "a", prefix + "\U0010ffff", "a"):
            self.submit(name)
        assert sorted(self.pages(id_prefix=prefix)[0]) == sorted([prefix, prefix + "a", prefix + "\U0010ffff"])

    def test_pages_by_time(self) -> None:
        self.submit("old")
        self.pass_time(3 * 86_400)
        middle = self.store.now()
        self.submit("new")
        assert self.pages(created_after=middle) == [["new"]]
        assert self.pages(created_before=middle) == [["old"]]

    def test_a_page_that_looked_at_enough_says_where_to_go_on(self) -> None:
        self.submit("wanted", metadata=b'{"k":1}')
        for number in range(9):
            self.submit(f"i{number}")
        pages = self.pages(scan=4, metadata={"k": 1}, limit=2)
        assert pages[0] == [], "the newest four do not fit"
        assert [one for page in pages for one in page] == ["wanted"]

    def test_counts_by_status_and_definition(self) -> None:
        self.one_of_each()
        self.submit("b", workflow_id="v")
        found = self.seen.tally(Query())
        numbers = {known.number: known.workflow_id for known in self.seen.definitions()}
        counts = Counter({(numbers[one.definition], one.status): one.count for one in found.tallies})
        assert counts == {("w", state): 1 for state in State} | {("v", State.IN_PROGRESS): 1}
        assert found.capped == frozenset()
        only = self.seen.tally(Query(workflow_id="w", statuses=(State.FAILED, State.COMPLETED)))
        assert {(one.status, one.count) for one in only.tallies} == {(State.FAILED, 1), (State.COMPLETED, 1)}

    def test_a_count_that_looked_at_enough_says_so(self) -> None:
        for number in range(5):
            self.start(f"f{number}").fail()
        self.submit("live")
        found = self.seen.tally(Query(), 3)
        assert {one.status: one.count for one in found.tallies if one.status is State.FAILED} == {State.FAILED: 3}
        assert State.FAILED in found.capped
        assert State.CANCELLED not in found.capped

    def test_endings(self) -> None:
        self.one_of_each()
        (known,) = self.seen.definitions()
        assert [one.status for one in self.seen.endings(known.number, 100)] == [State.FAILED, State.COMPLETED]
        assert self.seen.endings(known.number, 2) == [], "the newest two have not ended"
        assert self.seen.endings(known.number + 1, 100) == []


class HistorySuite(_Observing):
    """`lines`, `ahead`, `awaiting`, `buffered`."""

    def test_lines_are_records_without_values(self) -> None:
        hand = self.start()
        hand.run("two", b'"secret"')
        hand.fail_once(60)
        number = self.instance().number
        first, second = self.seen.lines(number, 10)
        whole = self.history()
        assert first == msgspec.structs.replace(whole[0], output=None, parts=None)
        assert second == whole[1]
        assert second.error is not None
        assert self.seen.lines(number, 1) == [second], "the newest"
        assert self.seen.lines(number, 10, "one") == [first]
        assert self.seen.lines(number + 1, 10) == []

    def test_how_many_go_before(self) -> None:
        for name in ("a", "b", "c"):
            self.submit(name)
            self.pass_time(1)
        assert [self.seen.ahead(self.token(0, name), 100) for name in ("a", "b", "c")] == [0, 1, 2]
        assert self.seen.ahead(self.token(0, "c"), 1) == 1

    def test_who_waits_for_a_signal_of_somebody(self) -> None:
        for name in ("first", "second", "served", "paused", "held", "elsewhere"):
            self.start(name).await_signal("other" if name == "elsewhere" else "go", 60.0 if name == "second" else None)
        self.store.send_signal("served", "go", b"1")
        self.store.request_pause("paused", None, None)
        self.submit("running")
        found = self.seen.awaiting(10)
        assert [one.instance.instance_id for one in found] == ["first", "second", "held", "elsewhere"]
        second = found[1]
        assert (second.token.node, second.token.signal) == ("gate", "go")
        assert second.token.due_at is not None
        assert self.is_now(second.token.due_at, 60.0)
        assert second.instance.input == b""
        page = self.seen.awaiting(2)
        after = page[-1].token.instance, page[-1].token.number
        assert [one.instance.instance_id for one in self.seen.awaiting(10, after)] == ["held", "elsewhere"]

    def test_signals_that_are_there(self) -> None:
        self.submit()
        for name in ("go", "stop", "go"):
            self.store.send_signal("a", name, b"1")
        assert sorted(self.seen.buffered("a")) == ["go", "go", "stop"]
        assert self.seen.buffered("b") == []


class OwnersSuite(_Observing):
    """What processes tell of themselves."""

    def test_what_a_worker_tells_is_there_until_it_takes_it_back(self) -> None:
        self.start()
        told: dict[str, Any] = {"kind": "worker", "tags": ["gpu"], "workflows": [["w", "hash-1"]]}
        self.seen.tell("w-1", told)
        self.seen.tell("w-2", {"kind": "worker"})
        (owner,) = [one for one in self.seen.owner_facts() if one.facts]
        assert owner.alive
        assert owner.facts == {"w-1": told, "w-2": {"kind": "worker"}}
        token = self.token()
        assert token.owner == owner.owner
        assert [one.facts for one in self.seen.owner_facts([owner.owner])] == [owner.facts]
        assert self.seen.claims() == {owner.owner: 1}
        self.seen.tell("w-1", None)
        assert [one.facts for one in self.seen.owner_facts([owner.owner])] == [{"w-2": {"kind": "worker"}}]

    def test_a_dead_owner_is_not_alive(self) -> None:
        self.start()
        self.seen.tell("w-1", {"kind": "worker"})
        owner = self.token().owner
        assert owner is not None
        self.crash()
        assert [one.alive for one in self.seen.owner_facts([owner])] == [False]


class NotesSuite(_Observing):
    """Audit lines, saved views, log lines, health."""

    def test_what_was_done_is_noted_with_it(self) -> None:
        answer = self.seen.audited(lambda rows: rows.now(), ANN)
        assert self.is_now(answer)
        (line,) = self.seen.audit(None, None, 10)
        assert msgspec.structs.replace(line, id=0, at=0) == ANN
        assert self.is_now(line.at)

    def test_what_was_refused_or_changed_nothing_is_not_noted(self) -> None:
        def refuse(_: Any) -> None:
            raise InvalidStateError("no")

        with pytest.raises(InvalidStateError, match="no"):
            self.seen.audited(refuse, ANN)
        assert self.seen.audited(lambda _: False, ANN, when=bool) is False
        assert self.seen.audit(None, None, 10) == []

    def test_audit_lines_come_newest_first_in_pages(self) -> None:
        for place in range(5):
            self.seen.audited(lambda _: None, msgspec.structs.replace(ANN, target="ab"[place % 2], reason=str(place)))
        assert [line.reason for line in self.seen.audit(None, None, 10)] == ["4", "3", "2", "1", "0"]
        assert [line.reason for line in self.seen.audit("a", None, 2)] == ["4", "2"]
        last = self.seen.audit("a", None, 2)[-1].id
        assert [line.reason for line in self.seen.audit("a", last, 2)] == ["0"]

    def test_views(self) -> None:
        self.seen.save_view(SavedQuery("b", "status:failed", "ann"))
        self.seen.save_view(SavedQuery("a", "x", "ann"))
        self.seen.save_view(SavedQuery("b", "status:paused", "bob"))
        assert self.seen.views() == [SavedQuery("a", "x", "ann"), SavedQuery("b", "status:paused", "bob")]
        assert self.seen.drop_view("b") is True
        assert self.seen.drop_view("b") is False
        assert [view.name for view in self.seen.views()] == ["a"]

    def logged(self, *messages: str, task: str = "one") -> list[LogEntry]:
        """Return lines with these messages."""
        return [LogEntry(place, "info", task, 1, "app", message) for place, message in enumerate(messages)]

    def test_log_lines_in_order_and_by_task(self) -> None:
        self.submit()
        number = self.instance().number
        self.seen.add_logs(number, self.logged("1", "2"))
        self.seen.add_logs(number, self.logged("3", task="two"))
        assert [line.message for line in self.seen.logs(number, 10)] == ["1", "2", "3"]
        assert [line.message for line in self.seen.logs(number, 2)] == ["2", "3"], "the newest"
        assert [line.message for line in self.seen.logs(number, 10, "one")] == ["1", "2"]
        first = self.seen.logs(number, 10)[0]
        assert (first.at, first.level, first.task_id, first.attempt, first.logger) == (0, "info", "one", 1, "app")

    def test_log_lines_are_bounded_by_number_and_size(self) -> None:
        self.submit()
        number = self.instance().number
        self.seen.add_logs(number, self.logged(*(str(place) for place in range(MAX_LOG_LINES + 5))))
        self.seen.add_logs(number, self.logged("last"))
        kept = self.seen.logs(number, 10_000)
        assert len(kept) == MAX_LOG_LINES
        assert kept[-1].message == "last"
        for _ in range(2 + MAX_LOG_BYTES // MAX_LOG_LINE):
            self.seen.add_logs(number, self.logged("x" * 2 * MAX_LOG_LINE))
        kept = self.seen.logs(number, 10_000)
        assert 1 < len(kept) <= MAX_LOG_BYTES // MAX_LOG_LINE
        assert all(len(line.message) <= MAX_LOG_LINE + 1 for line in kept)

    def test_log_lines_that_no_database_could_hold_are_made_fit(self) -> None:
        self.submit()
        number = self.instance().number
        self.seen.add_logs(number, self.logged("nul \0 and half \ud800 a pair"))
        (line,) = self.seen.logs(number, 10)
        assert line.message.startswith("nul \ufffd and half ")

    def test_log_lines_go_with_their_instance(self) -> None:
        self.start().complete()
        number = self.instance().number
        self.seen.add_logs(number, self.logged("1"))
        self.pass_time(10)
        self.store.purge(self.store.now(), 10)
        self.seen.add_logs(number, self.logged("late"))
        assert self.seen.logs(number, 10) == []

    def test_figures(self) -> None:
        self.submit("a")
        self.start("b").complete()
        self.pass_time(5)
        figures = self.seen.figures()
        assert figures["tables"]["instances"]["rows"] == 2
        assert figures["tables"]["tokens"]["rows"] == 1
        assert (figures["due"], figures["due_capped"]) == (1, False)
        assert figures["oldest_due_secs"] >= 5
        self.works()
        assert self.seen.figures()["oldest_due_secs"] is None

    def test_sound_data_have_no_faults(self) -> None:
        self.one_of_each()
        assert self.seen.faults() == []
