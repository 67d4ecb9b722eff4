"""The text that the hash is made of, and what it says when two of them differ."""

from sayiir import Flow, task
from sayiir.core.structure import difference, structure, structure_hash


def a(x):
    return x


def b(x):
    return x


def j(x):
    return x


def text_of(flow):
    return structure(flow.build().graph)


CHILD = Flow('k"id').then(a).build()
WHOLE = (
    Flow("w").then(task("v", version="2")(lambda x: x)).fork().branch(a, b).branch(CHILD, name="kid").join(j)
    .route(a, keys=["x", "y"]).branch("x", b, name="xb").default_branch(a, name="d").done().loop(b, name="body", max_iterations=4)
    .wait_for_signal("go", name="g", timeout=3).delay("p", 1)
)  # fmt: skip


def test_the_text_shows_the_whole_tree():
    assert (
        text_of(WHOLE)
        == """\
sayiir definition 1
flow "w"
  task "v" version="2"
  fork "a||kid"
    branch "a"
      task "a"
      task "b"
    branch "kid"
      child "child_0" of="k\\"id"
        task "child_0/a"
    join "j"
  route "branch_0" keys=["x", "y"]
    key "branch_0::key_fn"
    branch "x"
      task "xb"
    default
      task "d"
  loop "loop_0" max_iterations=4 on_max=fail
    task "body"
  signal "g" of="go" on_timeout=fail
  delay "p"
"""
    )


def test_a_difference_shows_both_sides():
    one, two = text_of(Flow("w").then(a).then(b)), text_of(Flow("w").then(a).then(j).then(b))
    assert difference(one, two).splitlines() == ['   task "a"', '+  task "j"', '   task "b"']
    assert difference(two, one).splitlines() == ['   task "a"', '-  task "j"', '   task "b"']
    assert difference(one, one) == ""


def test_the_hash_is_of_the_text():
    assert structure_hash("x") == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


def test_names_that_are_not_ascii():
    assert '"\\u65e5"' in text_of(Flow("w").then(a, name="日"))
