"""Where a page ended, as an opaque text: a version and numbers, nothing that a caller could make use of."""

from __future__ import annotations

import base64

import msgspec

from sayiir.errors import FilterError

_VERSION = 1


def cursor_of(*numbers: int) -> str:
    """Return the text for a place.

    >>> place_of(cursor_of(7, 2), 2)
    (7, 2)
    """
    raw = msgspec.json.encode((_VERSION, *numbers))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def place_of(cursor: str, count: int) -> tuple[int, ...]:
    """Return the numbers of such a text.

    Raises:
        FilterError: it was not made by `cursor_of` with so many numbers.
    """
    problem = FilterError("the cursor is none that a page before gave; leave it out to begin at the first page")
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        version, *numbers = msgspec.json.decode(raw, type=list[int])
    except (ValueError, msgspec.MsgspecError):
        raise problem from None
    if version != _VERSION or len(numbers) != count or not all(-1 <= number < 1 << 63 for number in numbers):
        raise problem
    return tuple(numbers)
