"""Signals: first in, first out; kept before the wait and before the instance; typed, timed, and never counted twice."""

import dataclasses

import pytest

from sayiir import (
    Flow,
    InvalidStateError,
    SignalTimeoutError,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    send_signal,
)

GATE = Flow("w").then(lambda x: x, name="a").wait_for_signal("go").then(lambda x: [x], name="b").build()
TWICE = Flow("w").wait_for_signal("go").then(lambda x: x, name="keep").wait_for_signal("go", name="again").build()


def timed_gate(on_timeout="fail", **options):
    return (
        Flow("w")
        .then(lambda x: {"before": x}, name="a")
        .wait_for_signal("go", name="gate", timeout=60, on_timeout=on_timeout, **options)
        .then(lambda x: [x], name="b")
        .build()
    )


def test_the_payload_replaces_the_value(backend):
    run_durable_workflow(GATE, "i", "old", backend)
    assert send_signal("i", "go", {"approved": True}, backend) is None
    assert resume_workflow(GATE, "i", backend).output == [{"approved": True}]


@pytest.mark.parametrize("payload", [None, False, 0, "", [], {}])
def test_empty_payloads_are_payloads(backend, payload):
    send_signal("i", "go", payload, backend)
    assert run_durable_workflow(GATE, "i", 1, backend).output == [payload]


def test_before_the_wait_and_before_the_instance(backend):
    send_signal("i", "go", "early", backend)
    assert run_durable_workflow(GATE, "i", 1, backend).output == ["early"]


def test_first_in_first_out(backend):
    for n in range(5):
        send_signal("i", "go", n, backend)
    flow = Flow("w")
    for n in range(5):
        flow.wait_for_signal("go", name=f"s{n}")
    workflow = flow.build()
    assert run_durable_workflow(workflow, "i", "x", backend).output == 4
    assert [WorkflowClient(backend).get_task_result("i", f"s{n}") for n in range(5)] == list(range(5))


def test_each_signal_is_consumed_once(backend):
    run_durable_workflow(TWICE, "i", 1, backend)
    send_signal("i", "go", "first", backend)
    status = resume_workflow(TWICE, "i", backend)
    assert (status.status, status.signal_id) == ("awaiting_signal", "again")
    assert resume_workflow(TWICE, "i", backend).is_awaiting_signal()
    send_signal("i", "go", "second", backend)
    assert resume_workflow(TWICE, "i", backend).output == "second"


def test_names_and_instances_have_queues_of_their_own(backend):
    send_signal("i", "other", 1, backend)
    send_signal("j", "go", 2, backend)
    assert run_durable_workflow(GATE, "i", 0, backend).is_awaiting_signal()
    assert run_durable_workflow(GATE, "j", 0, backend).output == [2]


def test_two_branches_that_await_one_name(backend):
    gate = Flow("g").wait_for_signal("go").build()
    workflow = Flow("w").fork().branch(gate, name="a").branch(gate, name="b").join(lambda d: sorted(d.values())).build()
    run_durable_workflow(workflow, "i", 0, backend)
    send_signal("i", "go", 1, backend)
    assert resume_workflow(workflow, "i", backend).is_awaiting_signal()
    send_signal("i", "go", 2, backend)
    assert resume_workflow(workflow, "i", backend).output == [1, 2]


def test_dedup_keys(backend):
    client = WorkflowClient(backend)
    client.send_signal("i", "go", "one", dedup_key="k")
    client.send_signal("i", "go", "again", dedup_key="k")
    client.send_signal("i", "go", "two", dedup_key="l")
    assert run_durable_workflow(TWICE, "i", 0, backend).output == "two"
    client.send_signal("j", "go", "of another instance", dedup_key="k")
    client.send_signal("j", "other", "of another name", dedup_key="k")
    status = run_durable_workflow(TWICE, "j", 0, backend)
    assert status.signal_id == "again"
    client.send_signal("j", "go", "late duplicate", dedup_key="k")
    assert resume_workflow(TWICE, "j", backend).is_awaiting_signal()


