"""The small values of the core: retry policies, loop results, records, and the tree."""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayiir import LoopResult, OnMax, RetryPolicy
from sayiir.core.graph import Branch, Graph, RouteNode, SignalNode, TaskNode, prefixed, walk
from sayiir.core.records import INPUT_REF, Failure, Position, Record, ref_of
from sayiir.core.retry import MAX_DELAY_SECS


def f(x):
    return x


# --- RetryPolicy --------------------------------------------------------------------------------------------------


def test_the_documented_defaults():
    policy = RetryPolicy()
    assert (policy.max_retries, policy.initial_delay_secs, policy.backoff_multiplier) == (2, 1.0, 2.0)
    assert (policy.max_delay_secs, policy.jitter) == (None, 0.0)
    assert RetryPolicy(max_retries=3, initial_delay_secs=1.0, backoff_multiplier=2.0) == RetryPolicy(3)


def test_the_documented_delays():
    assert [RetryPolicy(3).delay_secs(retry) for retry in range(3)] == [1.0, 2.0, 4.0]


def test_the_cap_and_the_jitter():
    policy = RetryPolicy(9, 1.0, 10.0, max_delay_secs=50, jitter=0.2)
    assert [policy.delay_secs(retry) for retry in range(4)] == [1.0, 10.0, 50.0, 50.0]
    assert policy.delay_secs(1, 0.0) == pytest.approx(8.0)
    assert policy.delay_secs(1, 1.0) == pytest.approx(12.0)


def test_cap_and_jitter_are_keywords():
    with pytest.raises(TypeError):
        RetryPolicy(1, 1.0, 2.0, 5.0)


def test_delays_never_overflow():
    assert RetryPolicy(10_000, 1.0, 10.0).delay_secs(9_999) == MAX_DELAY_SECS
    assert RetryPolicy(10_000, 0.0, 10.0).delay_secs(9_999) == 0.0
    assert RetryPolicy(3, 1.0, 0.0).delay_secs(2) == 0.0


@given(
    st.integers(0, 2_000), st.floats(0, 1e9), st.floats(0, 1e3), st.none() | st.floats(0, 1e6), st.floats(0, 1),
    st.floats(0, 1, exclude_max=True),
)  # fmt: skip
def test_every_delay_is_finite_and_within_its_bounds(retry, initial, multiplier, cap, jitter, chance):
    delay = RetryPolicy(1, initial, multiplier, max_delay_secs=cap, jitter=jitter).delay_secs(retry, chance)
    assert math.isfinite(delay)
    assert 0 <= delay <= (cap if cap is not None else MAX_DELAY_SECS) * (1 + jitter) * (1 + 1e-9)


@pytest.mark.parametrize("bad", [-1, True, 1.0, "2", None])
def test_bad_retry_counts(bad):
    with pytest.raises(ValueError, match="max_retries must be an int"):
        RetryPolicy(bad)


@pytest.mark.parametrize("name", ["initial_delay_secs", "backoff_multiplier", "max_delay_secs", "jitter"])
@pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf, "1", True])
def test_bad_numbers(name, bad):
    with pytest.raises(ValueError, match=name):
        RetryPolicy(1, **{name: bad})


def test_other_bad_numbers():
    with pytest.raises(ValueError, match="jitter must be between 0 and 1"):
        RetryPolicy(1, jitter=1.1)
    with pytest.raises(ValueError, match="initial_delay_secs must be a number"):
        RetryPolicy(1, initial_delay_secs=None)


def test_a_policy_is_a_frozen_comparable_picklable_value():
    policy = RetryPolicy(3, 0.5, 3.0, max_delay_secs=9, jitter=0.1)
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert len({policy, RetryPolicy(3, 0.5, 3.0, max_delay_secs=9, jitter=0.1)}) == 1
    assert repr(policy).startswith("RetryPolicy(max_retries=3, initial_delay_secs=0.5, backoff_multiplier=3.0")
    with pytest.raises(AttributeError):
        policy.max_retries = 1


# --- LoopResult and OnMax -----------------------------------------------------------------------------------------


def test_again_and_done():
    again, done = LoopResult.again([1]), LoopResult.done("x")
    assert (again.is_again, again.is_done, again.value) == (True, False, [1])
    assert (done.is_again, done.is_done, done.value) == (False, True, "x")
    assert again.to_dict() == {"_loop": "again", "value": [1]}
    assert done.to_dict() == {"_loop": "done", "value": "x"}
    assert (repr(again), repr(done)) == ("LoopResult.again([1])", "LoopResult.done('x')")


def test_results_are_compared_hashed_and_pickled():
    assert LoopResult.done(1) == LoopResult.done(1)
    assert LoopResult.done(1) != LoopResult.again(1)
    assert LoopResult.done(1) != LoopResult.done(2)
    assert LoopResult.done(1) != 1
    assert len({LoopResult.done(1), LoopResult.done(1), LoopResult.again(1)}) == 2
    assert pickle.loads(pickle.dumps(LoopResult.again([1]))) == LoopResult.again([1])


def test_on_max_is_its_word():
    assert OnMax.FAIL == "fail"
    assert OnMax("exit_with_last") is OnMax.EXIT_WITH_LAST


# --- records and the tree -----------------------------------------------------------------------------------------


def test_references():
    assert ref_of(0, 0) == INPUT_REF
    assert ref_of(0, 5) == 5
    assert ref_of(2, 5) == 2 * 2**32 + 5


def test_positions_and_records_start_plainly():
    assert Position("a") == Position("a", 0, 0, 1, 1, 0, ())
    record = Record(1, "a", "task")
    assert (record.iteration, record.attempt, record.status, record.superseded) == (1, 1, "completed", False)


@pytest.mark.parametrize(("message", "text"), [("no", "ValueError: no"), ("", "ValueError")])
def test_a_failure_in_one_line(message, text):
    assert Failure("ValueError", message, "a", "a").text == text


def test_a_routes_default():
    named = Branch("a", (TaskNode("a", f),), "k")
    default = Branch("b", (TaskNode("b", f),), None)
    key = TaskNode("branch_0::key_fn", f)
    assert RouteNode("branch_0", key, ("k",), (named,)).default is None
    assert RouteNode("branch_0", key, ("k",), (named, default)).default is default


def test_prefixing_leaves_the_original_alone():
    nodes = (SignalNode("s", "go"),)
    (inside,) = prefixed(nodes, "child_0")
    assert (inside.id, inside.signal, nodes[0].id) == ("child_0/s", "go", "s")


def test_walking_an_empty_tree():
    assert list(walk(Graph("w", ()).nodes)) == []
