"""The flow builder: names, mistakes that are told at once, and all the others together at `build()`."""

import functools
import math

import pytest

from sayiir import BranchBuilder, DefinitionError, Flow, ForkBuilder, OnMax, Workflow, WorkflowError, run_workflow, task


@task
def a(x):
    return x


@task
def b(x):
    return x


@task
def j(results):
    return results


def ids(workflow):
    return [node.id for node in workflow.iter_nodes()]


def mistakes(flow):
    with pytest.raises(DefinitionError) as caught:
        flow.build()
    return caught.value.problems


# --- the flow itself ----------------------------------------------------------------------------------------------


def test_every_method_returns_the_flow():
    flow = Flow("w")
    assert flow.then(a) is flow
    assert flow.delay("d", 1) is flow
    assert flow.wait_for_signal("s") is flow
    assert flow.loop(b, name="l") is flow
    assert flow.then_flow(Flow("c").then(a).build()) is flow
    fork = flow.fork()
    assert isinstance(fork, ForkBuilder)
    assert fork.branch(a, name="x") is fork
    assert fork.join(j) is flow
    route = flow.route(a, keys=["k"])
    assert isinstance(route, BranchBuilder)
    assert route.branch("k", a, name="y") is route
    assert route.default_branch(a, name="z") is route
    assert route.done() is flow
    assert isinstance(flow.build(), Workflow)


def test_the_default_name():
    assert Flow().then(a).build().workflow_id == "workflow"


@pytest.mark.parametrize("name", ["w", "a/b", "x||y", "x::y", " ", "日本", "x" * 256])
def test_flow_names(name):
    assert Flow(name).then(a).build().workflow_id == name


@pytest.mark.parametrize("name", ["", None, 5, b"w", "x" * 257, "a\0b", "\ud800"])
def test_bad_flow_names(name):
    with pytest.raises(ValueError, match="flow name"):
        Flow(name)


@pytest.mark.parametrize("metadata", [None, {}, {"team": "x", "n": [1, 2.5, None, True]}, [1], "text", 5])
def test_metadata_is_any_json_value(metadata):
    assert Flow("w", metadata=metadata).then(a).build().metadata == metadata


@pytest.mark.parametrize("metadata", [math.nan, {"a": {1, 2}}, object(), [math.inf]])
def test_other_metadata_is_refused_at_once(metadata):
    with pytest.raises(TypeError, match="metadata of flow 'w' must be a JSON value"):
        Flow("w", metadata=metadata)


def test_an_empty_flow():
    assert "Workflow must have at least one task" in mistakes(Flow("w"))[0]


def test_workflow_shows_its_name_and_hash():
    workflow = Flow("w").then(a).build()
    assert repr(workflow) == f"Workflow('w', definition_hash={workflow.definition_hash[:12]}…)"


def test_build_freezes():
    metadata = {"k": [1]}
    flow = Flow("w", metadata=metadata).then(a)
    built = flow.build()
    before = built.definition_hash
    metadata["k"].append(2)
    flow.then(b)
    task(version="9", retries=4)(a)
    try:
        assert (ids(built), built.definition_hash, built.metadata) == (["a"], before, {"k": [1]})
        assert next(built.iter_nodes()).retry_policy is None
        assert ids(flow.build()) == ["a", "b"]
    finally:
        task(a)


def test_a_built_workflow_cannot_be_changed():
    workflow = Flow("w", metadata={"k": 1}).then(a).build()
    with pytest.raises(AttributeError):
        workflow.workflow_id = "other"
    workflow.metadata["k"] = 2
    assert workflow.metadata == {"k": 1}


# --- ids ----------------------------------------------------------------------------------------------------------


def test_where_ids_come_from():
    named = task("declared")(lambda x: x)
    workflow = (
        Flow("w").then(a).then(named).then(b, name="given").then(lambda x: x).then(functools.partial(pow, 2)).build()
    )
    assert ids(workflow) == ["a", "declared", "given", "lambda_0", "lambda_1"]


