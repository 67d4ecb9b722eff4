"""Checks of what callers hand in, with errors that name the argument and the fix."""

from __future__ import annotations

from typing import Any

from sayiir.core.check import name_problem
from sayiir.flow.builder import Flow
from sayiir.flow.workflow import Workflow
from sayiir.runtime.failure import cut
from sayiir.store.base import ScriptedStore
from sayiir.store.port import POLICIES, ConflictPolicy

MAX_ID_BYTES = 256
MAX_REASON = 4096


def checked_workflow(workflow: Any) -> Workflow[Any, Any]:
    """Return the workflow, or say what was given instead."""
    if isinstance(workflow, Workflow):
        return workflow
    hint = "; call .build() on the Flow first" if isinstance(workflow, Flow) else ""
    raise TypeError(f"expected a Workflow, not {workflow!r}{hint}")


def checked_backend(backend: Any) -> ScriptedStore:
    """Return the backend, or say what was given instead."""
    if isinstance(backend, ScriptedStore):
        return backend
    raise TypeError(f'expected a backend such as SqliteBackend("runs.db") or InMemoryBackend(), not {backend!r}')


def checked_id(instance_id: Any, what: str = "instance_id") -> str:
    """Return the instance id, or another text kept to the same rule, which `what` names.

    Raises:
        ValueError: it is not a string of 1 to 256 bytes of UTF-8 without NUL.
    """
    if not isinstance(instance_id, str):
        raise ValueError(f"{what} must be a string, not {instance_id!r}")  # noqa: TRY004 -- one error for all
    try:
        size = len(instance_id.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} {instance_id!r} holds half a surrogate pair; use whole characters") from None
    if not 1 <= size <= MAX_ID_BYTES:
        raise ValueError(f"{what} must have 1 to {MAX_ID_BYTES} bytes of UTF-8, not {size}")
    if "\0" in instance_id:
        raise ValueError(f"{what} {instance_id!r} must not contain NUL")
    return str.__str__(instance_id)


def checked_policy(policy: Any) -> ConflictPolicy:
    """Return the conflict policy; None means "fail".

    Raises:
        ValueError: it is none of the three.
    """
    if policy is None:
        return "fail"
    if policy not in POLICIES:
        raise ValueError(f"conflict_policy must be one of {', '.join(map(repr, POLICIES))}, not {policy!r}")
    return policy  # type: ignore[no-any-return]


def checked_signal(name: Any) -> str:
    """Return the signal's name.

    Raises:
        ValueError: it is not a string of 1 to 256 characters without reserved marks.
    """
    if problem := name_problem("signal name", name):
        raise ValueError(problem)
    return str.__str__(name)


def short(text: Any, limit: int = MAX_REASON) -> str | None:
    """Return a reason or actor as stored: cut to its limit, never refused."""
    return None if text is None else cut(str(text).replace("\0", "\ufffd"), limit)
