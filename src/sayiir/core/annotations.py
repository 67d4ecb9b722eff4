"""What a type annotation means for JSON: how to read it off a function, and how to decode JSON text under it.

msgspec decodes nearly everything. What it refuses or gets wrong for us is cut out of the annotation and replaced by
a *hole*: a stand-in class that msgspec treats as a custom type and hands to `_fill`. Holes are made for

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

Rules of this file: no I/O; pydantic and attrs are never imported before an annotation or value of theirs is met.
Decoders raise whatever fits; `misfit` makes one kind of error of it, with the path inside the value.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

import msgspec

__all__ = [
    "ALLOW_NAN",
    "Decode",
    "Misfit",
    "describe",
    "expand",
    "input_annotation",
    "is_model",
    "json_decoder",
    "members",
    "misfit",
    "model_contents",
    "output_annotation",
    "path_text",
    "to_json",
    "wants_nan",
]

Decode = Callable[[bytes], Any]
ALLOW_NAN = "allow-nan"

_UNIONS = (Union, types.UnionType)
_CONTAINERS = frozenset({list, dict, tuple, set, frozenset}) | {
    getattr(collections.abc, name)
    for name in ("Collection", "Sequence", "MutableSequence", "Set", "MutableSet", "Mapping", "MutableMapping")
}
_BASES = (str, int, float, dict, list, tuple, bytes)
# A number that may not fit a float: three digits of exponent, or very many digits.
_HUGE_NUMBER = re.compile(rb"[eE]\+?0*[1-9][0-9]{2}|[0-9]{309}")
_PLACE = re.compile(r" - at (`key` in )?`(\$[^`]*)`$")


# --- paths and errors -------------------------------------------------------------------------------------------


class Misfit(ValueError):
    """JSON that does not fit an annotation: `reason` says why, `path` where."""

    def __init__(self, reason: str, path: str = "$") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path


def path_text(segments: Iterable[Any]) -> str:
    """Return segments as text: `$.items[3].price`, `$["odd key"]`.

    >>> path_text(["items", 3, "odd key"])
    '$.items[3]["odd key"]'
    """
    return "$" + "".join(map(_segment_text, segments))


def _segment_text(segment: Any) -> str:
    if isinstance(segment, int):
        return f"[{int(segment)}]"
    text = segment if isinstance(segment, str) else repr(segment)
    if text.isidentifier():
        return f".{text}"
    return '["' + text.encode("ascii", "backslashreplace").decode().replace('"', '\\"') + '"]'


def misfit(error: Exception) -> Misfit:
    """Return any error of a decoder as a `Misfit`, with the paths of nested decoders joined."""
    if isinstance(error, Misfit):
        return error
    if isinstance(error, msgspec.ValidationError):
        text, path = _split_place(str(error))
        inner = error.__cause__
        if isinstance(inner, Misfit):
            return Misfit(inner.reason, path + inner.path[1:])
        return Misfit(text, path)
    if type(error).__module__.startswith("pydantic") and hasattr(error, "errors"):
        return _pydantic_misfit(error)
    return Misfit(_MALFORMED.get(type(error), type(error).__name__) + f": {error}")


_MALFORMED: dict[type, str] = {
    RecursionError: "too deep",
    UnicodeDecodeError: "malformed JSON",
    msgspec.DecodeError: "malformed JSON",
}


def _split_place(text: str) -> tuple[str, str]:
    found = _PLACE.search(text)
    if found is None:
        return text, "$"
    return text[: found.start()] + (" (a key)" if found.group(1) else ""), found.group(2)


def _pydantic_misfit(error: Any) -> Misfit:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    first = details[0]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return Misfit(first["msg"] + more, path_text(first["loc"]))


def describe(annotation: Any) -> str:
    """Return an annotation as a user would write it.

    >>> describe(int), describe(list[int])
    ('int', 'list[int]')
    """
    if annotation is type(None):
        return "None"
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__qualname__.rpartition("<locals>.")[2]
    return repr(annotation).replace("typing.", "")


# --- pydantic ---------------------------------------------------------------------------------------------------


def is_model(kind: Any) -> bool:
    """Tell whether a class is a pydantic model."""
    return isinstance(kind, type) and hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_dump_json")


def _is_pydantic_scalar(kind: Any) -> bool:
    # HttpUrl, EmailStr, SecretStr and users' classes with the same hook. Their validated value may be of another class.
    return (
        isinstance(kind, type)
        and hasattr(kind, "__get_pydantic_core_schema__")
        and not hasattr(kind, "__pydantic_validator__")
        and not issubclass(kind, Enum | msgspec.Struct)
    )


class _Aliases(NamedTuple):
    """How a pydantic type is written so that it validates again."""

    dump: bool  # write by alias
    relax: bool  # validate by alias and by name


@functools.lru_cache(maxsize=1024)
def _cached_adapter(kind: Any) -> tuple[Any, _Aliases]:
    from pydantic import TypeAdapter  # noqa: PLC0415 -- only once a pydantic type is met

    adapter: Any = TypeAdapter(kind)
    return adapter, _aliases(adapter.core_schema)


def _adapter(kind: Any) -> tuple[Any, _Aliases]:
    try:
        return _cached_adapter(kind)
    except TypeError:  # unhashable metadata
        return _cached_adapter.__wrapped__(kind)


def _aliases(schema: Any) -> _Aliases:
    # Names are preferred, being what the code says; aliases are used only where names would not be understood.
    names_work = aliases_work = dataclasses_work = True
    todo: list[tuple[Any, str, dict[str, Any]]] = [(schema, "", {})]
    while todo:
        node, key, config = todo.pop()
        if isinstance(node, list | tuple):
            todo.extend((item, key, config) for item in node)
            continue
        if not isinstance(node, dict):
            continue
        kind = str(node.get("type", ""))
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
    return _Aliases(dump, relax=not dataclasses_work or not (names_work or aliases_work))


def _accepts_name(field: dict[str, Any], config: dict[str, Any]) -> bool:
    by_name = config.get("validate_by_name") or config.get("populate_by_name")
    return field.get("validation_alias") is None or bool(by_name)


def _accepts(field: dict[str, Any], config: dict[str, Any], written: str, name: str) -> bool:
    if written == name and _accepts_name(field, config):
        return True
    alias = field.get("validation_alias")
    choices = alias if isinstance(alias, list) else [alias]
    return config.get("validate_by_alias") is not False and (written in choices or [written] in choices)


def _pydantic_decoder(annotation: Any) -> Decode:
    # The adapter is made at the first use: forward references may be defined only after the workflow is.
    @functools.cache
    def validator() -> Callable[[bytes], Any]:
        adapter, aliases = _adapter(annotation)
        if aliases.relax:
            return functools.partial(adapter.validate_json, by_alias=True, by_name=True)
        return typing.cast("Callable[[bytes], Any]", adapter.validate_json)

    def decode(raw: bytes) -> Any:
        if _HUGE_NUMBER.search(raw):
            _plain(raw)  # raises for 1e400, of which pydantic would make an infinity
        return validator()(raw)

    return decode


def model_contents(model: Any) -> Any:
    """Return what pydantic would write of a model, before it becomes JSON (NaN is still NaN).

    Empty for models whose configuration writes NaN as text: they may hold it.
    """
    if type(model).model_config.get("ser_json_inf_nan") == "strings":
        return {}
    _, aliases = _adapter(type(model))
    dump = model.__pydantic_serializer__.to_python
    return dump(model, mode="python", by_alias=aliases.dump, round_trip=True, warnings=False)


# --- encoding of what msgspec does not know -----------------------------------------------------------------------


def _enc_hook(value: Any) -> Any:
    kind = type(value)
    if is_model(kind):
        _, aliases = _adapter(kind)
        # round_trip leaves computed fields out and writes Json[...] as text again.
        return msgspec.Raw(kind.__pydantic_serializer__.to_json(value, by_alias=aliases.dump, round_trip=True))
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and kind is not bool:  # a bool comes here as a key, and "1" would be a surprise
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, bytes):
        return bytes(memoryview(value))
    if _is_pydantic_scalar(kind):
        return msgspec.Raw(_adapter(kind)[0].dump_json(value))
    raise NotImplementedError(f"objects of type {describe(kind)} cannot be stored as JSON")


to_json: Callable[[Any], bytes] = msgspec.json.Encoder(enc_hook=_enc_hook).encode
_sorted_json: Callable[[Any], bytes] = msgspec.json.Encoder(order="sorted").encode
_plain: Decode = msgspec.json.Decoder().decode


# --- holes --------------------------------------------------------------------------------------------------------


class _HoleType(type):
    """The class of holes: everything counts as an instance, since msgspec checks what `_fill` returns."""

    decode: Decode

    def __instancecheck__(cls, instance: object) -> bool:
        return True


def _hole(decode: Decode) -> Any:
    return _HoleType("Hole", (), {"decode": staticmethod(decode)})


def _fill(kind: Any, plain: Any) -> Any:
    """Turn plain JSON types into a custom type: msgspec's dec_hook."""
    try:
        if isinstance(type(kind), type) and issubclass(type(kind), _HoleType):
            return kind.decode(to_json(plain))
        if is_model(kind):
            return _pydantic_class_decoder(kind)(to_json(plain))
        return _instance(kind, plain)
    except Exception as error:
        raise misfit(error) from error


