"""The limits of ids, names, texts and values; what is refused leaves nothing behind and changes nothing."""

import json

import pytest

from sayiir import (
    Flow,
    InstanceNotFoundError,
    LoopResult,
    SerializationError,
    TaskError,
    WorkflowClient,
    cancel_workflow,
    pause_workflow,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    send_signal,
    unpause_workflow,
)
from sayiir.core.values import MAX_BYTES, MAX_DEPTH

SAME = Flow("w").then(lambda x: x, name="same").build()
GATE = Flow("w").wait_for_signal("go").then(lambda x: x, name="same").build()

BAD_IDS = ["", "x" * 257, "é" * 129, "a\0b", "\ud800", None, 5, b"x"]
GOOD_IDS = ["x", "x" * 256, "é" * 128, "a/b c:d|e", "日本語", " ", "'; DROP TABLE sayiir_instances; --", "\n"]


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def snapshot(backend, instance_id):
    client = WorkflowClient(backend)
    return client.status(instance_id), client.timeline(instance_id)


@pytest.mark.parametrize("instance_id", GOOD_IDS)
def test_good_instance_ids(backend, instance_id):
    assert run_durable_workflow(SAME, instance_id, 1, backend).instance_id == instance_id
    assert WorkflowClient(backend).status(instance_id).output == 1


@pytest.mark.parametrize("instance_id", BAD_IDS)
def test_bad_instance_ids_are_refused_everywhere(backend, instance_id):
    client = WorkflowClient(backend)
    calls = [
        lambda: run_durable_workflow(SAME, instance_id, 1, backend),
        lambda: resume_workflow(SAME, instance_id, backend),
        lambda: cancel_workflow(instance_id, backend),
        lambda: pause_workflow(instance_id, backend),
        lambda: unpause_workflow(instance_id, backend),
        lambda: send_signal(instance_id, "go", 1, backend),
        lambda: client.submit(SAME, instance_id, 1),
        lambda: client.status(instance_id),
        lambda: client.get_task_result(instance_id, "same"),
        lambda: client.timeline(instance_id),
        lambda: client.retry(instance_id),
        lambda: client.wait(instance_id, 0),
    ]
    if instance_id is not None:
        calls.append(lambda: run_workflow(SAME, 1, instance_id=instance_id, backend=backend))
    for call in calls:
        with pytest.raises(ValueError, match="instance_id"):
            call()


@pytest.mark.parametrize("name", ["", "x" * 257, "a\0b", "\ud800", None, 5, "a/b", "a||b", "a::b"])
def test_bad_signal_names_are_refused(backend, name):
    run_durable_workflow(GATE, "i", 1, backend)
    before = snapshot(backend, "i")
    with pytest.raises(ValueError, match="signal name"):
        send_signal("i", name, 1, backend)
    assert snapshot(backend, "i") == before


@pytest.mark.parametrize("key", ["", "x" * 257, "a\0b", 5])
def test_bad_dedup_keys_are_refused(backend, key):
    with pytest.raises(ValueError, match="dedup_key"):
        WorkflowClient(backend).send_signal("i", "go", 1, dedup_key=key)


def test_a_string_subclass_is_an_id_like_its_text(backend):
    class Id(str):
        __slots__ = ()

    run_durable_workflow(SAME, Id("i"), 1, backend)
    assert WorkflowClient(backend).status("i").is_completed()
    assert WorkflowClient(backend).status(Id("i")).is_completed()


# --- texts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["x" * 5_000, "é" * 5_000, "日" * 5_000, "x" * 4_095 + "é"])
def test_long_reasons_are_cut_and_never_refused(backend, text):
    client = WorkflowClient(backend)
    client.submit(SAME, "i", 1)
    client.pause("i", reason=text, paused_by=text)
    status = client.status("i")
    for shown in (status.reason, status.paused_by):
        assert len(shown.encode()) <= 4_096
        assert shown.endswith("…")
        assert text.startswith(shown[:-1])
    client.cancel("i", reason=text, cancelled_by=text)
    assert client.status("i").reason.endswith("…")


@pytest.mark.parametrize("text", ["x" * 4_096, "", "nul \0", "half \ud800", 5])
def test_odd_reasons_are_kept_as_far_as_they_can_be(backend, text):
    client = WorkflowClient(backend)
    client.submit(SAME, "i", 1)
    client.cancel("i", reason=text, cancelled_by=text)
    status = client.status("i")
    assert status.is_cancelled()
    assert status.reason == status.cancelled_by
    assert "\0" not in status.reason
    if text in ("x" * 4_096, ""):
        assert status.reason == text


# --- values -------------------------------------------------------------------------------------------------------

