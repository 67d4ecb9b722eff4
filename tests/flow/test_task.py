"""The `@task` decorator: what it takes, what it refuses, and that it leaves the function alone."""

import functools
import math
import pickle
from datetime import timedelta

import pytest

from sayiir import Flow, RetryPolicy, TaskMetadata, run_workflow, task
from sayiir.flow.task import declaration_of, is_async_callable


def double(x: int) -> int:
    return x * 2


def fresh():
    def function(x):
        return x

    return function


def declared(function):
    declaration = declaration_of(function)
    assert declaration is not None
    return declaration


def metadata(**options):
    return declared(task(**options)(fresh())).metadata


# --- forms --------------------------------------------------------------------------------------------------------


def test_bare_decorator_returns_the_function_itself():
    function = fresh()
    assert task(function) is function
    assert function(21) == 21
    assert declared(function).name is None
    assert declared(function).metadata == TaskMetadata()


def test_name_positionally_or_by_keyword():
    assert declared(task("a")(fresh())).name == "a"
    assert declared(task(name="a")(fresh())).name == "a"
    assert declared(task()(fresh())).name is None


def test_name_twice_is_refused():
    with pytest.raises(TypeError, match="name twice"):
        task("a", name="b")


@pytest.mark.parametrize("thing", [5, None, "x", object()])
def test_only_callables_are_decorated(thing):
    with pytest.raises(TypeError, match="callable"):
        task("name")(thing)


def test_a_thing_that_is_neither_name_nor_callable_is_refused():
    with pytest.raises(TypeError, match="callable"):
        task(5)


def test_unknown_options_are_named():
    with pytest.raises(TypeError, match=r"retry, timeouts.*knows.*retries"):
        task(retry=3, timeouts=1)(fresh())


def test_every_option_reaches_the_metadata():
    policy = RetryPolicy(1, 0.5)
    found = metadata(
        timeout="30s", retries=policy, tags=["io"], description="text", priority=1, version="2", retry_on=ValueError,
        no_retry_on=(KeyError, TypeError), isolation=None,
    )  # fmt: skip
    assert found == TaskMetadata(
        description="text", timeout_secs=30.0, retries=policy, tags=["io"], version="2", priority=1,
        retry_on=ValueError, no_retry_on=(KeyError, TypeError),
    )  # fmt: skip


def test_metadata_object_gives_all_at_once():
    given = TaskMetadata(display_name="Shown", timeout_secs=1.5, tags=["a"], version="v")
    assert metadata(metadata=given) == given


def test_metadata_beside_single_options_is_refused():
    with pytest.raises(TypeError, match="not both"):
        task(metadata=TaskMetadata(), retries=1)(fresh())


