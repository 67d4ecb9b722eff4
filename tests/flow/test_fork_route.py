"""The builders of forks and routes."""

import enum

import pytest

from sayiir import DefinitionError, Flow, run_workflow, task


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


# --- fork ---------------------------------------------------------------------------------------------------------


def test_a_fork_of_no_branches():
    with pytest.raises(ValueError, match="at least one branch"):
        Flow("w").fork().join(j)


def test_a_branch_of_no_tasks():
    with pytest.raises(ValueError, match="at least one task"):
        Flow("w").fork().branch()
    with pytest.raises(ValueError, match="at least one task"):
        Flow("w").fork().branch(name="x")


def test_one_branch_is_enough():
    workflow = Flow("w").fork().branch(a).join(j).build()
    assert run_workflow(workflow, 3) == {"a": 3}
    assert len(set(ids(workflow))) == 3


def test_branch_names():
    child = Flow("kid").then(a).build()
    workflow = (
        Flow("w").fork().branch(a, b).branch(lambda x: x, name="inc").branch(lambda x: x).branch(child)
        .branch(child, name="other").join(j).build()
    )  # fmt: skip
    assert ids(workflow) == [
        "a||inc||lambda_0||kid||other", "a", "b", "inc", "lambda_0", "child_0", "child_0/a", "child_1", "child_1/a", "j",
    ]  # fmt: skip
    assert list(run_workflow(workflow, 1)) == ["a", "inc", "lambda_0", "kid", "other"]


def test_a_childs_name_that_cannot_name_a_branch_needs_name():
    child = Flow("team/kid").then(a).build()
    assert "branch name 'team/kid'" in mistakes(Flow("w").fork().branch(child).join(j))[0]
    assert ids(Flow("w").fork().branch(child, name="kid").join(j).build())[0] == "kid||"


def test_a_fork_ends_once():
    fork = Flow("w").fork().branch(a)
    fork.join(j)
    for again in (lambda: fork.join(j, name="k"), lambda: fork.branch(b)):
        with pytest.raises(DefinitionError, match="has ended"):
            again()


def test_several_open_forks_are_told_apart():
    flow = Flow("w")
    first, second = flow.fork().branch(a), flow.fork().branch(b)
    first.join(j)
    assert [text for text in mistakes(flow) if "without" in text] == [
        "flow 'w' has a fork without .join(…); every .fork() needs one"
    ]
    second.join(j, name="k")
    assert ids(flow.build()) == ["a||", "a", "j", "b||", "b", "k"]


# --- route --------------------------------------------------------------------------------------------------------


class Color(str, enum.Enum):  # noqa: UP042 -- the older kind of str enum counts as well
    RED = "red"


class Kind(enum.StrEnum):
    BLUE = "blue"


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("keys", [[], ()])
def test_a_route_without_keys(keys):
    with pytest.raises(ValueError, match="at least one key"):
        Flow("w").route(a, keys=keys)


@pytest.mark.parametrize("keys", ["abc", [1], [None], [b"x"]])
def test_keys_must_be_strings(keys):
    with pytest.raises(ValueError, match="keys must be a list of strings"):
        Flow("w").route(a, keys=keys)


def test_a_repeated_key():
    with pytest.raises(DefinitionError, match="must differ"):
        Flow("w").route(a, keys=["x", "x"])


@pytest.mark.parametrize("key", ["zz", "", 5, None, "RED"])
def test_an_undeclared_key_is_refused_at_once(key):
    with pytest.raises(ValueError, match="is not in the declared keys"):
        Flow("w").route(a, keys=["red"]).branch(key, a)


def test_missing_branches_are_refused_at_once():
    route = Flow("w").route(a, keys=["x", "y", "z"]).branch("y", b)
    with pytest.raises(ValueError, match="missing branches for keys: x, z"):
        route.done()
    route.default_branch(a, name="d").done()


def test_a_route_branch_of_no_tasks():
    with pytest.raises(ValueError, match="at least one task"):
        Flow("w").route(a, keys=["x"]).branch("x")
    with pytest.raises(ValueError, match="at least one task"):
        Flow("w").route(a, keys=["x"]).default_branch()


def test_two_branches_for_one_key():
    with pytest.raises(DefinitionError, match="two branches for key 'x'"):
        Flow("w").route(a, keys=["x"]).branch("x", a).branch("x", b)
    with pytest.raises(DefinitionError, match="two branches for the default branch"):
        Flow("w").route(a, keys=["x"]).default_branch(a).default_branch(b)


def test_string_subclasses_and_enums_as_keys():
    def build(red, blue, plain):
        return (
            Flow("w").route(a, keys=[red, blue, plain])
            .branch(red, lambda x: x).branch(blue, lambda x: x).branch(plain, lambda x: x).done().build()
        )  # fmt: skip

    built = build(Color.RED, Kind.BLUE, Text("green"))
    assert built.definition_hash == build("red", "blue", "green").definition_hash
    assert run_workflow(built, "red") == {"branch": "red", "result": "red"}


def test_a_route_ends_once():
    route = Flow("w").route(a, keys=["x"]).branch("x", b)
    route.done()
    for again in (route.done, lambda: route.default_branch(a)):
        with pytest.raises(DefinitionError, match="has ended"):
            again()


def test_a_failed_call_leaves_the_builder_usable():
    route = Flow("w").route(a, keys=["x"])
    with pytest.raises(ValueError, match="declared keys"):
        route.branch("zz", b)
    with pytest.raises(ValueError, match="missing"):
        route.done()
    assert ids(route.branch("x", b).done().build()) == ["branch_0", "b"]


def test_refused_keys_leave_no_open_route_behind():
    flow = Flow("w").then(a)
    with pytest.raises(ValueError, match="at least one key"):
        flow.route(b, keys=[])
    assert ids(flow.build()) == ["a"]
