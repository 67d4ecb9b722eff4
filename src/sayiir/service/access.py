"""Who may do what: one table of methods and roles, asked by every method of `Service`.

Rules of this file: a method that is not in the table does not exist for faces; the read-only switch is asked here too, so
that no template or route can forget it.
"""

from __future__ import annotations

from sayiir.errors import ForbiddenError
from sayiir.service.model import Access, Action, Role

_RANK = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}

READS: dict[str, Role] = {
    "find": Role.VIEWER,
    "facets": Role.VIEWER,
    "show": Role.VIEWER,
    "why": Role.VIEWER,
    "attempts": Role.VIEWER,
    "node": Role.VIEWER,
    "graph_svg": Role.VIEWER,
    "graph_text": Role.VIEWER,
    "graph": Role.VIEWER,
    "logs": Role.VIEWER,
    "result": Role.VIEWER,
    "output": Role.VIEWER,
    "task_result": Role.VIEWER,
    "inbox": Role.VIEWER,
    "workflows": Role.VIEWER,
    "workflow": Role.VIEWER,
    "workers": Role.VIEWER,
    "compare": Role.VIEWER,
    "views": Role.VIEWER,
    "stats": Role.VIEWER,
    "check": Role.ADMIN,
    "audit": Role.ADMIN,
}
"""What only looks."""

WRITES: dict[str, Role] = {
    "submit": Role.OPERATOR,
    "cancel": Role.OPERATOR,
    "pause": Role.OPERATOR,
    "unpause": Role.OPERATOR,
    "retry": Role.OPERATOR,
    "signal": Role.OPERATOR,
    "bulk": Role.OPERATOR,
    "save_view": Role.OPERATOR,
    "drop_view": Role.OPERATOR,
    "purge": Role.ADMIN,
}
"""What changes something."""

ACTIONS: tuple[Action, ...] = ("cancel", "pause", "unpause", "retry", "signal", "submit", "purge")


def may(access: Access, method: str, *, read_only: bool = False) -> bool:
    """Return whether somebody may call a method.

    >>> may(Access("ann", Role.OPERATOR), "cancel"), may(Access("ann", Role.OPERATOR), "purge")
    (True, False)
    """
    if method in WRITES:
        return not read_only and _RANK[access.role] >= _RANK[WRITES[method]]
    return _RANK[access.role] >= _RANK[READS[method]]


def check(access: Access, method: str, *, read_only: bool = False) -> None:
    """Let somebody through, or say why not.

    Raises:
        ForbiddenError: the role is not enough, or the service is read-only.
    """
    if may(access, method, read_only=read_only):
        return
    if read_only and method in WRITES:
        raise ForbiddenError(f"{method} is refused: this service only shows (read_only); ask one that may change things")
    role = WRITES.get(method) or READS[method]
    raise ForbiddenError(f"{method} needs the role {role.value}; {access.user!r} has {access.role.value}")
