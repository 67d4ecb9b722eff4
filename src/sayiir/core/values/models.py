"""The bridge to pydantic: how its models and types are written, read and looked into.

A model is written so that the same model validates it again: by field names, or by aliases only where names would not
be understood; computed fields stay out.

Rules of this file: pydantic is never imported before a type of its own is met.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeAlias

import msgspec

Decode: TypeAlias = Callable[[bytes], Any]

# A number that may not fit a float: three digits of exponent, or very many digits. `re` compiles it at the first use.
_HUGE_NUMBER = rb"[eE]\+?0*[1-9][0-9]{2}|[0-9]{309}"


def is_model(kind: Any) -> bool:
    """Tell whether a class is a pydantic model."""
    return isinstance(kind, type) and hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_dump_json")


def is_pydantic_scalar(kind: Any) -> bool:
    """Tell whether a class is one of pydantic's scalar types, or made like them."""
    # HttpUrl, EmailStr, SecretStr and users' classes with the same hook. Their validated value may be of another class.
    return (
        isinstance(kind, type)
        and hasattr(kind, "__get_pydantic_core_schema__")
        and not hasattr(kind, "__pydantic_validator__")
        and not issubclass(kind, Enum | msgspec.Struct)
    )


class Aliases(msgspec.Struct, frozen=True):
    """How a pydantic type is written so that it validates again."""

    dump: bool  # write by alias
    relax: bool  # validate by alias and by name
    secret: bool = False  # holds SecretStr and the like, which pydantic writes as asterisks


@functools.lru_cache(maxsize=1024)
def _cached_adapter(kind: Any) -> tuple[Any, Aliases]:
    from pydantic import TypeAdapter  # only once a pydantic type is met

    adapter: Any = TypeAdapter(kind)
    return adapter, _aliases(adapter.core_schema)


def adapter_of(kind: Any) -> tuple[Any, Aliases]:
    """Return pydantic's adapter of a type, and how the type is written."""
    try:
        return _cached_adapter(kind)
    except TypeError:  # unhashable metadata
        return _cached_adapter.__wrapped__(kind)


def _aliases(schema: Any) -> Aliases:
    # Names are preferred, being what the code says; aliases are used only where names would not be understood.
    names_work = aliases_work = dataclasses_work = True
    secret = False
    todo: list[tuple[Any, str, dict[str, Any]]] = [(schema, "", {})]
    while todo:
        node, key, config = todo.pop()
        if isinstance(node, list | tuple):
            todo.extend((item, key, config) for item in node)
            continue
        if not isinstance(node, dict):
            continue
        kind = str(node.get("type", ""))
        secret = secret or (kind == "function-plain" and _hides(node.get("function")))
        if kind in ("model", "dataclass", "typed-dict"):
            config = node.get("config") or {}
        elif kind in ("model-field", "dataclass-field", "typed-dict-field"):
            name = node.get("name", key)
            by_name = _accepts_name(node, config)
            names_work &= by_name
            aliases_work &= _accepts(node, config, node.get("serialization_alias") or name, name)
            dataclasses_work &= by_name or kind != "dataclass-field"
        todo.extend((item, key, config) for key, item in node.items() if key not in ("default", "metadata", "config"))
    dump = not names_work and aliases_work
    # msgspec writes pydantic dataclasses itself, by name, whatever their aliases are.
    return Aliases(dump, relax=not dataclasses_work or not (names_work or aliases_work), secret=secret)


def _hides(function: Any) -> bool:
    """Tell whether a serializer is that of pydantic's secrets, which writes asterisks."""
    name = getattr(function, "__name__", "")
    return getattr(function, "__module__", "") == "pydantic.types" and name.startswith("_serialize_secret")


def _accepts_name(field: dict[str, Any], config: dict[str, Any]) -> bool:
    by_name = config.get("validate_by_name") or config.get("populate_by_name")
    return field.get("validation_alias") is None or bool(by_name)


def _accepts(field: dict[str, Any], config: dict[str, Any], written: str, name: str) -> bool:
    if written == name and _accepts_name(field, config):
        return True
    alias = field.get("validation_alias")
    choices = alias if isinstance(alias, list) else [alias]
    return config.get("validate_by_alias") is not False and (written in choices or [written] in choices)


def pydantic_decoder(annotation: Any) -> Decode:
    """Return a decoder in which pydantic validates the JSON text."""

    # The adapter is made at the first use: forward references may be defined only after the workflow is.
    @functools.cache
    def validator() -> Callable[[bytes], Any]:
        adapter, aliases = adapter_of(annotation)
        if aliases.relax:
            return functools.partial(adapter.validate_json, by_alias=True, by_name=True)
        validate: Decode = adapter.validate_json
        return validate

    def decode(raw: bytes) -> Any:
        if re.search(_HUGE_NUMBER, raw):
            msgspec.json.decode(raw)  # raises for 1e400, of which pydantic would make an infinity
        return validator()(raw)

    return decode


def model_contents(model: Any) -> Any:
    """Return what pydantic would write of a model, before it becomes JSON (NaN is still NaN).

    Empty for models whose configuration writes NaN as text: they may hold it.
    """
    if type(model).model_config.get("ser_json_inf_nan") == "strings":
        return {}
    _, aliases = adapter_of(type(model))
    dump = model.__pydantic_serializer__.to_python
    return dump(model, mode="python", by_alias=aliases.dump, round_trip=True, warnings=False)


def model_text(model: Any) -> Any:
    """Return what is stored of a model: its JSON text, or plain types where pydantic alone would write asterisks."""
    _, aliases = adapter_of(type(model))
    # round_trip leaves computed fields out and writes Json[...] as text again.
    raw = model.__pydantic_serializer__.to_json(model, by_alias=aliases.dump, round_trip=True)
    if not aliases.secret:
        return msgspec.Raw(raw)
    dump = model.__pydantic_serializer__.to_python
    contents = dump(model, mode="python", by_alias=aliases.dump, round_trip=True, warnings=False)
    return _revealed(msgspec.json.decode(raw), contents)


def secret_value(value: Any) -> Any:
    """Return what a secret of pydantic's holds, to be stored."""
    inner = value.get_secret_value()
    return inner.decode() if isinstance(inner, bytes) else inner  # as pydantic reads bytes


def _revealed(written: Any, contents: Any) -> Any:
    """Return what pydantic wrote with its secrets, which it writes as asterisks, put back in."""
    if hasattr(contents, "get_secret_value"):
        return secret_value(contents)
    if isinstance(written, dict) and isinstance(contents, dict):
        return {key: _revealed(old, new) for (key, old), new in zip(written.items(), contents.values(), strict=True)}
    if isinstance(written, list) and isinstance(contents, list | tuple | set | frozenset):
        return [_revealed(old, new) for old, new in zip(written, contents, strict=True)]
    return written