def test_metadata_object_is_checked_too():
    for bad in (
        TaskMetadata(priority=9),
        TaskMetadata(timeout_secs=-1),
        TaskMetadata(tags=[""]),
        TaskMetadata(isolation="thread"),
        TaskMetadata(retry_on="ValueError"),
        TaskMetadata(retries=-1),
        TaskMetadata(version=2),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 -- each has a text of its own, seen below
            task(metadata=bad)(fresh())


def test_later_changes_of_a_given_list_change_nothing():
    tags = ["a"]
    function = task(tags=tags)(fresh())
    tags.append("b")
    assert declared(function).metadata.tags == ["a"]


# --- timeouts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("timeout", "seconds"), [("30s", 30.0), (2, 2.0), (0.5, 0.5), (timedelta(minutes=1), 60.0)])
def test_timeout_forms(timeout, seconds):
    assert metadata(timeout=timeout).timeout_secs == seconds


def test_timeout_secs_is_the_older_spelling():
    assert metadata(timeout_secs=7).timeout_secs == 7.0


def test_both_spellings_are_refused():
    with pytest.raises(ValueError, match="not both"):
        metadata(timeout=1, timeout_secs=1)


@pytest.mark.parametrize("timeout", [-1, math.nan, math.inf, "zz", "-3s", True])
def test_bad_timeouts_are_refused_at_the_decorator(timeout):
    with pytest.raises(ValueError, match="Invalid duration"):
        metadata(timeout=timeout)


def test_a_timeout_of_nothing_is_refused():
    with pytest.raises(ValueError, match="longer than 0"):
        metadata(timeout=0)


# --- retries ------------------------------------------------------------------------------------------------------


def test_retries_shorthand():
    assert metadata(retries=3).retries == RetryPolicy(3, 1.0, 2.0)


@pytest.mark.parametrize("none", [0, None])
def test_no_retries(none):
    assert metadata(retries=none).retries is None


@pytest.mark.parametrize("bad", [True, False, -1, 1.5, "3", [3]])
def test_bad_retries_are_refused(bad):
    with pytest.raises(ValueError, match="retries must be"):
        metadata(retries=bad)


@pytest.mark.parametrize("name", ["retry_on", "no_retry_on"])
@pytest.mark.parametrize("filter_", [ValueError, (ValueError, OSError), lambda error: True, KeyboardInterrupt])
def test_retry_filters(name, filter_):
    assert getattr(metadata(**{name: filter_}), name) is filter_


@pytest.mark.parametrize("name", ["retry_on", "no_retry_on"])
@pytest.mark.parametrize("bad", ["ValueError", 5, int, (ValueError, int), [ValueError], (ValueError, "x")])
def test_bad_retry_filters_are_refused(name, bad):
    with pytest.raises(ValueError, match=f"{name} must be an exception type"):
        metadata(**{name: bad})


# --- priority, tags, isolation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", [1, 2, 3, 4, 5])
def test_priorities(priority):
    assert metadata(priority=priority).priority == priority


@pytest.mark.parametrize("priority", [0, 6, -1, 1.0, True, "1"])
def test_bad_priorities(priority):
    with pytest.raises(ValueError, match="priority must be an int from 1 to 5"):
        metadata(priority=priority)


@pytest.mark.parametrize("tags", [[], ["a"], ["x" * 64], [f"t{i}" for i in range(20)], ("a", "b")])
def test_tags(tags):
    assert metadata(tags=tags).tags == list(tags)


@pytest.mark.parametrize("tags", ["io", [""], ["x" * 65], [f"t{i}" for i in range(21)], [5], [None], 5, {"a": 1}])
def test_bad_tags(tags):
    with pytest.raises(ValueError, match="tags must be"):
        metadata(tags=tags)


def test_isolation():
    assert metadata(isolation="process").isolation == "process"
    with pytest.raises(ValueError, match="isolation"):
        metadata(isolation="thread")


# --- texts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["description", "version"])
@pytest.mark.parametrize("bad", [5, ["x"], b"x"])
def test_description_and_version_are_text(name, bad):
    with pytest.raises(ValueError, match=f"{name} must be a string"):
        metadata(**{name: bad})


# --- every kind of callable ---------------------------------------------------------------------------------------


class Multiply:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x * self.factor

    def method(self, x):
        return x + self.factor

    @classmethod
    def of_class(cls, x):
        return (cls.__name__, x)

    @staticmethod
    def static(x):
        return -x


class AsyncCall:
    async def __call__(self, x):
        return x + 1


async def later(x):
    return x + 100


def add(first, x):
    return first + x


CALLABLES = [
    (double, "double", 10),
    (functools.partial(add, 3), "lambda_0", 8),
    (functools.partial(later), "lambda_0", 105),
    (Multiply(4), "lambda_0", 20),
    (Multiply(4).method, "method", 9),
    (Multiply.of_class, "of_class", ["Multiply", 5]),
    (Multiply.static, "static", -5),
    (AsyncCall(), "lambda_0", 6),
    (later, "later", 105),
    (lambda x: x, "lambda_0", 5),
    (abs, "abs", 5),
    ([1, 5, 5].count, "count", 2),
    (str, "str", "5"),
    (functools.lru_cache(double), "double", 10),
]


@pytest.mark.parametrize(("function", "name", "result"), CALLABLES, ids=range(len(CALLABLES)))
@pytest.mark.parametrize("decorate", [lambda f: f, task, task(retries=1)], ids=["plain", "task", "task()"])
def test_any_callable_is_a_task(function, name, result, decorate):
    workflow = Flow("w").then(decorate(function)).build()
    assert [node.id for node in workflow.iter_nodes()] == [name]
    assert run_workflow(workflow, 5) == result


@pytest.mark.parametrize(("function", "name", "result"), CALLABLES, ids=range(len(CALLABLES)))
def test_any_callable_takes_a_name(function, name, result):
    assert [node.id for node in Flow("w").then(function, name="mine").build().iter_nodes()] == ["mine"]
    marked = task("theirs")(function)
    assert [node.id for node in Flow("w").then(marked).build().iter_nodes()] == ["theirs"]
    assert [node.id for node in Flow("w").then(marked, name="mine").build().iter_nodes()] == ["mine"]


def test_a_method_keeps_what_was_declared_on_its_function():
    class Service:
        @task("fetch", retries=2)
        def fetch(self, x):
            return x

    assert declared(Service().fetch).name == "fetch"
    assert declared(Service().fetch).metadata.retries == RetryPolicy(2)


def test_a_partial_of_a_task_keeps_what_was_declared_but_not_the_name():
    @task("fetch", retries=2)
    def fetch(base, x):
        return base + x

    first, second = Flow("w").then(functools.partial(fetch, 1)).then(functools.partial(fetch, 2)).build().iter_nodes()
    assert (first.id, first.retry_policy) == ("lambda_0", RetryPolicy(2))
    assert (second.id, second.retry_policy) == ("lambda_1", RetryPolicy(2))


def test_the_documented_direct_call():
    decorated = task("custom", timeout="30s", retries=3)(double)
    assert decorated is double
    assert decorated(4) == 8


def test_callables_with_one_positional_argument_are_called_with_exactly_that():
    seen = []
    run_workflow(Flow("w").then(lambda *args, **kwargs: seen.append((args, kwargs))).build(), 5)
    assert seen == [((5,), {})]


def test_async_is_seen_through_partials_and_objects():
    assert is_async_callable(later)
    assert is_async_callable(functools.partial(functools.partial(later)))
    assert is_async_callable(AsyncCall())
    assert not is_async_callable(double)
    assert not is_async_callable(Multiply(1))


# --- value classes ------------------------------------------------------------------------------------------------


def test_metadata_is_a_frozen_comparable_picklable_value():
    value = TaskMetadata(display_name="x", retries=RetryPolicy(1), tags=["a"], retry_on=ValueError)
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 -- our own bytes
    assert value != TaskMetadata()
    assert "display_name='x'" in repr(value)
    with pytest.raises(AttributeError):
        value.version = "2"  # type: ignore[misc]
