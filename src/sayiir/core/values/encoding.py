"""From values to JSON text, strictly.

msgspec writes the text; the checks come after it and cost little, because each first asks the text, at C speed,
whether there can be a problem at all. Only then is the value itself walked in Python, to name the place (faults.py).

Rules of this file: pure functions; all errors are SerializationError.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import msgspec

from sayiir.core.values.models import (
    Decode,
    adapter_of,
    is_model,
    is_pydantic_scalar,
    model_contents,
    model_text,
    secret_value,
)
from sayiir.core.values.nesting import is_too_deep
from sayiir.errors import SerializationError

MAX_BYTES: Final = 64 * 1024 * 1024

# Exact types of which no value can go wrong once msgspec has written it.
INERT: Final = frozenset({int, bool, type(None), str})
ARRAYS: Final = (list, tuple, set, frozenset)


def _enc_hook(value: Any) -> Any:
    kind = type(value)
    if is_model(kind):
        return model_text(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and kind is not bool:  # a bool comes here as a key, and "1" would be a surprise
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, bytes):
        return bytes(memoryview(value))
    if hasattr(kind, "get_secret_value"):
        return secret_value(value)  # pydantic would write asterisks
    if is_pydantic_scalar(kind):
        return msgspec.Raw(adapter_of(kind)[0].dump_json(value))
    raise NotImplementedError(f"objects of type {kind.__qualname__} cannot be stored as JSON")


to_json: Callable[[Any], bytes] = msgspec.json.Encoder(enc_hook=_enc_hook).encode
from_json: Decode = msgspec.json.Decoder().decode


def encode(value: Any, *, allow_nan: bool = False, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the JSON text of a value.

    Args:
        value: plain JSON types, dataclasses, msgspec Structs, attrs and pydantic objects, enums, dates, UUIDs,
            Decimals, bytes, sets and containers of these.
        allow_nan: write NaN and infinities, as the texts "NaN", "Infinity" and "-Infinity", where they stand in
            lists, dicts, tuples and sets or alone. Only for an annotation that asks for them.
        max_bytes: the largest text allowed.

    Raises:
        SerializationError: the value cannot be stored; `path` says where inside it.

    >>> encode({"id": 7, "tags": ("a", "b")})
    b'{"id":7,"tags":["a","b"]}'
    """
    try:
        raw = to_json(value)
    except Exception as error:
        raise explain(value, error) from error
    if type(value) not in INERT:
        if allow_nan and raw.find(b"null") >= 0 and _has_nan(value):
            value = _nan_as_text(value)
            raw = to_json(value)
        check(value, raw)
    if len(raw) > max_bytes:
        raise too_large(raw, max_bytes)
    return raw


def explain(value: Any, error: Exception) -> SerializationError:
    """Return the error of a value that could not be written."""
    from sayiir.core.values.faults import explain as explained  # only when something is wrong

    return explained(value, error)


def too_large(raw: bytes, limit: int) -> SerializationError:
    """Return the error of a text over its limit."""
    text = f"the value is too large: {len(raw):,} bytes of JSON, the limit is {limit:,}; store a reference to it"
    return SerializationError(text, path="$", size=len(raw), limit=limit)


def check(value: Any, raw: bytes) -> Any:
    """Refuse what `raw` does not say faithfully; return `raw` decoded to plain JSON types."""
    if is_too_deep(raw):
        raise _problem(value) or explain(value, RecursionError())
    try:
        back = from_json(raw)
        if back == value:  # plain JSON types without NaN, without keys that changed: the usual case, settled at C speed
            return back
        # NaN is written as null, and as a key as "nan". Of two equal keys only one comes back, so that the text
        # written again is shorter; but pydantic spells some numbers differently, so suspicion alone is no proof.
        suspicious = (raw.find(b"null") >= 0 and _has_nan(value)) or raw.find(b'nan":') >= 0 or raw.find(b'inf":') >= 0
        problem = _problem(value) if suspicious or to_json(back) != raw else None
    except Exception as error:  # only a part written by others (msgspec.Raw, pydantic) can be malformed
        raise explain(value, error) from error
    if problem is not None:
        raise problem
    return back


def _problem(value: Any) -> SerializationError | None:
    from sayiir.core.values.faults import find_problem  # only when something is suspicious

    return find_problem(value)


def _has_nan(value: Any) -> bool:
    todo = [value]
    for item in todo:  # grows while it is read
        if type(item) is dict:
            item = item.values()  # noqa: PLW2901
        elif type(item) not in ARRAYS:
            if isinstance(item, float):
                if not math.isfinite(item):
                    return True
            elif type(item) not in INERT:
                todo.append(_as_builtin(item))
            continue
        kinds = set(map(type, item)) - INERT
        if float in kinds and not all(math.isfinite(x) for x in item if type(x) is float):
            return True
        if kinds - {float}:
            todo.extend(x for x in item if type(x) is not float and type(x) not in INERT)
    return False


def _as_builtin(value: Any) -> Any:
    """Return an object as builtin containers in which NaN is still NaN."""
    try:
        return msgspec.to_builtins(value, enc_hook=_contents)
    except Exception:  # noqa: BLE001 -- odd keys, odd serializers: NaN makes the caller look closer
        return math.nan


def _contents(value: Any) -> Any:
    if is_model(type(value)):
        return model_contents(value)
    return float(value) if isinstance(value, float) else None


def _nan_as_text(value: Any) -> Any:
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _nan_as_text(item) for key, item in value.items()}
    if isinstance(value, ARRAYS):
        return [_nan_as_text(item) for item in value]
    return value
