"""Codecs: how the values under one annotation become JSON text and come back.

Rules of this file: codecs are immutable and made once per annotation; a text that cannot be read is a
DeserializationError. What an annotation means for the decoder is annotations.py.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Final

from sayiir.core.values.encoding import MAX_BYTES, check, encode, explain, from_json, to_json, too_large
from sayiir.core.values.models import Decode
from sayiir.core.values.nesting import MAX_DEPTH, is_too_deep
from sayiir.errors import DeserializationError

_MAX_ESCAPE = 6  # bytes of JSON text that one ASCII character becomes at most: \\u0000


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

    def __init__(self, annotation: Any, decode: Decode, scalars: frozenset[type], *, allow_nan: bool = False) -> None:
        self.annotation = annotation
        self.fast = scalars - {str, float}
        self.allow_nan = allow_nan
        self._decode = decode
        self._scalars = scalars

    def __repr__(self) -> str:
        from sayiir.core.values.places import describe

        return f"<Codec of {describe(self.annotation)}>"

    def decode(self, raw: bytes) -> Any:
        """Return a JSON text as the annotation asks for it.

        Raises:
            DeserializationError: the text is malformed or does not fit; `path` says where.
        """
        if is_too_deep(raw):
            raise DeserializationError(
                f"the stored value is too deep: more than {MAX_DEPTH} containers inside one another",
                path="$",
                limit=MAX_DEPTH,
            )
        try:
            return self._decode(raw)
        except Exception as error:
            from sayiir.core.values.places import describe, misfit  # only when something is wrong

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
        if self._decode is from_json:
            return _adapt_plain(value)
        return self.decode(encode(value, allow_nan=self.allow_nan))


def _adapt_plain(value: Any) -> Any:
    # As encode, whose check has to decode the text to plain types anyway.
    try:
        raw = to_json(value)
    except Exception as error:
        raise explain(value, error) from error
    if len(raw) > MAX_BYTES:
        raise too_large(raw, MAX_BYTES)
    return check(value, raw)


_PLAIN_SCALARS: frozenset[type] = frozenset({int, bool, type(None), str, float})
PLAIN: Final = Codec(Any, from_json, _PLAIN_SCALARS)


def codec_for(annotation: Any) -> Codec:
    """Return the codec of an annotation; the same one each time, where the annotation is hashable.

    Any, object, None and "no annotation" mean plain JSON types, and so does what no decoder can be made for.

    >>> codec_for(dict[int, str]).decode(b'{"1":"one"}')
    {1: 'one'}
    """
    if annotation is None or annotation is Any or annotation is object:
        return PLAIN
    try:
        # `A | B` equals `B | A`, but the order of the members matters.
        return _cached_codec(annotation, "" if isinstance(annotation, type) else repr(annotation))
    except TypeError:  # unhashable
        return _make_codec(annotation)


def _make_codec(annotation: Any) -> Codec:
    # Both are large, and a program without annotations needs neither.
    import inspect

    from sayiir.core.values import annotations

    if annotation is inspect.Parameter.empty:
        return PLAIN
    try:
        decode = annotations.json_decoder(annotation)
    except Exception:  # noqa: BLE001 -- constructs that say nothing about data: Self, a forward reference, ...
        return PLAIN
    scalars = _scalars(annotations.members(annotation))
    return Codec(annotation, decode, scalars, allow_nan=annotations.wants_nan(annotation))


@functools.lru_cache(maxsize=4096)
def _cached_codec(annotation: Any, _spelling: str) -> Codec:
    return _make_codec(annotation)


_SCALARS: dict[Any, frozenset[type]] = {
    int: frozenset({int, bool}),
    bool: frozenset({bool}),
    float: frozenset({float}),
    str: frozenset({str}),
    type(None): frozenset({type(None)}),
}


def _scalars(members: tuple[Any, ...]) -> frozenset[type]:
    """Return the exact types of scalars that come back as themselves, if only scalars are declared."""
    try:
        return frozenset().union(*(_SCALARS[member] for member in members))
    except (KeyError, TypeError):
        return frozenset()
