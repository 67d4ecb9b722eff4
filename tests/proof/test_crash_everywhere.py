"""A crash at every single effect of a run, on every store, changes neither its end nor its history."""

import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayiir import Flow, LoopResult, NonRetryableError, RetryPolicy, Workflow, get_task_context, task
from sayiir.testing.crash import CrashReport, crash_everywhere
from sayiir.testing.flows import HiccupError, Sketch, sketches
from tests.proof.common import KINDS, examples, reopenable

TINY = RetryPolicy(3, 0.5, 2.0)


def plus(number: int) -> Any:
    return lambda value: value + number


@task(retries=TINY)
def flaky(value: int) -> int:
    context = get_task_context()
    assert context is not None
    if context.attempt < 3:
        raise ConnectionError(f"attempt {context.attempt}")
    return value * 2


@task(retries=RetryPolicy(1, 0.5))
async def hopeless(value: Any) -> Any:
    raise LookupError("never")


@task(retries=5)
def refused(value: Any) -> Any:
    raise NonRetryableError("not again")


async def later(value: Any) -> Any:
    return [value, "later"]


async def plus_text(value: Any) -> Any:
    return [value, "text"]


def total(parts: dict[str, Any]) -> dict[str, Any]:
    return {"names": list(parts), "parts": parts}


def count_to(limit: int, value: Any) -> Any:
    turn = value["turn"] + 1 if isinstance(value, dict) and "turn" in value else 1
    return LoopResult.again({"turn": turn}) if turn < limit else LoopResult.done(turn)


def chain() -> Workflow[Any, Any]:
    return Flow("chain").then(plus(1), name="a").then(later).then(flaky_on_list, name="b").then(plus(3), name="c").build()


@task(retries=TINY)
def flaky_on_list(value: Any) -> int:
    return flaky(value[0])


def kitchen() -> Workflow[Any, Any]:
    """Everything at once, nested."""
    child: Any = Flow("kid").then(plus(1), name="a").delay("rest", "1m").wait_for_signal("go", timeout="1h").then(later)
    looped: Any = Flow("looped").loop(functools.partial(count_to, 3), name="turn").then(plus(1), name="after")
    forked: Any = Flow("forked").fork().branch(plus(5), name="p").branch(later, name="q").join(total, name="inner")
    flow: Any = Flow("kitchen").then(plus(1), name="start")
    flow = flow.fork().branch(child.build(), name="kid").branch(looped.build(), name="looped")
    flow = flow.branch(flaky, later, name="flaky").branch(forked.build(), name="forked").join(total)
    flow = flow.route(lambda _: "x", keys=["x", "y"]).branch("x", plus_text, child_of("x")).branch("y", plus(1), name="y").done()
    return flow.then_flow(child_of("end")).build()


def child_of(name: str) -> Workflow[Any, Any]:
    flow: Any = Flow(name).delay(f"wait_{name}", 2).wait_for_signal(f"ok_{name}", name=f"signal_{name}")
    return flow.then(lambda value: [value], name=f"task_{name}").build()


def forks_in_forks() -> Workflow[Any, Any]:
    inner: Any = Flow("inner").fork().branch(plus(1), name="a").branch(plus(2), name="b").join(total, name="j")
    middle: Any = Flow("middle").fork().branch(inner.build(), name="in").branch(plus(3), name="c").join(total, name="k")
    return Flow("outer").fork().branch(middle.build(), name="m").branch(later, name="d").join(total, name="l").build()


def first_is(kind: str) -> Workflow[Any, Any]:
    """An instance whose first node is no task."""
    flow: Any = Flow(f"first_{kind}")
    match kind:
        case "delay":
            flow = flow.delay("d", "1h")
        case "signal":
            flow = flow.wait_for_signal("go")
        case "fork":
            flow = flow.fork().branch(Flow("only").delay("d", 1).build(), name="only").join(total)
        case "loop":
            flow = flow.loop(functools.partial(count_to, 3), name="turn")
        case "route":
            flow = flow.route(lambda _: "other", keys=["x"]).default_branch(later).done()
        case "child":
            flow = flow.then_flow(Flow("kid").delay("d", 1).build())
    return flow.build()


def sweep(workflow: Workflow[Any, Any], value: Any, kind: str, **options: Any) -> CrashReport:
    with reopenable(kind) as open_store:
        report = crash_everywhere(workflow, value, open_store=open_store, **options)
    assert report.crashes >= 0.8 * report.effects, "branches take turns by chance, but nearly every crash must happen"
    return report


SIGNALS = {"go": [{"approved": True}], "ok_x": ["fine"], "ok_end": [None]}
RICH = {
    "chain": (chain(), 20),
    "kitchen": (kitchen(), 1),
    "forks in forks": (forks_in_forks(), 1),
    **{f"first is a {kind}": (first_is(kind), 7) for kind in ("delay", "signal", "fork", "loop", "route", "child")},
    "fails": (Flow("fails").then(plus(1), name="a").then(hopeless).then(later).build(), 1),
    "fails at once": (Flow("fails_at_once").then(refused).build(), 1),
    "signal too late": (Flow("late").wait_for_signal("never", timeout="1m").then(later).build(), 1),
    "unmatched key": (Flow("unmatched").route(lambda _: "z", keys=["x"]).branch("x", later).done().build(), 1),
    "loop without end": (Flow("endless").loop(functools.partial(count_to, 99), max_iterations=3, name="t").build(), 1),
    "unstorable": (Flow("unstorable").then(lambda _: float("nan"), name="nan").build(), 1),
}
ENDS = {
    "fails": "LookupError: never",
    "fails at once": "NonRetryableError: not again",
    "signal too late": "SignalTimeoutError",
    "unmatched key": "RouteError",
    "loop without end": "LoopLimitError",
    "unstorable": "SerializationError",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", RICH)
def test_a_crash_at_every_effect_of_a_hand_written_flow(name: str, kind: str) -> None:
    workflow, value = RICH[name]
    report = sweep(workflow, value, kind, signals=SIGNALS)
    status = report.clean.status
    assert status is not None
    assert (status.error or "").startswith(ENDS.get(name, ""))
    assert status.is_failed() == (name in ENDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("then", [(0,), (2,), (3,), (5, 1)])
def test_the_recovery_from_a_crash_may_crash_too(then: tuple[int, ...], kind: str) -> None:
    for name in ("chain", "forks in forks", "first is a signal"):
        workflow, value = RICH[name]
        sweep(workflow, value, kind, signals=SIGNALS, then=then)


@pytest.mark.parametrize("kind", KINDS)
def test_a_crash_at_every_effect_of_random_flows(kind: str) -> None:
    @examples(30 if kind == "memory" else 15, 300)
    @given(sketches(depth=2), st.lists(st.integers(0, 30), max_size=1))
    def prove(sketch: Sketch, then: list[int]) -> None:
        report = sweep(sketch.build(), sketch.input, kind, signals=sketch.signals(), then=then)
        assert report.clean.status is not None
        try:
            assert (report.clean.status.status, report.clean.status.output) == ("completed", sketch.expected())
        except HiccupError as error:
            assert report.clean.status.error == f"HiccupError: {error}"

    prove()
