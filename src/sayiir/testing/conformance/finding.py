"""Conformance: many instances at once: stored together, found by what they are, and deleted when they are old."""

from __future__ import annotations

from typing import Any

import pytest

from sayiir.core.lifecycle import State
from sayiir.core.records import Position
from sayiir.errors import BackendError, DefinitionMismatchError, InstanceAlreadyExistsError
from sayiir.store.port import ConflictPolicy, Query
from sayiir.testing.conformance.stage import StoreSuite

OTHER: dict[str, Any] = {"definition_hash": "hash-2", "structure": 'sayiir definition 1\nflow "w"\n  task "two"\n'}


class CreatingManySuite(StoreSuite):
    """`create_many`: all or none."""

    def many(self, *names: str, policy: ConflictPolicy = "fail", **more: Any) -> list[bool]:
        """Store instances of these names; return which are new."""
        news = [self.new(name, input=str(place).encode(), **more) for place, name in enumerate(names)]
        answers = self.store.create_many(news, policy)
        assert [answer.instance.instance_id for answer in answers] == list(names)
        assert all(answer.claim is None for answer in answers)
        return [answer.is_new for answer in answers]

    def test_none_are_none(self) -> None:
        assert self.store.create_many([], "fail") == []

    def test_many_are_stored_in_order_and_can_move(self) -> None:
        names = [f"i{number}" for number in range(500)]
        assert self.many(*names, priority=2, metadata=b'{"batch":1}') == [True] * 500
        assert [self.instance(name).input for name in names] == [str(place).encode() for place in range(500)]
        assert (self.instance("i7").priority, self.instance("i7").metadata) == (2, b'{"batch":1}')
        assert (self.token(0, "i7").state, self.token(0, "i7").position) == ("ready", Position("one"))
        assert sorted(self.taken(1000)) == sorted(names)

    def test_of_several_definitions(self) -> None:
        self.store.create_many([self.new("a"), self.new("b", **OTHER), self.new("c", workflow_id="v")], "fail")
        assert self.instance("b").definition_hash == "hash-2"
        assert self.instance("c").workflow_id == "v"

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_one_that_is_taken_refuses_all(self, place: int) -> None:
        self.start("taken").complete(b"7")
        before = self.facts("taken")
        names = ["x", "y"]
        names.insert(place, "taken")
        with pytest.raises(InstanceAlreadyExistsError, match="'taken' already exists and is completed") as caught:
            self.many(*names)
        assert caught.value.instance_id == "taken"
        assert self.facts("taken") == before
        assert (self.store.load("x"), self.store.load("y")) == (None, None)
        assert self.works() == []
        assert self.many("x", "y") == [True, True]

    @pytest.mark.parametrize("policy", ["fail", "use_existing"])
    def test_another_definition_refuses_all(self, policy: ConflictPolicy) -> None:
        self.submit("taken", **OTHER)
        with pytest.raises(DefinitionMismatchError) as caught:
            self.many("x", "taken", "y", policy=policy)
        assert caught.value.instance_id == "taken"
        assert (self.store.load("x"), self.store.load("y")) == (None, None)

    def test_use_existing_adds_what_is_missing(self) -> None:
        self.start("taken").complete(b"7")
        before = self.facts("taken")
        assert self.many("x", "taken", "y", policy="use_existing") == [True, False, True]
        assert self.facts("taken") == before

    def test_terminate_existing_replaces(self) -> None:
        old = self.start("taken")
        self.store.send_signal("taken", "go", b"1")
        assert self.many("x", "taken", policy="terminate_existing") == [True, True]
        assert self.instance("taken").input == b"1"
        assert self.store.history(old.fence.instance) == []
        assert sorted(self.taken()) == ["taken", "x"]

    def test_a_name_given_twice_is_taken_the_second_time(self) -> None:
        with pytest.raises(InstanceAlreadyExistsError, match="'x'") as caught:
            self.many("x", "y", "x")
        assert caught.value.instance_id == "x"
        assert (self.store.load("x"), self.store.load("y")) == (None, None)
        assert self.many("x", "y", "x", policy="use_existing") == [True, True, False]
        assert self.instance("x").input == b"0"
        assert self.many("x", "y", "x", policy="terminate_existing") == [True, True, True]
        assert self.instance("x").input == b"2"
        assert len(self.works()) == 2

    def test_a_name_given_twice_with_two_definitions_refuses_all(self) -> None:
        with pytest.raises(DefinitionMismatchError):
            self.store.create_many([self.new("y"), self.new("x"), self.new("x", **OTHER)], "use_existing")
        assert (self.store.load("x"), self.store.load("y")) == (None, None)


