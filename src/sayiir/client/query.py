"""Finding and purging: what callers ask for becomes a `Query`; every refusal names the argument."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypedDict

import msgspec

from sayiir.core.lifecycle import State
from sayiir.flow.duration import Duration, parse_duration
from sayiir.flow.workflow import Workflow
from sayiir.runtime.checks import checked_id
from sayiir.runtime.status import StatusName, WorkflowStatus, status_of
from sayiir.store.base import ScriptedStore
from sayiir.store.port import Instance, Query, View

Scalar: TypeAlias = "str | int | float | bool | None"
MAX_PAGE = 1000
MAX_BATCH = 10_000
KEEP = timedelta(days=30)
"""How long what has ended is kept when nothing else is said."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_CURSOR_VERSION = 1


class Wanted(TypedDict, total=False):
    """What `WorkflowClient.find` looks for; what is not given may be anything."""

    status: StatusName | Iterable[StatusName] | None
    workflow_id: str | Workflow[Any, Any] | None
    id_prefix: str | None
    created_after: datetime | None
    created_before: datetime | None
    metadata: Mapping[str, Scalar] | None


class Page(msgspec.Struct, frozen=True):
    """A part of what was found, the newest first; iterating gives its statuses.

    >>> from sayiir import InMemoryBackend, WorkflowClient
    >>> page = WorkflowClient(InMemoryBackend()).find(status="failed")
    >>> list(page), page.next_cursor
    ([], None)
    """

    items: tuple[WorkflowStatus, ...]
    next_cursor: str | None = None
    """What `find(cursor=…)` takes to go on; None on the last page."""

    def __iter__(self) -> Iterator[WorkflowStatus]:
        """Iterate over the statuses."""
        return iter(self.items)

    def __len__(self) -> int:
        """Return how many statuses the page has."""
        return len(self.items)


def query_of(wanted: Wanted, limit: Any = 100, cursor: Any = None) -> Query:
    """Return the query that asks for what is wanted, for a page of `limit` and one more.

    Raises:
        ValueError: an argument is not allowed; the error names it.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"limit must be an int from 1 to {MAX_PAGE}, not {limit!r}")
    return Query(
        _statuses(wanted.get("status")),
        _workflow_id(wanted.get("workflow_id")),
        _prefix(wanted.get("id_prefix")),
        _moment("created_after", wanted.get("created_after")),
        _moment("created_before", wanted.get("created_before")),
        _metadata(wanted.get("metadata")),
        limit + 1,
        None if cursor is None else _number_of(cursor),
    )


def find_page(store: ScriptedStore, wanted: Wanted, limit: int, cursor: str | None) -> Page:
    """Return one page (see `WorkflowClient.find`)."""
    found = store.find(query_of(wanted, limit, cursor))
    return Page(tuple(map(_status_of, found[:limit])), _cursor_of(found[limit - 1].number) if len(found) > limit else None)


def find_all(store: ScriptedStore, wanted: Wanted) -> Iterator[WorkflowStatus]:
    """Return what reads page after page; what is not allowed is refused at once."""
    return _pages(store, query_of(wanted, MAX_PAGE))


def _pages(store: ScriptedStore, query: Query) -> Iterator[WorkflowStatus]:
    while found := store.find(query):
        yield from map(_status_of, found)
        query = msgspec.structs.replace(query, below=found[-1].number)


def _status_of(instance: Instance) -> WorkflowStatus:
    return status_of(View(instance, ()))


def purge(store: ScriptedStore, older_than: Duration, batch: int) -> int:
    """Delete what ended long ago, batch by batch; return how many there were (see `WorkflowClient.purge`)."""
    if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= MAX_BATCH:
        raise ValueError(f"batch must be an int from 1 to {MAX_BATCH}, not {batch!r}")
    try:
        seconds = parse_duration(older_than)
    except ValueError as error:
        raise ValueError(f"older_than: {error}") from None
    before = max(0, store.now() - round(seconds * 1_000_000))
    total, after = store.purge(before, batch)
    while after:
        purged, after = store.purge(before, batch, after)
        total += purged
    return total


def _cursor_of(number: int) -> str:
    raw = msgspec.json.encode((_CURSOR_VERSION, number))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _number_of(cursor: Any) -> int:
    problem = ValueError(f"cursor must be the next_cursor of an earlier page, not {cursor!r}")
    if not isinstance(cursor, str):
        raise problem
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        version, number = msgspec.json.decode(raw, type=tuple[int, int])
    except (ValueError, msgspec.MsgspecError):
        raise problem from None
    if version != _CURSOR_VERSION or not 0 < number < 1 << 63:
        raise problem
    return number


def _statuses(status: Any) -> tuple[State, ...] | None:
    if status is None:
        return None
    names = [status] if isinstance(status, str) else status
    if not isinstance(names, Iterable) or isinstance(names, bytes | Mapping):
        raise ValueError(f"status must be a status name or a list of them, not {status!r}")  # noqa: TRY004 -- one error for all
    return tuple(dict.fromkeys(_state(name) for name in names))


def _state(name: Any) -> State:
    try:
        return State(name)
    except ValueError:
        raise ValueError(f"status must be one of {', '.join(map(repr, map(str, State)))}, not {name!r}") from None


def _workflow_id(workflow: Any) -> str | None:
    if isinstance(workflow, Workflow):
        return workflow.workflow_id
    if workflow is None or isinstance(workflow, str):
        return None if workflow is None else _storable("workflow_id", workflow)
    raise ValueError(f"workflow_id must be a workflow's name or a Workflow, not {workflow!r}")


def _prefix(prefix: Any) -> str | None:
    return None if prefix is None or prefix == "" else checked_id(prefix, "id_prefix")


def _moment(name: str, moment: Any) -> int | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise ValueError(f"{name} must be a datetime with a time zone, such as datetime.now(timezone.utc), not {moment!r}")
    return (moment - _EPOCH) // _MICRO


def _metadata(metadata: Any) -> dict[str, object] | None:
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping):
        raise ValueError(f"metadata must be a dict of names and plain values, not {metadata!r}")  # noqa: TRY004 -- one error for all
    return {_metadata_key(key): _scalar(key, value) for key, value in metadata.items()}


def _metadata_key(key: Any) -> str:
    if not isinstance(key, str):
        raise ValueError(f"metadata must have names as keys, not {key!r}")  # noqa: TRY004 -- one error for all
    return _storable("metadata", key)


def _scalar(key: str, value: Any) -> object:
    problem = ValueError(
        f"metadata[{key!r}] must be text, a number of 64 bits, True, False or None, not {value!r}; "
        "only the top level of metadata can be searched"
    )
    match value:
        case None | bool():
            return value
        case str():
            return _storable(f"metadata[{key!r}]", value)
        case int() if -(1 << 63) <= value < 1 << 63:
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case _:
            raise problem


def _storable(name: str, text: str) -> str:
    """Return the text, unless no database could hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} {text!r} holds half a surrogate pair; use whole characters") from None
    if "\0" in text:
        raise ValueError(f"{name} {text!r} must not contain NUL")
    return str.__str__(text)
