"""The `@task` decorator: what is declared about a function, kept beside it.

The function stays a plain callable. Its declaration hangs on one attribute when the callable takes attributes,
and never wraps it, so that a task is called and tested like any function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, overload

import msgspec

from sayiir.core.graph import RetryFilter, TaskMetadata
from sayiir.core.retry import RetryPolicy
from sayiir.flow.duration import Duration, parse_duration

F = TypeVar("F", bound=Callable[..., Any])
_ATTRIBUTE = "__sayiir_task__"


class TaskDeclaration(msgspec.Struct, frozen=True):
    """What `@task` attached to a function."""

    name: str | None
    metadata: TaskMetadata


@overload
def task(name_or_function: F, /) -> F: ...
@overload
def task(
    name_or_function: str | None = None,
    /,
    *,
    name: str | None = None,
    timeout: Duration | None = None,
    timeout_secs: float | None = None,
    retries: int | RetryPolicy | None = None,
    tags: Sequence[str] | None = None,
    description: str | None = None,
    priority: int | None = None,
    version: str | None = None,
    retry_on: RetryFilter | None = None,
    no_retry_on: RetryFilter | None = None,
    isolation: Literal["process"] | None = None,
    metadata: TaskMetadata | None = None,
) -> Callable[[F], F]: ...


def task(name_or_function: Any = None, /, *, name: str | None = None, **options: Any) -> Any:  # noqa: D417
    """Declare a function as a task; the function itself is returned unchanged.

    Args:
        name: the task's id, instead of the function's name; also as the first positional argument.
        timeout: limit of one attempt: seconds, a timedelta or text like "30s".
        timeout_secs: the same as a number of seconds (older spelling).
        retries: number of retries (1 s first, doubling), or a RetryPolicy.
        tags: at most 20 labels of 1 to 64 characters; a worker must have all of them to run the task.
        description: what the task does, for people.
        priority: 1 (first) to 5 (last), 3 when not given.
        version: free text that is part of the definition's hash.
        retry_on: exception type, tuple of types, or predicate: only these failures are retried.
        no_retry_on: likewise: these failures are never retried; wins over `retry_on`.
        isolation: "process" runs every attempt in a child process, which a timeout really kills.
        metadata: a TaskMetadata with all of this at once.

    Returns:
        The function, or a decorator.

    Raises:
        ValueError: a value is out of its range; the text names it.
        TypeError: an option is unknown, or what is decorated is not callable.

    >>> @task(retries=3, timeout="30s")
    ... def double(x: int) -> int:
    ...     return x * 2
    >>> double(21)
    42
    """
    if name_or_function is not None and not isinstance(name_or_function, str):
        if not callable(name_or_function):
            raise TypeError(f"@task decorates a callable, not {name_or_function!r}")
        return _attach(name_or_function, name, options)
    if name_or_function is not None and name is not None:
        raise TypeError("@task got the name twice: give it once, positionally or as name=")
    declared = _declare(name_or_function if name is None else name, options)

    def decorate(function: F) -> F:
        if not callable(function):
            raise TypeError(f"@task decorates a callable, not {function!r}")
        return _mark(function, declared)

    return decorate


def declaration_of(function: Any) -> TaskDeclaration | None:
    """Return what `@task` declared about a callable, or None."""
    found = getattr(function, _ATTRIBUTE, None)
    if isinstance(found, TaskDeclaration):
        return found
    if isinstance(function, functools.partial) and (inner := declaration_of(function.func)) is not None:
        # Several partials of one task may stand in a flow, so they share what was declared, but not the name.
        return TaskDeclaration(None, inner.metadata)
    return None


def is_async_callable(function: Any) -> bool:
    """Return whether calling it gives a coroutine; looks through partials and callable objects."""
    import inspect

    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _attach(function: F, name: str | None, options: dict[str, Any]) -> F:
    return _mark(function, _declare(name, options))


def _mark(function: F, declared: TaskDeclaration) -> F:
    try:
        setattr(function, _ATTRIBUTE, declared)
    except (AttributeError, TypeError):
        # Bound methods and builtins take no attributes; a partial of them does and calls the same thing.
        wrapped = functools.partial(function)
        setattr(wrapped, _ATTRIBUTE, declared)
        if declared.name is None:
            named = TaskDeclaration(getattr(function, "__name__", None), declared.metadata)
            setattr(wrapped, _ATTRIBUTE, named)
        return wrapped  # type: ignore[return-value]  # a partial is what F's users call
    return function


_OPTIONS = frozenset(
    (
        "timeout",
        "timeout_secs",
        "retries",
        "tags",
        "description",
        "priority",
        "version",
        "retry_on",
        "no_retry_on",
        "isolation",
        "metadata",
    )
)


def _declare(name: str | None, options: dict[str, Any]) -> TaskDeclaration:
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        raise TypeError(f"@task got unknown options {', '.join(unknown)}; it knows name, {', '.join(sorted(_OPTIONS))}")
    given = {key: value for key, value in options.items() if value is not None}
    base: TaskMetadata | None = given.pop("metadata", None)
    if base is not None and given:
        raise TypeError(f"@task takes metadata= or single options, not both (got also {', '.join(sorted(given))})")
    return TaskDeclaration(name, checked(base) if base is not None else _metadata(given))


def _metadata(given: dict[str, Any]) -> TaskMetadata:
    if "timeout" in given and "timeout_secs" in given:
        raise ValueError("give timeout= or timeout_secs=, not both")
    timeout = given.get("timeout", given.get("timeout_secs"))
    return checked(
        TaskMetadata(
            description=given.get("description"),
            timeout_secs=None if timeout is None else parse_duration(timeout),
            retries=retry_policy(given.get("retries")),
            tags=given.get("tags"),
            version=given.get("version"),
            priority=given.get("priority"),
            retry_on=given.get("retry_on"),
            no_retry_on=given.get("no_retry_on"),
            isolation=given.get("isolation"),
        )
    )


def retry_policy(retries: int | RetryPolicy | None) -> RetryPolicy | None:
    """Turn the `retries=` shorthand into a policy; 0 and None mean none."""
    if retries is None or isinstance(retries, RetryPolicy):
        return retries
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise ValueError(f"retries must be an int of 0 or more or a RetryPolicy, not {retries!r}")
    return RetryPolicy(retries, 1.0, 2.0) if retries else None


def checked(data: TaskMetadata) -> TaskMetadata:
    """Return the metadata with its values checked and its tags copied into a list of its own."""
    if data.timeout_secs is not None:
        parse_duration(data.timeout_secs)
        if data.timeout_secs == 0:
            raise ValueError("timeout must be longer than 0 seconds")
    if data.priority is not None and (
        isinstance(data.priority, bool) or not isinstance(data.priority, int) or not 1 <= data.priority <= 5
    ):
        raise ValueError(f"priority must be an int from 1 to 5, not {data.priority!r}")
    for name in ("display_name", "description", "version"):
        text = getattr(data, name)
        if text is not None and not isinstance(text, str):
            raise ValueError(f"{name} must be a string, not {text!r}")
    if data.isolation not in (None, "process"):
        raise ValueError(f'isolation must be None or "process", not {data.isolation!r}')
    for name in ("retry_on", "no_retry_on"):
        _check_filter(name, getattr(data, name))
    retries = retry_policy(data.retries)
    tags = None if data.tags is None else _tags(data.tags)
    return msgspec.structs.replace(data, retries=retries, tags=tags)


def _tags(tags: Any) -> list[str]:
    if isinstance(tags, str) or not isinstance(tags, Sequence | set | frozenset):
        raise ValueError(f"tags must be a list of strings, not {tags!r}")  # noqa: TRY004 -- documented as ValueError
    listed = list(tags)
    if len(listed) > 20 or not all(isinstance(tag, str) and 1 <= len(tag) <= 64 for tag in listed):
        raise ValueError(f"tags must be at most 20 strings of 1 to 64 characters, not {tags!r}")
    return listed


def _check_filter(name: str, value: Any) -> None:
    if value is None or (callable(value) and not isinstance(value, type)):
        return
    types = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(item, type) and issubclass(item, BaseException) for item in types):
        raise ValueError(f"{name} must be an exception type, a tuple of them, or a predicate, not {value!r}")
