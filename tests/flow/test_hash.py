"""The definition's hash: the same everywhere, made of the structure and of nothing else."""

import os
import re
import subprocess
import sys

import pytest

from sayiir import Flow, OnMax, RetryPolicy, task

DEFINITION = """
from sayiir import Flow, task

def a(x): return x
def b(x): return x
def key(x): return "k"

child = Flow("kid").then(a).delay("pause", 1).build()
workflow = (
    Flow("w", metadata={"z": 1, "a": 2}).then(task("first", version="2", tags=["x"])(lambda x: x))
    .fork().branch(a, b).branch(child).branch(lambda x: x).join(lambda d: d, name="j")
    .route(key, keys=["k", "l", "m"]).branch("k", a, name="ka").branch("l", b, name="lb").default_branch(a, name="da").done()
    .loop(b, name="body", max_iterations=3, on_max="exit_with_last").then_flow(child)
    .wait_for_signal("go", name="g", timeout=5, on_timeout="continue").delay("d", 5).build()
)
"""


def a(x):
    return x


def b(x):
    return x


def c(x):
    return x


def j(x):
    return x


def digest(flow):
    return flow.build().definition_hash


def test_it_is_64_hexadecimal_digits():
    assert re.fullmatch("[0-9a-f]{64}", digest(Flow("w").then(a)))


def test_it_is_the_same_in_every_process():
    namespace = {}
    exec(DEFINITION, namespace)  # noqa: S102 -- the text above
    here = namespace["workflow"].definition_hash
    program = DEFINITION + "print(workflow.definition_hash)"
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        ran = subprocess.run(  # noqa: S603 -- our own interpreter
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert ran.stdout.strip() == here


def test_it_is_the_same_on_every_machine_and_in_every_release():
    """A changed hash would strand every stored instance; a new format of the text needs a new version line."""
    assert digest(Flow("w").then(a).then(b)) == "6666b506902ede725cb73e71419f7f39fdf203ee54b080fb000db5f00210abbf"


BASE = {
    "task": lambda: Flow("w").then(a).then(b),
    "fork": lambda: Flow("w").fork().branch(a).branch(b).join(j),
    "route": lambda: Flow("w").route(c, keys=["k", "l"]).branch("k", a).branch("l", b).done(),
    "loop": lambda: Flow("w").loop(a, max_iterations=3),
    "signal": lambda: Flow("w").wait_for_signal("s"),
    "delay": lambda: Flow("w").delay("d", 1),
    "child": lambda: Flow("w").then_flow(Flow("kid").then(a).build()),
}

DIFFERENT = [
    ("task", "flow name", lambda: Flow("v").then(a).then(b)),
    ("task", "task id", lambda: Flow("w").then(a).then(b, name="x")),
    ("task", "order", lambda: Flow("w").then(b).then(a)),
    ("task", "one more", lambda: Flow("w").then(a).then(b).then(c)),
    ("task", "version", lambda: Flow("w").then(a).then(task("b", version="1")(lambda x: x))),
    ("task", "kind", lambda: Flow("w").then(a).delay("b", 1)),
    ("fork", "order of branches", lambda: Flow("w").fork().branch(b).branch(a).join(j)),
    ("fork", "nesting", lambda: Flow("w").fork().branch(a, b).join(j)),
    ("fork", "branch name", lambda: Flow("w").fork().branch(a).branch(b, name="x").join(j)),
    ("fork", "join", lambda: Flow("w").fork().branch(a).branch(b).join(c)),
    ("fork", "version of a branch", lambda: Flow("w").fork().branch(a).branch(task("b", version="1")(lambda x: x)).join(j)),
    ("fork", "version of the join", lambda: Flow("w").fork().branch(a).branch(b).join(task("j", version="1")(lambda x: x))),
    ("route", "keys", lambda: Flow("w").route(c, keys=["k", "m"]).branch("k", a).branch("m", b).done()),
    ("route", "order of keys", lambda: Flow("w").route(c, keys=["l", "k"]).branch("k", a).branch("l", b).done()),
    ("route", "default", lambda: Flow("w").route(c, keys=["k", "l"]).branch("k", a).default_branch(b).done()),
    ("route", "which branch", lambda: Flow("w").route(c, keys=["k", "l"]).branch("l", a).branch("k", b).done()),
    ("route", "version of the key", lambda: Flow("w").route(task(version="1")(lambda x: x), keys=["k", "l"]).branch("k", a).branch("l", b).done()),  # noqa: E501
    ("loop", "limit", lambda: Flow("w").loop(a, max_iterations=4)),
    ("loop", "on_max", lambda: Flow("w").loop(a, max_iterations=3, on_max=OnMax.EXIT_WITH_LAST)),
    ("loop", "body", lambda: Flow("w").loop(b, max_iterations=3)),
    ("loop", "version of the body", lambda: Flow("w").loop(task("a", version="1")(lambda x: x), max_iterations=3)),
    ("signal", "signal name", lambda: Flow("w").wait_for_signal("t", name="s")),
    ("signal", "node name", lambda: Flow("w").wait_for_signal("s", name="t")),
    ("signal", "on_timeout", lambda: Flow("w").wait_for_signal("s", on_timeout="continue")),
    ("delay", "name", lambda: Flow("w").delay("e", 1)),
    ("child", "its name", lambda: Flow("w").then_flow(Flow("other").then(a).build())),
    ("child", "its structure", lambda: Flow("w").then_flow(Flow("kid").then(b).build())),
    ("child", "inlined by hand", lambda: Flow("w").then(a)),
]  # fmt: skip


@pytest.mark.parametrize(("base", "what", "flow"), DIFFERENT, ids=[f"{base}: {what}" for base, what, _ in DIFFERENT])
def test_what_is_in(base, what, flow):
    assert digest(BASE[base]()) == digest(BASE[base]())
    assert digest(flow()) != digest(BASE[base]())


async def async_b(x):
    return x


def typed_b(x: int) -> str:
    return str(x)


SAME = [
    ("task", "code", lambda: Flow("w").then(a).then(c, name="b")),
    ("task", "annotations", lambda: Flow("w").then(a).then(typed_b, name="b")),
    ("task", "async", lambda: Flow("w").then(a).then(async_b, name="b")),
    ("task", "metadata", lambda: Flow("w", metadata={"x": 1}).then(a).then(b)),
    ("task", "options", lambda: Flow("w").then(a).then(task("b", timeout=5, retries=RetryPolicy(1), priority=1, tags=["t"], description="d", retry_on=ValueError, no_retry_on=KeyError)(lambda x: x))),  # noqa: E501
    ("signal", "timeout", lambda: Flow("w").wait_for_signal("s", timeout="1h")),
    ("signal", "type", lambda: Flow("w").wait_for_signal("s", type=int)),
    ("delay", "length", lambda: Flow("w").delay("d", "2d")),
    ("route", "key function's name", lambda: Flow("w").route(b, keys=["k", "l"]).branch("k", a).branch("l", b).done()),
    ("child", "its metadata", lambda: Flow("w").then_flow(Flow("kid", metadata=1).then(a).build())),
]  # fmt: skip


@pytest.mark.parametrize(("base", "what", "flow"), SAME, ids=[f"{base}: {what}" for base, what, _ in SAME])
def test_what_is_not_in(base, what, flow):
    assert digest(flow()) == digest(BASE[base]())


def test_names_cannot_imitate_structure():
    quoted = 'x"\n  task "b'
    assert digest(Flow("w").then(a, name=quoted)) != digest(Flow("w").then(a, name="x").then(b))
