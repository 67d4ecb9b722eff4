"""How deep JSON text is nested, found out at C speed.

Rules of this file: no recursion, no parser; counting brackets answers nearly always.
"""

from __future__ import annotations

from typing import Final

MAX_DEPTH: Final = 200


_SQUARE = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b'[]{}"')))


def is_too_deep(raw: bytes) -> bool:
    """Tell whether the containers of a JSON text are nested over the limit."""
    if len(raw) <= 2 * MAX_DEPTH or raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False
    return depth_of(raw) > MAX_DEPTH


def depth_of(raw: bytes) -> int:
    """Return how deep the containers of a JSON text are nested, counting on only a little above the limit."""
    # Escaped backslashes first, then escaped quotes: what is left of quotes are the ends of strings.
    bare = raw.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_SQUARE, _NOT_BRACKETS)
    bare = b"".join(bare.split(b'"')[::2])
    depth = 0
    while bare and depth <= MAX_DEPTH:
        peeled = bare.replace(b"[]", b"")
        if len(peeled) == len(bare):  # unbalanced, so malformed: the brackets left are the best answer
            return depth + bare.count(b"[")
        bare = peeled
        depth += 1
    return depth
