"""Reads values that are made of other values."""

from __future__ import annotations

from collections.abc import Callable

from sayiir.core.plan import compose, needed
from sayiir.core.records import INPUT_REF, Ref
from sayiir.core.values import unpack
from sayiir.errors import BackendError


def resolve(
    ref: Ref, stored_input: bytes | None, fetch: Callable[[Ref], tuple[bytes | None, bytes | None] | None]
) -> bytes:
    """Return the JSON behind a reference; the nesting of definitions bounds how deep values are composed.

    Args:
        ref: the reference.
        stored_input: the instance's input as stored; None when there is no such instance.
        fetch: gives a record's stored (output, parts); None when there is no such record.

    Raises:
        BackendError: nothing is stored under the reference.
    """
    if ref == INPUT_REF and stored_input is not None:
        return unpack(stored_input)
    stored = None if stored_input is None else fetch(ref)
    if stored is None:
        raise BackendError(f"no value is stored under reference {ref}; the instance was replaced meanwhile")
    output, parts = stored
    if output is not None or parts is None:
        return unpack(output or b"null")
    return compose(parts, {part: resolve(part, stored_input, fetch) for part in needed(parts)})
