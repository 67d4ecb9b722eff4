"""Which places of a definition's values are secret, as its annotations declare them.

The *marks* of a definition are a JSON document that is stored beside it, so that whoever shows its values needs none of
its code: `in` and `out` say for each node what of its input and output is secret (`out[""]` is the instance's input,
`in["$end"]` its output), `types` holds the classes that they refer to. A *shape* is

    true                      all of it is secret
    {"fields": {name: shape}} these keys of an object
    {"each": shape}           every item of an array, every value of an object
    {"at": [shape, ...]}      items of an array by place
    {"any": [shape, ...]}     what any of them says: a union, or a value that several places declare
    {"ref": name}             what `types` says
    null                      nothing

A value is secret where the task that gives it says so, or one that takes it. What is in doubt is secret: in a union, what
is so in one member; an annotation that cannot be resolved and has "Secret" in its text.

Rules of this file: pure; annotations are only read. Loaded when a definition is first stored.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

import msgspec

from sayiir.core.loop import LoopResult
from sayiir.core.values.secret import SecretMark

Shape: TypeAlias = Any
Environment: TypeAlias = dict[Any, Any]

_UNIONS = (Union, types.UnionType)
_WRAPPERS = ("Required", "NotRequired", "ReadOnly", "Final", "ClassVar", "InitVar")


def either(shapes: Iterable[Shape]) -> Shape:
    """Return what any of the shapes says.

    >>> either([None, {"each": True}]), either([None]), either([{"each": True}, True])
    ({'each': True}, None, True)
    """
    found: list[Shape] = []
    for shape in shapes:
        found += [one for one in ([shape] if shape is not None else []) if one not in found]
    if True in found:
        return True
    return {"any": found} if len(found) > 1 else found[0] if found else None


class Finder:
    """Finds the shapes of annotations; classes are put into `types`."""

    def __init__(self) -> None:
        self.types: dict[str, Shape] = {}
        self._names: dict[Any, str] = {}

    def shape(self, annotation: Any, env: Environment | None = None) -> Shape:
        """Return what of the values under an annotation is secret."""
        env = env or {}
        if annotation is None or (isinstance(annotation, type) and annotation in _PLAIN):
            return None
        if isinstance(annotation, str | typing.ForwardRef):
            return "Secret" in str(annotation) or None
        if isinstance(annotation, typing.TypeVar):
            return self._variable(annotation, env)
        if hasattr(annotation, "__supertype__"):
            return self.shape(annotation.__supertype__, env)
        origin: Any = get_origin(annotation)
        arguments = get_args(annotation)
        if type(annotation).__name__ == "TypeAliasType":
            return self.shape(annotation.__value__, env)
        if type(origin).__name__ == "TypeAliasType":
            return self.shape(origin.__value__, {**env, **_bound(origin, arguments, env, self.shape)})
        if origin is Annotated:
            return self._annotated(annotation, env)
        if origin in _UNIONS or origin is LoopResult:
            return either(self.shape(one, env) for one in arguments)
        if origin is Literal:
            return None
        if getattr(origin, "_name", None) in _WRAPPERS or type(annotation).__name__ in _WRAPPERS:
            return either(self.shape(one, env) for one in arguments or (getattr(annotation, "type", None),))
        return self._class(annotation, origin, arguments, env)

    def _variable(self, variable: typing.TypeVar, env: Environment) -> Shape:
        if variable in env:
            return env[variable]
        return either(self.shape(one) for one in (variable.__bound__, *variable.__constraints__))

    def _annotated(self, annotation: Any, env: Environment) -> Shape:
        if any(isinstance(item, SecretMark) for item in annotation.__metadata__):
            return True
        inner = self.shape(annotation.__origin__, env)
        # pydantic.Json: the value is a text, in which nothing can be masked alone.
        as_text = any(getattr(item, "__name__", type(item).__name__) == "Json" for item in annotation.__metadata__)
        return True if as_text and inner is not None else inner

    def _class(self, annotation: Any, origin: Any, arguments: tuple[Any, ...], env: Environment) -> Shape:
        kind = origin or annotation
        if hasattr(kind, "get_secret_value"):  # pydantic's SecretStr, SecretBytes, Secret[...]
            return True
        if _is_record(kind):
            return self._record(annotation, kind, {**env, **_bound(kind, arguments, env, self.shape)})
        if origin is None or not arguments:
            return None
        if isinstance(origin, type) and issubclass(origin, tuple) and Ellipsis not in arguments:
            return _pruned("at", [self.shape(one, env) for one in arguments])
        if isinstance(origin, type) and issubclass(origin, collections.abc.Mapping) and len(arguments) == 2:
            return True if self.shape(arguments[0], env) is not None else _pruned("each", self.shape(arguments[1], env))
        return _pruned("each", either(self.shape(one, env) for one in arguments if one is not Ellipsis))

    def _record(self, annotation: Any, kind: Any, env: Environment) -> Shape:
        key = (repr(annotation), id(kind), repr(sorted(map(repr, env.items()))))
        if key not in self._names:
            self._names[key] = name = f"{kind.__name__} {len(self._names)}"
            self.types[name] = None
            self.types[name] = self._fields(annotation, kind, env)
        return {"ref": self._names[key]}

    def _fields(self, annotation: Any, kind: Any, env: Environment) -> Shape:
        env = {**_inherited(kind, self.shape), **env}
        if hasattr(kind, "__struct_config__"):
            found = [(field.encode_name, self.shape(field.type, env)) for field in _struct_fields(annotation, kind)]
            if kind.__struct_config__.array_like:
                return _pruned("at", [*([None] if kind.__struct_config__.tag is not None else []), *dict(found).values()])
            return _pruned("fields", dict(found))
        if hasattr(kind, "model_fields"):
            return self._model(kind, env)
        hints = _hints(kind)
        fields = _pruned("fields", {name: self.shape(hint, env) for name, hint in hints.items()})
        if not hasattr(kind, "_fields"):
            return fields
        places = _pruned("at", [self.shape(hints.get(name), env) for name in kind._fields])
        return either([places, fields])

    def _model(self, kind: Any, env: Environment) -> Shape:
        fields: dict[str, Shape] = {}
        for name, field in kind.model_fields.items():
            marked = any(isinstance(item, SecretMark) for item in field.metadata)
            shape = True if marked else self.shape(field.annotation, env)
            if name == "root" and hasattr(kind, "__pydantic_root_model__") and kind.__pydantic_root_model__:
                return shape
            aliases = field.alias, field.serialization_alias, field.validation_alias
            choices = getattr(field.validation_alias, "choices", ())
            for key in (name, *aliases, *choices):
                if isinstance(key, str):
                    fields[key] = shape
        return _pruned("fields", fields)


_PLAIN = frozenset({int, str, float, bool, bytes, object, type(None), dict, list})


def _is_record(kind: Any) -> bool:
    marks = ("__dataclass_fields__", "__attrs_attrs__", "__struct_fields__", "_field_defaults", "model_fields")
    return typing.is_typeddict(kind) or (isinstance(kind, type) and any(hasattr(kind, mark) for mark in marks))


def _bound(
    kind: Any, arguments: tuple[Any, ...], env: Environment, shape: Callable[[Any, Environment], Shape]
) -> Environment:
    """Return what the type parameters of a class stand for: shapes."""
    names: tuple[Any, ...] = getattr(kind, "__parameters__", None) or getattr(kind, "__type_params__", None) or ()
    if hasattr(kind, "__pydantic_generic_metadata__"):
        return {}  # pydantic makes a class of its own for each
    return {name: shape(argument, env) for name, argument in zip(names, arguments, strict=False)}


def _inherited(kind: Any, shape: Callable[[Any, Environment], Shape]) -> Environment:
    """Return what the type parameters of the bases stand for."""
    found: Environment = {}
    for base in getattr(kind, "__orig_bases__", ()):
        found |= _bound(get_origin(base), get_args(base), {}, shape)
    return {name: value for name, value in found.items() if value is not None}


def _struct_fields(annotation: Any, kind: Any) -> tuple[Any, ...]:
    try:
        return msgspec.structs.fields(annotation)
    except Exception:  # noqa: BLE001 -- a name that only type checkers see: each field by its text
        raw = {name: hint for base in reversed(kind.__mro__) for name, hint in vars(base).get("__annotations__", {}).items()}
        pairs = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
        return tuple(types.SimpleNamespace(encode_name=written, type=raw.get(name)) for name, written in pairs)


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except Exception:  # noqa: BLE001 -- as above
        bases = reversed(getattr(kind, "__mro__", (kind,)))
        return {name: hint for base in bases for name, hint in vars(base).get("__annotations__", {}).items()}


def _pruned(word: str, inside: Any) -> Shape:
    """Return a shape without what says nothing; None when nothing is left."""
    if isinstance(inside, dict):
        inside = {name: shape for name, shape in inside.items() if shape is not None}
    told = any(shape is not None for shape in inside) if isinstance(inside, list) else inside not in ({}, None)
    return {word: inside} if told else None


def live(shape: Shape, types: dict[str, Shape]) -> Shape:
    """Return a shape without the references that lead to nothing secret."""
    useful = {name for name, one in types.items() if _tells(one, set())}
    while True:
        more = {name for name, one in types.items() if name not in useful and _tells(one, useful)}
        if not more:
            return _cleaned(shape, useful)
        useful |= more


def _tells(shape: Shape, useful: set[str]) -> bool:
    if not isinstance(shape, dict):
        return shape is True
    (word, inside), *_ = shape.items()
    if word == "ref":
        return inside in useful
    if word == "each":
        return _tells(inside, useful)
    return any(_tells(one, useful) for one in (inside.values() if isinstance(inside, dict) else inside))


def _cleaned(shape: Shape, useful: set[str]) -> Shape:
    if not isinstance(shape, dict):
        return shape
    (word, inside), *_ = shape.items()
    match word:
        case "ref":
            return shape if inside in useful else None
        case "any":
            return either(_cleaned(one, useful) for one in inside)
        case "each":
            return _pruned(word, _cleaned(inside, useful))
        case "at":
            return _pruned(word, [_cleaned(one, useful) for one in inside])
        case _:
            return _pruned(word, {name: _cleaned(one, useful) for name, one in inside.items()})
