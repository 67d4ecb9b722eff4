"""Reads values that are made of other values."""

from __future__ import annotations

from collections.abc import Callable

from sayiir.core.plan import compose, needed
from sayiir.core.records import INPUT_REF, Ref
from sayiir.core.values import unpack


def resolve(
    ref: Ref, stored_input: bytes, fetch: Callable[[Ref], tuple[bytes | None, bytes | None]], *, depth: int = 0
) -> bytes:
    """Return the JSON behind a reference.

    Args:
        ref: the reference.
        stored_input: the instance's input as stored.
        fetch: gives a record's stored (output, parts).
        depth: how deep the composition is; nesting of definitions bounds it.
    """
    if ref == INPUT_REF:
        return unpack(stored_input)
    output, parts = fetch(ref)
    if output is not None or parts is None:
        return unpack(output or b"null")
    return compose(parts, {part: resolve(part, stored_input, fetch, depth=depth + 1) for part in needed(parts)})
