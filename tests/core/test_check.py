"""The rules of a whole definition."""

import functools
import os.path

import pytest

from sayiir.core import check
from sayiir.core.graph import Branch, ChildNode, ForkNode, Graph, RouteNode, TaskMetadata, TaskNode


def function(x):
    return x


def task(name):
    return TaskNode(name, function)


@pytest.mark.parametrize("name", ["a", "a b", "日本", "x" * 256, "a|b", "a:b"])
def test_good_names(name):
    assert check.name_problem("task name", name) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [("", "non-empty string"), (None, "non-empty string"), (5, "non-empty string"), ("x" * 257, "257 characters"), ("\ud800", "surrogate"),
     ("a/b", "'/'"), ("a||b", "'||'"), ("a::b", "'::'"), ("a\0", "'\\x00'")],
)  # fmt: skip
def test_bad_names_say_what_is_wrong(name, says):
    problem = check.name_problem("task name", name)
    assert problem.startswith("task name")
    assert says in problem


def test_workflow_names_may_hold_the_marks_of_full_ids():
    for name in ("a/b", "a||b", "a::b"):
        assert check.name_problem("flow name", name, plain=False) is None
    assert check.name_problem("flow name", "a\0", plain=False) is not None


def test_a_sound_tree_has_no_problems():
    fork = ForkNode(
        "a||x", (Branch("a", (task("a"),)), Branch("x", (ChildNode("child_0", "k", (task("child_0/a"),)),))), task("j")
    )
    assert check.problems(Graph("w", (fork,))) == []


def test_an_empty_tree():
    assert len(check.problems(Graph("w", ()))) == 1


def test_a_branchs_name_counts_unless_it_is_its_first_nodes():
    fork = ForkNode(
        "a||x", (Branch("a", (task("a"),)), Branch("x", (ChildNode("child_0", "k", (task("child_0/a"),)),))), task("x")
    )
    assert check.problems(Graph("w", (fork,))) == [
        "id 'x' is used 2 times in flow 'w'; give the others a name of their own with name="
    ]


def test_too_deep_a_tree_is_told_without_walking_it():
    nodes = (task("a"),)
    for _ in range(5_000):
        nodes = (RouteNode("branch_0", task("k"), ("k",), (Branch("b", nodes, "k"),)),)
    (problem,) = check.problems(Graph("w", nodes))
    assert "100 levels" in problem


def local():
    def inner(x):
        return x

    return inner


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (function, True), (os.path.join, True), (len, True), (check.problems, True),
        (lambda x: x, False), (local(), False), (functools.partial(len), False), (object(), False),
    ],
)  # fmt: skip
def test_what_another_process_can_import(function, expected):
    assert check.importable(function) is expected


def test_functions_of_the_main_script_are_importable_there(monkeypatch):
    monkeypatch.setattr(local, "__module__", "gone")
    assert not check.importable(local)


def test_isolated_tasks_are_checked():
    bad = TaskNode("t", lambda x: x, metadata=TaskMetadata(isolation="process"))
    good = TaskNode("u", len, metadata=TaskMetadata(isolation="process"))
    (problem,) = check.problems(Graph("w", (bad, good)))
    assert "task 't'" in problem
