"""Decoders for what msgspec refuses or gets wrong for us, and the holes that carry them.

A *hole* is a stand-in class that msgspec treats as a custom type and hands to `fill`. annotations.py decides where
holes are cut; here is what fills them.

Rules of this file: a decoder takes JSON text and raises whatever it likes when that does not fit (places.misfit reads
it). `decoder_of` is annotations.json_decoder, handed down, for the parts inside.
"""

from __future__ import annotations

import functools
import math
import typing
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, get_args, get_origin

import msgspec

from sayiir.core.values.encoding import from_json, to_json
from sayiir.core.values.models import Decode, adapter_of, is_model, is_pydantic_scalar, pydantic_decoder
from sayiir.core.values.places import Misfit, describe, misfit, path_text

DecoderOf: TypeAlias = Callable[[Any], Decode]
_BASES = (str, int, float, dict, list, tuple, bytes)


class HoleType(type):
    """The class of holes: everything counts as an instance, since msgspec checks what `fill` returns."""

    decode: Decode

    def __instancecheck__(cls, instance: object) -> bool:
        return True


def hole(decode: Decode) -> Any:
    """Return a stand-in class that is filled by a decoder."""
    return HoleType("Hole", (), {"decode": staticmethod(decode)})


def fill(kind: Any, plain: Any) -> Any:
    """Turn plain JSON types into a custom type: msgspec's dec_hook."""
    try:
        if isinstance(type(kind), type) and issubclass(type(kind), HoleType):
            return kind.decode(to_json(plain))
        if is_model(kind) or is_pydantic_scalar(kind):
            return _pydantic_class_decoder(kind)(to_json(plain))
        return _instance(kind, plain)
    except Exception as error:
        raise misfit(error) from error


_pydantic_class_decoder = functools.lru_cache(maxsize=1024)(pydantic_decoder)


def _instance(kind: Any, plain: Any) -> Any:
    origin: Any = get_origin(kind) or kind
    if isinstance(plain, origin):
        return plain
    base = next((base for base in _BASES if issubclass(origin, base)), None)
    if base is not None and isinstance(plain, base) and not hasattr(origin, "default_factory"):
        made: Any = origin
        return made(plain)  # a subclass of str, dict, ...: it was written as its base
    raise Misfit(
        f"JSON cannot be turned into {describe(kind)}; use a dataclass, a msgspec Struct or a pydantic model instead"
    )


def _loose_float(raw: bytes) -> float:
    plain = from_json(raw)
    if plain in ("NaN", "Infinity", "-Infinity"):
        return float(plain)
    return msgspec.convert(plain, float)


LOOSE_FLOAT: Any = hole(_loose_float)
_sorted_json: Callable[[Any], bytes] = msgspec.json.Encoder(order="sorted").encode


def _is_special(value: Any) -> bool:
    return type(value) is float and not math.isfinite(value)


def union_decoder(union: Any, decoder_of: DecoderOf) -> Decode:
    """Decode a union: the first member that writes the same JSON again, else the first that fits."""
    options = [(member, decoder_of(member)) for member in get_args(union)]

    def decode(raw: bytes) -> Any:
        fitting: list[Any] = []
        wanted = _sorted_json(from_json(raw))
        for _, attempt in options:
            try:
                value = attempt(raw)
                if _is_special(value) or _sorted_json(from_json(to_json(value))) == wanted:
                    return value
            except Exception:  # noqa: BLE001, S112 -- whatever a member raises, it does not fit
                continue
            fitting.append(value)
        if fitting:
            return fitting[0]
        listed = ", ".join(describe(member) for member, _ in options)
        raise Misfit(f"the value fits none of {listed}")

    return decode


class _Field(NamedTuple):
    name: str
    argument: str | None  # name of the constructor's parameter; None: set afterwards
    required: bool


def _fields(kind: Any) -> list[_Field]:
    if hasattr(kind, "__attrs_attrs__"):
        return [
            _Field(a.name, (a.alias or a.name) if a.init else None, a.init and repr(a.default) == "NOTHING")
            for a in kind.__attrs_attrs__
        ]
    if typing.is_typeddict(kind):
        return [_Field(name, name, name in kind.__required_keys__) for name in kind.__annotations__]
    if hasattr(kind, "_fields"):
        return [_Field(name, name, name not in kind._field_defaults) for name in kind._fields]
    import dataclasses

    missing = dataclasses.MISSING
    return [
        _Field(f.name, f.name if f.init else None, f.init and f.default is missing and f.default_factory is missing)
        for f in dataclasses.fields(kind)
    ]


@functools.lru_cache(maxsize=1024)
def record_decoder(kind: Any, decoder_of: DecoderOf) -> Decode:
    """Decode a class field by field, where msgspec refuses to decode it as a whole."""

    # At the first use, so that classes may refer to themselves.
    @functools.cache
    def parts() -> list[tuple[_Field, Decode]]:
        hints = typing.get_type_hints(kind, include_extras=True)
        return [(field, decoder_of(_unwrap_required(hints[field.name]))) for field in _fields(kind)]

    def decode(raw: bytes) -> Any:
        plain = from_json(raw)
        if hasattr(kind, "_fields") and isinstance(plain, list):
            plain = dict(zip(kind._fields, plain, strict=False))
        if not isinstance(plain, dict):
            raise Misfit(f"Expected `object`, got `{_json_name(plain)}`")
        arguments: dict[str, Any] = {}
        late: dict[str, Any] = {}
        for field, attempt in parts():
            if field.name not in plain:
                if field.required:
                    raise Misfit(f"Object missing required field `{field.name}`")
                continue
            chosen = arguments if field.argument else late
            chosen[field.argument or field.name] = _at(field.name, attempt, to_json(plain[field.name]))
        made = kind(**arguments)
        for name, value in late.items():
            object.__setattr__(made, name, value)
        return made

    return decode


def _unwrap_required(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) in (typing.Required, typing.NotRequired) else hint


def _at(name: str, attempt: Decode, raw: bytes) -> Any:
    try:
        return attempt(raw)
    except Exception as error:
        inner = misfit(error)
        raise Misfit(inner.reason, path_text([name]) + inner.path[1:]) from error


def _json_name(plain: Any) -> str:
    names = {dict: "object", list: "array", type(None): "null"}
    return names.get(type(plain), type(plain).__name__)


def pydantic_dataclass_decoder(kind: Any, decoder_of: DecoderOf) -> Decode:
    """Decode a pydantic dataclass."""
    # msgspec writes dataclasses itself (bytes as base64, fields by name), so it also reads them; pydantic then checks.
    read = _class_decoder(kind, decoder_of)
    names = [field.name for field in _fields(kind) if field.argument]

    def decode(raw: bytes) -> Any:
        value = read(raw)
        adapter, aliases = adapter_of(kind)
        how = {"by_alias": True, "by_name": True} if aliases.relax else {}
        return adapter.validate_python({name: getattr(value, name) for name in names}, **how)

    return decode


def constrained_decoder(annotated: Any, decoder_of: DecoderOf) -> Decode:
    """Decode `Annotated[..., Field(gt=0)]` and the like: read the type, then let pydantic check."""
    read = decoder_of(annotated.__origin__)
    return lambda raw: adapter_of(annotated)[0].validate_python(read(raw))


def _class_decoder(kind: Any, decoder_of: DecoderOf) -> Decode:
    try:
        return msgspec.json.Decoder(kind, dec_hook=fill).decode
    except TypeError:
        return record_decoder(kind, decoder_of)
