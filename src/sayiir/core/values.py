"""Values as JSON bytes, and back by annotation.

One rule for every kind of run: the next task receives `decode(encode(value))`, in memory too. So encoding is strict:
whatever would come back as something else without anybody noticing (NaN written as null, two keys that become one),
and whatever could not be read again (too deep, too large), is refused with the path of the place inside the value.

msgspec writes the text; the checks come after it and cost little, because each first asks the text, at C speed,
whether there can be a problem at all. Only then is the value itself walked in Python, to name the place.

A stored value is bare JSON text (format 1), or an envelope: a NUL byte, which no JSON text starts with, the version
of the envelope, the length and the ASCII name of a codec, then the codec's payload.

Rules of this file: pure functions and immutable codecs; all errors are SerializationError (a value cannot be stored)
or DeserializationError (a text cannot be read). How an annotation decodes is annotations.py.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from sayiir.core.annotations import (
    Decode,
    describe,
    input_annotation,
    is_model,
    json_decoder,
    members,
    misfit,
    model_contents,
    output_annotation,
    path_text,
    to_json,
    wants_nan,
)
from sayiir.errors import DeserializationError, SerializationError

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "PLAIN",
    "Codec",
    "codec_for",
    "encode",
    "input_annotation",
    "output_annotation",
    "pack",
    "plain",
    "unpack",
]

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_DEPTH: Final = 200

_NONE = type(None)
# Exact types of which no value can go wrong once msgspec has written it.
_INERT = frozenset({int, bool, _NONE, str})
_ARRAYS = (list, tuple, set, frozenset)
_MAX_ESCAPE = 6  # bytes of JSON text that one ASCII character becomes at most: \u0000

_from_json: Decode = msgspec.json.Decoder().decode


# --- encoding -----------------------------------------------------------------------------------------------------


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
        raise _explain(value, error) from error
    if type(value) not in _INERT:
        if allow_nan and raw.find(b"null") >= 0 and _has_nan(value):
            value = _nan_as_text(value)
            raw = to_json(value)
        _check(value, raw)
    if len(raw) > max_bytes:
        raise _too_large(raw, max_bytes)
    return raw


def _too_large(raw: bytes, limit: int) -> SerializationError:
    text = f"the value is too large: {len(raw):,} bytes of JSON, the limit is {limit:,}; store a reference to it"
    return SerializationError(text, path="$", size=len(raw), limit=limit)


def _check(value: Any, raw: bytes) -> Any:
    """Refuse what `raw` does not say faithfully; return `raw` decoded to plain JSON types."""
    if _is_too_deep(raw):
        raise _find_problem(value) or _too_deep([])
    try:
        back = _from_json(raw)
        if back == value:  # plain JSON types without NaN, without keys that changed: the usual case, settled at C speed
            return back
        # NaN is written as null, and as a key as "nan". Of two equal keys only one comes back, so that the text
        # written again is shorter; but pydantic spells some numbers differently, so suspicion alone is no proof.
        suspicious = (raw.find(b"null") >= 0 and _has_nan(value)) or raw.find(b'nan":') >= 0 or raw.find(b'inf":') >= 0
        problem = _find_problem(value) if suspicious or to_json(back) != raw else None
    except Exception as error:  # only a part written by others (msgspec.Raw, pydantic) can be malformed
        raise _explain(value, error) from error
    if problem is not None:
        raise problem
    return back


def _has_nan(value: Any) -> bool:
    todo = [value]
    for item in todo:  # grows while it is read
        if type(item) is dict:
            item = item.values()  # noqa: PLW2901
        elif type(item) not in _ARRAYS:
            if isinstance(item, float):
                if not math.isfinite(item):
                    return True
            elif type(item) not in _INERT:
                todo.append(_as_builtin(item))
            continue
        kinds = set(map(type, item)) - _INERT
        if float in kinds and not all(math.isfinite(x) for x in item if type(x) is float):
            return True
        if kinds - {float}:
            todo.extend(x for x in item if type(x) is not float and type(x) not in _INERT)
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
    if isinstance(value, _ARRAYS):
        return [_nan_as_text(item) for item in value]
    return value


# --- depth --------------------------------------------------------------------------------------------------------

_SQUARE = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b'[]{}"')))


def _is_too_deep(raw: bytes) -> bool:
    if len(raw) <= 2 * MAX_DEPTH or raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False
    return _depth(raw) > MAX_DEPTH


def _depth(raw: bytes) -> int:
    """Return how deep the containers of a JSON text are nested, counting on only a little above the limit."""
    # Escaped backslashes first, then escaped quotes: what is left of quotes are the ends of strings.
    bare = raw.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_SQUARE, _NOT_BRACKETS)
    bare = b"".join(bare.split(b'"')[::2])
    depth = 0
    while bare and depth <= MAX_DEPTH:
        peeled = bare.replace(b"[]", b"")
        if len(peeled) == len(bare):  # unbalanced, so malformed: the brackets left are the best answer
            return depth + bare.count(b"[")
        bare = peeled
        depth += 1
    return depth


def _too_deep(path: list[Any]) -> SerializationError:
    where = path_text(path[:8]) + ("…" if path[8:] else "")
    text = f"the value is too deep: more than {MAX_DEPTH} containers inside one another, at {where}; flatten it"
    return SerializationError(text, path=path_text(path), limit=MAX_DEPTH)


# --- naming the place of a problem --------------------------------------------------------------------------------


def _explain(value: Any, error: Exception) -> SerializationError:
    problem = _find_problem(value)
    if problem is not None:
        return problem
    if isinstance(error, RecursionError):
        return _too_deep([])
    return _refusal([], f"a value of type {describe(type(value))} cannot be stored as JSON: {error}")


def _refusal(path: list[Any], reason: str) -> SerializationError:
    where = path_text(path)
    return SerializationError(f"cannot store the value at {where}: {reason}", path=where)


def _find_problem(root: Any) -> SerializationError | None:
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
            return _too_deep(here)
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
    if isinstance(item, _ARRAYS):
        return iter(enumerate(item)), False
    kind = type(item)
    if is_model(kind):
        try:
            to_json(item)
            contents = model_contents(item)
        except Exception:  # noqa: BLE001 -- pydantic cannot write it: look at the fields for the reason
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


def _judge(item: Any, *, lenient: bool) -> str | None:  # noqa: PLR0911 -- one line per kind of problem
    """Return why this very object, whatever it contains, cannot be stored; None if it can."""
    if isinstance(item, dict):
        return _judge_keys(item, lenient=lenient)
    if isinstance(item, float) and not math.isfinite(item):
        return f'{item} is not JSON; annotate the receiving parameter with Annotated[float, "allow-nan"] or store None'
    if lenient or isinstance(item, _ARRAYS) or is_model(type(item)) or _field_names(type(item)) is not None:
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
        distinct = len(_from_json(to_json(bare))) == len(item)
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
            text = next(iter(_from_json(to_json({key: 0}))))
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


# --- decoding -----------------------------------------------------------------------------------------------------


def plain(raw: bytes) -> Any:
    """Return a JSON text as plain JSON types: dict, list, str, int, float, bool, None.

    Raises:
        DeserializationError: the text is malformed, too deep or holds a number that no float can.

    >>> plain(b'{"id":7}')
    {'id': 7}
    """
    return PLAIN.decode(raw)


class Codec:
    """How values under one annotation become JSON text and come back; made by `codec_for`.

    Attributes:
        annotation: what the values are declared to be.
        fast: exact types whose values come back as they are, so that they need no round trip.
        allow_nan: whether the annotation asks for NaN and infinities.
    """

    __slots__ = ("_decode", "_scalars", "allow_nan", "annotation", "fast")

    annotation: Any
    fast: frozenset[type]
    allow_nan: bool

    def __init__(self, annotation: Any, decode: Decode, scalars: frozenset[type]) -> None:
        self.annotation = annotation
        self.fast = scalars - {str, float}
        self.allow_nan = wants_nan(annotation)
        self._decode = decode
        self._scalars = scalars

    def __repr__(self) -> str:
        return f"<Codec of {describe(self.annotation)}>"

    def decode(self, raw: bytes) -> Any:
        """Return a JSON text as the annotation asks for it.

        Raises:
            DeserializationError: the text is malformed or does not fit; `path` says where.
        """
        if _is_too_deep(raw):
            raise DeserializationError(
                f"the stored value is too deep: more than {MAX_DEPTH} containers inside one another",
                path="$",
                limit=MAX_DEPTH,
            )
        try:
            return self._decode(raw)
        except Exception as error:
            found = misfit(error)
            text = f"validation error: {found.reason} at {found.path}; the task expects {describe(self.annotation)}"
            raise DeserializationError(text, path=found.path) from error

    def adapt(self, value: Any) -> Any:
        """Return what the next task receives: `decode(encode(value))`, without the detour where it is proven equal.

        Raises:
            SerializationError: the value cannot be stored.
            DeserializationError: it does not fit the annotation.
        """
        kind = type(value)
        if kind in self.fast:
            return value
        if kind in self._scalars:
            if kind is float:
                if math.isfinite(value):
                    return value
            elif value.isascii() and len(value) < MAX_BYTES // _MAX_ESCAPE:
                return value
        if self._decode is _from_json:
            return _adapt_plain(value)
        return self.decode(encode(value, allow_nan=self.allow_nan))


def _adapt_plain(value: Any) -> Any:
    # As encode, whose check has to decode the text to plain types anyway.
    try:
        raw = to_json(value)
    except Exception as error:
        raise _explain(value, error) from error
    if len(raw) > MAX_BYTES:
        raise _too_large(raw, MAX_BYTES)
    return _check(value, raw)


_PLAIN_SCALARS: frozenset[type] = frozenset({int, bool, _NONE, str, float})
PLAIN: Final = Codec(Any, _from_json, _PLAIN_SCALARS)


def codec_for(annotation: Any) -> Codec:
    """Return the codec of an annotation; the same one each time, where the annotation is hashable.

    Any, object, None and "no annotation" mean plain JSON types, and so does what no decoder can be made for.

    >>> codec_for(dict[int, str]).decode(b'{"1":"one"}')
    {1: 'one'}
    """
    if annotation is None or annotation is inspect.Parameter.empty or annotation is Any or annotation is object:
        return PLAIN
    try:
        # `A | B` equals `B | A`, but the order of the members matters.
        return _cached_codec(annotation, "" if isinstance(annotation, type) else repr(annotation))
    except TypeError:  # unhashable
        return _make_codec(annotation)


def _make_codec(annotation: Any) -> Codec:
    try:
        decode = json_decoder(annotation)
    except Exception:  # noqa: BLE001 -- constructs that say nothing about data: Self, a forward reference, ...
        return PLAIN
    return Codec(annotation, decode, _scalars(annotation))


@functools.lru_cache(maxsize=4096)
def _cached_codec(annotation: Any, _spelling: str) -> Codec:
    return _make_codec(annotation)


_SCALARS: dict[Any, frozenset[type]] = {
    int: frozenset({int, bool}),
    bool: frozenset({bool}),
    float: frozenset({float}),
    str: frozenset({str}),
    _NONE: frozenset({_NONE}),
}


def _scalars(annotation: Any) -> frozenset[type]:
    """Return the exact types of scalars that come back as themselves, if only scalars are declared."""
    try:
        return frozenset().union(*(_SCALARS[member] for member in members(annotation)))
    except (KeyError, TypeError):
        return frozenset()


# --- envelope -----------------------------------------------------------------------------------------------------

_MARK = b"\x00"
_VERSION = 1
_HEAD = 3  # mark, version, length of the codec's name


def pack(raw: bytes, codec: str = "json") -> bytes:
    """Return the bytes to store for a codec's payload; JSON text is stored bare.

    >>> pack(b"[1]")
    b'[1]'
    """
    if codec == "json":
        return raw
    name = codec.encode("ascii")
    if not 0 < len(name) < 256:  # noqa: PLR2004 -- one byte of length
        raise ValueError(f"a codec's name has 1 to 255 ASCII characters, not {codec!r}")
    return _MARK + bytes((_VERSION, len(name))) + name + raw


def unpack(stored: bytes | str) -> bytes:
    """Return the JSON text of a stored value.

    Raises:
        DeserializationError: the envelope is cut off, or of a version or codec that this release does not know.
    """
    if isinstance(stored, str):
        try:
            stored = stored.encode()
        except UnicodeEncodeError as error:
            raise DeserializationError("the stored value is not UTF-8 text", path="$") from error
    if stored[:1] != _MARK:
        return stored
    if len(stored) < _HEAD or len(stored) < _HEAD + stored[2]:
        raise DeserializationError("the stored value is cut off inside its envelope", path="$")
    if stored[1] != _VERSION:
        raise _newer(f"has envelope version {stored[1]}, this release reads version {_VERSION}")
    name = stored[_HEAD : _HEAD + stored[2]].decode("ascii", "backslashreplace")
    if name != "json":
        raise _newer(f"was written with the codec {name!r}, this release knows only 'json'")
    return stored[_HEAD + stored[2] :]


def _newer(what: str) -> DeserializationError:
    return DeserializationError(f"the stored value {what}: a newer release wrote it; upgrade to read it", path="$")