_pydantic_class_decoder = functools.lru_cache(maxsize=1024)(_pydantic_decoder)


def _instance(kind: Any, plain: Any) -> Any:
    origin = get_origin(kind) or kind
    if isinstance(plain, origin):
        return plain
    base = next((base for base in _BASES if issubclass(origin, base)), None)
    if base is not None and isinstance(plain, base) and not hasattr(origin, "default_factory"):
        return origin(plain)  # a subclass of str, dict, ...: it was written as its base
    raise Misfit(
        f"JSON cannot be turned into {describe(kind)}; use a dataclass, a msgspec Struct or a pydantic model instead"
    )


def _loose_float(raw: bytes) -> float:
    plain = _plain(raw)
    if plain in ("NaN", "Infinity", "-Infinity"):
        return float(plain)
    return msgspec.convert(plain, float)


_LOOSE_FLOAT = _hole(_loose_float)


def _is_special(value: Any) -> bool:
    return type(value) is float and not math.isfinite(value)


def _union_decoder(union: Any) -> Decode:
    options = [(member, json_decoder(member)) for member in get_args(union)]

    def decode(raw: bytes) -> Any:
        fitting: list[Any] = []
        wanted = _sorted_json(_plain(raw))
        for _, attempt in options:
            try:
                value = attempt(raw)
                if _is_special(value) or _sorted_json(_plain(to_json(value))) == wanted:
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
    import dataclasses  # noqa: PLC0415 -- loaded by now, if the annotation is a dataclass

    missing = dataclasses.MISSING
    return [
        _Field(f.name, f.name if f.init else None, f.init and f.default is missing and f.default_factory is missing)
        for f in dataclasses.fields(kind)
    ]