class FindingSuite(StoreSuite):
    """`find`: by what instances are, newest first, in pages."""

    def found(self, **wanted: Any) -> list[str]:
        """Return the names of what is found."""
        return [instance.instance_id for instance in self.store.find(Query(**wanted))]

    def test_nothing_is_found_in_nothing(self) -> None:
        assert self.store.find(Query()) == []

    def test_the_newest_come_first(self) -> None:
        for name in ("b", "c", "a"):
            self.submit(name)
            self.pass_time(10)
        assert self.found() == ["a", "c", "b"]

    def test_payloads_stay_where_they_are(self) -> None:
        self.start("done", metadata=b'{"k":1}').complete(b'"output"')
        self.start("failed").fail()
        self.submit("new", priority=2)
        found = {instance.instance_id: instance for instance in self.store.find(Query())}
        for instance in found.values():
            assert (instance.input, instance.error, instance.halted) == (b"", None, None)
        assert found["done"].metadata == b'{"k":1}'
        assert found["new"].priority == 2
        for name, instance in found.items():
            stored = self.instance(name)
            assert (instance.number, instance.status, instance.workflow_id) == (
                stored.number, stored.status, stored.workflow_id,
            )  # fmt: skip
            assert (instance.created_at, instance.updated_at) == (stored.created_at, stored.updated_at)
            assert instance.definition_hash == stored.definition_hash
        assert self.instance("failed").error is not None, "looking has changed nothing"
        assert self.instance("new").input == b'{"n":1}'

    def test_by_status(self) -> None:
        self.start("completed").complete()
        self.start("failed").fail()
        self.start("waiting").wait(60)
        self.start("awaiting_signal").await_signal("go")
        for name, verb in (("cancelled", self.store.request_cancel), ("paused", self.store.request_pause)):
            self.submit(name)
            verb(name, "why", "who")
        self.submit("in_progress")
        for state in State:
            assert self.found(statuses=(state,)) == [state.value]
        assert set(self.found(statuses=(State.FAILED, State.WAITING))) == {"failed", "waiting"}
        assert self.found(statuses=()) == []
        assert len(self.found(statuses=tuple(State))) == 7
        (paused,) = self.store.find(Query(statuses=(State.PAUSED,)))
        assert (paused.reason, paused.actor) == ("why", "who")

    def test_by_workflow(self) -> None:
        self.submit("a")
        self.submit("b", workflow_id="v")
        self.submit("c", workflow_id="v", definition_hash="hash-2")
        assert set(self.found(workflow_id="v")) == {"b", "c"}
        assert self.found(workflow_id="w") == ["a"]
        assert self.found(workflow_id="V") == []

    @pytest.mark.parametrize(
        ("prefix", "names"),
        [
            ("a", {"a", "a%b", "a_b", "ab", "a\u00e9", "a\U0001f600"}), ("a%", {"a%b"}), ("a_", {"a_b"}), ("A", {"Ab"}),
            ("ab", {"ab"}), ("a\u00e9", {"a\u00e9"}), ("", None), ("b", {"b'; --", "b\\"}), ("b\\", {"b\\"}),
            ("b'", {"b'; --"}), ("zz", set()), ("a\U0001f600", {"a\U0001f600"}),
        ],
    )  # fmt: skip
    def test_by_the_beginning_of_the_id(self, prefix: str, names: set[str] | None) -> None:
        every = ["a", "ab", "a%b", "a_b", "Ab", "a\u00e9", "b'; --", "b\\", "c", "a\U0001f600"]
        self.store.create_many([self.new(name) for name in every], "fail")
        assert set(self.found(id_prefix=prefix)) == (set(every) if names is None else names)

    def test_by_time(self) -> None:
        times: dict[str, int] = {}
        for name in ("a", "b", "c"):
            self.submit(name)
            times[name] = self.instance(name).created_at
            self.pass_time(10)
        assert self.found(created_after=times["b"]) == ["c", "b"]
        assert self.found(created_before=times["b"]) == ["a"]
        assert self.found(created_after=times["b"], created_before=times["c"]) == ["b"]
        assert self.found(created_after=times["b"] + 1) == ["c"]
        assert self.found(created_after=times["c"] + 1) == []

    @pytest.mark.parametrize(
        ("wanted", "names"),
        [
            ({"team": "x"}, {"x", "x2"}), ({"team": "x", "size": 2}, {"x2"}), ({"team": "X"}, set()),
            ({"size": 1}, {"x", "float"}), ({"size": 1.0}, {"x", "float"}), ({"size": 1.5}, {"half"}),
            ({"size": "1"}, {"text"}), ({"size": True}, {"true"}), ({"size": False}, {"false"}), ({"size": 0}, {"zero"}),
            ({"size": None}, {"null"}), ({"other": None}, set()), ({"a.b": 1}, {"dots"}), ({'"': "'"}, {"quotes"}),
            ({"a": 1}, set()), ({}, None), ({"big": 9_007_199_254_740_993}, {"big"}),
            ({"big": 9_007_199_254_740_992}, set()), ({"0": 1}, set()), ({"text": "\u65e5%"}, {"unicode"}),
        ],
    )  # fmt: skip
    def test_by_metadata(self, wanted: dict[str, object], names: set[str] | None) -> None:
        stored = {
            "x": b'{"team":"x","size":1}', "x2": b'{"size":2,"team":"x"}', "float": b'{"size":1.0}',
            "half": b'{"size":1.5}', "text": b'{"size":"1"}', "true": b'{"size":true}', "false": b'{"size":false}',
            "zero": b'{"size":0}', "null": b'{"size":null}', "dots": b'{"a.b":1}', "quotes": b'{"\\"":"\'"}',
            "deep": b'{"a":{"b":1}}', "list": b"[1]", "scalar": b"1", "none": None, "big": b'{"big":9007199254740993}',
            "unicode": '{"text":"\u65e5%"}'.encode(),
        }  # fmt: skip
        self.store.create_many([self.new(name, metadata=metadata) for name, metadata in stored.items()], "fail")
        assert set(self.found(metadata=wanted)) == (set(stored) if names is None else names)

    def test_all_conditions_together(self) -> None:
        self.submit("old", metadata=b'{"k":1}')
        self.pass_time(10)
        self.start("done", metadata=b'{"k":1}').complete()
        self.submit("other", metadata=b'{"k":2}')
        self.submit("do", metadata=b'{"k":1}')
        after = self.instance("done").created_at
        wanted: dict[str, Any] = {"metadata": {"k": 1}, "created_after": after, "workflow_id": "w", "id_prefix": "do"}
        assert set(self.found(**wanted)) == {"done", "do"}
        assert self.found(**wanted, statuses=(State.COMPLETED,)) == ["done"]

    @pytest.mark.parametrize("limit", [1, 2, 3, 10])
    def test_pages_leave_out_nothing_and_repeat_nothing(self, limit: int) -> None:
        names = [f"i{number}" for number in range(9)]
        self.store.create_many([self.new(name) for name in names], "fail")
        self.submit("other", workflow_id="v")
        seen: list[str] = []
        below = None
        while page := self.store.find(Query(workflow_id="w", limit=limit, below=below)):
            assert len(page) <= limit
            seen += [instance.instance_id for instance in page]
            below = page[-1].number
            self.submit(f"meanwhile{len(seen)}")
            self.store.request_cancel(seen[0], None, None)
        assert sorted(seen) == sorted(names)


