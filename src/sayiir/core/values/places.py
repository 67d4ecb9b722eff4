"""Places inside a value, and the errors that name them.

Rules of this file: every decoder may raise what it likes; `misfit` makes one kind of error of it, with the path.
Loaded only when something does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, get_origin

import msgspec

_PLACE = re.compile(r" - at (`key` in )?`(\$[^`]*)`$")


class Misfit(ValueError):  # noqa: N818 -- it never reaches a user
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