def test_generated_names_count_through_the_whole_flow():
    workflow = (
        Flow("w")
        .fork().branch(lambda x: x).branch(lambda x: x, lambda x: x).join(lambda d: d)
        .route(lambda x: "k", keys=["k"]).branch("k", lambda x: x).done()
        .loop(lambda x: {"_loop": "done", "value": x}).loop(lambda x: {"_loop": "done", "value": x})
        .route(lambda x: "k", keys=["k"]).branch("k", lambda x: x).done()
        .build()
    )  # fmt: skip
    assert ids(workflow) == [
        "lambda_0||lambda_1", "lambda_0", "lambda_1", "lambda_2", "lambda_3", "branch_0", "lambda_4",
        "loop_0", "lambda_5", "loop_1", "lambda_6", "branch_1", "lambda_7",
    ]  # fmt: skip


def test_generated_names_start_anew_in_each_flow():
    def build():
        return Flow("w").then(lambda x: x).build()

    assert ids(build()) == ids(build()) == ["lambda_0"]


def test_signal_and_delay_ids():
    assert ids(Flow("w").delay("pause", 1).wait_for_signal("go").wait_for_signal("go", name="again").build()) == [
        "pause", "go", "again",
    ]  # fmt: skip


def test_child_namespaces_nest_and_repeat():
    inner = Flow("inner").then(a).build()
    outer = Flow("outer").then(a).then_flow(inner).build()
    workflow = Flow("w").then(a).then_flow(outer).then_flow(inner).build()
    assert ids(workflow) == [
        "a",
        "child_0",
        "child_0/a",
        "child_0/child_0",
        "child_0/child_0/a",
        "child_1",
        "child_1/a",
    ]


def test_a_childs_every_node_gets_the_full_id():
    child = (
        Flow("c").fork().branch(a).branch(b).join(j).route(a, keys=["k"]).branch("k", a, name="kb").done()
        .loop(lambda x: x, name="body").delay("d", 1).wait_for_signal("s").build()
    )  # fmt: skip
    assert ids(Flow("w").then_flow(child).build()) == [
        "child_0", "child_0/a||b", "child_0/a", "child_0/b", "child_0/j", "child_0/branch_0", "child_0/kb",
        "child_0/loop_0", "child_0/body", "child_0/d", "child_0/s",
    ]  # fmt: skip


def test_clashes_are_all_reported_at_once_with_the_fix():
    found = mistakes(Flow("w").then(a).then(a).delay("b", 1).fork().branch(b).branch(lambda x: x, name="a").join(j))
    assert len(found) == 2
    assert "id 'a' is used 3 times" in found[0]
    assert "id 'b' is used 2 times" in found[1]
    assert all("name=" in text for text in found)


def test_the_error_lists_every_mistake():
    flow = Flow("w").then(a).then(a).then(b, name="x/y").delay("", 1).wait_for_signal("s||t")
    flow.fork().branch(b)
    flow.route(b, keys=["k"])
    with pytest.raises(DefinitionError) as caught:
        flow.build()
    error = caught.value
    assert isinstance(error, ValueError)
    assert isinstance(error, WorkflowError)
    assert error.workflow_id == "w"
    assert len(error.problems) == 6
    assert "6 mistakes" in str(error)
    for problem in error.problems:
        assert problem in str(error)
    for words in ("'x/y'", "delay name", "'s||t'", "without .join", "without .done", "id 'a' is used 2 times"):
        assert any(words in problem for problem in error.problems), words


def test_a_fork_and_its_branches_may_not_clash_with_other_nodes():
    child = Flow("kid").then(a).build()
    found = mistakes(Flow("w").then(b, name="kid").fork().branch(child).branch(a).join(j))
    assert found == ["id 'kid' is used 2 times in flow 'w'; give the others a name of their own with name="]


@pytest.mark.parametrize("name", ["", "x/y", "x||y", "x::y", "x\0y", "x" * 257, "\ud800", 5, b"x"])
def test_bad_names_everywhere(name):
    k = Flow("k").then(a).build()
    flows = [
        Flow("w").then(a, name=name),
        Flow("w").delay(name, 1),
        Flow("w").wait_for_signal(name),
        Flow("w").wait_for_signal("s", name=name),
        Flow("w").loop(a, name=name),
        Flow("w").fork().branch(a, name=name).join(j),
        Flow("w").fork().branch(k, name=name).join(j),
        Flow("w").fork().branch(a).join(j, name=name),
        Flow("w").route(b, keys=["k"]).branch("k", a, name=name).done(),
        Flow("w").route(b, keys=["k"]).default_branch(a, name=name).done(),
        Flow("w").then(task(name=name)(lambda x: x)),
    ]
    for flow in flows:
        assert any("name" in text for text in mistakes(flow))


