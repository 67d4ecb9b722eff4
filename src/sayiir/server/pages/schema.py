"""A form out of a JSON Schema: which fields there are, and of what kind.

Rules of this file: pure. What the renderer does not know (unions of several types, free dictionaries, arrays, deep
nesting) becomes a field of JSON text, so that every value can be given and no schema is refused. A field's name is
the JSON pointer to its value, so names are unique whatever the properties are called. Nothing is checked here that
the service checks anyway against the declared type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["object", "choice", "tick", "yesno", "integer", "number", "string", "text", "secret", "json"]
Schema: TypeAlias = Mapping[str, Any]

DEEPEST = 4
"""Objects inside objects that get fields of their own; deeper ones are JSON text."""
LONG = 200
"""A string that may be longer than this gets several lines."""
_UNSET: Any = object()
_HINTS = {
    "date-time": "a time, such as 2030-01-31T09:30:00Z",
    "date": "a date, such as 2030-01-31",
    "time": "a time of day, such as 09:30:00",
    "duration": "a length of time, such as PT90S",
    "uuid": "a UUID",
    "decimal": "a decimal number, such as 12.50",
    "email": "an e-mail address",
    "uri": "an address, such as https://example.org/",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form.

    Args:
        name: JSON pointer to its value; "" for the whole.
        label: what people read; "" where the whole is one field.
        kind: how it is shown and read.
        required: whether it must be given.
        nullable: whether left empty means null.
        default: the text, "true"/"false", or index of the choice that it starts with.
        help: what else there is to say.
        choices: the JSON texts to choose from, and how each is shown.
        fields: of an object.
        limits: HTML attributes: min, max, step, minlength, maxlength, pattern.
    """

    name: str
    label: str
    kind: Kind
    required: bool = True
    nullable: bool = False
    default: str = ""
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    fields: tuple[Field, ...] = ()
    limits: tuple[tuple[str, str], ...] = field(default=())

    @property
    def id(self) -> str:
        """What the page calls it, unique in its form."""
        return self.name.encode().hex() or "whole"


def form_of(schema: Schema | None) -> Field:
    """Return the form for a schema; None gives one field of JSON text.

    >>> form_of({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}).fields[0].kind
    'integer'
    """
    if not schema:
        return Field("", "", "json", help="any JSON value")
    return _field(schema, _Place("", "", required=True), schema.get("$defs") or schema.get("definitions") or {})


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    label: str
    required: bool
    depth: int = 0


def _field(schema: Schema, place: _Place, defs: Schema, default: Any = _UNSET) -> Field:
    schema, nullable = _resolved(schema, defs)
    if default is _UNSET:
        default = schema.get("default", _UNSET)
    given = default is not _UNSET
    base = Field(
        place.name,
        str(schema.get("title") or place.label) if place.name else "",
        "json",
        # A default makes an empty field harmless: it is left out, and the type's own default holds.
        required=place.required and not given and not nullable,
        nullable=nullable,
        default=_shown(default),
        help=_help(schema),
    )
    if schema.get("type") == "object" and schema.get("properties") and place.depth < DEEPEST and _plain(schema):
        return replace(base, kind="object", fields=_fields(schema, place, defs, default))
    if choices := _choices(schema):
        index = next((str(i) for i, (text, _) in enumerate(choices) if given and text == _json(default)), "")
        return replace(base, kind="choice", choices=choices, default=index)
    return _leaf(schema, base, given=given and default is not None)


def _leaf(schema: Schema, base: Field, *, given: bool) -> Field:
    match schema.get("type"):
        case "boolean":
            # A tick that is not set would say no without anybody having said it.
            return replace(base, kind="tick" if given else "yesno")
        case "integer":
            return replace(base, kind="integer", limits=_limits(schema))
        case "number":
            return replace(base, kind="number", limits=_limits(schema))
        case "string" if "contentEncoding" not in schema:
            if schema.get("writeOnly"):
                return replace(base, kind="secret", default="", limits=_limits(schema))
            long = schema.get("maxLength", 0) > LONG or "\n" in base.default
            return replace(base, kind="text" if long else "string", limits=_limits(schema))
        case kind:
            example = "a JSON array, such as [1, 2]" if kind == "array" else "any JSON value"
            return replace(base, help=base.help or example)


def _fields(schema: Schema, place: _Place, defs: Schema, default: Any) -> tuple[Field, ...]:
    required = set(schema.get("required") or ())
    defaults: Schema = default if isinstance(default, Mapping) else {}
    return tuple(
        _field(
            part if isinstance(part, Mapping) else {},
            _Place(f"{place.name}/{_escaped(name)}", _words(name), name in required, place.depth + 1),
            defs,
            defaults.get(name, _UNSET),
        )
        for name, part in schema["properties"].items()
    )


def _plain(schema: Schema) -> bool:
    """Return whether the properties are all there is to an object."""
    return not schema.get("additionalProperties") and not any(word in schema for word in ("anyOf", "oneOf", "allOf"))


def _resolved(schema: Schema, defs: Schema) -> tuple[Schema, bool]:
    """Return the schema with its reference followed and null taken out of it."""
    nullable = False
    for _ in range(DEEPEST * 4):
        outer = {key: value for key, value in schema.items() if key in ("default", "title", "description")}
        options = schema.get("anyOf") or schema.get("oneOf")
        types = schema.get("type")
        if "$ref" in schema:
            target = defs.get(str(schema["$ref"]).rpartition("/")[2])
            schema = {**target, **outer} if isinstance(target, Mapping) else outer
        elif isinstance(options, list) and {"type": "null"} in options:
            rest = [option for option in options if option != {"type": "null"}]
            nullable = True
            schema = {**rest[0], **outer} if len(rest) == 1 else {"anyOf": rest, **outer}
        elif isinstance(types, list) and "null" in types:
            rest_types = [name for name in types if name != "null"]
            nullable = True
            schema = {**schema, "type": rest_types[0] if len(rest_types) == 1 else None}
        elif isinstance(schema.get("allOf"), list) and len(schema["allOf"]) == 1:
            schema = {**schema["allOf"][0], **outer}
        else:
            return schema, nullable
    return {}, nullable


def _choices(schema: Schema) -> tuple[tuple[str, str], ...]:
    if "const" in schema:
        return ((_json(schema["const"]), _shown(schema["const"])),)
    values = schema.get("enum")
    return tuple((_json(value), _shown(value)) for value in values) if isinstance(values, list) else ()


def _limits(schema: Schema) -> tuple[tuple[str, str], ...]:
    whole = schema.get("type") == "integer"
    found: dict[str, Any] = {
        "min": schema.get("minimum", schema.get("exclusiveMinimum") if not whole else _after(schema, 1)),
        "max": schema.get("maximum", schema.get("exclusiveMaximum") if not whole else _after(schema, -1)),
        "minlength": schema.get("minLength"),
        "maxlength": schema.get("maxLength"),
    }
    return tuple((name, f"{value}") for name, value in found.items() if isinstance(value, int | float))


def _after(schema: Schema, step: int) -> int | None:
    limit = schema.get("exclusiveMinimum" if step > 0 else "exclusiveMaximum")
    return limit + step if isinstance(limit, int) else None


def _help(schema: Schema) -> str:
    about = str(schema.get("description") or "")
    hint = _HINTS.get(str(schema.get("format")), "")
    return ". ".join(filter(None, (about.strip().rstrip("."), hint)))


def _shown(value: Any) -> str:
    if value is _UNSET or value is None:
        return ""
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _words(name: str) -> str:
    return name.replace("_", " ").strip().capitalize() if name.isascii() else name


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
