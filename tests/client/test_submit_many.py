"""`submit_many`: one transaction, all or none, and errors that name the item."""

import dataclasses

import pytest

from sayiir import (
    DefinitionMismatchError,
    DeserializationError,
    Flow,
    InstanceAlreadyExistsError,
    SerializationError,
    WorkflowClient,
    resume_workflow,
    run_durable_workflow,
)


def double(x):
    return x * 2


@dataclasses.dataclass
class Order:
    id: int


def take(order: Order) -> int:
    return order.id


DOUBLE = Flow("double").then(double).build()
OTHER = Flow("double").then(double).then(double, name="more").build()
TAKE = Flow("take").then(take).build()


def there(backend, *names):
    return [name for name in names if backend.load(name) is not None]


@pytest.mark.parametrize("make", [list, tuple, iter, lambda items: (list(item) for item in items)])
def test_many_are_stored_in_order(backend, make):
    client = WorkflowClient(backend)
    statuses = client.submit_many(DOUBLE, make([(f"i{n}", n) for n in range(300)]))
    assert [status.instance_id for status in statuses] == [f"i{n}" for n in range(300)]
    assert all(status.is_in_progress() for status in statuses)
    assert statuses[7] == client.status("i7")
    assert [resume_workflow(DOUBLE, f"i{n}", backend).output for n in (0, 150, 299)] == [0, 300, 598]


@pytest.mark.parametrize("nothing", [[], (), iter(()), {}.items()])
def test_nothing_is_fine(backend, nothing):
    assert WorkflowClient(backend).submit_many(DOUBLE, nothing) == []


@pytest.mark.parametrize("priority", [1, 5, None])
def test_priorities(backend, priority):
    WorkflowClient(backend).submit_many(DOUBLE, [("a", 1), ("b", 2)], priority=priority)
    assert [backend.load(name).instance.priority for name in "ab"] == [priority] * 2


@pytest.mark.parametrize("priority", [0, 6, True, "1", 2.5])
def test_bad_priorities(backend, priority):
    with pytest.raises(ValueError, match="priority must be an int from 1 to 5"):
        WorkflowClient(backend).submit_many(DOUBLE, [("a", 1)], priority=priority)
    assert there(backend, "a") == []


BAD = {
    "not JSON": (("bad", {1, object()}), SerializationError, r"items\[1\] \('bad'\)"),
    "does not fit": (("bad", {"id": "text"}), DeserializationError, r"items\[1\] \('bad'\).*validation error"),
    "no id": (("", {"id": 1}), ValueError, r"items\[1\]: instance_id must have 1 to 256 bytes"),
    "not an id": ((5, {"id": 1}), ValueError, r"items\[1\]: instance_id must be a string"),
    "text": ("ab", ValueError, r"items\[1\] must be a pair \(instance_id, input\), not 'ab'"),
    "three": (("a", 1, 2), ValueError, r"items\[1\] must be a pair"),
    "no pair": (None, ValueError, r"items\[1\] must be a pair"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_item_is_named_and_nothing_is_stored(backend, name):
    item, error, text = BAD[name]
    with pytest.raises(error, match=text) as caught:
        WorkflowClient(backend).submit_many(TAKE, [("good", Order(1)), item, ("late", Order(2))])
    if isinstance(caught.value, SerializationError):
        assert caught.value.instance_id == "bad"
    assert there(backend, "good", "bad", "late") == []


def test_the_path_inside_a_bad_input_is_kept(backend):
    with pytest.raises(SerializationError) as caught:
        WorkflowClient(backend).submit_many(DOUBLE, [("a", {"list": [1, object()]})])
    assert "list" in str(caught.value.path)


def test_items_that_fail_by_themselves_store_nothing(backend):
    def items():
        yield "a", 1
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        WorkflowClient(backend).submit_many(DOUBLE, items())
    assert there(backend, "a") == []


def test_a_flow_that_was_not_built(backend):
    with pytest.raises(TypeError, match="build"):
        WorkflowClient(backend).submit_many(Flow("w").then(double), [("a", 1)])


# --- policies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, 2])
def test_fail_refuses_all(backend, place):
    run_durable_workflow(DOUBLE, "taken", 1, backend)
    items = [("x", 1), ("y", 2)]
    items.insert(place, ("taken", 3))
    with pytest.raises(InstanceAlreadyExistsError, match="'taken' already exists and is completed") as caught:
        WorkflowClient(backend).submit_many(DOUBLE, items)
    assert caught.value.instance_id == "taken"
    assert there(backend, "x", "y") == []
    assert WorkflowClient(backend).status("taken").output == 2


def test_use_existing_returns_what_is_stored(backend):
    run_durable_workflow(DOUBLE, "taken", 1, backend)
    client = WorkflowClient(backend, conflict_policy="use_existing")
    statuses = client.submit_many(DOUBLE, [("x", 1), ("taken", 5), ("y", 2)])
    assert [status.status for status in statuses] == ["in_progress", "completed", "in_progress"]
    assert statuses[1].output == 2


def test_terminate_existing_starts_anew(backend):
    run_durable_workflow(DOUBLE, "taken", 1, backend)
    client = WorkflowClient(backend, conflict_policy="terminate_existing")
    assert all(status.is_in_progress() for status in client.submit_many(OTHER, [("x", 1), ("taken", 5)]))
    assert resume_workflow(OTHER, "taken", backend).output == 20


@pytest.mark.parametrize("policy", ["fail", "use_existing"])
def test_another_definition_refuses_all(backend, policy):
    run_durable_workflow(DOUBLE, "taken", 1, backend)
    with pytest.raises(DefinitionMismatchError, match='[+]  task "more"'):
        WorkflowClient(backend, conflict_policy=policy).submit_many(OTHER, [("x", 1), ("taken", 5)])
    assert there(backend, "x") == []


def test_an_id_that_comes_twice_is_taken_the_second_time(backend):
    items = [("x", 1), ("y", 2), ("x", 3)]
    with pytest.raises(InstanceAlreadyExistsError, match="'x'"):
        WorkflowClient(backend).submit_many(DOUBLE, items)
    assert there(backend, "x", "y") == []
    statuses = WorkflowClient(backend, conflict_policy="use_existing").submit_many(DOUBLE, items)
    assert [status.instance_id for status in statuses] == ["x", "y", "x"]
    assert resume_workflow(DOUBLE, "x", backend).output == 2
    WorkflowClient(backend, conflict_policy="terminate_existing").submit_many(DOUBLE, items)
    assert resume_workflow(DOUBLE, "x", backend).output == 6
