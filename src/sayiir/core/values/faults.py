"""Names the place and the reason when a value cannot be stored.

Rules of this file: loaded and run only when something is wrong or suspicious, so it may be slow; it walks the value
with an explicit stack, since the value may be deeper than Python's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from sayiir.core.values.encoding import ARRAYS, from_json, to_json
from sayiir.core.values.models import is_model, model_contents
from sayiir.core.values.nesting import MAX_DEPTH
from sayiir.core.values.places import describe, path_text
from sayiir.errors import SerializationError


def explain(value: Any, error: Exception) -> SerializationError:
    """Return the error to raise when writing a value raised `error`."""
    problem = find_problem(value)
    if problem is not None:
        return problem
    if isinstance(error, RecursionError):
        return too_deep([])
    return _refusal([], f"a value of type {describe(type(value))} cannot be stored as JSON: {error}")


def too_deep(path: list[Any]) -> SerializationError:
    """Return the error of a value that is nested too deep at a path."""
    where = path_text(path[:8]) + ("…" if path[8:] else "")
    text = f"the value is too deep: more than {MAX_DEPTH} containers inside one another, at {where}; flatten it"
    return SerializationError(text, path=path_text(path), limit=MAX_DEPTH)


def _refusal(path: list[Any], reason: str) -> SerializationError:
    where = path_text(path)
    return SerializationError(f"cannot store the value at {where}: {reason}", path=where)


def find_problem(root: Any) -> SerializationError | None:
    """Return the error of the first place, in the order of the text, that cannot be stored."""
    # An explicit stack: the value may be deeper than Python's own.
    path: list[Any] = []
    parents: list[Any] = []
    stack: list[tuple[Iterator[tuple[Any, Any]], bool]] = [(iter([(None, root)]), False)]
    while stack:
        children, lenient = stack[-1]
        segment, item = next(children, _END)
        if segment is _STOP:
            stack.pop()
            del parents[-1:], path[-1:]
            continue
        here = [*path, segment] if parents else []
        reason = _judge(item, lenient=lenient)
        if reason is not None:
            return _refusal(here, reason)
        deeper, written_by_pydantic = _children(item)
        if deeper is None:
            continue
        if any(item is parent for parent in parents):
            return _refusal(here[:16], "it contains itself; store ids instead of references back")
        if len(parents) >= MAX_DEPTH:
            return too_deep(here)
        path[:] = here
        parents.append(item)
        stack.append((deeper, lenient or written_by_pydantic))
    return None


_STOP = object()
_END = (_STOP, None)


def _children(item: Any) -> tuple[Iterator[tuple[Any, Any]] | None, bool]:
    """Return the parts of a container, and whether pydantic vouches for their types."""
    if isinstance(item, dict):
        return iter(item.items()), False
    if isinstance(item, ARRAYS):
        return iter(enumerate(item)), False
    kind = type(item)
    if is_model(kind):
        try:
            to_json(item)
            contents = model_contents(item)
        except Exception:  # noqa: BLE001 -- whatever an odd type raises, it is no key
            return iter(vars(item).items()), False
        # The type that pydantic writes is its own business; RootModels have no names inside.
        return iter(contents.items() if isinstance(contents, dict) else [("root", contents)]), True
    names = _field_names(kind)
    if names is None:
        return None, False
    return ((name, getattr(item, name)) for name in names if hasattr(item, name)), False


def _field_names(kind: Any) -> Iterable[str] | None:
    if hasattr(kind, "__struct_fields__"):
        return kind.__struct_fields__  # type: ignore[no-any-return]
    if hasattr(kind, "__attrs_attrs__"):
        return [attribute.name for attribute in kind.__attrs_attrs__]
    return getattr(kind, "__dataclass_fields__", None)


def _judge(item: Any, *, lenient: bool) -> str | None:
    """Return why this very object, whatever it contains, cannot be stored; None if it can."""
    if isinstance(item, dict):
        return _judge_keys(item, lenient=lenient)
    if isinstance(item, float) and not math.isfinite(item):
        return f'{item} is not JSON; annotate the receiving parameter with Annotated[float, "allow-nan"] or store None'
    if lenient or isinstance(item, ARRAYS) or is_model(type(item)) or _field_names(type(item)) is not None:
        return None
    try:
        to_json(item)
    except UnicodeEncodeError:
        return f"the text {ascii(item)[:60]} holds a lone surrogate, which UTF-8 cannot; decode the bytes differently"
    except Exception as error:  # noqa: BLE001 -- whatever an odd type raises, it cannot be stored
        if isinstance(item, int):
            return f"an int with too many digits ({error}); store it as bytes or as hexadecimal text"
        return f"an object of type {describe(type(item))} cannot be stored as JSON; {_advice(item)}"
    return None


def _advice(item: Any) -> str:
    if isinstance(item, complex):
        return "store [z.real, z.imag]"
    if isinstance(item, Iterator | range) or type(item).__name__ in ("dict_keys", "dict_values", "deque"):
        return "make a list of it"
    if isinstance(item, type) or callable(item):
        return "return data, not code"
    if hasattr(item, "tolist"):
        return "store item.tolist()"
    if hasattr(item, "__fspath__"):
        return "store str(path)"
    return "use plain JSON types, a dataclass, a msgspec Struct or a pydantic model"


def _judge_keys(item: dict[Any, Any], *, lenient: bool) -> str | None:
    bare = dict.fromkeys(item, 0)
    try:
        distinct = len(from_json(to_json(bare))) == len(item)
    except Exception:  # noqa: BLE001 -- some key cannot be written: find it below
        distinct = False
    return _judge_numbers(item) if distinct else _judge_each_key(item, lenient=lenient)


def _judge_numbers(keys: Iterable[Any]) -> str | None:
    bad = next((key for key in keys if isinstance(key, float) and not math.isfinite(key)), None)
    return None if bad is None else f"the key {bad} is not a JSON number; use string keys"


def _judge_each_key(item: dict[Any, Any], *, lenient: bool) -> str | None:
    seen: dict[str, Any] = {}
    for key in item:
        try:
            text = next(iter(from_json(to_json({key: 0}))))
        except UnicodeEncodeError:
            return f"the key {ascii(key)[:60]} holds a lone surrogate, which UTF-8 cannot; use other keys"
        except Exception:  # noqa: BLE001 -- whatever an odd type raises, it is no key
            if lenient:
                continue
            return f"a key of type {describe(type(key))} ({ascii(key)[:60]}) cannot be a JSON key; use string keys"
        if text in seen:
            return f"the keys {seen[text]!r} and {key!r} become the same JSON key {text!r}; use string keys"
        seen[text] = key
    return _judge_numbers(item)