@functools.lru_cache(maxsize=1024)
def _record_decoder(kind: Any) -> Decode:
    """Decode a class field by field, where msgspec refuses to decode it as a whole."""

    # At the first use, so that classes may refer to themselves.
    @functools.cache
    def parts() -> list[tuple[_Field, Decode]]:
        hints = typing.get_type_hints(kind, include_extras=True)
        return [(field, json_decoder(_unwrap_required(hints[field.name]))) for field in _fields(kind)]

    def decode(raw: bytes) -> Any:
        plain = _plain(raw)
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


def _pydantic_dataclass_decoder(kind: Any) -> Decode:
    # msgspec writes dataclasses itself (bytes as base64, fields by name), so it also reads them; pydantic then checks.
    read = _class_decoder(kind)
    names = [field.name for field in _fields(kind) if field.argument]

    def decode(raw: bytes) -> Any:
        value = read(raw)
        adapter, aliases = _adapter(kind)
        how = {"by_alias": True, "by_name": True} if aliases.relax else {}
        return adapter.validate_python({name: getattr(value, name) for name in names}, **how)

    return decode


def _constrained_decoder(annotated: Any) -> Decode:
    """Decode `Annotated[..., Field(gt=0)]` and the like: read the type, then let pydantic check."""
    if _is_pydantic_tree(annotated):
        return _pydantic_decoder(annotated)
    read = json_decoder(annotated.__origin__)

    return lambda raw: _adapter(annotated)[0].validate_python(read(raw))


def _class_decoder(kind: Any) -> Decode:
    try:
        return msgspec.json.Decoder(kind, dec_hook=_fill).decode
    except TypeError:
        return _record_decoder(kind)


# --- annotations to decoders --------------------------------------------------------------------------------------


def json_decoder(annotation: Any) -> Decode:
    """Return the function that decodes JSON text under an annotation.

    Raises:
        TypeError: no decoder can be made for the annotation.
    """
    if _is_pydantic_tree(annotation):
        return _pydantic_decoder(annotation)
    cut = _cut(annotation)
    if issubclass(type(cut), _HoleType):
        return cut.decode  # type: ignore[no-any-return]
    return msgspec.json.Decoder(cut, dec_hook=_fill).decode


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
    constrained = _for_pydantic(annotated) or any(isinstance(item, msgspec.Meta) for item in metadata)
    return constrained or _is_loose_float(annotated)