BAD_VALUES = {
    "too deep": nested(MAX_DEPTH + 1),
    "NaN": float("nan"),
    "infinity inside": {"a": [1, float("-inf")]},
    "keys that become one": {1: "a", "1": "b"},
    "an object": object(),
    "a lambda": [lambda x: x],
    "half a surrogate pair": "\ud800",
    "a complex number": {"z": 1j},
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_bad_inputs_create_nothing(backend, name):
    value, client = BAD_VALUES[name], WorkflowClient(backend)
    for call in (
        lambda: run_durable_workflow(SAME, "i", value, backend),
        lambda: run_workflow(SAME, value, instance_id="i", backend=backend),
        lambda: client.submit(SAME, "i", value),
        lambda: client.with_conflict_policy("terminate_existing").submit(SAME, "i", value),
    ):
        with pytest.raises(SerializationError) as caught:
            call()
        assert not isinstance(caught.value, TaskError)
        assert caught.value.path.startswith("$")
        assert isinstance(caught.value, TypeError)
    with pytest.raises(InstanceNotFoundError):
        client.status("i")


@pytest.mark.parametrize("name", BAD_VALUES)
def test_bad_inputs_replace_nothing(backend, name):
    run_durable_workflow(SAME, "i", 1, backend)
    before = snapshot(backend, "i")
    with pytest.raises(SerializationError):
        run_durable_workflow(SAME, "i", BAD_VALUES[name], backend, "terminate_existing")
    assert snapshot(backend, "i") == before


@pytest.mark.parametrize("name", BAD_VALUES)
def test_bad_payloads_are_refused(backend, name):
    run_durable_workflow(GATE, "i", 1, backend)
    with pytest.raises(SerializationError):
        send_signal("i", "go", BAD_VALUES[name], backend)
    assert resume_workflow(GATE, "i", backend).is_awaiting_signal()
    send_signal("i", "go", "good", backend)
    assert resume_workflow(GATE, "i", backend).output == "good"


@pytest.mark.parametrize("name", BAD_VALUES)
@pytest.mark.parametrize("place", ["task", "branch", "join", "loop", "key"])
def test_bad_results_fail_their_task_by_name(backend, name, place):
    def give(x):
        return BAD_VALUES[name]

    flow = Flow("w")
    match place:
        case "task":
            flow.then(give)
        case "branch":
            flow.fork().branch(give).join(lambda d: d)
        case "join":
            flow.fork().branch(lambda x: x).join(give)
        case "loop":
            flow.loop(lambda x: LoopResult.done(give(x)), name="give")
        case "key":
            flow.route(give, keys=["k"]).branch("k", lambda x: x).done()
    workflow, task_id = flow.build(), "branch_0::key_fn" if place == "key" else "give"
    with pytest.raises(TaskError) as caught:
        run_workflow(workflow, 1)
    assert (caught.value.task_id, caught.value.workflow_id) == (task_id, "w")
    status = run_durable_workflow(workflow, "i", 1, backend)
    assert status.error_detail.task_id == task_id
    if not (place == "key" and name == "half a surrogate pair"):
        assert status.error.startswith("SerializationError: ")
        assert "$" in status.error


def test_the_depth_that_is_allowed(backend):
    value = nested(MAX_DEPTH)
    assert run_durable_workflow(SAME, "i", value, backend).output == value
    assert run_workflow(SAME, value) == value


def test_composed_values_may_reach_the_limit_only_in_the_join(backend):
    """A join's dict is one level deeper than what its branches gave."""
    workflow = (
        Flow("w").fork().branch(lambda x: nested(MAX_DEPTH), name="deep").join(lambda d: "joined", name="j").build()
    )
    status = run_durable_workflow(workflow, "i", 1, backend)
    assert status.is_failed() or status.output == "joined"


def test_values_over_the_limit(backend):
    big = "x" * (MAX_BYTES + 1)
    client = WorkflowClient(backend)
    for call in (
        lambda: client.submit(SAME, "i", big),
        lambda: run_durable_workflow(SAME, "i", big, backend),
        lambda: send_signal("i", "go", big, backend),
    ):
        with pytest.raises(SerializationError, match="too large") as caught:
            call()
        assert (caught.value.size, caught.value.limit) == (MAX_BYTES + 3, MAX_BYTES)
    with pytest.raises(InstanceNotFoundError):
        client.status("i")
    status = run_durable_workflow(Flow("w").then(lambda x: big, name="big").build(), "i", 1, backend)
    assert status.error.startswith("SerializationError: ")
    assert "big" in status.error_detail.task_id


def test_metadata_of_a_flow_is_stored_as_given(backend):
    metadata = {"z": [1, 2.5, None, True, "é"], "a": {}}
    workflow = Flow("w", metadata=metadata).then(lambda x: x).build()
    run_durable_workflow(workflow, "i", 1, backend)
    assert json.loads(backend.load("i").instance.metadata) == metadata


def test_the_size_limit_is_the_backends(tmp_path):
    from sayiir import InMemoryBackend, SerializationError, SqliteBackend, WorkflowClient

    workflow = Flow("w").then(lambda x: x * 20, name="grow").wait_for_signal("s").build()
    for backend in (InMemoryBackend(max_value_bytes=100), SqliteBackend(tmp_path / "runs.db", max_value_bytes=100)):
        with backend, pytest.raises(SerializationError, match="100"):
            run_durable_workflow(workflow, "a", "x" * 99, backend)
        assert backend.max_value_bytes == 100
    with InMemoryBackend(max_value_bytes=100) as backend:
        assert run_durable_workflow(workflow, "b", "x" * 10, backend).error_detail.error_type == "SerializationError"
        assert run_durable_workflow(workflow, "c", "x", backend).is_awaiting_signal()
        with pytest.raises(SerializationError):
            WorkflowClient(backend).send_signal("c", "s", "x" * 100)
        with pytest.raises(SerializationError):
            WorkflowClient(backend).submit(workflow, "d", "x" * 100)
    for bad in (0, True, 1.5):
        with pytest.raises(ValueError, match="max_value_bytes"):
            InMemoryBackend(max_value_bytes=bad)
