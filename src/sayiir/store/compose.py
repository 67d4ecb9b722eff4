"""Reads values that are made of other values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from sayiir.core.plan import compose, needed
from sayiir.core.records import INPUT_REF, Ref
from sayiir.core.values import unpack
from sayiir.core.values.nesting import MAX_DEPTH
from sayiir.errors import BackendError, WorkflowError

Stored: TypeAlias = tuple[bytes | None, bytes | None]
_DAMAGE = (msgspec.MsgspecError, ValueError, TypeError, AttributeError, LookupError, OverflowError)
"""What reading the parts of a damaged value may raise."""
Fetch: TypeAlias = Callable[[list[Ref]], Mapping[Ref, Stored]]


def resolve(ref: Ref, stored_input: bytes | None, fetch: Fetch) -> bytes:
    """Return the JSON behind a reference; the nesting of definitions bounds how deep values are composed.

    Args:
        ref: the reference.
        stored_input: the instance's input as stored; None when there is no such instance.
        fetch: gives the stored (output, parts) of records; those that are not there are missing in it.

    Raises:
        BackendError: nothing is stored under the reference.
    """
    if ref == INPUT_REF and stored_input is not None:
        return unpack(stored_input)
    return _resolve(ref, {} if stored_input is None else fetch([ref]), stored_input, fetch)


def _resolve(
    ref: Ref, known: Mapping[Ref, Stored], stored_input: bytes | None, fetch: Fetch, depth: int = 0
) -> bytes:
    if ref == INPUT_REF and stored_input is not None:
        return unpack(stored_input)
    if ref not in known:
        raise BackendError(f"no value is stored under reference {ref}; the instance was replaced meanwhile")
    output, parts = known[ref]
    if output is not None or parts is None:
        return unpack(output or b"null")
    try:
        refs = needed(parts)
        if depth > MAX_DEPTH or not all(isinstance(part, int) for part in refs):
            raise ValueError("what it is made of makes no sense")
        inner = fetch([part for part in refs if part != INPUT_REF])  # all at once: a join may have a thousand
        return compose(parts, {part: _resolve(part, inner, stored_input, fetch, depth + 1) for part in refs})
    except WorkflowError:
        raise
    except _DAMAGE as error:
        raise BackendError(f"value {ref} cannot be read: {error!r}; the stored data is damaged") from error
