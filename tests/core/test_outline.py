"""The stored text of a definition read back as a tree."""

from sayiir import Flow
from sayiir.core.outline import downstream, outline, result_ids
from sayiir.core.structure import structure


def a(x):
    return x


def b(x):
    return x


def c(x):
    return x


def j(x):
    return x


CHILD = Flow("kid").then(a).then(b).build()
WORKFLOW = (
    Flow("w").then(a).fork().branch(b).branch(c, lambda x: x).branch(CHILD).join(j)
    .route(a, keys=["x"]).branch("x", b, lambda x: x, name="xb").default_branch(CHILD).done()
    .loop(b, name="body").wait_for_signal("go").delay("d", 1).build()
)  # fmt: skip
TREE = outline(structure(WORKFLOW.graph))


def find(name, word=None):
    (item,) = [item for item in TREE.walk() if item.name == name and word in (None, item.word)]
    return item


def test_every_line_is_an_item_in_its_place():
    assert TREE.word == "flow"
    assert [(item.word, item.name) for item in TREE.items] == [
        ("task", "a"), ("fork", "b||c||kid"), ("route", "branch_0"), ("loop", "loop_0"), ("signal", "go"), ("delay", "d"),
    ]  # fmt: skip
    assert [(item.word, item.name) for item in find("b||c||kid").items] == [
        ("branch", "b"), ("branch", "c"), ("branch", "kid"), ("join", "j"),
    ]  # fmt: skip
    assert [item.name for item in find("child_0/b").path()] == ["w", "b||c||kid", "kid", "child_0", "child_0/b"]


def test_the_text_names_every_node_of_the_tree():
    assert {node.id for node in WORKFLOW.iter_nodes()} <= {item.name for item in TREE.walk()}


def test_fork_branches_are_numbered_as_the_compiler_numbers_them():
    numbered = {item.name: item.number for item in TREE.walk() if item.number}
    assert numbered == {name: number for number, name, _ in WORKFLOW.program.ops["b||c||kid"].branches}


def test_where_results_are_found():
    found = result_ids(TREE)
    assert found["c"] == "b||c||kid::c"
    assert found["kid"] == "b||c||kid::kid"
    assert all(found[name] == name for name in found if name not in ("c", "kid"))
    assert {
        "a",
        "b",
        "lambda_0",
        "child_0/a",
        "j",
        "branch_0",
        "branch_0::key_fn",
        "xb",
        "loop_0",
        "body",
        "go",
        "d",
    } <= set(found)
    assert "x" not in found


def test_where_the_first_steps_of_branches_are_found():
    found = result_ids(TREE, step=True)
    assert (found["b"], found["c"], found["kid"]) == ("b", "c", "child_0/a")


def test_branches_of_a_child_are_found_in_its_namespace():
    child = Flow("kid").fork().branch(a).branch(b, c).join(j).build()
    tree = outline(structure(Flow("w").then_flow(child).build().graph))
    found = result_ids(tree)
    assert (found["child_0/a"], found["child_0/b"]) == ("child_0/a", "child_0/a||b::b")
    assert result_ids(tree, step=True)["child_0/b"] == "child_0/b"


def test_the_ids_that_records_carry():
    assert find("c", "branch").record_name == "b||c||kid::c"
    assert find("x", "branch").record_name == ""
    assert find("a").record_name == "a"


def test_everything_after_the_first_task():
    found = downstream(find("a"))
    assert found == {item.record_name for item in TREE.walk()} - {"", "w"}


def test_what_comes_after_a_branch_leaves_the_branches_beside_it_alone():
    found = downstream(find("lambda_0"))
    assert found.isdisjoint({"a", "b", "c", "child_0", "child_0/a", "b||c||kid::kid"})
    assert found >= {"lambda_0", "b||c||kid", "b||c||kid::c", "j", "branch_0", "loop_0", "body", "go", "d"}


def test_what_comes_after_a_join_does_not_hold_its_fork():
    found = downstream(find("j"))
    assert "b||c||kid" not in found
    assert {"j", "branch_0", "d"} <= found


def test_what_comes_after_a_routes_branch_holds_the_envelope():
    found = downstream(find("xb"))
    assert {"xb", "branch_0", "loop_0"} <= found
    assert found.isdisjoint({"child_1", "child_1/a", "branch_0::key_fn", "j"})


def test_what_comes_after_a_task_of_a_child_holds_the_child():
    assert {"child_0/b", "child_0", "b||c||kid::kid", "j"} <= downstream(find("child_0/b"))
    assert "child_0/a" not in downstream(find("child_0/b"))


def test_a_loops_body_comes_before_the_loops_value():
    assert {"body", "loop_0", "go"} <= downstream(find("body"))


def test_a_text_of_nothing():
    assert list(outline("").walk())[0].items == []