class PurgingSuite(StoreSuite):
    """`purge`: what ended long ago goes, with all that belongs to it."""

    def purge(self, before: int | None = None, limit: int = 100) -> int:
        """Delete all that ended before a time, in batches; return how many there were."""
        moment, total, after = self.store.now() if before is None else before, 0, 0
        while True:
            purged, after = self.store.purge(moment, limit, after)
            assert purged <= limit
            total += purged
            if not after:
                return total

    def gone(self, name: str, number: int) -> bool:
        """Return whether nothing is left of an instance."""
        assert (self.store.load(name) is None) == (self.store.inspect(number) == (None, None))
        assert self.store.load(name) is not None or self.store.history(number) == []
        return self.store.load(name) is None

    def test_nothing_is_purged_of_nothing(self) -> None:
        assert self.store.purge(self.store.now(), 10) == (0, 0)

    def test_what_ended_goes_and_what_has_not_stays(self) -> None:
        ended = {"completed": self.start("completed"), "failed": self.start("failed"), "cancelled": self.start("cancelled")}
        ended["completed"].run("two", b"5")
        ended["completed"].complete()
        ended["failed"].fail()
        ended["cancelled"].release()
        self.store.request_cancel("cancelled", None, None)
        self.start("waiting").wait(60)
        self.start("awaiting").await_signal("go")
        self.start("running")
        self.submit("new")
        self.submit("paused")
        self.store.request_pause("paused", None, None)
        self.pass_time(10)
        before = {name: self.facts(name) for name in ("waiting", "awaiting", "running", "new", "paused")}
        assert self.purge() == 3
        assert all(self.gone(name, hand.fence.instance) for name, hand in ended.items())
        with pytest.raises(BackendError):
            self.store.value(ended["completed"].fence.instance, 1)
        assert {name: self.facts(name) for name in before} == before
        assert self.purge() == 0

    def test_only_what_ended_before_the_time(self) -> None:
        old, late = self.start("old"), self.start("late")
        old.complete()
        self.pass_time(100)
        late.complete()
        moment = self.instance("late").updated_at
        assert self.purge(self.instance("old").updated_at) == 0
        assert self.purge(moment) == 1
        assert self.gone("old", old.fence.instance)
        assert not self.gone("late", late.fence.instance)
        assert self.purge(moment + 1) == 1
        assert self.gone("late", late.fence.instance)

    def test_its_signals_and_their_keys_go_with_it(self) -> None:
        hand = self.start()
        self.store.send_signal("a", "go", b"1", "key")
        self.store.send_signal("a", "go", b"2", "other")
        hand.consume(hand.await_signal("go").signal)
        hand.complete()
        self.store.send_signal("b", "go", b"3", "key")
        self.pass_time(10)
        assert self.purge() == 1
        assert self.store.send_signal("a", "go", b"4", "key")
        signal = self.start().await_signal("go").signal
        assert signal is not None
        assert signal.payload == b"4"
        assert not self.store.send_signal("b", "go", b"5", "key"), "those of others stay"

    def test_the_name_is_free_again(self) -> None:
        old = self.start()
        old.complete()
        self.pass_time(10)
        self.purge()
        new = self.start(**OTHER)
        assert new.fence.instance != old.fence.instance
        self.is_void(old)
        assert new.complete().kind == "finished"

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    def test_batches_come_to_an_end(self, limit: int) -> None:
        for number in range(5):
            self.start(f"done{number}").complete()
            self.submit(f"new{number}")
            self.pass_time(1)
        assert self.purge(limit=limit) == 5
        assert {instance.instance_id for instance in self.store.find(Query())} == {f"new{number}" for number in range(5)}

    def test_a_retried_one_is_not_ended(self) -> None:
        self.start().fail()
        self.retry()
        self.pass_time(10)
        assert self.purge() == 0
        assert self.work().complete().kind == "finished"

    def test_the_definition_stays(self) -> None:
        self.start().complete()
        self.pass_time(10)
        self.purge()
        assert self.store.structure("w", self.new().definition.definition_hash)
