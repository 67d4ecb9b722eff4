"""Conformance: in which order and from which lanes workers are given work, and when there will be more."""

from __future__ import annotations

import pytest

from sayiir.clock import MICROS
from sayiir.core.records import Position, Routing
from sayiir.testing.conformance.stage import HASH, STRUCTURE, StoreSuite

GPU, TEXT = '["gpu"]', '["text"]'


class QueueingSuite(StoreSuite):
    """Priorities, age, lanes, and the next time."""

    # --- order ----------------------------------------------------------------------------------------------------

    def test_the_more_urgent_goes_first(self) -> None:
        for priority in (4, 2, 5, 1, 3):
            self.submit(f"p{priority}", priority=priority)
        assert self.taken() == ["p1", "p2", "p3", "p4", "p5"]

    def test_none_is_three(self) -> None:
        for name, priority in (("four", 4), ("none", None), ("two", 2)):
            self.submit(name, priority=priority)
        assert self.taken() == ["two", "none", "four"]

    def test_of_one_priority_the_older_goes_first(self) -> None:
        for name in ("b", "c", "a"):
            self.submit(name)
            self.pass_time(10)
        assert self.taken() == ["b", "c", "a"]

    @pytest.mark.parametrize(("waited", "first"), [(190, "high"), (210, "low")])
    def test_waiting_makes_up_for_priority(self, waited: float, first: str) -> None:
        self.submit("low", priority=4)
        self.pass_time(waited)
        self.submit("high", priority=2)
        assert self.taken(1, aging=100.0) == [first], "two steps are worth 200 s"

    def test_a_tasks_own_priority_is_before_its_instances(self) -> None:
        routing: Routing = {"one": (1, "")}
        lanes = self.lanes(routing)
        self.submit("instance", priority=2, routing=routing, position=Position("two"))
        self.submit("task", priority=5, routing=routing)
        assert self.taken(lanes=lanes) == ["task", "instance"]

    def test_mid_workflow_tasks_have_priorities_too(self) -> None:
        routing: Routing = {"late": (1, ""), "slow": (5, "")}
        lanes = self.lanes(routing)
        for name, node in (("c", "slow"), ("b", "two"), ("a", "late")):
            hand = self.start(name, routing=routing)
            hand.run(node)
            hand.release()
        assert self.taken(lanes=lanes) == ["a", "b", "c"]

    def test_priorities_count_among_all_that_may_move(self) -> None:
        self.submit("ready", priority=3)
        self.start("timer", priority=1).wait(1)
        self.start("gate", priority=2).await_signal("go")
        self.pass_time(1)
        self.store.send_signal("gate", "go", b"1")
        assert self.taken() == ["timer", "gate", "ready"]

    def test_only_what_comes_before_a_place(self) -> None:
        for name, priority in ("a", 2), ("b", 3), ("c", 4):
            self.submit(name, priority=priority)
        place = self.view("b").tokens[0].moved_at + 3 * 300 * MICROS
        assert self.taken(before=place) == ["a"]
        assert self.taken(before=place + 1) == ["b"]
        assert self.taken(before=place) == []
        assert self.taken() == ["c"]

    def test_no_more_than_the_limit(self) -> None:
        for number in range(7):
            self.submit(f"i{number}")
            self.pass_time(10)
        assert [self.taken(3), self.taken(3), self.taken(3)] == [["i0", "i1", "i2"], ["i3", "i4", "i5"], ["i6"]]

    # --- lanes ----------------------------------------------------------------------------------------------------

    def test_tags_are_lanes_of_their_own(self) -> None:
        routing: Routing = {"draw": (None, GPU), "write": (2, TEXT)}
        lanes = {lane.tags: lane for lane in self.lanes(routing)}
        assert set(lanes) == {"", GPU, TEXT}
        assert {lane.definition_hash for lane in lanes.values()} == {HASH}
        for name, node in (("plain", "one"), ("gpu", "draw"), ("text", "write")):
            self.submit(name, routing=routing, position=Position(node))
        assert self.taken(lanes=[lanes[GPU]]) == ["gpu"]
        assert self.taken(lanes=[]) == []
        assert self.taken(lanes=[lanes[""], lanes[TEXT]]) == ["text", "plain"]

    def test_a_token_changes_its_lane_with_its_task(self) -> None:
        routing: Routing = {"draw": (None, GPU)}
        plain, gpu = sorted(self.lanes(routing), key=lambda lane: lane.tags)
        self.submit(routing=routing)
        (hand,) = self.works(lanes=[plain])
        hand.run("draw")
        hand.release()
        assert self.works(lanes=[plain]) == []
        assert len(self.works(lanes=[gpu])) == 1

    def test_shared_branches_have_lanes(self) -> None:
        routing: Routing = {"draw": (None, GPU)}
        plain, gpu = sorted(self.lanes(routing), key=lambda lane: lane.tags)
        self.start(routing=routing).fork("draw", "two", share=True)
        assert [hand.position.node for hand in self.works(lanes=[gpu])] == ["draw"]
        assert [hand.position.node for hand in self.works(lanes=[plain])] == ["two"]

    def test_definitions_are_apart(self) -> None:
        self.submit("a")
        self.submit("b", definition_hash="hash-2")
        self.submit("c", workflow_id="v")
        assert self.taken(lanes=self.lanes(definition_hash="hash-2")) == ["b"]
        assert self.taken(lanes=self.lanes(workflow_id="v")) == ["c"]
        assert self.taken() == ["a"]

    def test_several_definitions_are_registered_at_once(self) -> None:
        news = [self.new("a"), self.new("b", workflow_id="v", routing={"one": (None, GPU)})]
        lanes = self.store.register([new.definition for new in news])
        assert len({(lane.definition, lane.tags) for lane in lanes}) == 3
        assert self.store.structure("v", HASH) == STRUCTURE
        for new in news:
            self.store.create(new, "fail", claim=False)
        assert sorted(self.taken(lanes=lanes)) == ["a", "b"]
        assert self.store.register([]) == []

    def test_lanes_that_were_ever_used_stay_known(self) -> None:
        old: Routing = {"one": (None, GPU)}
        new: Routing = {"one": (None, TEXT)}
        first = self.lanes(old)
        self.submit("old", routing=old)
        assert {lane.tags for lane in self.lanes(new)} == {"", GPU, TEXT}
        self.submit("new", routing=new)
        for handle in (self.store, self.second()):
            lanes = handle.register([self.new(routing=new).definition])
            assert {lane.tags for lane in lanes} == {"", GPU, TEXT}
        assert self.taken(lanes=first) == ["old"], "what stood there is still found"
        assert self.taken(lanes=self.lanes(new)) == ["new"]

    def test_the_newest_registration_decides(self) -> None:
        old: Routing = {"one": (5, GPU)}
        new: Routing = {"one": (1, TEXT)}
        self.lanes(old)
        self.submit(routing=old)
        lanes = {lane.tags: lane for lane in self.second().register([self.new(routing=new).definition])}
        (hand,) = self.works(lanes=[lanes[GPU]])
        hand.release()
        assert self.works(lanes=[lanes[GPU]]) == []
        assert self.token().priority == 1
        assert len(self.works(lanes=[lanes[TEXT]])) == 1

    def test_a_token_that_changed_its_lane_is_given_once(self) -> None:
        old: Routing = {"one": (None, GPU)}
        new: Routing = {"one": (None, TEXT)}
        self.lanes(old)
        self.submit(routing=old)
        lanes = self.lanes(new)
        self.store.request_pause("a", None, None)
        self.store.unpause("a")  # it stands since the same moment, in another lane
        hand = self.work(lanes=lanes)
        assert hand.beat().lost is False

    # --- the next time --------------------------------------------------------------------------------------------

    def test_the_next_time_is_told(self) -> None:
        assert self.due().next_at is None
        self.start("late").wait(600)
        due = self.start("early").await_signal("go", 60).due_at
        self.start("never").await_signal("go")
        self.start("held").fail_once(1, hold=True)
        paused = self.start("paused")
        paused.wait(10)
        self.store.request_pause("paused", None, None)
        self.start("elsewhere", workflow_id="v").wait(10)
        answer = self.due()
        assert (answer.works, answer.next_at) == ((), due)

    def test_the_next_time_is_told_beside_what_is_given(self) -> None:
        self.submit("ready")
        due = self.start("timer").wait(60).due_at
        answer = self.due()
        assert (len(answer.works), answer.next_at) == (1, due)

    def test_what_is_due_is_given_at_its_time_and_not_before(self) -> None:
        due = self.start().wait(60).due_at
        self.pass_time(60 - self.instant)
        answer = self.due()
        assert (answer.works, answer.next_at) == ((), due)
        self.pass_time(self.instant)
        claim = self.work().claim
        assert (claim.wake, claim.due_at) == ("timer", due)