def test_a_signal_in_time_counts_whenever_it_is_looked_at(timed, clock):
    workflow = timed_gate()
    run_durable_workflow(workflow, "i", 1, timed)
    clock.advance(59)
    send_signal("i", "go", "in time", timed)
    clock.advance(1_000)
    assert resume_workflow(workflow, "i", timed).output == ["in time"]


def test_a_signal_after_the_deadline_does_not_count(timed, clock):
    workflow = timed_gate()
    run_durable_workflow(workflow, "i", 1, timed)
    clock.advance(61)
    send_signal("i", "go", "too late", timed)
    status = resume_workflow(workflow, "i", timed)
    assert status.error == "SignalTimeoutError: signal 'go' did not arrive within 60s at node 'gate'"
    assert status.error_detail.node_id == "gate"
    with pytest.raises(SignalTimeoutError) as caught:
        run_workflow(workflow, 1, instance_id="i", backend=timed, conflict_policy="use_existing")
    assert (caught.value.signal_name, caught.value.waited_secs) == ("go", 60.0)


def test_an_expired_wait_may_continue_with_the_previous_value(timed, clock):
    workflow = timed_gate("continue")
    run_durable_workflow(workflow, "i", 1, timed)
    clock.advance(60)
    assert resume_workflow(workflow, "i", timed).output == [{"before": 1}]
    assert WorkflowClient(timed).get_task_result("i", "gate") == {"before": 1}


def test_a_payload_of_none_is_not_an_expired_wait(timed):
    workflow = timed_gate("continue")
    send_signal("i", "go", None, timed)
    assert run_durable_workflow(workflow, "i", 1, timed).output == [None]


def test_a_timeout_of_nothing_still_takes_what_is_there(timed):
    workflow = Flow("w").wait_for_signal("go", timeout=0, on_timeout="continue").build()
    send_signal("i", "go", "there", timed)
    assert run_durable_workflow(workflow, "i", "before", timed).output == "there"
    run_durable_workflow(workflow, "j", "before", timed)
    assert resume_workflow(workflow, "j", timed).output == "before"


@dataclasses.dataclass
class Approval:
    ok: bool
    by: str


def test_a_typed_payload(backend):
    seen = []

    def look(approval: Approval):
        seen.append(approval)

    workflow = Flow("w").wait_for_signal("go", type=Approval).then(look).build()
    run_durable_workflow(workflow, "i", 1, backend)
    send_signal("i", "go", {"ok": True, "by": "me"}, backend)
    assert resume_workflow(workflow, "i", backend).is_completed()
    send_signal("j", "go", Approval(ok=False, by="you"), backend)
    assert run_durable_workflow(workflow, "j", 1, backend).is_completed()
    assert seen == [Approval(True, "me"), Approval(False, "you")]


def test_a_payload_that_does_not_fit_fails_the_instance_clearly(backend):
    workflow = Flow("w").wait_for_signal("go", name="gate", type=Approval).build()
    run_durable_workflow(workflow, "i", 1, backend)
    send_signal("i", "go", {"ok": "maybe"}, backend)
    status = resume_workflow(workflow, "i", backend)
    assert status.is_failed()
    for words in ("'go'", "'gate'", "validation error", "$.ok"):
        assert words in status.error


def test_a_signal_to_a_running_instance_is_kept(backend):
    def work(x):
        send_signal("i", "go", "from inside", backend)
        return x

    workflow = Flow("w").then(work).wait_for_signal("go").build()
    assert run_durable_workflow(workflow, "i", 1, backend).output == "from inside"


def test_signals_of_a_replaced_instance_are_gone_but_the_new_ones_count(backend):
    run_durable_workflow(GATE, "i", 1, backend)
    send_signal("i", "go", "old", backend)
    assert run_durable_workflow(GATE, "i", 1, backend, "terminate_existing").is_awaiting_signal()
    send_signal("i", "go", "new", backend)
    assert resume_workflow(GATE, "i", backend).output == ["new"]
    with pytest.raises(InvalidStateError):
        send_signal("i", "go", "late", backend)