@pytest.mark.parametrize("name", ["x", "x y", "x|y", "a:b", "日本", "x" * 256, "."])
def test_good_names(name):
    assert ids(Flow("w").then(a, name=name).build()) == [name]


@pytest.mark.parametrize("thing", [None, 5, "a", object()])
def test_what_is_not_callable_is_refused_at_once(thing):
    for add in (
        lambda: Flow("w").then(thing),
        lambda: Flow("w").loop(thing),
        lambda: Flow("w").fork().branch(thing),
        lambda: Flow("w").fork().branch(a).join(thing),
        lambda: Flow("w").route(thing, keys=["k"]),
        lambda: Flow("w").route(a, keys=["k"]).branch("k", thing),
        lambda: Flow("w").route(a, keys=["k"]).default_branch(thing),
    ):
        with pytest.raises(TypeError, match="must be a callable"):
            add()


@pytest.mark.parametrize("thing", [None, a, Flow("x").then(a), "x"])
def test_then_flow_takes_built_workflows_only(thing):
    with pytest.raises(TypeError, match=r"\.build\(\)"):
        Flow("w").then_flow(thing)


def test_a_workflow_where_a_task_must_stand():
    child = Flow("c").then(a).build()
    for add in (
        lambda: Flow("w").then(child),
        lambda: Flow("w").loop(child),
        lambda: Flow("w").fork().branch(a).join(child),
    ):
        with pytest.raises(TypeError, match="then_flow"):
            add()


def test_an_unbuilt_flow_in_a_branch_is_refused():
    with pytest.raises(TypeError, match="must be a callable"):
        Flow("w").fork().branch(Flow("c").then(a))


# --- delay, signal, loop ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duration", [-1, "zz", math.nan, None])
def test_bad_durations_are_refused_at_once(duration):
    with pytest.raises(ValueError, match="Invalid duration"):
        Flow("w").delay("d", duration)
    if duration is not None:
        with pytest.raises(ValueError, match="Invalid duration"):
            Flow("w").wait_for_signal("s", timeout=duration)


def test_bad_on_timeout():
    with pytest.raises(ValueError, match='on_timeout must be "fail" or "continue"'):
        Flow("w").wait_for_signal("s", on_timeout="ignore")


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "3", None])
def test_bad_max_iterations(limit):
    with pytest.raises(ValueError, match="max_iterations must be"):
        Flow("w").loop(a, max_iterations=limit)


@pytest.mark.parametrize("on_max", ["stop", None, 5])
def test_bad_on_max(on_max):
    with pytest.raises(ValueError, match="on_max must be"):
        Flow("w").loop(a, on_max=on_max)


@pytest.mark.parametrize("on_max", ["fail", "exit_with_last", OnMax.FAIL, OnMax.EXIT_WITH_LAST])
def test_on_max_words_and_enum_are_the_same(on_max):
    hashes = {Flow("w").loop(a, on_max=form).build().definition_hash for form in (on_max, str(on_max), OnMax(on_max))}
    assert len(hashes) == 1


def test_on_max_members():
    assert {member.name: member.value for member in OnMax} == {"FAIL": "fail", "EXIT_WITH_LAST": "exit_with_last"}


# --- isolation, nesting -------------------------------------------------------------------------------------------


def test_isolated_functions_must_be_importable():
    isolated = task("iso", isolation="process")(lambda x: x)
    found = mistakes(Flow("w").then(isolated))
    assert "task 'iso' has isolation=\"process\"" in found[0]
    assert "top level" in found[0]


def test_nesting_has_a_limit_with_an_error_and_no_recursion_error():
    workflow = Flow("w").then(a).build()
    for _ in range(99):
        workflow = Flow("w").then_flow(workflow).build()
    with pytest.raises(DefinitionError, match="nested deeper than 100 levels"):
        Flow("w").then_flow(workflow).build()
    assert run_workflow(workflow, 7) == 7
