"""What a type annotation means for JSON: how to decode JSON text under it.

msgspec decodes nearly everything. What it refuses or gets wrong for us is cut out of the annotation and replaced by
a hole (decoders.py). Holes are made for

- unions that msgspec refuses (two dataclasses, `datetime | str`): the first member that writes the same JSON again
  wins, else the first that fits; so the order of the members matters;
- dataclasses, attrs classes, TypedDicts and NamedTuples with such unions in their fields;
- pydantic dataclasses and constraints (decoded by msgspec, then checked by pydantic) and pydantic's scalar types;
- floats marked `Annotated[float, "allow-nan"]`.

Pydantic models are validated by pydantic from JSON text. They may stand anywhere.

Not handled: allow-nan floats in the fields of classes (only in list, dict, tuple, set and unions); unions that msgspec
refuses in fields of a msgspec Struct (the whole Struct then decodes as plain JSON types); the type parameters of a
generic dataclass with such unions (plain JSON types); a bool in an `int` field of a class (refused; under `int`,
`list[int]`, `int | None` and the like a bool passes unchanged); pydantic's checks of a pydantic dataclass that is a
field of another class (its types are checked by msgspec); attributes of attrs classes whose names start with
an underscore (msgspec does not write them).

Rules of this file: it only reads annotations; pydantic and attrs are never imported before one of theirs is met.
"""

from __future__ import annotations

import collections.abc
import functools
import importlib.util
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from sayiir.core.values.decoders import (
    LOOSE_FLOAT,
    HoleType,
    constrained_decoder,
    fill,
    hole,
    pydantic_dataclass_decoder,
    record_decoder,
    union_decoder,
)
from sayiir.core.values.models import Decode, is_model, is_pydantic_scalar, pydantic_decoder
from sayiir.core.values.secret import SCHEMA_MARK

ALLOW_NAN = "allow-nan"

_UNIONS = (Union, types.UnionType)
_CONTAINERS = frozenset({list, dict, tuple, set, frozenset}) | {
    getattr(collections.abc, name)
    for name in ("Collection", "Sequence", "MutableSequence", "Set", "MutableSet", "Mapping", "MutableMapping")
}


def json_decoder(annotation: Any) -> Decode:
    """Return the function that decodes JSON text under an annotation.

    Raises:
        TypeError: no decoder can be made for the annotation.
    """
    if _is_pydantic_tree(annotation):
        return pydantic_decoder(annotation)
    cut = _cut(annotation)
    if issubclass(type(cut), HoleType):
        return cut.decode  # type: ignore[no-any-return]
    return msgspec.json.Decoder(cut, dec_hook=fill).decode


def expand(annotation: Any) -> Any:
    """Return an annotation without NewType, type aliases and metadata that means nothing here."""
    while True:
        if hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        elif get_origin(annotation) is Annotated and not _has_meaning(annotation):
            annotation = annotation.__origin__
        else:
            return annotation


def _has_meaning(annotated: Any) -> bool:
    metadata = annotated.__metadata__
    constrained = _for_pydantic(annotated) or any(
        isinstance(item, msgspec.Meta) and item is not SCHEMA_MARK for item in metadata
    )
    return constrained or _is_loose_float(annotated)


def _for_pydantic(annotated: Any) -> bool:
    packages = {type(item).__module__.partition(".")[0] for item in annotated.__metadata__}
    if "annotated_types" in packages and _has_pydantic():
        return True
    return "pydantic" in packages


@functools.cache
def _has_pydantic() -> bool:
    # PositiveInt and the like are pydantic's, but do not say so.
    return importlib.util.find_spec("pydantic") is not None


