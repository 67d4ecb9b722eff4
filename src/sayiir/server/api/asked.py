"""What endpoints take: queries and bodies. Unknown names are refused, so that a misspelt one is noticed."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sayiir.service.model import Selection
from sayiir.store.port import ConflictPolicy

Limit = Annotated[int, Meta(ge=1, le=1000)]
Id = Annotated[str, Meta(min_length=1, max_length=256)]
Text = Annotated[str, Meta(max_length=4096)]
Steering = Literal["cancel", "pause", "unpause", "retry"]
Value = msgspec.Raw | msgspec.UnsetType
"""Any JSON value, as it was sent."""


def sent(value: Value, otherwise: bytes = b"null") -> bytes:
    """Return the JSON of a value that may be missing."""
    return otherwise if isinstance(value, msgspec.UnsetType) else bytes(value)


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all of them are."""


class FindQuery(Asked, frozen=True):
    """A filter, see the language of the filter box, and a page."""

    where: Text = ""
    cursor: str | None = None
    limit: Limit = 50


class FacetsQuery(Asked, frozen=True):
    """A filter."""

    where: Text = ""


class PageQuery(Asked, frozen=True):
    """A page."""

    cursor: str | None = None
    limit: Limit = 50


class AuditQuery(Asked, frozen=True):
    """A page of what was done, to one target if it is given."""

    target: Text | None = None
    cursor: str | None = None
    limit: Limit = 50


class LogsQuery(Asked, frozen=True):
    """The newest lines, of one node if it is given."""

    node_id: Text | None = None
    limit: Limit = 500


class WaitQuery(Asked, frozen=True):
    """How many seconds to wait for the end, up to 60."""

    timeout: Annotated[float, Meta(ge=0, le=60)] = 0.0


class VersionQuery(Asked, frozen=True):
    """Which version of a workflow."""

    definition_hash: Id | None = None


class IterationQuery(Asked, frozen=True):
    """Which iteration of a loop; the last when not given."""

    iteration: Annotated[int, Meta(ge=1, le=2**31)] | None = None


class CompareQuery(Asked, frozen=True):
    """Two instances."""

    left: Id
    right: Id


class SubmitBody(Asked, frozen=True):
    """A new instance.

    Without `instance_id` the Idempotency-Key names it, and without that the server makes a name.
    """

    workflow_id: Id
    input: Value = msgspec.UNSET
    instance_id: Id | None = None
    priority: Annotated[int, Meta(ge=1, le=5)] | None = None
    policy: ConflictPolicy | None = None
    definition_hash: Id | None = None


class ReasonBody(Asked, frozen=True):
    """Why, for people."""

    reason: Text | None = None


class RetryBody(Asked, frozen=True):
    """Where to go on, and with which input; both as it was when not given."""

    from_task: Text | None = None
    input: Value = msgspec.UNSET
    reason: Text | None = None


class SignalBody(Asked, frozen=True):
    """A signal's payload. Without `dedup_key` the Idempotency-Key is it."""

    payload: Value = msgspec.UNSET
    dedup_key: Id | None = None


class BulkBody(Asked, frozen=True):
    """One action for many instances, at most 1,000 a request: go on with `next` as `cursor`."""

    action: Steering
    selection: Selection
    dry_run: bool = False
    reason: Text | None = None
    cursor: str | None = None


class PurgeBody(Asked, frozen=True):
    """Deletes what ended so long ago: seconds, or a text such as "30d"."""

    older_than: Annotated[float, Meta(ge=0)] | str = "30d"
    dry_run: bool = False


class ViewBody(Asked, frozen=True):
    """A filter to be kept; `replaces` is the name of a view that is renamed to this one."""

    where: Text = ""
    replaces: Text | None = None
