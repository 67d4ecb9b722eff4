"""What somebody filled in, as JSON: the other half of `schema.py`.

Rules of this file: pure; whole numbers of any size stay exact; an empty field is left out, or null where only that
fits; every mistake is told at its field, all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from sayiir.server.pages.schema import Field

RAW = "raw"
"""Name of the field that holds the whole value as JSON text."""
_NOTHING: Any = object()
_WHOLE = re.compile(r"[+-]?[0-9]{1,4000}")


class Answers(msgspec.Struct, frozen=True):
    """A filled form: the value as JSON, or what is wrong with which field."""

    json: bytes
    errors: dict[str, str] = {}


def read_answers(form: Field, posted: Mapping[str, str]) -> Answers:
    """Return what was filled in; the field `raw`, where it was sent, is the whole value.

    >>> from sayiir.server.pages.schema import form_of
    >>> form = form_of({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    >>> read_answers(form, {"/n": "12"}).json, read_answers(form, {"/n": "x"}).errors
    (b'{"n":12}', {'/n': 'must be a whole number'})
    """
    errors: dict[str, str] = {}
    if RAW in posted:
        form = Field(RAW, "", "json")
    value = _value(form, posted, errors)
    if value is _NOTHING:
        value = {} if form.kind == "object" else None
    return Answers(msgspec.json.encode(value), errors)


def _value(field: Field, posted: Mapping[str, str], errors: dict[str, str]) -> Any:
    if field.kind == "object":
        return _object(field, posted, errors)
    text = posted.get(field.name, "").replace("\r\n", "\n")
    if field.kind == "tick":
        return text == "true"
    if not text.strip() and (field.kind not in ("string", "text", "secret") or not text):
        return _empty(field, errors)
    try:
        return _parsed(field, text)
    except ValueError as error:
        errors[field.name] = str(error)
        return _NOTHING


def _object(field: Field, posted: Mapping[str, str], errors: dict[str, str]) -> Any:
    found: dict[str, str] = {}
    values = {_key(part.name): _value(part, posted, found) for part in field.fields}
    given = {name: value for name, value in values.items() if value is not _NOTHING}
    # An object that may be missing is missing when nothing but preset ticks is in it.
    touched = any(part.kind != "tick" and values[_key(part.name)] not in (_NOTHING, None) for part in field.fields)
    if field.name and not field.required and not touched and not any(posted.get(name) for name in found):
        return None if field.nullable else _NOTHING
    errors.update(found)
    return given


def _empty(field: Field, errors: dict[str, str]) -> Any:
    if field.required:
        errors[field.name] = "is needed"
    return None if field.nullable and not field.default else _NOTHING


def _parsed(field: Field, text: str) -> Any:
    match field.kind:
        case "integer":
            if not _WHOLE.fullmatch(text.strip()):
                raise ValueError("must be a whole number")
            return msgspec.Raw(str(int(text)).encode())
        case "number":
            value = _json(text.strip(), "must be a number")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError("must be a number")  # noqa: TRY004 -- one error for all
            return msgspec.Raw(text.strip().encode())
        case "yesno":
            return text == "true"
        case "choice":
            if not text.isdecimal() or int(text) >= len(field.choices):
                raise ValueError("must be one of the list")
            return msgspec.Raw(field.choices[int(text)][0].encode())
        case "json":
            _json(text, "is not JSON")
            return msgspec.Raw(text.encode())
        case _:
            return text


def _json(text: str, problem: str) -> Any:
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        detail = f": {error}" if problem == "is not JSON" and isinstance(error, msgspec.DecodeError) else ""
        raise ValueError(f"{problem}{detail}") from None


def _key(pointer: str) -> str:
    return pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