def _for_pydantic(annotated: Any) -> bool:
    packages = {type(item).__module__.partition(".")[0] for item in annotated.__metadata__}
    if "annotated_types" in packages and _has_pydantic():
        return True
    return "pydantic" in packages


@functools.cache
def _has_pydantic() -> bool:
    try:
        import pydantic  # noqa: F401, PLC0415 -- PositiveInt and the like are pydantic's, but do not say so
    except ImportError:
        return False
    return True


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


def _cut(annotation: Any) -> Any:  # noqa: PLR0911 -- one line per kind of annotation
    """Return the annotation with holes where msgspec would refuse, lose something or be too strict."""
    annotation = expand(annotation)
    if annotation is int:
        return int | bool  # bool is an int to Python; msgspec alone refuses it
    if annotation is float or annotation is Any:
        return annotation
    if _is_loose_float(annotation):
        return _LOOSE_FLOAT
    if get_origin(annotation) is Annotated:
        return _hole(_constrained_decoder(annotation)) if _for_pydantic(annotation) else annotation
    if get_origin(annotation) in _UNIONS:
        return _cut_union(annotation)
    if _is_generic(annotation):
        return _cut_generic(annotation)
    return _cut_class(annotation)


def _cut_union(union: Any) -> Any:
    flat: Any = _union(members(union))
    if get_origin(flat) not in _UNIONS:
        return _cut(flat)
    candidate = _union(_cut(member) for member in get_args(flat))
    if _is_decodable(candidate):
        return candidate
    return _hole(_union_decoder(flat))


def _union(parts: Iterable[Any]) -> Any:
    union: Any = Union
    return union[tuple(parts)]


def _cut_generic(annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    # Keys stay: they are written as text and msgspec reads them back by type.
    kept = 1 if issubclass(origin, collections.abc.Mapping) else 0
    cut = [a if i < kept or a is Ellipsis else _cut(a) for i, a in enumerate(arguments)]
    if all(new is old for new, old in zip(cut, arguments, strict=True)):
        return annotation
    return origin[tuple(cut)]


def _cut_class(annotation: Any) -> Any:
    kind = get_origin(annotation) or annotation
    if not isinstance(kind, type) and not typing.is_typeddict(kind):
        return annotation
    if getattr(kind, "_is_protocol", False) and not getattr(kind, "_is_runtime_protocol", False):
        return Any  # nothing can be checked, and msgspec would try
    if hasattr(kind, "__pydantic_validator__") and not is_model(kind):
        return _hole(_pydantic_dataclass_decoder(kind))
    if _is_pydantic_scalar(kind):
        return _hole(_pydantic_decoder(annotation))
    if _is_record(kind) and not _is_decodable(annotation):
        return _hole(_record_decoder(kind))
    return annotation


def _is_record(kind: Any) -> bool:
    marks = ("__dataclass_fields__", "__attrs_attrs__", "_field_defaults")
    return typing.is_typeddict(kind) or any(hasattr(kind, mark) for mark in marks)


def _is_decodable(annotation: Any) -> bool:
    try:
        msgspec.json.Decoder(annotation, dec_hook=_fill)
    except TypeError:
        return False
    return True


# --- annotations of functions -------------------------------------------------------------------------------------


def input_annotation(function: Callable[..., Any]) -> Any:
    """Return the resolved annotation of a callable's first positional parameter; Any if there is none.

    >>> def price(cents: "int") -> str: ...
    >>> input_annotation(price)
    <class 'int'>
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError, NameError):
        return Any
    first = next((p for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)), None)
    return Any if first is None else _resolved(first.annotation, _owner(function))


def output_annotation(function: Callable[..., Any]) -> Any:
    """Return the resolved return annotation of a callable (what an async one returns when awaited); Any if none.

    >>> def price(cents: int) -> "str": ...
    >>> output_annotation(price)
    <class 'str'>
    """
    if isinstance(function, type):
        return function
    try:
        declared = inspect.signature(function).return_annotation
    except (TypeError, ValueError, NameError):
        return Any
    annotation = _resolved(declared, _owner(function))
    if get_origin(annotation) in (collections.abc.Awaitable, collections.abc.Coroutine):
        return get_args(annotation)[-1]
    return annotation


def _owner(function: Any) -> Any:
    """Return the plain function whose module explains the annotations of a callable."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type):
        function = function.__init__  # type: ignore[misc]
    elif not inspect.isroutine(function):
        function = type(function).__call__
    return inspect.unwrap(getattr(function, "__func__", function))


def _resolved(annotation: Any, owner: Any) -> Any:
    if annotation is inspect.Parameter.empty:
        return Any
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
