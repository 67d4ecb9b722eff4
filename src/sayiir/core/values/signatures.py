"""What a function's signature says about its values.

Rules of this file: what cannot be resolved is Any, never an error; each annotation is resolved alone, so that a name
which only type checkers see spoils nothing else.
"""

from __future__ import annotations

import collections.abc
import functools
import types
import typing
from collections.abc import Callable
from typing import Any, get_args, get_origin


def input_annotation(function: Callable[..., Any]) -> Any:
    """Return the resolved annotation of a callable's first positional parameter; Any if there is none.

    >>> def price(cents: "int") -> str: ...
    >>> input_annotation(price)
    <class 'int'>
    """
    import inspect  # large, and not needed before a workflow is run

    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError, NameError):
        return Any
    first = next((p for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)), None)
    if first is None or first.annotation is inspect.Parameter.empty:
        return Any
    return _resolved(first.annotation, _owner(function))


def output_annotation(function: Callable[..., Any]) -> Any:
    """Return the resolved return annotation of a callable (what an async one returns when awaited); Any if none.

    >>> def price(cents: int) -> "str": ...
    >>> output_annotation(price)
    <class 'str'>
    """
    if isinstance(function, type):
        return function
    import inspect

    try:
        declared = inspect.signature(function).return_annotation
    except (TypeError, ValueError, NameError):
        return Any
    if declared is inspect.Signature.empty:
        return Any
    annotation = _resolved(declared, _owner(function))
    if get_origin(annotation) in (collections.abc.Awaitable, collections.abc.Coroutine):
        return get_args(annotation)[-1]
    return annotation


def _owner(function: Any) -> Any:
    """Return the plain function whose module explains the annotations of a callable."""
    import inspect

    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type):
        function = function.__init__  # type: ignore[misc]
    elif not inspect.isroutine(function):
        function = type(function).__call__
    return inspect.unwrap(getattr(function, "__func__", function))


def _resolved(annotation: Any, owner: Any) -> Any:
    # Alone, so that a name which cannot be resolved spoils only its own annotation.
    generics = getattr(owner, "__type_params__", ())
    holder: Any = types.SimpleNamespace(__annotations__={"it": annotation}, __type_params__=generics)
    names = getattr(owner, "__globals__", {})
    try:
        return typing.get_type_hints(holder, names, _closure(owner), include_extras=True)["it"]
    except Exception:  # noqa: BLE001 -- a name that only type checkers see, or no annotation at all: nothing is known
        return Any


def _closure(owner: Any) -> dict[str, Any]:
    cells = getattr(owner, "__closure__", None) or ()
    names = owner.__code__.co_freevars if cells else ()
    found = {}
    for name, cell in zip(names, cells, strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found
