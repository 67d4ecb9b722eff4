"""Who may do what: every method of the service, every role, and a service that only shows."""

from __future__ import annotations

from sayiir import InMemoryBackend
from sayiir.errors import ForbiddenError, WorkflowError
from sayiir.service import Role, Service
from sayiir.service.access import READS, WRITES
from sayiir.service.model import Selection
from tests.service.test_service import ADMIN, FLOWS, OPERATOR, VIEWER

ARGUMENTS = {
    "submit": ("add", "n", b"1"), "cancel": ("a",), "pause": ("a",), "unpause": ("a",), "retry": ("a",), "signal": ("a", "go", b"1"),
    "bulk": ("cancel", Selection(ids=())), "save_view": ("v", ""), "drop_view": ("v",), "purge": ("30d",), "find": (), "facets": (),
    "show": ("a",), "why": ("a",), "attempts": ("a",), "node": ("a", "double"), "graph_svg": ("a",), "graph_text": ("double",), "graph": ("a",), "logs": ("a",),
    "result": ("a",), "output": ("a",), "task_result": ("a", "double"), "inbox": (), "workflows": (), "workflow": ("add",),
    "workers": (), "compare": ("a", "a"), "views": (), "stats": (), "check": (), "audit": (),
}  # fmt: skip
RANKS = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}


def refused(service, access, method):
    try:
        getattr(service, method)(access, *ARGUMENTS[method])
    except ForbiddenError:
        return True
    except WorkflowError:
        return False  # let through, and refused for another reason
    return False


def test_every_method_asks_who_may():
    service = Service(InMemoryBackend(), workflows=FLOWS)
    service.submit(ADMIN, "add", "a", b"1")
    silent = Service(service.store, workflows=FLOWS, read_only=True)
    for method, role in (READS | WRITES).items():
        for access in (VIEWER, OPERATOR, ADMIN):
            assert refused(service, access, method) == (RANKS[access.role] < RANKS[role]), (method, access)
            assert refused(silent, access, method) == (method in WRITES or RANKS[access.role] < RANKS[role]), (method, access)
    assert service.find(ADMIN).items[-1].instance_id == "a"


def test_every_public_method_with_access_is_in_the_table():
    import inspect

    takes = {
        name for name, method in inspect.getmembers(Service, inspect.isfunction)
        if not name.startswith("_") and "access" in inspect.signature(method).parameters
    }  # fmt: skip
    assert takes - {"status", "has_input", "schemas"} == set(READS | WRITES), "the others need what show, submit, workflow need"