def members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the annotation alone."""
    annotation = expand(annotation)
    if get_origin(annotation) in _UNIONS:
        return tuple(inner for member in get_args(annotation) for inner in members(member))
    return (annotation,)


def wants_nan(annotation: Any) -> bool:
    """Tell whether `Annotated[float, "allow-nan"]` stands in the annotation, at the top or inside generics."""
    annotation = expand(annotation)
    if _is_loose_float(annotation):
        return True
    return _is_generic(annotation) and any(map(wants_nan, get_args(annotation)))


def _is_loose_float(annotation: Any) -> bool:
    if get_origin(annotation) is not Annotated or annotation.__origin__ is not float:
        return False
    return any(isinstance(item, str) and item == ALLOW_NAN for item in annotation.__metadata__)


def _is_generic(annotation: Any) -> bool:
    return get_origin(annotation) in _UNIONS or get_origin(annotation) in _CONTAINERS


def _is_pydantic_tree(annotation: Any) -> bool:
    """Tell whether pydantic can decode the whole annotation, faithful to what msgspec writes around the models."""
    annotation = expand(annotation)
    if is_model(annotation):
        return True
    if get_origin(annotation) is Annotated:
        return _for_pydantic(annotation) and _is_pydantic_tree(annotation.__origin__)
    if not _is_generic(annotation):
        return False
    leaves = set(_leaves(annotation))
    return any(map(is_model, leaves)) and all(is_model(leaf) or leaf in (str, type(None)) for leaf in leaves)


def _leaves(annotation: Any) -> Iterator[Any]:
    annotation = expand(annotation)
    if not _is_generic(annotation):
        # Unhashable annotations (odd metadata) count as something else.
        yield annotation if isinstance(annotation, collections.abc.Hashable) else object
        return
    for argument in get_args(annotation):
        if argument is not Ellipsis:
            yield from _leaves(argument)


def _cut(annotation: Any) -> Any:
    """Return the annotation with holes where msgspec would refuse, lose something or be too strict."""
    annotation = expand(annotation)
    if annotation is int:
        return int | bool  # bool is an int to Python; msgspec alone refuses it
    if annotation is float or annotation is Any:
        return annotation
    if _is_loose_float(annotation):
        return LOOSE_FLOAT
    if get_origin(annotation) is Annotated:
        return _cut_annotated(annotation)
    if get_origin(annotation) in _UNIONS:
        return _cut_union(annotation)
    if _is_generic(annotation):
        return _cut_generic(annotation)
    return _cut_class(annotation)


def _cut_annotated(annotated: Any) -> Any:
    if not _for_pydantic(annotated):
        return annotated
    if _is_pydantic_tree(annotated):
        return hole(pydantic_decoder(annotated))
    return hole(constrained_decoder(annotated, json_decoder))


def _cut_union(union: Any) -> Any:
    flat: Any = _union(members(union))
    if get_origin(flat) not in _UNIONS:
        return _cut(flat)
    candidate = _union(_cut(member) for member in get_args(flat))
    if _is_decodable(candidate):
        return candidate
    return hole(union_decoder(flat, json_decoder))


def _union(parts: Iterable[Any]) -> Any:
    union: Any = Union
    return union[tuple(parts)]


def _cut_generic(annotation: Any) -> Any:
    origin: Any = get_origin(annotation)
    arguments = get_args(annotation)
    # Keys stay: they are written as text and msgspec reads them back by type.
    kept = 1 if issubclass(origin, collections.abc.Mapping) else 0
    cut = [a if i < kept or a is Ellipsis else _cut(a) for i, a in enumerate(arguments)]
    if all(new is old for new, old in zip(cut, arguments, strict=True)):
        return annotation
    generic: Any = origin
    return generic[tuple(cut)]


def _cut_class(annotation: Any) -> Any:
    kind = get_origin(annotation) or annotation
    if not isinstance(kind, type) and not typing.is_typeddict(kind):
        return annotation
    if getattr(kind, "_is_protocol", False) and not getattr(kind, "_is_runtime_protocol", False):
        return Any  # nothing can be checked, and msgspec would try
    if hasattr(kind, "__pydantic_validator__") and not is_model(kind):
        return hole(pydantic_dataclass_decoder(kind, json_decoder))
    if is_pydantic_scalar(kind):
        return hole(pydantic_decoder(annotation))
    if _is_record(kind) and not _is_decodable(annotation):
        return hole(record_decoder(kind, json_decoder))
    return annotation


def _is_record(kind: Any) -> bool:
    marks = ("__dataclass_fields__", "__attrs_attrs__", "_field_defaults")
    return typing.is_typeddict(kind) or any(hasattr(kind, mark) for mark in marks)


def _is_decodable(annotation: Any) -> bool:
    try:
        msgspec.json.Decoder(annotation, dec_hook=fill)
    except TypeError:
        return False
    return True
