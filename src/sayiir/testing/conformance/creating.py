"""Conformance: `create` under each conflict policy, and what is stored then."""

from __future__ import annotations

from functools import partial

import pytest

from sayiir.core.lifecycle import State
from sayiir.core.records import Position
from sayiir.errors import BackendError, DefinitionMismatchError, InstanceAlreadyExistsError
from sayiir.store.port import ConflictPolicy, Created
from sayiir.testing.conformance.stage import HASH, STRUCTURE, Hand, StoreSuite, at_once

OTHER = 'sayiir definition 1\nflow "w"\n  task "two"\n'
KEEPING: tuple[ConflictPolicy, ...] = ("fail", "use_existing")


class CreatingSuite(StoreSuite):
    """How instances begin."""

    def test_a_new_instance_is_stored_as_given(self) -> None:
        created = self.submit(metadata=b'{"team":"x"}', priority=2)
        view = self.view()
        assert created.is_new
        assert created.claim is None
        assert view.instance == created.instance
        assert (view.instance.instance_id, view.instance.workflow_id) == ("a", "w")
        assert view.instance.definition_hash == HASH
        assert view.instance.status is State.IN_PROGRESS
        assert (view.instance.input, view.instance.metadata, view.instance.priority) == (b'{"n":1}', b'{"team":"x"}', 2)
        assert view.instance.created_at == view.instance.updated_at
        assert self.is_now(view.instance.created_at)
        assert view.output is None
        assert self.history() == []
        assert self.store.structure("w", HASH) == STRUCTURE

    def test_its_main_token_is_ready_and_free(self) -> None:
        self.submit()
        token = self.token()
        assert (token.number, token.state, token.position) == (0, "ready", Position("one"))
        assert (token.owner, token.until, token.parent, token.due_at, token.signal) == (None,) * 5

    @pytest.mark.parametrize(("is_task", "wake"), [(True, "ready"), (False, "standing")])
    def test_it_can_be_claimed_by_the_same_write(self, is_task: bool, wake: str) -> None:
        hand = self.start(is_task=is_task)
        assert hand.claim.wake == wake
        assert hand.claim.value == b'{"n":1}'
        assert hand.position == Position("one")
        assert self.token().owner is not None
        assert self.token().epoch == hand.fence.epoch
        assert self.store.claim("a", HASH, STRUCTURE).busy

    def test_fail_refuses_an_id_that_is_taken(self) -> None:
        self.start().complete()
        before = self.facts()
        with pytest.raises(InstanceAlreadyExistsError, match="'a' already exists and is completed") as caught:
            self.submit()
        assert (caught.value.instance_id, caught.value.status) == ("a", "completed")
        assert self.facts() == before

    @pytest.mark.parametrize("claim", [False, True])
    def test_use_existing_answers_with_what_is_there(self, claim: bool) -> None:
        self.start().run("two")
        before = self.facts()
        answer = self.store.create(self.new(input=b"2"), "use_existing", claim=claim)
        assert (answer.is_new, answer.claim) == (False, None)
        assert answer.instance == self.instance()
        assert self.facts() == before

    def test_terminate_existing_puts_a_new_one_in_its_place(self) -> None:
        old = self.start()
        old.run("two", b'"old"')
        self.store.send_signal("a", "go", b"1", "key")
        number = old.fence.instance
        new = self.start(policy="terminate_existing", input=b"2")
        assert new.fence.instance != number
        assert self.instance().input == b"2"
        assert self.history() == []
        assert len(self.view().tokens) == 1
        assert self.store.inspect(number) == (None, None)
        assert self.store.history(number) == []
        with pytest.raises(BackendError):
            self.store.value(number, 1)

    def test_terminate_existing_removes_buffered_signals_and_their_keys(self) -> None:
        self.submit()
        self.store.send_signal("a", "go", b"1", "key")
        hand = self.start(policy="terminate_existing")
        assert hand.await_signal("go").kind == "parked"
        assert self.store.send_signal("a", "go", b"2", "key")

    def test_terminate_existing_of_a_finished_one(self) -> None:
        self.start().fail()
        self.submit(policy="terminate_existing")
        assert self.status() is State.IN_PROGRESS
        assert self.instance().error is None

    @pytest.mark.parametrize("policy", ["fail", "use_existing", "terminate_existing"])
    def test_every_policy_creates_where_nothing_is(self, policy: ConflictPolicy) -> None:
        self.store.send_signal("a", "go", b"1")
        assert self.submit(policy=policy).is_new
        moved = self.claimed().await_signal("go")
        assert moved.signal is not None, "a signal that came before the instance is kept"

    @pytest.mark.parametrize("policy", KEEPING)
    def test_another_definition_is_refused_with_the_difference(self, policy: ConflictPolicy) -> None:
        self.submit()
        before = self.facts()
        with pytest.raises(DefinitionMismatchError) as caught:
            self.submit(policy=policy, definition_hash="hash-2", structure=OTHER)
        assert '-  task "one"' in caught.value.difference
        assert '+  task "two"' in caught.value.difference
        assert caught.value.difference in str(caught.value)
        assert caught.value.instance_id == "a"
        assert self.facts() == before

    def test_another_definition_may_terminate(self) -> None:
        self.submit()
        self.submit(policy="terminate_existing", definition_hash="hash-2", structure=OTHER)
        assert self.instance().definition_hash == "hash-2"
        assert self.store.structure("w", "hash-2") == OTHER
        assert self.store.structure("w", HASH) == STRUCTURE

    def test_an_unknown_definition_has_no_text(self) -> None:
        assert self.store.structure("w", "nowhere") == ""

    def test_ids_are_kept_apart_whatever_they_hold(self) -> None:
        ids = ["a", "A", "a ", "é", "e\u0301", "'; DROP TABLE x; --", "%", "日" * 85, "x" * 256, "\n", "a\u200b"]
        for position, name in enumerate(ids):
            self.submit(name, input=str(position).encode())
        assert [self.instance(name).input for name in ids] == [str(position).encode() for position in range(len(ids))]
        assert [self.instance(name).instance_id for name in ids] == ids

    def test_of_many_at_once_one_is_new(self) -> None:
        stores = [self.store, self.second()] * 4
        answers = at_once([partial(store.create, self.new(), "fail", claim=True) for store in stores])
        created = [answer for answer in answers if isinstance(answer, Created)]
        assert len(created) == 1
        assert all(isinstance(answer, Created | InstanceAlreadyExistsError) for answer in answers)
        assert created[0].claim is not None
        Hand(self.store, created[0].claim).complete()
        assert self.status() is State.COMPLETED

    def test_of_many_that_terminate_the_last_one_stays(self) -> None:
        stores = [self.store, self.second()] * 4
        answers = at_once([partial(store.create, self.new(), "terminate_existing", claim=True) for store in stores])
        kept = self.instance().number
        for answer in answers:
            assert isinstance(answer, Created)
            assert answer.claim is not None
            hand = Hand(self.store, answer.claim)
            if answer.instance.number == kept:
                continue
            self.is_void(hand)
        assert self.status() is State.IN_PROGRESS

    def test_the_trace_context_comes_with_every_claim(self) -> None:
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        assert self.submit("a", trace=trace).instance.trace == trace
        self.store.create_many([self.new("b", trace=trace), self.new("c")], "fail")
        hand = self.start("d", trace=trace)
        assert hand.await_signal().kind == "parked"
        self.store.send_signal("d", "go", b"1")
        found = {work.instance.instance_id: work.instance.trace for work in self.due().works}
        assert found == {"a": trace, "b": trace, "c": None, "d": trace}
        assert {name: self.instance(name).trace for name in "abcd"} == found
        assert self.submit("a", "terminate_existing").instance.trace is None
        assert self.store.claim("a", HASH, STRUCTURE).instance.trace is None
